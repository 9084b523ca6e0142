"""The public functions keep their promises: call forms, refusals, result codes, precision."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from matrix.checks.inside.systems import system_from
from solver import ResultCode
from solver._interior import GUESS_UP_TO
from solver._options import checked

from .problems import rounding, scipy_optimum, with_known_optimum

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
def test_scipy_parity(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(0), K=20, condition=50)
    expected = scipy_optimum(problem.Q, problem.q)
    x, s, z, converged, iterations = solver.solve_nnls(problem.Q, problem.q, algorithm=algorithm)
    assert converged == 1
    assert iterations >= 1
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9 * 50 * expected.max())
    np.testing.assert_array_equal(s, x)
    np.testing.assert_allclose(z, problem.Q @ np.asarray(x) - problem.q, atol=1e-12)


def test_the_forms_give_the_same_answer() -> None:
    Q, q, _ = with_known_optimum(np.random.default_rng(1), K=20)
    primal = solver.solve_nnls_primal(Q, q)
    np.testing.assert_array_equal(primal, solver.solve_nnls_forward(Q, q))
    np.testing.assert_array_equal(primal, solver.solve_nnls(Q, q)[0])
    np.testing.assert_array_equal(primal, solver.solve_nnls_primal_with_status(Q, q)[0])


@pytest.mark.parametrize("limit", [None, 2])
def test_the_status_beside_a_differentiable_answer_is_that_of_the_plain_solve(limit: int | None) -> None:
    """And it takes nothing from the derivative, whose cotangent for an integer is none."""
    # Larger than what a guess solves within two factorisations.
    K = 2 * GUESS_UP_TO
    Q, q, _ = with_known_optimum(np.random.default_rng(9), K, condition=1e4)
    options: solver.Choices = {"algorithm": "pdip", "max_iter": limit}
    *_, converged, iterations = solver.solve_nnls(Q, q, **options)

    def told(Q: jax.Array, q: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        x, *status = solver.solve_nnls_primal_with_status(Q, q, 1e-11, **options)
        return jnp.sum(x), (status[0], status[1])

    def alone(Q: jax.Array, q: jax.Array) -> jax.Array:
        return jnp.sum(solver.solve_nnls_primal(Q, q, 1e-11, **options))

    derivative = jax.value_and_grad(told, argnums=(0, 1), has_aux=True)
    (_, status), gradients = jax.jit(jax.vmap(derivative))(Q[None], q[None])

    assert converged == (limit is None)
    assert [int(lane[0]) for lane in status] == [converged, iterations]
    for found, expected in zip(gradients, jax.grad(alone, argnums=(0, 1))(Q, q), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=rounding(K, 1e4) * scale)


@pytest.mark.parametrize("algorithm", ["pdip", "schur"])
def test_max_iter_is_honoured_and_reported(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(2), K=150, condition=1e6)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm=algorithm, max_iter=2)
    assert result.iterations <= 2
    if result.code == ResultCode.CERTIFIED:
        np.testing.assert_allclose(result.primal, problem.x, atol=rounding(150, 1e6) * problem.x.max())
    else:
        assert result.code == ResultCode.ITERATION_LIMIT


def test_a_loose_tolerance_stops_earlier_and_says_how_well_it_did() -> None:
    # Of condition 1e9, in which a pivot on the right set leaves something to do.
    problem = system_from("ill", 20, 1e9)
    loose = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="pdip", solver_tol=1e-3)
    tight = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="pdip", solver_tol=1e-12)
    assert loose.iterations < tight.iterations
    assert tight.certificate.worst <= 1e-12 < loose.certificate.worst <= 1e-3


def test_jacobi_scaling_does_not_change_the_answer() -> None:
    problem = with_known_optimum(np.random.default_rng(4), K=20, scatter=2)
    for jacobi in (True, False):
        result = solver.solve_nnls_certified(problem.Q, problem.q, jacobi=jacobi)
        assert result.code == ResultCode.CERTIFIED
        np.testing.assert_allclose(result.primal, problem.x, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("Q", "q", "message"),
    [
        (np.ones((3, 2)), np.ones(3), "square"),
        (np.ones(3), np.ones(3), "square"),
        (np.eye(3), np.ones(2), "shape"),
        (np.eye(3), np.ones((3, 1)), "shape"),
        (np.eye(3, dtype=int), np.ones(3, int), "float"),
        (np.eye(3) + 0j, np.ones(3), "float"),
        (np.diag([1.0, np.nan, 1.0]), np.ones(3), "NaN"),
        (np.eye(3), np.array([1.0, np.inf, 1.0]), "infinity"),
    ],
)
def test_malformed_input_is_refused(Q: np.ndarray, q: np.ndarray, message: str) -> None:
    for solve in (
        solver.solve_nnls,
        solver.solve_nnls_primal,
        solver.solve_nnls_primal_with_status,
        solver.solve_nnls_forward,
        solver.solve_nnls_certified,
    ):
        with pytest.raises(ValueError, match=message):
            solve(Q, q)


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "simplex"},
        {"max_iter": 0},
        {"solver_tol": 0.0},
        {"solver_tol": -1e-6},
        {"dense_columns": (0, 3)},
        {"dense_columns": (-1,)},
        {"dense_columns": (True, False)},
    ],
)
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        solver.solve_nnls(np.eye(3), np.ones(3), **options)


def test_a_mask_names_dense_columns_too() -> None:
    mask = np.array([False, True, True])
    by_mask, _ = checked(3, np.float64, solver.ALGORITHMS, dense_columns=mask.tolist())
    assert by_mask == checked(3, np.float64, solver.ALGORITHMS, dense_columns=[1, 2])[0]


def test_arrays_of_the_other_byte_order_are_solved() -> None:
    problem = with_known_optimum(np.random.default_rng(9), K=20)
    swapped = (a.astype(a.dtype.newbyteorder()) for a in (problem.Q, problem.q))
    np.testing.assert_array_equal(
        solver.solve_nnls_forward(*swapped), solver.solve_nnls_forward(problem.Q, problem.q)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_is_promoted_in_silence(dtype: type) -> None:
    problem = with_known_optimum(np.random.default_rng(9), K=320)
    Q, q = jnp.asarray(problem.Q, dtype), jnp.asarray(problem.q, dtype)
    with jax.numpy_dtype_promotion("strict"):
        # Traced, and not compiled: what is promoted is seen by then.
        jax.eval_shape(jax.grad(lambda Q: solver.solve_nnls_primal(Q, q).sum()), Q)
        jax.eval_shape(solver.solve_nnls_certified, Q, q)


@pytest.mark.parametrize("solve", [solver.solve_nnls_primal, solver.solve_nnls_forward])
def test_a_matrix_that_a_trace_does_not_depend_on_is_solved_and_checked(solve: Callable) -> None:
    problem = with_known_optimum(np.random.default_rng(8), K=20)
    Q, broken = jnp.asarray(problem.Q), jnp.asarray(problem.Q).at[3, 4].set(jnp.nan)
    np.testing.assert_allclose(jax.jit(lambda q: solve(Q, q))(problem.q), problem.x, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="Q contains NaN or infinity"):
        jax.jit(lambda q: solve(broken, q))(problem.q)


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
def test_non_finite_lanes_are_flagged_under_a_trace_and_leave_others_alone(algorithm: str) -> None:
    rng = np.random.default_rng(5)
    problems = [with_known_optimum(rng, K=20, condition=20) for _ in range(3)]
    Q, q = np.stack([p.Q for p in problems]), np.stack([p.q for p in problems])
    Q_bad, q_bad = Q.copy(), q.copy()
    Q_bad[0, 4, 4] = np.nan
    q_bad[2, 7] = np.inf
    solve = jax.jit(jax.vmap(lambda Q, q: solver.solve_nnls_certified(Q, q, algorithm=algorithm)))
    healthy, sick = solve(Q, q), solve(Q_bad, q_bad)
    assert list(sick.code) == [ResultCode.NON_FINITE, ResultCode.CERTIFIED, ResultCode.NON_FINITE]
    assert np.all(np.isnan(sick.primal[jnp.array([0, 2])]))
    np.testing.assert_array_equal(sick.primal[1], healthy.primal[1])


def test_every_result_code_has_a_message_and_advice() -> None:
    for code in ResultCode:
        assert code.message
        assert code.advice


def test_the_forward_form_refuses_to_be_differentiated() -> None:
    with pytest.raises(TypeError, match="solve_nnls_primal"):
        jax.grad(lambda q: jnp.sum(solver.solve_nnls_forward(np.eye(3), q)))(np.ones(3))


def test_the_certificate_sees_wrong_answers() -> None:
    problem = with_known_optimum(np.random.default_rng(6), K=20)
    right = solver.certificate(jnp.asarray(problem.Q), jnp.asarray(problem.q), jnp.asarray(problem.x))
    assert right.worst < 1e-13
    clipped = np.maximum(np.linalg.solve(problem.Q, problem.q), 0)
    for wrong in (clipped, -problem.x, np.zeros(20), problem.x * 1.001, problem.x + 1e-3, clipped * np.nan):
        judged = solver.certificate(jnp.asarray(problem.Q), jnp.asarray(problem.q), jnp.asarray(wrong))
        assert judged.worst > 1e-6


FLOAT32 = """
import warnings
import numpy as np
warnings.simplefilter("error")
import jax
import solver
assert not jax.config.jax_enable_x64
rng = np.random.default_rng(7)
A = rng.normal(size=(600, 150)).astype(np.float32)
Q, q = A.T @ A / 600, A.T @ rng.normal(size=600).astype(np.float32) / 600
result = solver.solve_nnls_certified(Q, q, algorithm="schur")
assert result.primal.dtype == np.float32, result.primal.dtype
assert result.code == 0, (result.code, result.certificate)
assert result.certificate.worst < 1e-4
gradient = jax.grad(lambda q: solver.solve_nnls_primal(Q, q, 1e-11).sum())(q)
assert gradient.dtype == np.float32 and np.isfinite(gradient).all()
"""


def test_float32_with_x64_off() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", FLOAT32],
        cwd=REPOSITORY,
        env={
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "False",
            "PATH": "",
            "XLA_FLAGS": os.environ["XLA_FLAGS"],
            "OPENBLAS_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert completed.returncode == 0, completed.stderr


def test_float32_input_gives_float32_output_with_x64_on() -> None:
    problem = with_known_optimum(np.random.default_rng(8), K=20, condition=20)
    result = solver.solve_nnls_certified(problem.Q.astype(np.float32), problem.q.astype(np.float32))
    assert result.primal.dtype == result.certificate.primal.dtype == jnp.float32
    assert result.code == ResultCode.CERTIFIED
    atol = rounding(20, 20, np.float32) * problem.x.max()
    np.testing.assert_allclose(result.primal, problem.x, atol=atol)


def test_the_package_depends_on_jax_alone() -> None:
    program = (
        "import sys, solver; assert not {'jaxnnls', 'matrix', 'autoarray'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
    for module in (REPOSITORY / "solver").glob("*.py"):
        assert "jax_enable_x64" not in module.read_text()
