"""The forms that linear algebra takes on an accelerator, against those on a CPU and against NumPy."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from solver._blocks import blocks
from solver._eliminate import CANDIDATES
from solver._identify import (
    DENSE_PENALTY,
    DENSE_SWEEPS,
    FLOAT32_NOISE,
    RELAXATION,
    SWEEPS,
    Scores,
    _by_factor,
    _by_inverse,
    _usual_eigenvalue,
    identify,
)
from solver._linalg import (
    LEAF,
    blocked,
    diagonal_of,
    factorised,
    in_one_pass,
    inverse_by_doubling,
    packed_while,
)
from solver._problem import scaled_problem
from solver._sweeps import RELAXATION as DENSE_RELAXATION
from solver._sweeps import Sweeps

from .devices import as_on_an_accelerator
from .problems import lens_like, rounding, with_known_optimum

# Around every change of the number of leaves and of their padding.
ORDERS = (0, 1, LEAF, LEAF + 1, 2 * LEAF + 1, 4 * LEAF + 3)


def positive_definite(K: int) -> np.ndarray:
    """With eigenvalues from 1 to about 5."""
    A = np.random.default_rng(K).normal(size=(K, K))
    return A @ A.T / max(K, 1) + np.eye(K)


@pytest.mark.parametrize("K", ORDERS)
def test_inverse_by_doubling(K: int) -> None:
    L = np.linalg.cholesky(positive_definite(K))
    inverse = np.asarray(jax.jit(inverse_by_doubling)(L))
    np.testing.assert_allclose(inverse @ L, np.eye(K), atol=rounding(K, 5))
    assert not np.triu(inverse, 1).any()


@pytest.mark.parametrize("K", [5, LEAF, 2 * LEAF + 7])
def test_a_factor_solves_in_every_form(K: int, device: str) -> None:
    A = positive_definite(K)
    b, B = jnp.linspace(-1, 1, K), jnp.linspace(0, 1, 3 * K).reshape(K, 3)
    factor = factorised(jnp.asarray(A))
    L = np.linalg.cholesky(A)
    prepared = blocked(jnp.asarray(L))
    for ours, expected in (
        (factor.solve_lower(B), np.linalg.solve(L, B)),
        (factor.solve_upper(b), np.linalg.solve(L.T, b)),
        (prepared.solve_upper(prepared.solve_lower(b)), np.linalg.solve(A, b)),
    ):
        np.testing.assert_allclose(ours, expected, atol=rounding(K, 5) * np.abs(expected).max())
    is_inverse = np.allclose(factor.form, np.linalg.inv(L))
    assert is_inverse == (device == "accelerator")


def test_reductions_in_one_pass() -> None:
    rng = np.random.default_rng(3)
    A, B = rng.normal(size=(2, 7, 9))
    for axis in (0, 1):
        largest, total, other = in_one_pass(
            maxima=(jnp.asarray(A),), sums=(jnp.asarray(B), jnp.asarray(A)), axis=axis
        )
        np.testing.assert_array_equal(largest, A.max(axis))
        np.testing.assert_allclose((total, other), (B.sum(axis), A.sum(axis)), atol=rounding(9))
    (broken,) = in_one_pass(maxima=(jnp.array([1.0, np.nan, 2.0]),))
    assert np.isnan(broken)


@pytest.mark.parametrize("K", [0, 1, 5])
def test_diagonal(K: int) -> None:
    A = np.random.default_rng(4).normal(size=(2, K, K))
    np.testing.assert_array_equal(jax.vmap(diagonal_of)(jnp.asarray(A)), np.diagonal(A, axis1=1, axis2=2))


class Walk(NamedTuple):
    """A state of every shape and kind that a loop of the solver has."""

    matrix: jax.Array
    position: jax.Array
    visited: jax.Array
    steps: jax.Array
    length: jax.Array
    odd: jax.Array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_packed_loop_is_that_loop(dtype: type) -> None:
    """Shapes and dtypes come back as they went in, under `vmap` too."""

    def walk(loop: Any, start: jax.Array) -> Walk:
        begin = Walk(jnp.eye(3, dtype=dtype), start, start > 0, jnp.array(7), start[0], jnp.array(True))

        def step(state: Walk) -> Walk:
            position = state.matrix @ state.position + state.steps
            return Walk(
                2 * state.matrix,
                position,
                state.visited | (position > 9),
                state.steps + 1,
                state.length + position[1],
                ~state.odd,
            )

        return loop(lambda state: (state.length < 50) & (state.steps < 12), step, begin)

    starts = jnp.array([[1, -2, 3], [40, 0, -1], [99, 1, 1]], dtype)
    for one in (*starts, None):
        found, expected = (
            jax.jit(jax.vmap(partial(walk, loop)))(starts) if one is None else walk(loop, one)
            for loop in (packed_while, jax.lax.while_loop)
        )
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("device")
def test_without_a_factor_everything_is_nan() -> None:
    indefinite = jnp.asarray(np.diag([1.0, -1.0, 1.0]))
    assert np.isnan(factorised(indefinite).solve_lower(jnp.ones(3))).any()


def admm(
    S: np.ndarray, q: np.ndarray, penalty: np.ndarray, y: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`DENSE_SWEEPS` sweeps as textbooks have them, with the two vectors y and u."""
    for _ in range(DENSE_SWEEPS):
        x = np.linalg.solve(S + np.diag(penalty), q + penalty * (y - u))
        relaxed = DENSE_RELAXATION * x + (1 - DENSE_RELAXATION) * y
        y, u = np.maximum(relaxed + u, 0), np.minimum(relaxed + u, 0)
    return y, u


