"""Gradient of the answer through the relaxed KKT system.

Problem
    The optimum is not differentiable where a variable changes between free and fixed, and its derivative
    ignores fixed variables. Relaxing complementarity to xᵢzᵢ = κ makes both smooth: with stationarity Qx -
    q - z = 0, x > 0, z > 0,

        dx = (Q + diag(z/x))⁻¹ (dq - dQ x),    dz = -(z/x) dx.

    Products xᵢzᵢ do not change under diagonal scaling of the problem, so neither does the meaning of κ.

Steps
    1. Put the optimum on the relaxed manifold: with p = x - z keep p and set x, z = (±p + √(p² + 4κ))/2, so
       xz = κ exactly and only stationarity r(p) = Q x(p) - q - z(p) remains to be solved (smoothing of
       Chen, Harker, Kanzow, Smale). Newton on r needs E Q E + I - E², E² = x/(x+z): bounded entries for every
       κ >= 0, and at κ = 0 just Q on the free variables.
    2. Factorise; one Newton step with backtracking, then more steps with the factor kept (chord steps) while
       they shrink r. Repeat until r is below a tenth of √κ, the width of the transition between free and
       fixed, and was below a few widths where the factor was made. For a small κ (1e-11) once is enough.
    3. Solve for dx at the final point by conjugate gradients, preconditioned with the last factor: two or
       three iterations.
    4. The relaxed point has that same derivative, so the rule may be differentiated again and again, forwards
       and backwards.

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

from ._linalg import Factor, by_lane, factorised, in_full_precision, in_one_pass, packed_while, rounding_ridge
from ._problem import Scaled, scaled_problem

GRADIENT_SCOPE = "nnls_relaxed_gradient"
MAX_NEWTON_STEPS = 60
MAX_HALVINGS = 20
MAX_CHORD_STEPS = 20
GOAL_IN_WIDTHS = 0.1
NEAR_IN_GOALS = 30
MAX_CONJUGATE_GRADIENT_STEPS = 30


class Relaxed(NamedTuple):
    """A point of the relaxed manifold."""

    x: Array  # (K,) primal, in units with diag Q = 1, and max(q) = 1 or κ = 1
    z: Array  # (K,) dual, likewise
    scale: Array  # (K,) the original primal is `scale * unit * x`
    unit: Array  # ()
    form: Array  # (K, K) the factor of E A E + I - E² at a point nearby


@in_full_precision
@jax.named_scope(GRADIENT_SCOPE)
def tangent_of_answer(Q: Array, q: Array, x: Array, kappa: Array, dQ: Array, dq: Array) -> Array:
    """The change (K,) of the answer x with Q and q, through the system relaxed to κ.

    Parameters
    ----------
    Q, q
        The problem as the caller gave it.
    x
        (K,) its optimum, from whichever algorithm.
    kappa
        () complementarity to relax to, in the units of x (Qx - q).
    dQ, dq
        The changes of Q (K, K) and q (K,). Only the symmetric part of dQ counts.

    Returns
    -------
    Array
        All nan where x or κ is not finite.
    """
    return _tangents(Q, _relaxed(Q, q, lax.stop_gradient(x), kappa), dQ, dq)[0]


@jax.custom_jvp
def _relaxed(Q: Array, q: Array, x: Array, kappa: Array) -> Relaxed:
    return _relax(Q, q, x, kappa)


@_relaxed.defjvp
def _relaxed_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Relaxed, Relaxed]:
    point = _relaxed(*primals)
    dQ, dq, *_ = tangents
    dx, dz = _tangents(primals[0], point, dQ, dq)
    still = jax.tree.map(jnp.zeros_like, point)
    x, z = dx / jnp.where(point.scale > 0, point.scale, 1) / point.unit, dz * point.scale / point.unit
    return point, still._replace(x=x, z=z)


def _tangents(Q: Array, point: Relaxed, dQ: Array, dq: Array) -> tuple[Array, Array]:
    """The changes of primal and dual, in the problem's own units."""
    x = point.scale * point.unit * point.x
    freedom = jnp.maximum(_freedom(point.x, point.z), jnp.finfo(x.dtype).tiny)
    weight = jnp.sqrt(freedom) * point.scale

    def multiply(y: Array) -> Array:
        return weight * (Q @ (weight * y)) + (1 - freedom) * y

    def solve(_: Callable[[Array], Array], b: Array) -> Array:
        return _conjugate_gradients(Q, weight, freedom, point.form, b)

    right = dq - 0.5 * (dQ @ x + x @ dQ)
    dx = weight * lax.custom_linear_solve(multiply, weight * right, solve, symmetric=True)
    return dx, Q @ dx - right


