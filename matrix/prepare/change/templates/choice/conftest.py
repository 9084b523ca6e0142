# mypy: ignore-errors
"""What vendoring puts into the library's `conftest.py`: tests of the interior-point solver skip without jaxnnls."""

import contextlib

import pytest


@contextlib.contextmanager
def skipped_without_jaxnnls():
    """
    Skips the test which is running if it turns out to need jaxnnls, which is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "jaxnnls":
            raise
        pytest.skip("it needs jaxnnls, which is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with skipped_without_jaxnnls():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with skipped_without_jaxnnls():
        return (yield)
