"""Interior points that cross over: the exact optimum of any system, from a few factorisations.

Problem
    The scaled problem: minimise ½ xᵀAx - qᵀx, x >= 0, with diag A = 1 and max(q) = 1. Its optimality
    conditions are Ax - q - z = 0, x >= 0, z >= 0 and xᵢzᵢ = 0.

Steps
    1. Start at x = z = t, the best multiple of the vector of ones, or a third of the mean slope there if that
       is more.
    2. Factorise A + diag(z/x), scaled on both sides by E = (x/(x+z))^½ so that its entries stay bounded.
    3. Predict with complementarity target 0. The share of each xᵢ that this step takes away tells whether xᵢ
       is free (nearly none of it) or fixed (nearly all of it), in whatever units.
    4. Correct towards σμ, the target that the prediction allows for; then at most `CORRECTIONS` times towards
       products that are neither far below nor far above it, while this lengthens the step.
    5. Cross over where the prediction goes nearly all the way: solve A_FF x_F = q_F on the predicted free set
       F by conjugate gradients, preconditioned with the factor at hand, and exchange what has the wrong sign.
    6. Where that converges too slowly, the next factorisation is that of A_FF itself: it is the matrix of
       step 2 for E² = 1 on F and 0 elsewhere. Then the iteration goes on from where it was.
    7. Stop when an answer certifies. The best one seen is returned, whatever ended the loop.

Cost per step
    One Cholesky factorisation (K³/3 flops), four to eight triangular solves and one or two products with A.
    A crossover: two triangular solves and one product for each step of conjugate gradients.

Convergence
    Superlinear near a strictly complementary optimum; crossovers shorten the path and do not change it. Two
    to twelve factorisations are usual. Degenerate systems of condition 1e9 and more take up to twenty.

References
    S. Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2 (1992) 575.
    J. Gondzio, Multiple centrality corrections, Comput. Optim. Appl. 6 (1996) 137.
    A. El-Bakry, R. Tapia, Y. Zhang, A study of indicators for identifying zero variables in interior-point
    methods, SIAM Review 36 (1994) 45.
    J. Júdice and F. Pires, Comput. Oper. Res. 21 (1994) 587 (exchanges).
    J. Nocedal and S. Wright, Numerical Optimization (2006), chapters 5, 14 and 16.6.
    The reduction to NNLS, and the interface, follow jaxnnls (C. Krawczyk), itself after qpax (K. Tracy).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._certificate import own_scale
from ._linalg import Factor, factorised, in_one_pass, rounding_ridge
from ._problem import Scaled

CORRECTIONS = 2
STEP_TO_BOUNDARY = 0.995
# A prediction with a smaller σ goes three quarters of the way: worth a crossover if the free set has settled.
READY_AT = 0.02
# The positive part is worth a look where the smaller of each pair (x, z) is below, relative to max(x).
LOOK_AT = 1e-3
# Below, a factorisation costs no more than the steps that reuse one.
REUSE_FROM = 150
# A crossover's steps, each of which must shrink the residual by a factor, and its exchanges without progress.
MAX_CROSSOVER_STEPS = 25
SHRINKING = 10**-0.5
SPARE_EXCHANGES = 2


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
    free: Array  # (K,) bool, the variables that are predicted to be free
    answer: Array  # (K,) where a factor of A on `free` is to be made: the point to go on from
    pivoting: Array  # () bool, whether it is
    wait: Array  # () int32, steps until the next crossover may be tried
    pause: Array  # () int32, how many it will be after one that fails
    best: Best
    broken: Array  # () bool, the matrix has no factor


class _Interior(NamedTuple):
    """The matrix of a step, factorised: E A E + I - E²; `root` is E."""

    root: Array
    factor: Factor

    def solve(self, b: Array) -> Array:
        """(A + diag(1/E² - 1))⁻¹ b for b of shape (K,)."""
        return self.root * self.factor.solve(self.root * b)


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
    image = problem.multiply(ones)
    total, square, curvature = in_one_pass(sums=(q, q * q, image))
    multiple = jnp.maximum(total, 0.1 * (square * q.shape[0]) ** 0.5) / curvature
    (slopes,) = in_one_pass(sums=(jnp.abs(multiple * image - q),))
    start = jnp.maximum(multiple, 0.3 * slopes / q.shape[0])
    one = jnp.ones((), jnp.int32)
    begin = _State(
        x=start * ones,
        z=start * ones,
        gradient=start * image - q,
        free=jnp.zeros(q.shape, bool),
        answer=0 * q,
        pivoting=jnp.zeros((), bool),
        wait=0 * one,
        pause=one,
        best=best,
        broken=~(start > 0),
    )

    def unfinished(state: _State) -> Array:
        return (state.best.steps < limit) & (state.best.residual > tolerance) & ~state.broken

    return lax.while_loop(unfinished, lambda state: _step(problem, limit, tolerance, state), begin).best


def _step(problem: Scaled, limit: Array, tolerance: Array, state: _State) -> _State:
    pivoting = state.pivoting
    freedom = jnp.where(pivoting, state.free.astype(state.x.dtype), state.x / (state.x + state.z))
    matrix = problem.at_interior(freedom, rounding_ridge(problem.q))
    interior = _Interior(jnp.sqrt(freedom), factorised(matrix))
    step = _direction(interior, state)
    x, z = state.x + step.length * step.x, state.z + step.length * step.z

    free = jnp.where(pivoting, state.free, step.change > -0.5)
    moved = (free != state.free) & (jnp.abs(step.change + 0.5) > 0.3)
    smaller, larger, moves, size = in_one_pass(
        maxima=(jnp.minimum(x, z), x), sums=(moved.astype(x.dtype), x + z)
    )
    broken = ~(size < jnp.inf)
    settled = (step.centring <= READY_AT) & (moves <= 1 + x.shape[0] // 20)
    ready = (pivoting | (settled & (state.wait <= 0))) & ~broken
    look = ready | (state.best.steps + 1 >= limit) | (smaller <= LOOK_AT * larger)
    answer = jnp.where(pivoting, state.answer, jnp.where(x > z, x, 0))
    longest = MAX_CROSSOVER_STEPS if x.shape[0] >= REUSE_FROM else 1
    most = jnp.where(pivoting, MAX_CROSSOVER_STEPS, jnp.where(ready, longest, look.astype(jnp.int32)))
    end = _cross_over(problem, interior, state.best, free, answer, most, tolerance, pivoting)

    pivot = ready & ~pivoting & ~end.wrong
    failed = ready & ~pivot
    return _State(
        x,
        z,
        problem.gradient(x),
        end.free,
        jnp.where(end.free, end.y, 0),
        pivot,
        jnp.where(failed, state.pause, state.wait - 1),
        jnp.where(failed, 2 * state.pause, state.pause),
        end.best._replace(steps=state.best.steps + 1),
        broken,
    )


class _Direction(NamedTuple):
    """A step, and what led to it."""

    x: Array  # (K,) change of x
    z: Array  # (K,) change of z
    length: Array  # () how far to go along it
    change: Array  # (K,) the relative change of x that the prediction makes
    centring: Array  # () σ
    removed: Array  # (K,) what the next trial takes from the products x∘z
    trials: Array  # () int32, directions computed
    improving: Array  # () bool, the last one was longer than the one before


def _direction(interior: _Interior, state: _State) -> _Direction:
    """Predict, correct, and correct again while it helps; no step at all where a pivot is to be made."""
    x, z = state.x, state.z
    stationarity = state.gradient - z
    products = x * z
    total = jnp.vdot(x, z)
    mean = total / x.shape[0]

    def unfinished(step: _Direction) -> Array:
        return step.improving & (step.trials < 2 + CORRECTIONS)

    def attempt(step: _Direction) -> _Direction:
        predicting = step.trials == 0
        dx = -interior.solve(stationarity + step.removed / x)
        dz = -(step.removed + z * dx) / x
        change = dx / x
        shrinking, curved = in_one_pass(maxima=(jnp.maximum(-change, -dz / z),), sums=(dx * dz,))
        length = 1 / jnp.maximum(1, shrinking)
        # The sum of (x + l dx)(z + l dz), where z dx + x dz = -xz.
        left = 1 - length + length * length * curved / total
        centring = jnp.where(predicting, left * left * left, step.centring)
        goal = centring * mean
        longer = jnp.minimum(1, 1.5 * length + 0.3)
        trial = (x + longer * dx) * (z + longer * dz)
        outlying = jnp.clip(trial - jnp.clip(trial, 0.1 * goal, 10 * goal), -10 * goal, 10 * goal)
        better = ~predicting & (length > 1.01 * step.length)
        return _Direction(
            jnp.where(better, dx, step.x),
            jnp.where(better, dz, step.z),
            jnp.where(better, length, step.length),
            jnp.where(predicting, change, step.change),
            centring,
            step.removed + jnp.where(predicting, dx * dz - goal, outlying),
            step.trials + 1,
            predicting | (better & (length < 0.95)),
        )

    zero = 0 * x
    begin = _Direction(
        zero, zero, zero[0], zero, 1 + zero[0], products, jnp.zeros((), jnp.int32), ~state.pivoting
    )
    step = lax.while_loop(unfinished, attempt, begin)
    return step._replace(length=STEP_TO_BOUNDARY * step.length)


class _Crossover(NamedTuple):
    """State of a crossover."""

    y: Array  # (K,) the point
    gradient: Array  # (K,) Ay - q
    free: Array  # (K,) bool, the set to solve on
    direction: Array  # (K,) the next step
    energy: Array  # () the preconditioned square of the residual that led to it
    whole: Array  # () bool, it is to be taken as it is, to a new start of the conjugate gradients
    on_set: Array  # () bool, it leads to a point that vanishes outside `free`
    first: Array  # () residual at the last start
    since: Array  # () int32, steps since then
    fewest: Array  # () wrong signs when they last became fewer by a quarter
    spare: Array  # () int32, exchanges still allowed until they do so again
    steps: Array  # () int32
    best: Best
    wrong: Array  # () bool, the set is wrong beyond repair
    slow: Array  # () bool, the factor is no good preconditioner


def _cross_over(
    problem: Scaled,
    interior: _Interior,
    best: Best,
    free: Array,
    answer: Array,
    most: Array,
    tolerance: Array,
    on_set: Array,
) -> _Crossover:
    """Look at `answer`, then solve on `free` and exchange wrong signs, in at most `most` steps."""

    def unfinished(state: _Crossover) -> Array:
        return (state.steps < most) & (state.best.residual > tolerance) & ~state.wrong & ~state.slow

    none, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    one = jnp.ones((), problem.q.dtype)
    begin = _Crossover(
        y=0 * answer,
        gradient=-problem.q,
        free=free,
        direction=answer,
        energy=one,
        whole=~no,
        on_set=on_set,
        first=one,
        since=none,
        fewest=one * problem.q.shape[0],
        spare=none + SPARE_EXCHANGES,
        steps=none,
        best=best,
        wrong=no,
        slow=no,
    )
    return lax.while_loop(unfinished, lambda state: _cross_over_step(problem, interior, state), begin)


def _cross_over_step(problem: Scaled, interior: _Interior, state: _Crossover) -> _Crossover:
    q, K = problem.q, problem.q.shape[0]
    image = problem.multiply(state.direction)
    (bending,) = in_one_pass(sums=(state.direction * image,))
    length = jnp.where(state.whole, 1, state.energy / bending)
    y, gradient = state.y + length * state.direction, state.gradient + length * image

    exact = 64 * float(jnp.finfo(y.dtype).eps)
    own = own_scale(y, gradient, q)
    missing = jnp.where(state.free, -gradient, 0)
    positive = jnp.maximum(y, 0)
    signs = jnp.where(state.free, y, gradient) < -exact * own
    size, violation, below, wrong, negative, gap, work = in_one_pass(
        maxima=(jnp.abs(missing) / own, jnp.abs(jnp.minimum(positive, gradient)) / own, -y / own),
        sums=(
            signs.astype(y.dtype),
            (y < -0.01 * jnp.abs(gradient + q)).astype(y.dtype),
            positive * jnp.abs(gradient),
            positive * q,
        ),
    )
    residual = jnp.maximum(violation, gap / jnp.where(work == 0, 1, jnp.abs(work)))
    better = (residual < state.best.residual) & (below <= exact)

    few = 4 + K // 10
    first = jnp.where(state.whole, size, state.first)
    since = jnp.where(state.whole, 0, state.since)
    solved = state.on_set & (size <= exact)
    fewer = 4 * wrong <= 3 * state.fewest
    spare = jnp.where(fewer, SPARE_EXCHANGES, state.spare - 1)
    lost = solved & ((wrong == 0) | (wrong > few) | (spare < 0))
    lost |= state.on_set & (negative > few)
    shrunk = (size <= first * SHRINKING ** since.astype(y.dtype)) | ((since < 3) & (size < jnp.inf))
    slow = state.on_set & ~solved & ~shrunk
    free = state.free ^ (signs & solved)
    whole = solved | ~state.on_set

    def to_set() -> tuple[Array, Array]:
        return jnp.where(free, 0, -y), state.energy

    def conjugate() -> tuple[Array, Array]:
        preconditioned = jnp.where(state.free, interior.solve(missing), 0)
        (energy,) = in_one_pass(sums=(missing * preconditioned,))
        weight = jnp.where(state.whole, 0, energy / state.energy)
        return preconditioned + weight * state.direction, energy

    direction, energy = lax.cond(whole, to_set, conjugate)
    best = Best(
        jnp.where(better, positive, state.best.x),
        jnp.where(better, residual, state.best.residual),
        state.best.steps,
    )
    return _Crossover(
        y=y,
        gradient=gradient,
        free=free,
        direction=direction,
        energy=energy,
        whole=whole,
        on_set=jnp.ones((), bool),
        first=first,
        since=since + 1,
        fewest=jnp.where(solved & fewer, wrong, state.fewest),
        spare=jnp.where(solved, spare, state.spare),
        steps=state.steps + 1,
        best=best,
        wrong=lost,
        slow=slow,
    )
