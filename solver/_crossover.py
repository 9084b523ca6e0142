"""Crossover: from a good guess of the free set to the exact optimum on it (a vertex of the orthant).

Problem
    Given F, a nearly right set of variables that are positive at the optimum, find x with Q_FF x_F = q_F,
    x_F >= 0, and (Qx - q) >= 0 elsewhere.

Steps
    Factorise Q on F (the identity elsewhere), solve, refine twice against the unperturbed matrix. Variables
    of F that came out negative leave F; if none did, the variables with a clearly negative gradient enter,
    all of them the first time, afterwards one by one. At most a few exchanges are made. The best point
    seen, by KKT residual, is kept, the one handed in included: crossover never makes an answer worse.

Cost per step
    One Cholesky factorisation (K³/3 flops), a few triangular solves and products.

Convergence
    None is claimed: exchanges are bounded in number, and the certificate judges the outcome. From an
    interior-point answer one to three passes are enough.

References
    N. Megiddo, On finding primal- and dual-optimal bases, ORSA J. Computing 3 (1991) 63 (crossover).
    L. Portugal, J. Júdice, L. Vicente, Math. Comp. 63 (1994) 625 (exchange of violators).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._linalg import cholesky, cholesky_solve, rounding_ridge
from ._problem import Scaled

MAX_EXCHANGES = 4


class Vertex(NamedTuple):
    """State: free set to try next, best answer and its residual, tries made, no sign violated, not finite."""

    free: Array
    best: Array
    residual: Array
    tries: Array
    settled: Array
    broken: Array


def crossover(
    problem: Scaled,
    guess: Array,
    free: Array,
    enabled: Array | bool = True,
    exchanges: int = MAX_EXCHANGES,
) -> Array:
    """The vertex near `guess`, or `guess` where no better point is found.

    Parameters
    ----------
    problem
        The scaled problem.
    guess
        (K,) answer to improve, >= 0.
    free
        (K,) bool: the variables believed positive.
    enabled
        Where false, nothing is computed and `guess` is returned.
    exchanges
        Most passes.
    """
    vertex, _ = exchange_violators(problem, guess, free, enabled, exchanges)
    return vertex


def exchange_violators(
    problem: Scaled, guess: Array, free: Array, enabled: Array | bool, exchanges: int
) -> tuple[Array, Array]:
    """As `crossover`; also says whether the point returned violates no sign."""
    residual = kkt_residual(guess, problem.gradient(guess))
    no = jnp.zeros((), bool)
    start = Vertex(free, guess, residual, jnp.zeros((), jnp.int32), no, no)

    def unfinished(state: Vertex) -> Array:
        return (state.tries < exchanges) & jnp.asarray(enabled) & ~state.settled & ~state.broken

    def step(state: Vertex) -> Vertex:
        return _exchange_once(problem, state)

    final = lax.while_loop(unfinished, step, start)
    return final.best, final.settled


def kkt_residual(x: Array, gradient: Array) -> Array:
    """Natural residual max|min(x, gradient)| of a scaled problem, x taken relative to its largest entry."""
    size = x / jnp.maximum(jnp.max(jnp.abs(x)), jnp.finfo(x.dtype).tiny)
    residual = jnp.max(jnp.abs(jnp.minimum(size, gradient)))
    return jnp.where(jnp.isfinite(residual), residual, jnp.inf)


def _exchange_once(problem: Scaled, state: Vertex) -> Vertex:
    free = state.free & (problem.scale > 0)
    solution = _solve_on(problem, free)
    tolerance = 64 * jnp.finfo(solution.dtype).eps
    answer = jnp.maximum(solution, 0)
    gradient = problem.gradient(answer)
    rounding = tolerance * (1 + jnp.max(answer))
    negative = free & (solution < 0)
    pulling = ~free & (gradient < -rounding)
    most = pulling & (gradient <= jnp.min(jnp.where(pulling, gradient, jnp.inf)))
    entering = jnp.where(state.tries == 0, pulling, most) & ~jnp.any(negative)
    residual = kkt_residual(answer, gradient)
    better = residual < state.residual
    finite = jnp.all(jnp.isfinite(solution))
    return Vertex(
        free=(free & ~negative) | entering,
        best=jnp.where(better, answer, state.best),
        residual=jnp.minimum(residual, state.residual),
        tries=state.tries + 1,
        settled=finite & ~(jnp.any(negative) | jnp.any(pulling)),
        broken=~finite,
    )


def _solve_on(problem: Scaled, free: Array) -> Array:
    L = cholesky(problem.masked(free, rounding_ridge(problem.q)))

    def refine(_: int, x: Array) -> Array:
        return x - cholesky_solve(L, jnp.where(free, problem.gradient(x), 0))

    # A loop keeps one copy of the solve in the program; from zero, the first pass is the solve itself.
    return lax.fori_loop(0, 3, refine, jnp.zeros_like(problem.q))
