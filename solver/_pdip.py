"""Primal-dual interior-point method (Mehrotra predictor-corrector) with a crossover to the exact vertex.

Problem
    minimise ½ xᵀQx - qᵀx subject to x >= 0, Q (K, K) symmetric positive semidefinite, scaled as
    `scaled_problem` leaves it. Optimality: Qx - q - z = 0, x >= 0, z >= 0, xᵢzᵢ = 0.

Steps
    1. Solve (Q + I) x = q; start at its positive part and the negative of its negative part, each moved
       inside.
    2. Factorise Q + diag(z/x), which is what elimination of dz leaves of the Newton system, scaled on both
       sides by E = (x/(x+z))^½ so that its entries stay bounded.
    3. Predict with complementarity target 0; the step it could take sets the centring σ = (μ_affine/μ)³.
    4. Correct with target σμ - dx∘dz from the same factor, and go 99.5 % of the way to the boundary.
    5. Stop when stationarity and complementarity are below the tolerance or below what rounding allows.
    6. Crossover: take F = {x > z} as the free set, solve Q_FF x_F = q_F with iterative refinement, and
       exchange the few variables that violate their sign. This gives exact zeros, and residuals at rounding
       level.

Cost per step
    One Cholesky factorisation (K³/3 flops), four triangular solves and one product with Q (6 K² flops).

Convergence
    Superlinear near a strictly complementary optimum; 10 to 20 steps in practice, hardly growing with K.

References
    S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2 (1992) 575.
    J. Nocedal and S. Wright, Numerical Optimization (2006), chapters 14 and 16.6.
    The reduction to NNLS, and the interface, follow jaxnnls (C. Krawczyk), itself after qpax (K. Tracy).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._crossover import crossover
from ._linalg import cholesky, cholesky_solve, rounding_ridge
from ._problem import Scaled

DEFAULT_MAX_ITER = 50
STEP_TO_BOUNDARY = 0.995
START_INSIDE = 0.01


class InteriorPoint(NamedTuple):
    """State of the iteration: primal (K,), dual (K,), steps taken, and whether to stop."""

    x: Array
    z: Array
    steps: Array
    done: Array


def solve_pdip(
    problem: Scaled, max_iter: int | None, solver_tol: float | None, skip: Array | bool = False
) -> tuple[Array, Array]:
    """Solve the scaled problem: answer (K,) and the number of interior-point steps.

    Parameters
    ----------
    problem
        The scaled problem.
    max_iter
        Most steps; None for 50.
    solver_tol
        Relative residual to stop at; None iterates to what the dtype allows, then crosses over to the vertex.
    skip
        Where true, no step is taken and the answer is meaningless: under `vmap` a lane that is already solved
        then costs nothing.
    """
    point = interior_point(problem, max_iter or DEFAULT_MAX_ITER, solver_tol, skip)
    interior = jnp.where(point.x > point.z, point.x, 0)
    if solver_tol is not None:
        return interior, point.steps
    reached = point.done & ~jnp.asarray(skip)
    return crossover(problem, interior, point.x > point.z, enabled=reached), point.steps


def interior_point(
    problem: Scaled, max_iter: int, solver_tol: float | None, skip: Array | bool = False
) -> InteriorPoint:
    """Run the predictor-corrector loop, at most `max_iter` steps."""
    tolerance = 32 * float(jnp.finfo(problem.q.dtype).eps) ** 0.875 if solver_tol is None else solver_tol
    one = jnp.ones_like(problem.q)
    start = InteriorPoint(one, one, jnp.zeros((), jnp.int32), jnp.asarray(skip))

    def unfinished(point: InteriorPoint) -> Array:
        return (point.steps < max_iter) & ~point.done

    def step(point: InteriorPoint) -> InteriorPoint:
        return _predict_and_correct(problem, tolerance, point)

    return lax.while_loop(unfinished, step, start)


def _predict_and_correct(problem: Scaled, tolerance: float, point: InteriorPoint) -> InteriorPoint:
    x, z = point.x, point.z
    stationarity = problem.gradient(x) - z
    freedom = x / (x + z)
    root = jnp.sqrt(freedom)
    L = cholesky(problem.relaxed(freedom, rounding_ridge(problem.q)))

    mean = jnp.mean(x * z)
    # The first factor, at x = z = 1, is that of A + I, and only chooses where to start.
    first = point.steps == 0

    def towards(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """Direction and step length for a complementarity target; then the corrector's target."""
        complementarity = state[0]
        right = jnp.where(first, -problem.q, stationarity + complementarity / x)
        dx = -root * cholesky_solve(L, root * right)
        dz = -(complementarity + z * dx) / x
        length = jnp.minimum(_longest_step(x, dx), _longest_step(z, dz))
        centring = (jnp.mean((x + length * dx) * (z + length * dz)) / mean) ** 3
        return x * z - centring * mean + dx * dz, dx, dz

    # Predictor, then corrector: a loop keeps one copy of the solve in the program.
    _, dx, dz = lax.fori_loop(0, 2, towards, (x * z, x, z))
    length = STEP_TO_BOUNDARY * jnp.minimum(_longest_step(x, dx), _longest_step(z, dz))
    new_x = jnp.where(first, jnp.maximum(dx, 0) + START_INSIDE, x + length * dx)
    new_z = jnp.where(first, jnp.maximum(-dx, 0) + START_INSIDE, z + length * dz)

    broken = ~(jnp.all(jnp.isfinite(new_x)) & jnp.all(jnp.isfinite(new_z)))
    new_x, new_z = jnp.where(broken, x, new_x), jnp.where(broken, z, new_z)
    return InteriorPoint(new_x, new_z, point.steps + 1, broken | _is_solved(problem, new_x, new_z, tolerance))


def _is_solved(problem: Scaled, x: Array, z: Array, tolerance: float) -> Array:
    rounding = 8 * jnp.finfo(x.dtype).eps * jnp.max(x)
    residual = jnp.max(jnp.abs(problem.gradient(x) - z))
    return (residual <= tolerance + rounding) & (jnp.max(x * z) <= tolerance * jnp.maximum(jnp.max(x), 1))


def _longest_step(v: Array, dv: Array) -> Array:
    """Largest step in [0, 1] that keeps v + step·dv >= 0."""
    ratio = jnp.where(dv < 0, -v / jnp.where(dv < 0, dv, -1), jnp.inf)
    return jnp.minimum(1, jnp.min(ratio))
