"""FISTA (accelerated projected gradient) with adaptive restart: no factorisation at all.

Problem
    The scaled problem, minimise ½ xᵀAx - qᵀx over x >= 0.

Steps
    1. λ, the largest eigenvalue of A, by power iteration, and two per cent on top.
    2. x⁺ = max(y - (Ay - q)/λ, 0); t⁺ = (1 + √(1 + 4t²))/2; y⁺ = x⁺ + (t - 1)/t⁺ (x⁺ - x).
    3. Restart the momentum (t = 1, y = x⁺) whenever it points uphill: (y - x⁺)·(x⁺ - x) > 0.
    4. Every `CHECK_EVERY` steps, stop if the KKT residual is below the tolerance.

Cost per step
    One product with A (2 K² flops); about a hundred and fifty of them cost as much as a factorisation at K
    = 1000.

Convergence
    Objective error O(1/n²), with restarts linear of rate about 1 - 1/√cond(A). With a collinear block (cond
    1e11) that is out of reach of any practical number of steps. The answer is approximate; the certificate
    says how good it is.

References
    A. Beck and M. Teboulle, SIAM J. Imaging Sci. 2 (2009) 183.
    B. O'Donoghue and E. Candès, Found. Comput. Math. 15 (2015) 715 (restart).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._certificate import default_tolerance, scaled_residual
from ._problem import Scaled

DEFAULT_MAX_STEPS = 5000
POWER_STEPS = 30
SAFETY = 1.02
CHECK_EVERY = 10
# For a guess: a rougher eigenvalue, and as many steps as cost about one factorisation, K³/3 flops, within
# bounds.
GUESS_POWER_STEPS = 5
GUESS_SAFETY = 1.25
LEAST_GUESS_STEPS, MOST_GUESS_STEPS = 5, 30


class _Point(NamedTuple):
    """Iterate and extrapolated point, (K,) each, and t."""

    x: Array
    y: Array
    momentum: Array


class _Steps(NamedTuple):
    point: _Point
    taken: Array
    done: Array


def solve_fista(problem: Scaled, max_iter: int | None, solver_tol: float | None) -> tuple[Array, Array]:
    """Solve the scaled problem approximately: answer (K,) and the number of steps.

    Parameters
    ----------
    problem
        The scaled problem.
    max_iter
        Most steps; None for 5000.
    solver_tol
        Relative KKT residual to stop at; None for the dtype's default.
    """
    limit = DEFAULT_MAX_STEPS if max_iter is None else max_iter
    tolerance = (solver_tol or default_tolerance(problem.q.dtype)) / 2
    curvature = SAFETY * _largest_eigenvalue(problem, POWER_STEPS)

    def several(state: _Steps) -> _Steps:
        count = jnp.minimum(CHECK_EVERY, limit - state.taken)
        point = _advance(problem, curvature, state.point, count)
        residual = scaled_residual(point.x, problem.gradient(point.x), problem.q)
        return _Steps(point, state.taken + count, residual <= tolerance)

    start = _Steps(_origin(problem), jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    final = lax.while_loop(lambda state: (state.taken < limit) & ~state.done, several, start)
    return final.point.x, final.taken


def believed_free(problem: Scaled) -> Array:
    """The variables that a few steps leave positive, (K,) bool: a guess of the free set for a search.

    Where no columns are collinear it is wrong in few variables long before the values are of any use.
    """
    steps = min(max(problem.q.shape[0] // 5, LEAST_GUESS_STEPS), MOST_GUESS_STEPS)
    curvature = GUESS_SAFETY * _largest_eigenvalue(problem, GUESS_POWER_STEPS)
    return _advance(problem, curvature, _origin(problem), steps).x > 0


def _origin(problem: Scaled) -> _Point:
    zero = jnp.zeros_like(problem.q)
    return _Point(zero, zero, jnp.ones((), zero.dtype))


def _advance(problem: Scaled, curvature: Array, start: _Point, count: int | Array) -> _Point:
    """The point after `count` steps."""

    def step(_: int, point: _Point) -> _Point:
        x, y, momentum = point
        new_x = jnp.maximum(y - problem.gradient(y) / curvature, 0)
        uphill = jnp.vdot(y - new_x, new_x - x) > 0
        new_momentum = jnp.where(uphill, 1, (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2)
        weight = jnp.where(uphill, 0, (momentum - 1) / new_momentum)
        return _Point(new_x, new_x + weight * (new_x - x), new_momentum)

    return lax.fori_loop(0, count, step, start)


def _largest_eigenvalue(problem: Scaled, steps: int) -> Array:
    """Power iteration from a fixed, uneven start."""

    def improve(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        image = problem.multiply(state[0] / jnp.linalg.norm(state[0]))
        return image, jnp.linalg.norm(image)

    index = jnp.arange(problem.q.shape[0], dtype=problem.q.dtype)
    start = (1 + jnp.cos(index) / 2, jnp.ones((), problem.q.dtype))
    return lax.fori_loop(0, steps, improve, start)[1]