def _freedom(x: Array, z: Array) -> Array:
    total = x + z
    return jnp.where(total == 0, 0.5, x / jnp.where(total == 0, 1, total))


def _on_manifold(difference: Array, kappa: Array) -> tuple[Array, Array]:
    """The x and z with x - z = `difference` and xz = `kappa`, without cancellation."""
    larger = (jnp.abs(difference) + jnp.sqrt(difference * difference + 4 * kappa)) / 2
    smaller = jnp.where(larger > 0, kappa / jnp.where(larger > 0, larger, 1), 0)
    return jnp.where(difference > 0, larger, smaller), jnp.where(difference > 0, smaller, larger)


@by_lane
@in_full_precision
@jax.named_scope(GRADIENT_SCOPE)
def _relax(Q: Array, q: Array, x: Array, kappa: Array) -> Relaxed:
    problem = scaled_problem(Q, q)
    width = jnp.sqrt(jnp.maximum(kappa, 0))
    unit = jnp.maximum(problem.pull, width)
    problem = problem._replace(q=problem.q * (problem.pull / unit), pull=unit)
    relative = (width / unit) ** 2

    primal = jnp.where(problem.scale > 0, x / jnp.where(problem.scale > 0, problem.scale, 1) / unit, 0)
    state = _newton(problem, relative, primal - problem.gradient(primal))
    # The loop ends at once on what is not finite, with what looks like a point.
    taint = 0 * (x @ jnp.ones_like(x) + kappa)
    primal, dual = _on_manifold(state.difference, relative)
    return Relaxed(primal + taint, dual + taint, problem.scale, unit, state.form)


class _Newton(NamedTuple):
    """State of the Newton iteration."""

    difference: Array  # (K,) x - z
    form: Array  # (K, K) the last factor
    largest: Array  # () entry of the residual of stationarity there
    began: Array  # () that of the point where the factor was made
    factorisations: Array  # () int32
    stuck: Array  # () bool, the last factor shrank nothing


def _newton(problem: Scaled, kappa: Array, start: Array) -> _Newton:
    """Newton steps, each with a factor of its own and chord steps after it, at least one."""
    rounding = 64 * jnp.finfo(problem.q.dtype).eps
    goal = jnp.maximum(GOAL_IN_WIDTHS * jnp.sqrt(kappa), rounding)

    def unfinished(state: _Newton) -> Array:
        near = (state.largest <= goal) & (state.began <= NEAR_IN_GOALS * goal)
        return ~near & (state.factorisations < MAX_NEWTON_STEPS) & ~state.stuck

    def step(state: _Newton) -> _Newton:
        root = jnp.sqrt(_freedom(*_on_manifold(state.difference, kappa)))
        factor = factorised(problem.at_interior(root, rounding_ridge(problem.q)))
        path = _follow(problem, kappa, factor, root, state.difference)
        count = state.factorisations + 1
        return _Newton(path.difference, factor.form, path.largest, path.began, count, path.taken < 2)

    unknown, none = jnp.array(jnp.inf, start.dtype), jnp.zeros((), jnp.int32)
    begin = _Newton(start, 0 * problem.Q, unknown, unknown, none, none > 0)
    return packed_while(unfinished, step, begin)


class _Path(NamedTuple):
    """Points reached with one factor."""

    difference: Array  # (K,) x - z of the last point that was taken
    residual: Array  # (K,) stationarity there
    change: Array  # (K,) the step to try from there
    length: Array  # () how much of it
    size: Array  # () squared norm of the residual
    largest: Array  # () its largest entry
    began: Array  # () that of the first point
    taken: Array  # () int32, points taken, the start included
    missed: Array  # () int32, trials in a row that were not


