"""Stand-ins for the library's module with the positive-only solve, in the forms its releases have."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import jax.numpy as jnp
import jaxnnls
import numpy as np
import pytest
from jaxnnls.pdip import solve_nnls as its_solve_nnls

import solver as vendored
from matrix.records.cell import VENDORED

KAPPA = 1e-11
# Passes after which the "certified" stand-in gives up.
BUDGET = 16


def settings(**changes: Any) -> SimpleNamespace:
    """Of the library: what a fit may set, with the defaults."""
    facts = {
        "nnls_solver_tol": None,
        "nnls_max_iter": None,
        "certified_pass_budget": BUDGET,
        "certified_fallback": "pdip",
        "certified_tau_rel": 1e-9,
    }
    return SimpleNamespace(**{**facts, **changes})


def without_stats() -> ModuleType:
    """Scales to a unit diagonal and calls jaxnnls, as releases to 2026.7.9.1 do."""
    site = ModuleType("site")

    def reconstruction_positive_only_from(
        data_vector: Any, curvature_reg_matrix: Any, settings: Any = None, xp: Any = np
    ) -> Any:
        del settings, xp
        D = 1.0 / jnp.sqrt(jnp.diag(curvature_reg_matrix))
        Q = curvature_reg_matrix * D[:, None] * D[None, :]
        return D * jaxnnls.solve_nnls_primal(Q, data_vector * D, target_kappa=KAPPA)

    site.reconstruction_positive_only_from = reconstruction_positive_only_from  # type: ignore[attr-defined]
    return site


def own_loop_without_stats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Calls the library's own loop over jaxnnls' steps, as releases 2026.7.15.1 to 2026.9.19.1 do."""
    loop = ModuleType("autoarray.util.jax_nnls")

    def solve_nnls(Q: Any, q: Any, solver_tol: Any = None, max_iter: int = 50) -> Any:
        del solver_tol, max_iter
        return its_solve_nnls(Q, q)

    def solve_nnls_primal(
        Q: Any, q: Any, target_kappa: float = 1e-3, solver_tol: Any = None, max_iter: int = 50
    ) -> Any:
        del target_kappa
        # By its name in the module, as there.
        return vars(loop)["solve_nnls"](Q, q, solver_tol=solver_tol, max_iter=max_iter)[0]

    vars(loop).update(solve_nnls=solve_nnls, solve_nnls_primal=solve_nnls_primal)
    monkeypatch.setitem(sys.modules, loop.__name__, loop)
    site = ModuleType("site")

    def reconstruction_positive_only_from(
        data_vector: Any, curvature_reg_matrix: Any, settings: Any = None, xp: Any = np
    ) -> Any:
        del settings, xp
        # Looked up when it is called, as an import inside the function does.
        return vars(loop)["solve_nnls_primal"](
            curvature_reg_matrix, data_vector, target_kappa=KAPPA, solver_tol=None, max_iter=50
        )

    site.reconstruction_positive_only_from = reconstruction_positive_only_from  # type: ignore[attr-defined]
    return site


def vendored_without_stats(monkeypatch: pytest.MonkeyPatch, **options: Any) -> ModuleType:
    """Calls the vendored package, as vendoring leaves those releases."""
    monkeypatch.setitem(sys.modules, VENDORED, vendored)
    site = ModuleType("site")

    def reconstruction_positive_only_from(
        data_vector: Any, curvature_reg_matrix: Any, settings: Any = None, xp: Any = np
    ) -> Any:
        del settings, xp
        return vendored.solve_nnls_primal(
            curvature_reg_matrix, data_vector, target_kappa=KAPPA, **{"algorithm": "auto", **options}
        )

    site.reconstruction_positive_only_from = reconstruction_positive_only_from  # type: ignore[attr-defined]
    return site


def with_stats(answer: Callable[..., tuple[Any, dict[str, Any]]]) -> ModuleType:
    """Puts what `answer` states of (Q, q, settings) into `stats`, as releases from 2026.9.26.1 do."""
    site = ModuleType("site")

    def reconstruction_positive_only_from(
        data_vector: Any,
        curvature_reg_matrix: Any,
        settings: Any = None,
        xp: Any = np,
        solver: str = "pdip",
        stats: dict[str, Any] | None = None,
        preconditioning: str = "jacobi",
    ) -> Any:
        del xp, solver, preconditioning
        x, stated = answer(curvature_reg_matrix, data_vector, settings)
        if stats is not None:
            stats.update(stated)
        return x

    site.reconstruction_positive_only_from = reconstruction_positive_only_from  # type: ignore[attr-defined]
    return site


def pdip(preconditioning: str = "jacobi") -> ModuleType:
    """Answers by our interior-point method, under a limit of its settings."""

    def answer(Q: Any, q: Any, settings: Any) -> tuple[Any, dict[str, Any]]:
        limit = settings.nnls_max_iter or 50
        x, *_, converged, iterations = vendored.solve_nnls(Q, q, algorithm="pdip", max_iter=limit)
        stated = {"preconditioning": preconditioning, "converged": converged, "iterations": iterations}
        return x, {"solver": "pdip", **stated}

    return with_stats(answer)


def certified(certifies: bool) -> ModuleType:
    """Answers exactly; says that its passes did or did not certify that."""

    def answer(Q: Any, q: Any, settings: Any) -> tuple[Any, dict[str, Any]]:
        passes = jnp.minimum(4 if certifies else BUDGET, settings.certified_pass_budget)
        x = vendored.solve_nnls_primal(Q, q)
        return x, {"solver": "certified", "certified": jnp.asarray(certifies), "passes": passes}

    return with_stats(answer)


def vendored_with_stats(monkeypatch: pytest.MonkeyPatch, **missing: Any) -> ModuleType:
    """Calls the vendored package and states what it said of the solve."""
    monkeypatch.setitem(sys.modules, VENDORED, vendored)

    def answer(Q: Any, q: Any, settings: Any) -> tuple[Any, dict[str, Any]]:
        options = {"max_iter": settings.nnls_max_iter, "algorithm": "pdip"}
        x, converged, iterations = vendored.solve_nnls_primal_with_status(Q, q, target_kappa=KAPPA, **options)
        stated = {"solver": "nnls", "converged": converged, "iterations": iterations}
        return x, {name: value for name, value in stated.items() if name not in missing}

    return with_stats(answer)
