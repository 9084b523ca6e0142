"""Where JAX is not installed there is nothing to test here."""

import importlib.util
from collections.abc import Iterator

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("jax") else ["test_*.py"]


@pytest.fixture(params=["cpu", "accelerator"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test with both forms that a program takes; which one it is."""
    from .devices import as_on_an_accelerator

    if request.param == "cpu":
        yield "cpu"
        return
    with as_on_an_accelerator():
        yield "accelerator"
