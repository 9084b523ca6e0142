"""Active set: the exact optimum of a system too small to eliminate, from a search for its free set.

Problem
    The scaled problem. On the right free set F the optimum is x_F = A_FF⁻¹ q_F, zero elsewhere.

Steps
    1. Are two columns parallel, as neighbouring Gaussians of a light profile are?
    2. Guess the free set: if not, by a few steps of projected gradient (`_fista`), else by ADMM in one vector
       (`_collinear`). Exchange (`_exchange`) from the guess. But below `WALK_BELOW` variables of which two
       are parallel walk (`_walk`) from zero: a guess would cost more than that.
    3. Where that finds nothing that certifies: the interior-point method with its crossovers (`_pdip`), which
       begins a second search from a better guess.

Cost
    The guess: one to three factorisations. Each step one factorisation and two triangular solves: 1 to 6
    steps, more where many bounds are undecided, and 8 to 20 where step 3 is needed.

Convergence
    The search is bounded and says whether it succeeded; step 3 does not depend on it.

References
    As in `_fista`, `_collinear`, `_walk`, `_exchange` and `_pdip`.
"""

import jax.numpy as jnp
from jax import Array, lax

from . import _collinear, _fista
from ._pdip import DEFAULT_MAX_ITER, solve_pdip
from ._problem import Scaled
from ._search import Found, any_parallel, by_exchange, by_walk

WALK_BELOW = 44
MAX_SEARCH_STEPS = 40
MAX_WALK_STEPS = 20


def solve_active_set(problem: Scaled, max_iter: int | None, solver_tol: float | None) -> tuple[Array, Array]:
    """Search for the free set; where that finds nothing, solve by interior points.

    Parameters
    ----------
    problem
        The scaled problem.
    max_iter
        Most steps of the search and of the interior-point method together; None for 40 and 50.
    solver_tol
        Certificate residual to accept; None for half the dtype's default.

    Returns
    -------
    x
        (K,) answer.
    steps
        () int32, factorisations, those of the late crossover left out.
    """
    total = MAX_SEARCH_STEPS + DEFAULT_MAX_ITER if max_iter is None else max_iter
    search = _search(problem, min(MAX_SEARCH_STEPS, total), solver_tol)
    finished = search.certified | (search.steps >= total)

    def fall_back() -> tuple[Array, Array]:
        x, steps = solve_pdip(problem, total - search.steps, solver_tol, skip=finished)
        return jnp.where(finished, search.x, x), search.steps + steps

    return lax.cond(finished, lambda: (search.x, search.steps), fall_back)


def _search(problem: Scaled, limit: int, solver_tol: float | None) -> Found:
    parallel = any_parallel(problem)

    def walking() -> Found:
        zero, most = jnp.zeros_like(problem.q), min(MAX_WALK_STEPS, limit)
        return by_walk(problem, zero, problem.q > 0, most, solver_tol, enabled=parallel)

    def exchanging() -> Found:
        guess = _fista.believed_free(problem)
        return by_exchange(problem, guess, limit, solver_tol, enabled=~parallel)

    if problem.q.shape[0] < WALK_BELOW:
        # Under `vmap` both are run: the search that is not meant makes no step.
        return lax.cond(parallel, walking, exchanging)
    guess = lax.cond(parallel, _collinear.believed_free, _fista.believed_free, problem)
    return by_exchange(problem, guess, limit, solver_tol)
