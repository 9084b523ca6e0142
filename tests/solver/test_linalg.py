"""The forms that linear algebra takes on an accelerator, against those on a CPU and against NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from solver._blocks import blocks
from solver._collinear import RELAXATION, AffineSweep
from solver._identify import INNER_SWEEPS, Scores, _advanced, identify
from solver._linalg import BLOCK, LEAF, blocked, cholesky_solution, factorised, inverse_by_doubling
from solver._problem import scaled_problem

from .devices import as_on_an_accelerator
from .problems import lens_like, with_known_optimum

# Around every change of the number of leaves and of their padding.
ORDERS = (0, 1, LEAF, LEAF + 1, 2 * LEAF + 1, 4 * LEAF + 3)


def positive_definite(K: int) -> np.ndarray:
    A = np.random.default_rng(K).normal(size=(K, K))
    return A @ A.T / max(K, 1) + np.eye(K)


@pytest.mark.parametrize("K", ORDERS)
def test_inverse_by_doubling(K: int) -> None:
    L = np.linalg.cholesky(positive_definite(K))
    inverse = np.asarray(jax.jit(inverse_by_doubling)(L))
    np.testing.assert_allclose(inverse @ L, np.eye(K), atol=1e-13)
    assert not np.triu(inverse, 1).any()


@pytest.mark.parametrize("K", [5, BLOCK, 2 * BLOCK + 7])
def test_a_factor_solves_in_every_form(K: int, device: str) -> None:
    A = positive_definite(K)
    b, B = np.linspace(-1, 1, K), np.linspace(0, 1, 3 * K).reshape(K, 3)
    factor = factorised(jnp.asarray(A))
    L = np.linalg.cholesky(A)
    np.testing.assert_allclose(factor.solve_lower(B), np.linalg.solve(L, B), atol=1e-12)
    np.testing.assert_allclose(factor.solve_upper(b), np.linalg.solve(L.T, b), atol=1e-12)
    np.testing.assert_allclose(blocked(jnp.asarray(L)).solve(b), np.linalg.solve(A, b), atol=1e-12)
    is_inverse = np.allclose(factor.form, np.linalg.inv(L))
    assert is_inverse == (device == "accelerator")


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("K", [1, 2, 5, 124])
@pytest.mark.parametrize("scale", [1e-130, 1.0, 1e130])
@pytest.mark.parametrize("condition", [1e1, 1e12])
def test_a_solution_without_a_factor_kept(K: int, scale: float, condition: float) -> None:
    rng = np.random.default_rng(K)
    basis, _ = np.linalg.qr(rng.normal(size=(K, K)))
    A = basis * np.geomspace(1, 1 / condition, K) @ basis.T
    b = scale * rng.normal(size=K)
    x = np.asarray(jax.jit(cholesky_solution)(A, b))
    # The backward error: what a stable method keeps at rounding level in any condition.
    assert np.abs(A @ x - b).max() <= 1e-14 * K * np.abs(x).max()


@pytest.mark.usefixtures("device")
def test_a_float32_solution_without_a_factor_kept() -> None:
    A, b = positive_definite(60).astype(np.float32), np.linspace(-1, 1, 60, dtype=np.float32)
    x = jax.jit(cholesky_solution)(A, b)
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(x, np.linalg.solve(A, b), atol=1e-5)


@pytest.mark.usefixtures("device")
def test_without_a_factor_everything_is_nan() -> None:
    indefinite = jnp.asarray(np.diag([1.0, -1.0, 1.0]))
    assert np.isnan(factorised(indefinite).solve_lower(jnp.ones(3))).any()
    assert np.isnan(cholesky_solution(indefinite, jnp.ones(3))).all()


def test_affine_sweeps_are_admm() -> None:
    """The affine form against ADMM as textbooks have it, with its two vectors y and u."""
    rng = np.random.default_rng(5)
    problem = with_known_optimum(rng, 30, condition=1e3)
    S, q, penalty, from_source = problem.Q, problem.q, 0.1 * np.diag(problem.Q), rng.normal(size=30)
    sweep = AffineSweep.prepare(jnp.asarray(S), jnp.asarray(q), jnp.asarray(penalty))
    y, u = np.zeros(30), np.zeros(30)
    for _ in range(INNER_SWEEPS):
        x = np.linalg.solve(S + np.diag(penalty), q - from_source + penalty * (y - u))
        relaxed = RELAXATION * x + (1 - RELAXATION) * y
        y, u = np.maximum(relaxed + u, 0), np.minimum(relaxed + u, 0)
    r = np.asarray(_advanced(sweep, jnp.zeros(30), jnp.asarray(from_source)))
    np.testing.assert_allclose(np.maximum(r, 0), y, atol=1e-10 * y.max())
    np.testing.assert_allclose(np.minimum(r, 0), u, atol=1e-10 * np.abs(u).max())


@pytest.mark.parametrize("hint", [tuple(range(20)), None])
def test_scores_do_not_depend_on_the_device(hint: tuple[int, ...] | None) -> None:
    problem = lens_like(np.random.default_rng(6), 20, 200)

    def scores() -> Scores:
        return jax.jit(lambda Q, q: identify(blocks(scaled_problem(Q, q), hint)))(problem.Q, problem.q)

    here = scores()
    with as_on_an_accelerator():
        there = scores()
    sure = np.isfinite(here.source)
    largest = np.abs(np.asarray(here.source))[sure].max()
    np.testing.assert_allclose(there.source[sure], here.source[sure], atol=1e-3 * largest)
    assert np.array_equal(np.isfinite(there.source), sure)


def test_a_solve_after_one_on_the_other_device_is_traced_anew() -> None:
    """Else the tests of both forms would test one of them twice."""
    problem = lens_like(np.random.default_rng(7), 20, 200)

    def program() -> str:
        solve = solver.solve_nnls_forward
        return str(jax.make_jaxpr(partial(solve, algorithm="schur"))(problem.Q, problem.q))

    here = program()
    with as_on_an_accelerator():
        there = program()
    # JAX has such choices of its own.
    assert there.count("platform_index") < here.count("platform_index")
    assert program() == here
