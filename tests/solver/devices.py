"""The form that programs take on an accelerator, run on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import pytest
from jax import lax

from solver import _api


@contextmanager
def as_on_an_accelerator() -> Iterator[None]:
    """Trace what is meant for other devices than CPUs."""

    def elsewhere(*arguments: Any, default: Any, **_: Any) -> Any:
        return default(*arguments)

    _api._lane.cache_clear()
    # The solver sets this itself. Outside of it, JAX takes it for another setting, and no program traced
    # before for one traced now.
    with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("float32"):
        patch.setattr(lax, "platform_dependent", elsewhere)
        yield
    _api._lane.cache_clear()
