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
    5. Early crossover: a short search for the free set from F = {x > z}; if its answer certifies, the rest of
       the iteration is saved. Exchanges (`_exchange`) are tried when the residuals pass the first and the
       second of `EXCHANGE_AT`. Where two columns are parallel, as Gaussians of a light profile are, they fail
       mostly; there a walk (`_walk`) is tried at `WALK_AT`, below `WALK_EARLY_BELOW` variables.
    6. Stop when stationarity and complementarity are below the tolerance or below what rounding allows.
    7. Late crossover: the active-set walk (`_walk`) from F = {x > z}. One to three steps give exact zeros,
       and residuals at rounding level; degenerate systems take more, and get them if they need them.

Cost per step
    One Cholesky factorisation (K³/3 flops), four triangular solves and one product with Q (6 K² flops).

Convergence
    Superlinear near a strictly complementary optimum; 10 to 20 steps in practice, hardly growing with K, or 3
    to 10 and a short search where the early crossover succeeds.

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
from ._search import Found, any_parallel, by_exchange, by_walk
from ._walk import walk

DEFAULT_MAX_ITER = 50
STEP_TO_BOUNDARY = 0.995
START_INSIDE = 0.01
# Residuals at which to cross over: by exchanges, with a second try, or by a walk.
EXCHANGE_AT = (1e-1, 1e-6)
WALK_AT = 1e-9
# Above, a walk that fails costs more than half of the iteration.
WALK_EARLY_BELOW = 300
MAX_EARLY_STEPS = 12
MAX_CROSSOVER_STEPS = 8
LONG_CROSSOVER_STEPS = 100


class InteriorPoint(NamedTuple):
    """State of the iteration: primal, its gradient Ax - q and the dual, (K,) each; steps; whether to stop."""

    x: Array
    gradient: Array
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
        What the early crossovers came to, with the steps of all of them.
    tries
        () int32, how many there have been.
    """

    point: InteriorPoint
    early: Found
    tries: Array

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
    end = _iterate(problem, limit, tolerance, skip, cross_early=True)
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
    one, none, no = jnp.ones_like(problem.q), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    point = InteriorPoint(one, problem.gradient(one), one, none, jnp.asarray(skip))
    begin = _Iteration(point, Found(0 * one, none, no), none)
    # A pass through Q, for which a lane that has nothing to do does not pay.
    looking = cross_early & ~begin.point.done
    parallel = lax.cond(looking, lambda: any_parallel(problem), lambda: no)

    def unfinished(state: _Iteration) -> Array:
        return (state.steps < max_iter) & ~state.point.done & ~state.early.certified

    def step(state: _Iteration) -> _Iteration:
        state = state._replace(point=_predict_and_correct(problem, tolerance, state.point))
        return _cross_early(problem, state, parallel, max_iter) if cross_early else state

    return lax.while_loop(unfinished, step, begin)


def _cross_early(problem: Scaled, state: _Iteration, parallel: Array, max_iter: int | Array) -> _Iteration:
    point, early, tries = state
    walks = 1 if problem.q.shape[0] < WALK_EARLY_BELOW else 0
    most = jnp.where(parallel, walks, len(EXCHANGE_AT))
    near_enough = jnp.where(parallel, WALK_AT, jnp.take(jnp.array(EXCHANGE_AT), tries, mode="clip"))
    near = (tries < most) & _is_solved(point.x, point.gradient, point.z, near_enough)
    limit = jnp.minimum(MAX_EARLY_STEPS, max_iter - state.steps)

    def walking() -> Found:
        return by_walk(problem, point.positive, point.free, limit, None, near & parallel)

    def exchanging() -> Found:
        return by_exchange(problem, point.free, limit, None, near & ~parallel, close=True)

    def searching() -> Found:
        found = lax.cond(parallel, walking, exchanging)
        return found._replace(steps=early.steps + found.steps)

    return _Iteration(point, lax.cond(near, searching, lambda: early), tries + near)


def _predict_and_correct(problem: Scaled, tolerance: float, point: InteriorPoint) -> InteriorPoint:
    x, z = point.x, point.z
    stationarity = point.gradient - z
    freedom = x / (x + z)
    root = jnp.sqrt(freedom)
    L = cholesky(problem.at_interior(freedom, rounding_ridge(problem.q)))

    mean = jnp.vdot(x, z) / x.shape[0]
    # The first factor, at x = z = 1, is that of A + I, and only chooses where to start.
    first = point.steps == 0

    def towards(complementarity: Array) -> tuple[Array, Array, Array]:
        """Direction, and how far along it x and z stay positive."""
        right = jnp.where(first, -problem.q, stationarity + complementarity / x)
        dx = -root * cholesky_solve(L, root * right)
        dz = -(complementarity + z * dx) / x
        return dx, dz, 1 / jnp.maximum(jnp.max(jnp.maximum(-dx / x, -dz / z)), 1)

    dx, dz, length = towards(x * z)
    centring = (jnp.vdot(x + length * dx, z + length * dz) / (mean * x.shape[0])) ** 3
    dx, dz, length = towards(x * z - centring * mean + dx * dz)
    new_x = jnp.where(first, jnp.maximum(dx, 0) + START_INSIDE, x + STEP_TO_BOUNDARY * length * dx)
    new_z = jnp.where(first, jnp.maximum(-dx, 0) + START_INSIDE, z + STEP_TO_BOUNDARY * length * dz)

    broken = ~jnp.isfinite(jnp.vdot(new_x, new_z))
    new_x, new_z = jnp.where(broken, x, new_x), jnp.where(broken, z, new_z)
    gradient = problem.gradient(new_x)
    done = broken | _is_solved(new_x, gradient, new_z, tolerance)
    return InteriorPoint(new_x, gradient, new_z, point.steps + 1, done)


def _is_solved(x: Array, gradient: Array, z: Array, tolerance: float | Array) -> Array:
    largest = jnp.max(x)
    rounding = 8 * jnp.finfo(x.dtype).eps * largest
    stationarity = jnp.abs(gradient - z) / (tolerance + rounding)
    return jnp.max(jnp.maximum(stationarity, x * z / (tolerance * jnp.maximum(largest, 1)))) <= 1
