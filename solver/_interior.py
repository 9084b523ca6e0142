"""Interior points that pivot: the exact optimum of any system, from a few factorisations.

Problem
    The scaled problem: minimise ½ xᵀAx - qᵀx, x >= 0, with diag A = 1 and max(q) = 1. Its optimality
    conditions are Ax - q - z = 0, x >= 0, z >= 0 and xᵢzᵢ = 0.

Steps
    1. Start at x = z = t, the best multiple of the vector of ones, or a third of the mean slope there if that
       is more.
    2. Factorise A + diag(z/x), scaled on both sides by E = (x/(x+z))^½ so that its entries stay bounded.
    3. Predict with complementarity target 0, then correct towards σμ, the target that the prediction allows
       for, and step there.
    4. Identify: the share of each xᵢ that the prediction takes away tells whether xᵢ is free (nearly none of
       it) or at its bound (nearly all of it), in whatever units.
    5. Pivot where the prediction goes nearly all the way and the free set F has settled: the next
       factorisation is that of A_FF, which is the matrix of step 2 for E² = 1 on F and 0 elsewhere. What has
       the wrong sign in its solution changes sides, for as long as that becomes less. Otherwise the
       iteration goes on from where it was, and the next pivot waits.
    6. Stop when an answer certifies. The best one seen is returned, whatever ended the loop.

    A small system starts with a pivot, on the set that some sweeps of ADMM find (`_sweeps`).

Cost per step
    One Cholesky factorisation (K³/3 flops), four triangular solves and two products with A.

Convergence
    Superlinear near a strictly complementary optimum; a pivot that fails costs a step and changes nothing.
    Two to fifteen factorisations are usual. Degenerate systems of condition 1e9 and more take up to thirty.

References
    S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2 (1992) 575.
    A. El-Bakry, R. Tapia, Y. Zhang, A study of indicators for identifying zero variables in interior-point
    methods, SIAM Review 36 (1994) 45.
    J. Júdice and F. Pires, Comput. Oper. Res. 21 (1994) 587 (exchanges).
    J. Nocedal and S. Wright, Numerical Optimization (2006), chapters 14 and 16.6.
    The reduction to NNLS, and the interface, follow jaxnnls (C. Krawczyk), itself after qpax (K. Tracy).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ._certificate import own_scale, rounding_of, scaled_residual
from ._linalg import factorised, in_one_pass, packed_while, rounding_ridge
from ._problem import Scaled
from ._sweeps import Sweeps

STEP_TO_BOUNDARY = 0.995
# A prediction with a smaller σ goes three quarters of the way: worth a pivot if the free set has settled.
READY_AT = 0.02
# Of the wrong signs that a pivot may leave, those that the next may.
FEWER = 0.7
# Up to this size the sweeps that guess the free set cost about as much as three steps.
GUESS_UP_TO = 64
GUESS_SWEEPS = 80
GUESS_PENALTY = 0.0005


class Best(NamedTuple):
    """The best answer so far."""

    x: Array  # (K,), non-negative
    residual: Array  # () its certificate residual, an upper bound
    steps: Array  # () int32, factorisations made


class _State(NamedTuple):
    """State of the iteration."""

    x: Array  # (K,) the interior point
    z: Array  # (K,) its dual
    gradient: Array  # (K,) Ax - q
    free: Array  # (K,) bool, the variables that are believed to be free
    pivoting: Array  # () bool, whether the next factor is that of A on them
    allowed: Array  # () the wrong signs that it may leave for another pivot to follow
    resume: Array  # () int32, the step from which on an interior point may lead to a pivot
    best: Best
    broken: Array  # () bool, the matrix has no factor


def nothing_yet(problem: Scaled) -> Best:
    """The answer zero, from no factorisation."""
    return Best(jnp.zeros_like(problem.q), jnp.ones((), problem.q.dtype), jnp.zeros((), jnp.int32))


def solve_interior(problem: Scaled, limit: Array, tolerance: Array, best: Best) -> Best:
    """Solve the scaled problem from scratch, unless the answer at hand is good enough.

    Parameters
    ----------
    problem
        The scaled problem.
    limit
        () int32, most factorisations, those of `best` included.
    tolerance
        () certificate residual to stop at.
    best
        The answer at hand. Where it is good enough nothing is done: under `vmap` a lane that is solved costs
        nothing.
    """
    q, ones = problem.q, jnp.ones_like(problem.q)
    K = q.shape[0]
    image = problem.multiply(ones)
    total, square, curvature = in_one_pass(sums=(q, q * q, image))
    multiple = jnp.maximum(total, 0.1 * (square * K) ** 0.5) / curvature
    slopes = jnp.abs(multiple * image - q) @ ones
    start = jnp.maximum(multiple, 0.3 * slopes / K)
    guess = K <= GUESS_UP_TO
    begin = _State(
        x=start * ones,
        z=start * ones,
        gradient=start * image - q,
        free=_guessed(problem) if guess else jnp.zeros(q.shape, bool),
        pivoting=jnp.array(guess),
        allowed=_few(q),
        resume=jnp.zeros((), jnp.int32),
        best=best,
        broken=~(start > 0),
    )

    def unfinished(state: _State) -> Array:
        return (state.best.steps < limit) & (state.best.residual > tolerance) & ~state.broken

    return packed_while(unfinished, lambda state: _step(problem, state), begin).best


def _few(q: Array) -> Array:
    return jnp.array(8 + 0.1 * q.shape[0], q.dtype)


def _guessed(problem: Scaled) -> Array:
    """The free set by ADMM with a factor of its own."""
    matrix = problem.weighted(jnp.ones_like(problem.q), problem.diagonal)
    sweeps = Sweeps.prepare(matrix, problem.diagonal, jnp.full_like(problem.q, GUESS_PENALTY))
    return sweeps.advance(0 * problem.q, problem.q, GUESS_SWEEPS) > 0


def _step(problem: Scaled, state: _State) -> _State:
    """One factorisation and two solves with it: an interior step, or the solution on `free`."""
    q, pivoting, x, z = problem.q, state.pivoting, state.x, state.z
    K = q.shape[0]
    root = jnp.sqrt(jnp.where(pivoting, state.free.astype(q.dtype), x / (x + z)))
    factor = factorised(problem.at_interior(root, rounding_ridge(q)))

    def solve(b: Array) -> Array:
        return root * factor.solve(root * b)

    # The prediction, in which z dx + x dz = -xz; or the solution on the free set.
    first = solve(jnp.where(pivoting, q, -state.gradient))
    change = first / x
    dual = -z * (1 + change)
    shrinking, curved, total = in_one_pass(
        maxima=(jnp.maximum(-change, 1 + change),), sums=(first * dual, x * z)
    )
    length = 1 / jnp.maximum(1, shrinking)
    left = 1 - length + length * length * curved / total
    removed = x * z + first * dual - left**3 * (total / K)

    # The correction; or what rounding left of the solution.
    missing = jnp.where(pivoting, q - problem.multiply(first), z - state.gradient - removed / x)
    second = solve(missing)
    dual = -(removed + z * second) / x
    primal_end, dual_end = in_one_pass(maxima=(-second / x, -dual / z))
    length = STEP_TO_BOUNDARY / jnp.maximum(1, jnp.maximum(primal_end, dual_end))
    point = jnp.where(pivoting, first + second, x + length * second)
    gradient = problem.gradient(point)

    residual = scaled_residual(point, gradient, q)
    better = residual < state.best.residual
    wrong_sign = jnp.where(state.free, point, gradient) < -rounding_of(q) * own_scale(point, gradient, q)
    free = jnp.where(pivoting, state.free ^ wrong_sign, change > -0.5)
    clearly = pivoting | (jnp.abs(change + 0.5) > 0.3)
    moves = ((free != state.free) & clearly).astype(q.dtype) @ jnp.ones_like(q)
    steps = state.best.steps + 1
    settled = (left**3 <= READY_AT) & (moves <= 1 + K // 20) & (steps >= state.resume)
    return _State(
        x=jnp.where(pivoting, x, point),
        z=jnp.where(pivoting, z, z + length * dual),
        gradient=jnp.where(pivoting, state.gradient, gradient),
        free=free,
        pivoting=jnp.where(pivoting, (moves > 0) & (moves <= state.allowed), settled),
        allowed=jnp.where(pivoting, FEWER * state.allowed, _few(q)),
        resume=jnp.where(pivoting, steps + 1 + steps // 4, state.resume),
        best=Best(
            jnp.where(better, jnp.maximum(point, 0), state.best.x),
            jnp.where(better, residual, state.best.residual),
            steps,
        ),
        broken=~pivoting & ~(jnp.abs(residual) <= jnp.inf),
    )
