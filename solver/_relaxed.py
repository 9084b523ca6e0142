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
    2. Full Newton steps with backtracking, until r is below a tenth of √κ, the width of the transition
       between free and fixed. For a small κ (1e-11) the start is already there.
    3. One factorisation; more Newton steps with this factor kept (chord steps), while they shrink r.
    4. v by conjugate gradients on the matrix at the final point, preconditioned with the factor: two to
       five iterations.

Cost
    One Cholesky factorisation for small κ, one more per full Newton step; the rest is O(K²).

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
    """
    problem = scaled_problem(Q, q)
    width = jnp.sqrt(jnp.maximum(kappa, 0))
    unit = jnp.maximum(problem.pull, width)
    problem = problem._replace(q=problem.q * (problem.pull / unit), pull=unit)
    relative_kappa = (width / unit) ** 2

    primal = jnp.where(problem.scale > 0, x / jnp.where(problem.scale > 0, problem.scale, 1) / unit, 0)
    difference = _newton(problem, relative_kappa, primal - problem.gradient(primal))
    point, adjoint = _adjoint(problem, relative_kappa, difference, problem.scale * cotangent)
    v = problem.scale * adjoint
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
    difference: Array
    residual: Array
    steps: Array
    stuck: Array


def _newton(problem: Scaled, kappa: Array, start: Array) -> Array:
    """Full Newton steps until the residual is below the width of the transition."""
    rounding = 64 * jnp.finfo(problem.q.dtype).eps
    goal = jnp.maximum(GOAL_IN_WIDTHS * jnp.sqrt(kappa), rounding)

    def unfinished(state: _NewtonState) -> Array:
        return (jnp.max(jnp.abs(state.residual)) > goal) & (state.steps < MAX_NEWTON_STEPS) & ~state.stuck

    def step(state: _NewtonState) -> _NewtonState:
        freedom = on_manifold(state.difference, kappa).freedom
        factor = blocked(cholesky(problem.relaxed(freedom, rounding_ridge(problem.q))))
        change = _newton_step(problem, factor, freedom, state.residual)
        difference, residual, shrunk = _backtrack(problem, kappa, state, change)
        return _NewtonState(difference, residual, state.steps + 1, ~shrunk)

    return lax.while_loop(unfinished, step, _begin(problem, kappa, start)).difference


def _begin(problem: Scaled, kappa: Array, difference: Array) -> _NewtonState:
    residual = _stationarity(problem, kappa, difference)
    return _NewtonState(difference, residual, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _backtrack(
    problem: Scaled, kappa: Array, state: _NewtonState, change: Array
) -> tuple[Array, Array, Array]:
    """Halve the step until the residual shrinks."""
    size = jnp.linalg.norm(state.residual)

    def attempt(length: Array) -> tuple[Array, Array]:
        difference = state.difference + length * change
        return difference, _stationarity(problem, kappa, difference)

    def too_long(trial: tuple[Array, Array, Array, Array]) -> Array:
        length, _, residual, halvings = trial
        shrinks = jnp.linalg.norm(residual) <= (1 - 1e-4 * length) * size
        return ~shrinks & (halvings < MAX_HALVINGS)

    def halve(trial: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        length, _, _, halvings = trial
        return (length / 2, *attempt(length / 2), halvings + 1)

    whole = jnp.ones((), problem.q.dtype)
    _, difference, residual, _ = lax.while_loop(
        too_long, halve, (whole, *attempt(whole), jnp.zeros((), jnp.int32))
    )
    shrunk = jnp.linalg.norm(residual) < size
    return (
        jnp.where(shrunk, difference, state.difference),
        jnp.where(shrunk, residual, state.residual),
        shrunk,
    )


def _adjoint(problem: Scaled, kappa: Array, difference: Array, cotangent: Array) -> tuple[Relaxed, Array]:
    """The final relaxed point and (Q + diag(z/x))⁻¹ times the cotangent there, with one factorisation."""
    rounding = 16 * jnp.finfo(problem.q.dtype).eps
    freedom = on_manifold(difference, kappa).freedom
    factor = blocked(cholesky(problem.relaxed(freedom, rounding_ridge(problem.q))))

    def unfinished(state: _NewtonState) -> Array:
        size = jnp.max(jnp.abs(state.residual))
        return (size > rounding) & (state.steps < MAX_CHORD_STEPS) & ~state.stuck

    def chord(state: _NewtonState) -> _NewtonState:
        moved = state.difference + _newton_step(problem, factor, freedom, state.residual)
        residual = _stationarity(problem, kappa, moved)
        shrunk = jnp.max(jnp.abs(residual)) < jnp.max(jnp.abs(state.residual)) / 2
        return _NewtonState(
            jnp.where(shrunk, moved, state.difference),
            jnp.where(shrunk, residual, state.residual),
            state.steps + 1,
            ~shrunk,
        )

    difference = lax.while_loop(unfinished, chord, _begin(problem, kappa, difference)).difference
    point = on_manifold(difference, kappa)
    root = jnp.sqrt(point.freedom)

    def multiply(y: Array) -> Array:
        return root * problem.multiply(root * y) + (1 - point.freedom) * y

    return point, root * _conjugate_gradients(multiply, factor, root * cotangent)


class _ConjugateGradientState(NamedTuple):
    y: Array
    residual: Array
    direction: Array
    energy: Array
    steps: Array


def _conjugate_gradients(multiply: Callable[[Array], Array], factor: BlockedFactor, b: Array) -> Array:
    """Solve `multiply(y) = b`, preconditioned with a Cholesky factor, to rounding level of the dtype."""
    goal = (64 * jnp.finfo(b.dtype).eps) ** 2

    def unfinished(state: _ConjugateGradientState) -> Array:
        return (state.energy > goal * first_energy) & (state.steps < MAX_CONJUGATE_GRADIENT_STEPS)

    def step(state: _ConjugateGradientState) -> _ConjugateGradientState:
        image = multiply(state.direction)
        length = state.energy / jnp.vdot(state.direction, image)
        y = state.y + length * state.direction
        residual = state.residual - length * image
        preconditioned = factor.solve(residual)
        energy = jnp.vdot(residual, preconditioned)
        direction = preconditioned + (energy / state.energy) * state.direction
        return _ConjugateGradientState(y, residual, direction, energy, state.steps + 1)

    preconditioned = factor.solve(b)
    first_energy = jnp.vdot(b, preconditioned)
    start = _ConjugateGradientState(
        jnp.zeros_like(b), b, preconditioned, first_energy, jnp.zeros((), jnp.int32)
    )
    return lax.while_loop(unfinished, step, start).y