def test_sweeps_are_admm() -> None:
    rng = np.random.default_rng(5)
    problem = with_known_optimum(rng, 30, condition=1e3)
    S, q, penalty, from_source = problem.Q, problem.q, 0.1 * np.diag(problem.Q), rng.normal(size=30)
    sweeps = Sweeps.prepare(jnp.asarray(S), jnp.diagonal(S), jnp.asarray(penalty))
    y, u = admm(S, q - from_source, penalty, np.zeros(30), np.zeros(30))
    r = np.asarray(sweeps.advance(jnp.zeros(30), jnp.asarray(q - from_source), DENSE_SWEEPS))
    # Errors of one sweep do not grow in those after it: ADMM's map lengthens no distance.
    tolerance = DENSE_SWEEPS * rounding(30, np.linalg.cond(S + np.diag(penalty)))
    np.testing.assert_allclose(np.maximum(r, 0), y, atol=tolerance * y.max())
    np.testing.assert_allclose(np.minimum(r, 0), u, atol=tolerance * np.abs(u).max())


class Identification(NamedTuple):
    """What the sweeps of an identification work with, in NumPy and float64.

    Attributes
    ----------
    M, C
        (n, n) source block plus ρI, and (n, m) its coupling to the dense block.
    S, penalty
        (m, m) dense block with the source eliminated, and (m,) its penalties.
    qs, qm
        (n,) and (m,) linear terms.
    """

    M: np.ndarray
    C: np.ndarray
    S: np.ndarray
    penalty: np.ndarray
    qs: np.ndarray
    qm: np.ndarray
    rho: float

    @classmethod
    def of(cls, A: np.ndarray, q: np.ndarray, dense: np.ndarray, rho: float) -> "Identification":
        source = np.setdiff1d(np.arange(q.size), dense)
        M = A[np.ix_(source, source)] + rho * np.eye(source.size)
        C = A[np.ix_(source, dense)]
        S = A[np.ix_(dense, dense)] - C.T @ np.linalg.solve(M, C)
        diagonal = np.maximum(np.diag(S), FLOAT32_NOISE)
        S = S + FLOAT32_NOISE * np.diag(diagonal)
        return cls(M, C, S, DENSE_PENALTY * diagonal, q[source], q[dense], rho)

    def scores(self) -> np.ndarray:
        """The source's scores (n,) by ADMM as textbooks have it, with that of the dense block inside."""
        across = np.linalg.solve(self.M, self.C)
        y = u = np.zeros_like(self.qs)
        y_dense = u_dense = np.zeros_like(self.qm)
        for _ in range(SWEEPS):
            b = self.qs + self.rho * (y - u)
            y_dense, u_dense = admm(self.S, self.qm - across.T @ b, self.penalty, y_dense, u_dense)
            x = np.linalg.solve(self.M, b - self.C @ y_dense)
            r = RELAXATION * x + (1 - RELAXATION) * y + u
            y, u = np.maximum(r, 0), np.minimum(r, 0)
        return r


