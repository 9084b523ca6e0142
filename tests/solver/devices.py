"""The forms that programs take on other devices, made on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import pytest

from solver import _api, _identify, _linalg


@contextmanager
def _with(by_platform: Callable[..., Any]) -> Iterator[None]:
    _api._lane.cache_clear()
    # The solver sets this itself. Outside of it, JAX takes it for another setting, and no program traced
    # before for one traced now.
    with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("float32"):
        for module in (_linalg, _identify):
            patch.setattr(module, "by_platform", by_platform)
        yield
    _api._lane.cache_clear()


@contextmanager
def as_on_an_accelerator() -> Iterator[None]:
    """Trace what is meant for other devices than CPUs, to run it here."""

    def elsewhere(*arguments: Any, default: Any, **_: Any) -> Any:
        return default(*arguments)

    with _with(elsewhere):
        yield


@contextmanager
def for_every_device() -> Iterator[None]:
    """Trace all forms, as where there is a GPU, and leave the choice to the lowering."""
    with _with(jax.lax.platform_dependent):
        yield
