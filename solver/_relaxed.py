"""Gradient of the answer through the relaxed KKT system.

Problem
    The optimum is not differentiable where a variable changes between free and fixed, and its derivative
    ignores fixed variables. Relaxing complementarity to xᵢzᵢ = κ makes both smooth: with stationarity Qx -
    q - z = 0, x > 0, z > 0,

        dx = (Q + diag(z/x))⁻¹ (dq - dQ x),

    so a cotangent x̄ gives v = (Q + diag(z/x))⁻¹ x̄, q̄ = v and Q̄ = -½ (v xᵀ + x vᵀ). Products xᵢzᵢ do not
    change under diagonal scaling of the problem, so neither does the meaning of κ.

Steps
    1. Put the optimum on the relaxed manifold: with p = x - z keep p and set x, z = (±p + √(p² + 4κ))/2, so
       xz = κ exactly and only stationarity r(p) = Q x(p) - q - z(p) remains to be solved (smoothing of
       Chen, Harker, Kanzow, Smale). Newton on r needs E Q E + diag(z/(x+z)), E² = x/(x+z): bounded entries
       for every κ >= 0, and at κ = 0 just Q on the free variables.
    2. Factorise; one Newton step with backtracking, then more steps with the factor kept (chord steps) while
       they shrink r. Repeat until r is below a tenth of √κ, the width of the transition between free and
       fixed, and was below a few widths where the factor was made. For a small κ (1e-11) once is enough.
    3. v by conjugate gradients on the matrix at the final point, preconditioned with the last factor: two to
       five iterations.

Cost
    One Cholesky factorisation for small κ, one more per further Newton step; the rest is O(K²).

Convergence
    r is the residual of a monotone complementarity problem: backtracking Newton converges globally, and
    quadratically at the end. Preconditioned conjugate gradients converge in as many steps as variables
    changed their E noticeably.

References
    K. Tracy and Z. Manchester, arXiv:2406.11749 (relaxed gradients; qpax), and jaxnnls for NNLS. C. Kanzow,
    Some noninterior continuation methods for linear complementarity problems, SIAM J. Matrix Anal. 17
    (1996) 851.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._linalg import BlockedFactor, blocked, cholesky, rounding_ridge
from ._problem import Scaled, scaled_problem

GRADIENT_SCOPE = "nnls_relaxed_gradient"
MAX_NEWTON_STEPS = 60
MAX_HALVINGS = 20
MAX_CHORD_STEPS = 20
GOAL_IN_WIDTHS = 0.1
NEAR_IN_GOALS = 30
MAX_CONJUGATE_GRADIENT_STEPS = 30


class Relaxed(NamedTuple):
    """A point of the relaxed manifold: primal and dual (K,), and E² = x/(x+z), how free each is."""

    x: Array
    z: Array
    freedom: Array


@jax.named_scope(GRADIENT_SCOPE)
def relaxed_cotangents(Q: Array, q: Array, x: Array, kappa: Array, cotangent: Array) -> tuple[Array, Array]:
    """Pull a cotangent of the answer back to Q (K, K), symmetric, and q (K,).

    Parameters
    ----------
    Q, q
        The problem as the caller gave it.
    x
        (K,) its optimum, from whichever algorithm.
    kappa
        () complementarity to relax to, in the units of x (Qx - q).
    cotangent
        (K,) cotangent of x.

    Returns
    -------
    tuple
        Both nan where x or the cotangent is not finite.
    """
    problem = scaled_problem(Q, q)
    width = jnp.sqrt(jnp.maximum(kappa, 0))
    unit = jnp.maximum(problem.pull, width)
    problem = problem._replace(q=problem.q * (problem.pull / unit), pull=unit)
    relative_kappa = (width / unit) ** 2

    primal = jnp.where(problem.scale > 0, x / jnp.where(problem.scale > 0, problem.scale, 1) / unit, 0)
    state = _newton(problem, relative_kappa, primal - problem.gradient(primal))
    point, adjoint = _adjoint(problem, relative_kappa, state, problem.scale * cotangent)
    # The loops end at once on what is not finite, with zeros: a gradient that looks like one.
    finite = jnp.all(jnp.isfinite(cotangent)) & jnp.all(jnp.isfinite(x))
    v = jnp.where(finite, problem.scale * adjoint, jnp.nan)
    relaxed = problem.scale * (unit * point.x)
    return -0.5 * (v[:, None] * relaxed[None, :] + relaxed[:, None] * v[None, :]), v


def on_manifold(difference: Array, kappa: Array) -> Relaxed:
    """The x and z with x - z = `difference` and xz = `kappa`, without cancellation."""
    total = jnp.sqrt(difference * difference + 4 * kappa)
    larger = (jnp.abs(difference) + total) / 2
    smaller = jnp.where(larger > 0, kappa / jnp.where(larger > 0, larger, 1), 0)
    x = jnp.where(difference > 0, larger, smaller)
    z = jnp.where(difference > 0, smaller, larger)
    freedom = jnp.where(total > 0, x / jnp.where(total > 0, total, 1), 0.5)
    return Relaxed(x, z, freedom)


def _stationarity(problem: Scaled, kappa: Array, difference: Array) -> Array:
    point = on_manifold(difference, kappa)
    return problem.gradient(point.x) - point.z


def _newton_step(problem: Scaled, factor: BlockedFactor, freedom: Array, residual: Array) -> Array:
    """Change of the difference x - z for a factor of the symmetrised matrix."""
    root = jnp.sqrt(freedom)
    dx = -root * factor.solve(root * residual)
    return dx - (problem.multiply(dx) + residual)


class _NewtonState(NamedTuple):
    """The point and its residual, the last factor, and whether steps still help.

    Attributes
    ----------
    difference, residual
        (K,) x - z, and stationarity there.
    factor
        Cholesky factor of the symmetrised matrix.
    began
        () largest residual where it was made.
    factorisations, stuck
        How many were made, and whether the last one shrank nothing.
    """

    difference: Array
    residual: Array
    factor: BlockedFactor
    began: Array
    factorisations: Array
    stuck: Array


def _newton(problem: Scaled, kappa: Array, start: Array) -> _NewtonState:
    """Newton steps, each with a factor of its own and chord steps after it, at least one."""
    rounding = 64 * jnp.finfo(problem.q.dtype).eps
    goal = jnp.maximum(GOAL_IN_WIDTHS * jnp.sqrt(kappa), rounding)

    def unfinished(state: _NewtonState) -> Array:
        near = (jnp.max(jnp.abs(state.residual)) <= goal) & (state.began <= NEAR_IN_GOALS * goal)
        return ~near & (state.factorisations < MAX_NEWTON_STEPS) & ~state.stuck

    def step(state: _NewtonState) -> _NewtonState:
        freedom = on_manifold(state.difference, kappa).freedom
        factor = blocked(cholesky(problem.at_interior(freedom, rounding_ridge(problem.q))))
        path = _follow(problem, kappa, factor, freedom, state.difference)
        count = state.factorisations + 1
        return _NewtonState(path.difference, path.residual, factor, path.began, count, path.taken < 2)

    shapes = jax.eval_shape(blocked, problem.Q)
    nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    unknown = jnp.full_like(start, jnp.inf)
    none, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    begin = _NewtonState(start, unknown, nothing, unknown[0], none, no)
    return lax.while_loop(unfinished, step, begin)


class _Path(NamedTuple):
    """Points reached with one factor.

    Attributes
    ----------
    difference, residual
        (K,) the last point that was taken.
    change, length
        (K,) and () the step to try from there.
    size
        () squared norm of the residual.
    began
        () largest residual of the first point.
    taken, missed
        () int32, points taken, the start included, and trials in a row that were not.
    """

    difference: Array
    residual: Array
    change: Array
    length: Array
    size: Array
    began: Array
    taken: Array
    missed: Array


def _follow(problem: Scaled, kappa: Array, factor: BlockedFactor, freedom: Array, start: Array) -> _Path:
    """One Newton step, halved until the residual shrinks; then chord steps while each halves the residual.

    The start itself is the first trial, a step of length zero, so that one copy of everything is compiled.
    """
    rounding = 64 * jnp.finfo(problem.q.dtype).eps

    def unfinished(path: _Path) -> Array:
        patience = jnp.where(path.taken < 2, MAX_HALVINGS, 1)
        unsolved = jnp.max(jnp.abs(path.residual)) > rounding
        return unsolved & (path.taken < MAX_CHORD_STEPS) & (path.missed < patience)

    def attempt(path: _Path) -> _Path:
        trial = path.difference + path.length * path.change
        residual = _stationarity(problem, kappa, trial)
        size = jnp.vdot(residual, residual)
        enough = jnp.where(path.taken < 2, (1 - 1e-4 * path.length) ** 2, 0.25)
        good = size <= enough * path.size
        difference = jnp.where(good, trial, path.difference)
        residual = jnp.where(good, residual, path.residual)
        return _Path(
            difference=difference,
            residual=residual,
            change=_newton_step(problem, factor, freedom, residual),
            length=jnp.where(good, 1, path.length / 2),
            size=jnp.where(good, size, path.size),
            began=jnp.where(path.taken == 0, jnp.max(jnp.abs(residual)), path.began),
            taken=path.taken + good,
            missed=jnp.where(good, 0, path.missed + 1),
        )

    unknown = jnp.full_like(start, jnp.inf)
    zero, none = jnp.zeros((), start.dtype), jnp.zeros((), jnp.int32)
    begin = _Path(start, unknown, jnp.zeros_like(start), zero, unknown[0], unknown[0], none, none)
    return lax.while_loop(unfinished, attempt, begin)


def _adjoint(problem: Scaled, kappa: Array, state: _NewtonState, cotangent: Array) -> tuple[Relaxed, Array]:
    """The final relaxed point, and (Q + diag(z/x))⁻¹ times the cotangent there."""
    point = on_manifold(state.difference, kappa)
    root = jnp.sqrt(point.freedom)

    def multiply(y: Array) -> Array:
        return root * problem.multiply(root * y) + (1 - point.freedom) * y

    return point, root * _conjugate_gradients(multiply, state.factor, root * cotangent)


class _ConjugateGradientState(NamedTuple):
    y: Array
    residual: Array
    direction: Array
    energy: Array
    first_energy: Array
    steps: Array


def _conjugate_gradients(multiply: Callable[[Array], Array], factor: BlockedFactor, b: Array) -> Array:
    """Solve `multiply(y) = b`, preconditioned with a Cholesky factor, to rounding level of the dtype.

    The first pass, along a direction of zero, only finds the first direction, so that one copy of the solve
    is compiled.
    """
    goal = (64 * jnp.finfo(b.dtype).eps) ** 2

    def unfinished(state: _ConjugateGradientState) -> Array:
        first = state.steps == 0
        return first | (state.energy > goal * state.first_energy) & (
            state.steps <= MAX_CONJUGATE_GRADIENT_STEPS
        )

    def step(state: _ConjugateGradientState) -> _ConjugateGradientState:
        first = state.steps == 0
        image = multiply(state.direction)
        length = jnp.where(first, 0, state.energy / jnp.vdot(state.direction, image))
        y = state.y + length * state.direction
        residual = state.residual - length * image
        preconditioned = factor.solve(residual)
        energy = jnp.vdot(residual, preconditioned)
        direction = preconditioned + jnp.where(first, 0, energy / state.energy) * state.direction
        first_energy = jnp.where(first, energy, state.first_energy)
        return _ConjugateGradientState(y, residual, direction, energy, first_energy, state.steps + 1)

    zero, none = jnp.zeros_like(b), jnp.zeros((), jnp.int32)
    start = _ConjugateGradientState(zero, b, zero, zero[0], zero[0], none)
    return lax.while_loop(unfinished, step, start).y
