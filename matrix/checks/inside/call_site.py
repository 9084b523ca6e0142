"""The call that an inversion of this library makes."""

import inspect
from collections.abc import Callable
from typing import Any

FUNCTION = "reconstruction_positive_only_from"


def as_set(module: Any, settings: Any) -> tuple[Callable[..., Any], str]:
    """Return the library's positive-only solve with the solver that its settings choose, and its name.

    Parameters
    ----------
    module
        The library's `inversion_util`.
    settings
        `autoarray.Settings()`. A library without a choice of solvers has one, "nnls".
    """
    solve = getattr(module, FUNCTION)
    if "solver" not in inspect.signature(solve).parameters:
        return solve, "nnls"
    chosen = settings.positive_only_solver

    def reconstruction(**arguments: Any) -> Any:
        return solve(**{"solver": chosen, "settings": settings, **arguments})

    return reconstruction, chosen
