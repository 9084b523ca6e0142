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
    5. Early crossover, below `CROSS_EARLY_BELOW` variables: once the residuals are below `NEAR_ENOUGH`, a
       short search for the free set from F = {x > z}: exchanges (`_exchange`), or below `EXCHANGE_FROM`
       variables, most of which are collinear light as a rule, the walk (`_walk`). If its answer certifies,
       the rest of the iteration is saved.
    6. Stop when stationarity and complementarity are below the tolerance or below what rounding allows.
    7. Late crossover: the active-set walk (`_walk`) from F = {x > z}. One to three steps give exact zeros,
       and residuals at rounding level; degenerate systems take more, and get them if they need them.

Cost per step
    One Cholesky factorisation (K³/3 flops), four triangular solves and one product with Q (6 K² flops).

Convergence
    Superlinear near a strictly complementary optimum; 10 to 20 steps in practice, hardly growing with K, or 4
    to 11 and a few exchanges where the early crossover succeeds.

References
    S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2 (1992) 575.
    J. Nocedal and S. Wright, Numerical Optimization (2006), chapters 14 and 16.6.
    N. Megiddo, On finding primal- and dual-optimal bases, ORSA J. Computing 3 (1991) 63 (crossover).
    The reduction to NNLS, and the interface, follow jaxnnls (C. Krawczyk), itself after qpax (K. Tracy).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._linalg import cholesky, cholesky_solve, rounding_ridge
from ._problem import Scaled
from ._search import Found, by_exchange, by_walk
from ._walk import walk

DEFAULT_MAX_ITER = 50
STEP_TO_BOUNDARY = 0.995
START_INSIDE = 0.01
NEAR_ENOUGH = 1e-5
# Above, a search that fails, as it does on real lens light, costs more than half of the iteration.
CROSS_EARLY_BELOW = 300
EXCHANGE_FROM = 64
MAX_EARLY_STEPS = 12
MAX_CROSSOVER_STEPS = 8
LONG_CROSSOVER_STEPS = 100


class InteriorPoint(NamedTuple):
    """State of the iteration: primal (K,), dual (K,), steps taken, and whether to stop."""

    x: Array
    z: Array
    steps: Array
    done: Array

    @property
    def free(self) -> Array:
        """(K,) bool, the variables nearer to free than to their bound."""
        return self.x > self.z

    @property
    def positive(self) -> Array:
        """(K,) the primal, zero on the others."""
        return jnp.where(self.free, self.x, 0)


class _Iteration(NamedTuple):
    """State of the method.

    Attributes
    ----------
    point
        The interior point.
    early
        What the early crossover came to.
    tried
        () bool, whether there has been one.
    """

    point: InteriorPoint
    early: Found
    tried: Array

    @property
    def steps(self) -> Array:
        """() int32, factorisations."""
        return self.point.steps + self.early.steps


