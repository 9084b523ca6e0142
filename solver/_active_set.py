"""Active set: the exact optimum of a system too small to eliminate, from a search for its free set.

Problem
    The scaled problem. On the right free set F the optimum is x_F = A_FF⁻¹ q_F, zero elsewhere.

Steps
    1. Below `EXCHANGE_FROM` variables, where as a rule all of them are collinear light: walk (`_walk`) from
       zero. Otherwise exchange (`_exchange`).
    2. Where that does not settle, or what it found does not certify: the interior-point method with its
       crossover (`_pdip`), in a loop that makes no trip otherwise.

Cost
    One factorisation and two triangular solves a step: 3 to 15 steps, and 10 to 20 where step 2 is needed.

Convergence
    Step 1 is bounded and says whether it settled; step 2 does not depend on it.

References
    As in `_walk`, `_exchange` and `_pdip`.
"""

import jax.numpy as jnp
from jax import Array

from ._exchange import exchange
from ._pdip import DEFAULT_MAX_ITER, solve_pdip
from ._problem import Scaled
from ._walk import walk

EXCHANGE_FROM = 64
MAX_SEARCH_STEPS = 40


def solve_active_set(problem: Scaled, max_iter: int | None, solver_tol: float | None) -> tuple[Array, Array]:
    """Search for the free set; where that does not settle, solve by interior points.

    Parameters
    ----------
    problem
        The scaled problem.
    max_iter
        Most steps of the search and of the interior-point method together; None for 40 and 50.
    solver_tol
        Relative residual the interior-point method stops at.

    Returns
    -------
    x
        (K,) answer.
    steps
        () int32, factorisations, those of the crossover left out.
    """
    total = MAX_SEARCH_STEPS + DEFAULT_MAX_ITER if max_iter is None else max_iter
    limit = min(MAX_SEARCH_STEPS, total)
    zero = jnp.zeros_like(problem.q)
    collinear = zero.shape[0] < EXCHANGE_FROM
    pulled = problem.q > 0
    search = walk(problem, zero, pulled, limit) if collinear else exchange(problem, pulled, limit)
    # Among huge coefficients that cancel, rounding level is no answer.
    found = search.settled & problem.certifies(search.x, search.gradient, solver_tol)
    finished = found | (search.steps >= total)
    fallback, steps = solve_pdip(problem, total - search.steps, solver_tol, skip=finished)
    return jnp.where(finished, search.x, fallback), search.steps + steps