HINTS = pytest.mark.parametrize("hint", [tuple(range(20)), None])


def scaled_lens() -> tuple[np.ndarray, np.ndarray]:
    """A (220, 220) with unit diagonal and q (220,)."""
    problem = lens_like(np.random.default_rng(6), 20, 200)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    return np.asarray(scaled.weighted(jnp.ones(220), scaled.diagonal)), np.asarray(scaled.q)


@pytest.mark.parametrize("jacobi", [True, False])
@HINTS
def test_the_penalty_goes_by_the_eigenvalues_in_every_scaling(
    hint: tuple[int, ...] | None, jacobi: bool
) -> None:
    problem = lens_like(np.random.default_rng(6), 20, 200)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q), jacobi)
    parts = blocks(scaled, hint)
    A = np.asarray(scaled.masked(parts.is_source, parts.start))[np.ix_(parts.is_source, parts.is_source)]
    eigenvalues = np.linalg.eigvalsh(A)
    expected = np.sum(eigenvalues**2) / np.sum(eigenvalues)
    # One probe of some 200 entries.
    assert 0.7 < float(_usual_eigenvalue(parts)) / expected < 1.4


def scores_by_device(A: np.ndarray, q: np.ndarray, hint: tuple[int, ...] | None) -> tuple[Scores, Scores]:
    """Those of the form for CPUs, and those of the form for accelerators."""

    def scores() -> Scores:
        return jax.jit(lambda A, q: identify(blocks(scaled_problem(A, q), hint)))(A, q)

    here = scores()
    with as_on_an_accelerator():
        return here, scores()


@HINTS
def test_scores_of_both_devices_are_admm_s_where_they_are_certain(hint: tuple[int, ...] | None) -> None:
    A, q = scaled_lens()
    here, there = scores_by_device(A, q, hint)
    dense = np.flatnonzero(np.isneginf(here.source)) if hint is None else np.array(hint)
    exact = Identification.of(A, q, dense, float(here.penalty)).scores()
    # A float32 factor is exact for a matrix off by `rounding`: what that moves is what may be uncertain.
    wrong = np.random.default_rng(0).uniform(-1, 1, A.shape) * rounding(q.size, dtype=np.float32)
    wrong[np.ix_(dense, dense)] = 0
    moved = Identification.of(A + np.tril(wrong) + np.tril(wrong, -1).T, q, dense, float(here.penalty))
    certain = np.abs(exact) > np.abs(moved.scores() - exact).max()
    # Those in doubt are left to the elimination, which takes so many.
    assert np.sum(~certain) <= CANDIDATES
    for scores in (here, there):
        source = np.asarray(scores.source)
        free = source[np.isfinite(source)] > 0
        assert np.array_equal(free[certain], exact[certain] > 0)


@HINTS
def test_sweeps_of_both_devices_are_admm_in_float64(hint: tuple[int, ...] | None) -> None:
    """The form of the sweeps is judged where rounding does not hide a step more or less."""
    A, q = scaled_lens()
    problem = Identification.of(A, q, np.arange(20 if hint else 64), 0.5)
    L = np.linalg.cholesky(problem.M)
    W = np.linalg.solve(L, problem.C)
    dense = Sweeps.prepare(jnp.asarray(problem.S), jnp.diagonal(problem.S), jnp.asarray(problem.penalty))
    expected = problem.scores()
    # The penalties bound the condition of both systems that a sweep solves.
    condition = np.linalg.cond(problem.M) + problem.qm.size / DENSE_PENALTY
    tolerance = SWEEPS * rounding(q.size, condition) * np.abs(expected).max()
    for form, factor in ((_by_factor, L), (_by_inverse, np.linalg.inv(L))):
        found = jax.jit(form)(factor, W, dense, problem.qs, problem.qm, problem.rho)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_a_solve_after_one_on_the_other_device_is_traced_anew() -> None:
    """Else the tests of both forms would test one of them twice."""
    problem = lens_like(np.random.default_rng(7), 20, 200)

    def program() -> str:
        solve = solver.solve_nnls_forward
        return str(jax.make_jaxpr(partial(solve, algorithm="schur"))(problem.Q, problem.q))

    here = program()
    with as_on_an_accelerator():
        there = program()
    # A solve on the one device, a product on the other.
    assert here.count("triangular_solve") > there.count("triangular_solve")
    assert program() == here