def solve_pdip(
    problem: Scaled, max_iter: int | Array | None, solver_tol: float | None, skip: Array | bool = False
) -> tuple[Array, Array]:
    """Solve the scaled problem: answer (K,) and the number of steps, those of the early crossover included.

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
    limit = DEFAULT_MAX_ITER if max_iter is None else max_iter
    if solver_tol is not None:
        point = _iterate(problem, limit, solver_tol, skip, cross_early=False).point
        return point.positive, point.steps
    tolerance = 32 * float(jnp.finfo(problem.q.dtype).eps) ** 0.875
    end = _iterate(problem, limit, tolerance, skip, problem.q.shape[0] < CROSS_EARLY_BELOW)
    point = end.point
    # Where many variables are almost at their bound, the walk has to take them there one by one.
    accurate = problem.certifies(point.positive, problem.gradient(point.positive))
    steps = jnp.where(accurate, MAX_CROSSOVER_STEPS, LONG_CROSSOVER_STEPS)
    enabled = point.done & ~end.early.certified & ~jnp.asarray(skip)
    late = walk(problem, point.positive, point.free, steps, enabled)
    x = jnp.where(late.settled, late.x, point.positive)
    return jnp.where(end.early.certified, end.early.x, x), end.steps


def _iterate(
    problem: Scaled, max_iter: int | Array, tolerance: float, skip: Array | bool, cross_early: bool
) -> _Iteration:
    near_enough = max(NEAR_ENOUGH, tolerance)
    one, none, no = jnp.ones_like(problem.q), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    begin = _Iteration(InteriorPoint(one, one, none, jnp.asarray(skip)), Found(0 * one, none, no), no)

    def unfinished(state: _Iteration) -> Array:
        return (state.steps < max_iter) & ~state.point.done & ~state.early.certified

    def step(state: _Iteration) -> _Iteration:
        point = _predict_and_correct(problem, tolerance, state.point)
        if not cross_early:
            return state._replace(point=point)
        near = ~state.tried & _is_solved(problem, point.x, point.z, near_enough)
        early = lax.cond(near, lambda: _early(problem, point, max_iter, near), lambda: state.early)
        return _Iteration(point, early, state.tried | near)

    return lax.while_loop(unfinished, step, begin)


def _early(problem: Scaled, point: InteriorPoint, max_iter: int | Array, enabled: Array) -> Found:
    limit = jnp.minimum(MAX_EARLY_STEPS, max_iter - point.steps)
    if problem.q.shape[0] < EXCHANGE_FROM:
        return by_walk(problem, point.positive, point.free, limit, None, enabled)
    return by_exchange(problem, point.free, limit, None, enabled)


def _predict_and_correct(problem: Scaled, tolerance: float, point: InteriorPoint) -> InteriorPoint:
    x, z = point.x, point.z
    stationarity = problem.gradient(x) - z
    freedom = x / (x + z)
    root = jnp.sqrt(freedom)
    # Loops hold arrays by rows, the library factors by columns: the transpose saves a copy of L.
    U = cholesky(problem.relaxed(freedom, rounding_ridge(problem.q))).T

    mean = jnp.vdot(x, z) / x.shape[0]
    # The first factor, at x = z = 1, is that of A + I, and only chooses where to start.
    first = point.steps == 0

    def towards(_: int, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        """Direction and step length for a complementarity target; then the corrector's target."""
        complementarity = state[0]
        right = jnp.where(first, -problem.q, stationarity + complementarity / x)
        dx = -root * cholesky_solve(U.T, root * right)
        dz = -(complementarity + z * dx) / x
        length = 1 / jnp.maximum(jnp.max(jnp.maximum(-dx / x, -dz / z)), 1)
        centring = (jnp.vdot(x + length * dx, z + length * dz) / (mean * x.shape[0])) ** 3
        return x * z - centring * mean + dx * dz, dx, dz, length

    # Predictor, then corrector: a loop keeps one copy of the solve in the program.
    _, dx, dz, length = lax.fori_loop(0, 2, towards, (x * z, x, z, mean))
    new_x = jnp.where(first, jnp.maximum(dx, 0) + START_INSIDE, x + STEP_TO_BOUNDARY * length * dx)
    new_z = jnp.where(first, jnp.maximum(-dx, 0) + START_INSIDE, z + STEP_TO_BOUNDARY * length * dz)

    broken = ~jnp.isfinite(jnp.vdot(new_x, new_z))
    new_x, new_z = jnp.where(broken, x, new_x), jnp.where(broken, z, new_z)
    return InteriorPoint(new_x, new_z, point.steps + 1, broken | _is_solved(problem, new_x, new_z, tolerance))


def _is_solved(problem: Scaled, x: Array, z: Array, tolerance: float) -> Array:
    largest = jnp.max(x)
    rounding = 8 * jnp.finfo(x.dtype).eps * largest
    stationarity = jnp.abs(problem.gradient(x) - z) / (tolerance + rounding)
    return jnp.max(jnp.maximum(stationarity, x * z / (tolerance * jnp.maximum(largest, 1)))) <= 1
