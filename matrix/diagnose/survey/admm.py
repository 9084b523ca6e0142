"""ADMM (alternating direction method of multipliers): one factorisation, then cheap sweeps.

Problem
    The scaled problem, split as x = y with y >= 0.

Steps
    1. L = chol(A + ρI), once.
    2. x = (A + ρI)⁻¹ (q + ρ(y - u)); over-relax, x̃ = 1.8 x - 0.8 y; y = max(x̃ + u, 0); u = x̃ + u - y.
    3. Every `CHECK_EVERY` sweeps, stop if the KKT residual of y is below the tolerance.

Cost per step
    One Cholesky factorisation in all (K³/3 flops), then 2 K² flops a sweep.

Convergence
    Linear, with a rate that depends on ρ and the condition of A: well conditioned sources take some hundred
    sweeps, systems with a collinear block stall. The answer is approximate; the certificate says how good
    it is.

References
    S. Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach. Learn. 3
    (2011).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._certificate import default_tolerance, scaled_residual
from ._linalg import blocked, cholesky, rounding_ridge
from ._problem import Scaled

DEFAULT_MAX_SWEEPS = 2000
RELAXATION = 1.8
CHECK_EVERY = 10


class _Sweeps(NamedTuple):
    y: Array
    u: Array
    made: Array
    done: Array


def solve_admm(
    problem: Scaled, max_iter: int | None, solver_tol: float | None, penalty: float
) -> tuple[Array, Array]:
    """Solve the scaled problem approximately: answer (K,) and the number of sweeps.

    Parameters
    ----------
    problem
        The scaled problem.
    max_iter
        Most sweeps; None for 2000.
    solver_tol
        Relative KKT residual to stop at; None for the dtype's default.
    penalty
        ρ, relative to the unit diagonal of A.
    """
    limit = DEFAULT_MAX_SWEEPS if max_iter is None else max_iter
    tolerance = (solver_tol or default_tolerance(problem.q.dtype)) / 2
    ones = jnp.ones_like(problem.q)
    diagonal = problem.diagonal * (1 + rounding_ridge(problem.q)) + penalty
    factor = blocked(cholesky(problem.weighted(ones, diagonal)))

    def sweep(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        y, u = state
        x = factor.solve(problem.q + penalty * (y - u))
        relaxed = RELAXATION * x + (1 - RELAXATION) * y + u
        y = jnp.maximum(relaxed, 0)
        return y, relaxed - y

    def several(state: _Sweeps) -> _Sweeps:
        count = jnp.minimum(CHECK_EVERY, limit - state.made)
        y, u = lax.fori_loop(0, count, sweep, (state.y, state.u))
        residual = scaled_residual(y, problem.gradient(y), problem.q)
        return _Sweeps(y, u, state.made + count, residual <= tolerance)

    zero = jnp.zeros_like(problem.q)
    start = _Sweeps(zero, zero, jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    final = lax.while_loop(lambda state: (state.made < limit) & ~state.done, several, start)
    return final.y, final.made
