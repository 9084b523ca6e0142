"""Every algorithm that claims to be exact finds the optimum, through every JAX transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from solver import ResultCode
from tests.real import real_systems

from .devices import as_on_an_accelerator
from .problems import (
    kkt_violation,
    lens_like,
    objective,
    real_system,
    scipy_optimum,
    with_known_optimum,
)

K = 20


def _table() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Problems of one size, so that each transformation of each algorithm compiles once."""
    rng = np.random.default_rng(10)
    easy = with_known_optimum(rng, K, condition=10)
    unconstrained = with_known_optimum(rng, K, condition=10, free=1.1)
    nothing = with_known_optimum(rng, K, condition=10, free=-1)
    scattered = with_known_optimum(rng, K, condition=10, scatter=3)
    large = np.diag(np.geomspace(1, 1e3, K))
    return {
        "half free": easy,
        "all free": unconstrained,
        "none free": nothing,
        "scattered scales": scattered,
        "diagonal": (large, np.linspace(-1, 1, K), np.maximum(np.linspace(-1, 1, K) / np.diag(large), 0)),
        "identity, negative": (np.eye(K), -np.ones(K), np.zeros(K)),
    }


TABLE = _table()


def _forms(algorithm: str) -> dict:
    def solve(Q: jax.Array, q: jax.Array) -> jax.Array:
        return solver.solve_nnls_primal(Q, q, 1e-11, algorithm=algorithm)

    def total(Q: jax.Array, q: jax.Array) -> jax.Array:
        return jnp.vdot(jnp.arange(1.0, K + 1), solve(Q, q))

    return {
        "plain": solve,
        "jit": jax.jit(solve),
        "vmap": jax.vmap(solve),
        "vmap of vmap": jax.vmap(jax.vmap(solve)),
        "grad": jax.grad(total, argnums=(0, 1)),
        "jit(vmap(grad))": jax.jit(jax.vmap(jax.grad(total, argnums=(0, 1)))),
    }


@pytest.mark.parametrize("algorithm", ["pdip", "schur"])
def test_table_of_problems_through_all_transformations(algorithm: str) -> None:
    forms = _forms(algorithm)
    Q = np.stack([Q for Q, _, _ in TABLE.values()])
    q = np.stack([q for _, q, _ in TABLE.values()])
    batch = forms["vmap"](Q, q)
    nested = forms["vmap of vmap"](Q.reshape(2, 3, K, K), q.reshape(2, 3, K)).reshape(-1, K)
    gradients = forms["jit(vmap(grad))"](Q, q)
    for lane, (name, problem) in enumerate(TABLE.items()):
        expected = problem[2]
        size = max(np.abs(expected * np.sqrt(np.diag(problem[0]))).max(), 1e-300)
        unit = size / np.sqrt(np.diag(problem[0]))
        # An answer that certifies before it is at rounding level is as good as its tolerance and condition.
        tolerance = 1e-9 * 10
        for form in ("plain", "jit"):
            answer = forms[form](problem[0], problem[1])
            assert np.abs((answer - expected) / unit).max() <= tolerance * (expected.max() > 0), (name, form)
        for answer in (batch[lane], nested[lane]):
            assert np.abs((answer - expected) / unit).max() <= tolerance * (expected.max() > 0), name
        free = expected > 0
        v = np.zeros(K)
        v[free] = np.linalg.solve(problem[0][np.ix_(free, free)], np.arange(1.0, K + 1)[free])
        by_Q = -0.5 * (np.outer(v, expected) + np.outer(expected, v))
        in_batch = tuple(g[lane] for g in gradients)
        for in_Q, in_q in (forms["grad"](problem[0], problem[1]), in_batch):
            # The relaxation moves them: κ over the smallest squared unknown of unit diagonal is 4e-6.
            for ours, known in ((in_Q, by_Q), (in_q, v)):
                atol = 1e-4 * max(np.abs(known).max(), 1e-3)
                np.testing.assert_allclose(ours, known, rtol=1e-4, atol=atol, err_msg=name)


