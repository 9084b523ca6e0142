"""Property tests: problems built backwards from a known optimum, judged by their optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import solver
from solver import ResultCode

from .problems import kkt_violation, objective, with_known_optimum

K = 20


@pytest.mark.parametrize("algorithm", ["pdip", "schur"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    digits=st.floats(0, 8),
    free=st.floats(0, 1),
    scatter=st.floats(0, 20),
)
def test_known_optimum_is_found(
    algorithm: str, seed: int, digits: float, free: float, scatter: float
) -> None:
    problem = with_known_optimum(np.random.default_rng(seed), K, 10**digits, free, scatter)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm=algorithm)
    x = np.asarray(result.primal)
    assert result.code == ResultCode.CERTIFIED
    assert np.all(x >= 0)
    assert kkt_violation(problem.Q, problem.q, x) <= 1e-9
    best = objective(problem.Q, problem.q, problem.x)
    assert abs(objective(problem.Q, problem.q, x) - best) <= 1e-10 * abs(best) + 1e-300


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), free=st.floats(0.2, 0.8))
def test_elimination_on_a_large_random_system(seed: int, free: float) -> None:
    problem = with_known_optimum(np.random.default_rng(seed), 150, 100, free)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="schur", dense_columns=(0, 1, 2))
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_allclose(result.primal, problem.x, atol=1e-9)