def _follow(problem: Scaled, kappa: Array, factor: Factor, root: Array, start: Array) -> _Path:
    """One Newton step, halved until the residual shrinks; then chord steps while each halves the residual.

    The start itself is the first trial, a step of length zero, so that one copy of everything is compiled.
    """
    rounding = 64 * jnp.finfo(problem.q.dtype).eps

    def unfinished(path: _Path) -> Array:
        patience = jnp.where(path.taken < 2, MAX_HALVINGS, 1)
        return (path.largest > rounding) & (path.taken < MAX_CHORD_STEPS) & (path.missed < patience)

    def attempt(path: _Path) -> _Path:
        trial = path.difference + path.length * path.change
        x, z = _on_manifold(trial, kappa)
        residual = problem.gradient(x) - z
        largest, size = in_one_pass(maxima=(jnp.abs(residual),), sums=(residual * residual,))
        enough = jnp.where(path.taken < 2, (1 - 1e-4 * path.length) ** 2, 0.25)
        good = size <= enough * path.size
        residual = jnp.where(good, residual, path.residual)
        largest = jnp.where(good, largest, path.largest)
        last = largest <= rounding
        dx = -root * lax.cond(last, lambda b: 0 * b, factor.solve, root * residual)
        return _Path(
            difference=jnp.where(good, trial, path.difference),
            residual=residual,
            change=dx - (problem.multiply(dx) + residual),
            length=jnp.where(good, 1, path.length / 2),
            size=jnp.where(good, size, path.size),
            largest=largest,
            began=jnp.where(path.taken == 0, largest, path.began),
            taken=path.taken + good.astype(jnp.int32),
            missed=jnp.where(good, 0, path.missed + 1),
        )

    unknown = jnp.full_like(start, jnp.inf)
    infinite, zero, none = unknown[0], 0 * start[0], jnp.zeros((), jnp.int32)
    begin = _Path(start, unknown, 0 * start, zero, infinite, infinite, infinite, none, none)
    return packed_while(unfinished, attempt, begin)


class _Search(NamedTuple):
    """State of the conjugate gradients."""

    y: Array  # (K,) the solution so far
    residual: Array  # (K,) what is missing
    direction: Array  # (K,) the last one
    energy: Array  # () of the error before the last step
    first_energy: Array  # () of that at the start
    steps: Array  # () int32


@by_lane
@in_full_precision
def _conjugate_gradients(Q: Array, weight: Array, freedom: Array, form: Array, b: Array) -> Array:
    """Solve (W Q W + I - E²) y = b, W = diag(weight); `form` is a factor of it or nearly.

    The energy rᵀM⁻¹r of the error is known once the factored matrix M has been solved with, and the step then
    costs little more. So the last step starts from an error of √(64 eps), and leaves about the square of it.
    """
    factor, goal = Factor(form), 64 * float(jnp.finfo(b.dtype).eps)

    def unfinished(state: _Search) -> Array:
        more = state.energy > goal * state.first_energy
        return (state.steps == 0) | more & (state.steps < MAX_CONJUGATE_GRADIENT_STEPS)

    def step(state: _Search) -> _Search:
        preconditioned = factor.solve(state.residual)
        energy = state.residual @ preconditioned
        direction = preconditioned + energy / state.energy * state.direction
        image = weight * (Q @ (weight * direction)) + (1 - freedom) * direction
        length = jnp.where(energy > 0, energy / (direction @ image), 0)
        return _Search(
            state.y + length * direction,
            state.residual - length * image,
            direction,
            energy,
            jnp.where(state.steps == 0, energy, state.first_energy),
            state.steps + 1,
        )

    zero, one = jnp.zeros_like(b), jnp.ones((), b.dtype)
    end = packed_while(unfinished, step, _Search(zero, b, zero, one, one, jnp.zeros((), jnp.int32)))
    # What is not finite ends the loop at once, with what looks like a solution.
    return end.y + 0 * end.first_energy