@pytest.mark.parametrize("algorithm", ["auto", "pdip"])
@pytest.mark.parametrize("condition", [1e2, 1e10])
def test_a_thousand_variables(algorithm: str, condition: float) -> None:
    problem = with_known_optimum(np.random.default_rng(11), 1000, condition, scatter=1)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm=algorithm)
    assert np.all(np.isfinite(result.primal))
    assert result.code == ResultCode.CERTIFIED
    best = objective(problem.Q, problem.q, problem.x)
    assert objective(problem.Q, problem.q, np.asarray(result.primal)) - best <= 1e-12 * abs(best)


@pytest.mark.parametrize(
    "dense_columns", [None, tuple(range(20)), (), tuple(range(20, 40)), tuple(range(10))]
)
def test_a_hint_of_the_dense_block_costs_time_never_correctness(
    dense_columns: tuple[int, ...] | None,
) -> None:
    problem = lens_like(np.random.default_rng(12))
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="schur", dense_columns=dense_columns)
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(problem.Q, problem.q, np.asarray(result.primal)) < 1e-9
    best = objective(problem.Q, problem.q, scipy_optimum(problem.Q, problem.q))
    assert objective(problem.Q, problem.q, np.asarray(result.primal)) <= best + 1e-12 * abs(best)


def test_elimination_needs_few_factorisations_where_it_was_made_for() -> None:
    problem = lens_like(np.random.default_rng(13))
    order = np.random.default_rng(14).permutation(160)
    shuffled = tuple(int(i) for i in np.flatnonzero(order < 20))
    for Q, q, dense in (
        (problem.Q, problem.q, tuple(range(20))),
        (problem.Q[np.ix_(order, order)], problem.q[order], shuffled),
        (problem.Q[np.ix_(order, order)], problem.q[order], None),
    ):
        result = solver.solve_nnls_certified(Q, q, algorithm="schur", dense_columns=dense)
        assert result.code == ResultCode.CERTIFIED
        assert result.iterations <= 3


def test_a_hopeless_lane_does_not_disturb_the_easy_ones() -> None:
    easy = lens_like(np.random.default_rng(15))
    hopeless = easy.Q.copy()
    hopeless[:, :] = 1.0
    hopeless -= 2 * np.eye(160)[:, ::-1]
    solve = jax.jit(jax.vmap(lambda Q, q: solver.solve_nnls_certified(Q, q, algorithm="schur")))
    alone = solve(np.stack([easy.Q] * 3), np.stack([easy.q] * 3))
    mixed = solve(np.stack([easy.Q, hopeless, easy.Q]), np.stack([easy.q] * 3))
    assert mixed.code[1] != ResultCode.CERTIFIED
    for lane in (0, 2):
        assert mixed.code[lane] == ResultCode.CERTIFIED
        np.testing.assert_array_equal(mixed.primal[lane], alone.primal[lane])


@pytest.mark.parametrize(
    "family",
    [
        "imaging-delaunay*",
        "imaging-pixelization*",
        "imaging-mge",
        "interferometer-mge",
        "interferometer-pixelization",
        "interferometer-delaunay",
    ],
)
def test_real_systems(family: str) -> None:
    _check_real_systems(family)


def test_real_systems_as_on_an_accelerator() -> None:
    with as_on_an_accelerator():
        _check_real_systems("interferometer-delaunay")


def _check_real_systems(family: str) -> None:
    """Systems of a family have one size, so they share a compiled program."""
    for path in real_systems(family):
        Q, q, dense = real_system(path)
        result = solver.solve_nnls_certified(Q, q, dense_columns=dense or None)
        x = np.asarray(result.primal)
        assert result.code == ResultCode.CERTIFIED, path.stem
        assert kkt_violation(Q, q, x) <= 1e-9, path.stem
        gradient = Q @ x - q
        assert x @ np.abs(gradient) <= 1e-12 * abs(objective(Q, q, x)), path.stem
