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
    """Trace what is meant for other devices than CPUs; what was compiled before or within is forgotten."""

    def elsewhere(*arguments: Any, default: Any, **_: Any) -> Any:
        return default(*arguments)

    _forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lax, "platform_dependent", elsewhere)
        yield
    _forget()


def _forget() -> None:
    jax.clear_caches()
    _api._lane.cache_clear()
