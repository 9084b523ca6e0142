"""The vendored NNLS solver: its answers, its gradient, and the call site which uses it."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, Callable

import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

import autoarray as aa  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from autoarray.inversion import nnls  # noqa: E402
from autoarray.inversion.inversion import inversion_util  # noqa: E402


def matrix_from(size: int, condition: float, seed: int) -> np.ndarray:
    """A symmetric positive definite matrix of a given condition number."""
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.standard_normal((size, size)))
    matrix = (vectors * np.logspace(-np.log10(condition), 0.0, size)) @ vectors.T
    return 0.5 * (matrix + matrix.T)


def problem_from(size: int, condition: float, seed: int) -> tuple:
    """A matrix Q and a vector q whose optimum x is known, half of it at the bound with a positive dual."""
    rng = np.random.default_rng(seed + 1)
    matrix = matrix_from(size=size, condition=condition, seed=seed)
    free = rng.permutation(size) < (size + 1) // 2
    solution = np.where(free, rng.uniform(0.5, 1.5, size), 0.0)
    dual = np.where(free, 0.0, rng.uniform(0.5, 1.5, size) * np.abs(matrix).max())
    return matrix, matrix @ solution - dual, solution


def kkt_violation_from(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """The largest violation of x >= 0, Qx - q >= 0 and x (Qx - q) = 0, of the system scaled to a unit diagonal."""
    scale = np.sqrt(np.diag(Q))
    x, gradient = x * scale, (Q @ x - q) / scale
    return float(np.abs(np.minimum(x, gradient)).max() / np.abs(q / scale).max())


def test__solve_nnls__size_20__agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((40, 20)), rng.standard_normal(40)
    expected, _ = scipy_nnls(A, b)

    x, _, _, converged, _ = nnls.solve_nnls(A.T @ A, A.T @ b)

    assert bool(converged)
    assert np.asarray(x) == pytest.approx(expected, rel=1.0e-8, abs=1.0e-10)
    assert (expected == 0.0).any()


@pytest.mark.parametrize("size, condition", [(20, 1.0e2), (60, 1.0e8)])
def test__solve_nnls_forward__same_solution_as_primal(
    size: int, condition: float
) -> None:
    Q, q, _ = problem_from(size=size, condition=condition, seed=3)

    primal = np.asarray(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))
    forward = np.asarray(nnls.solve_nnls_forward(Q, q))

    assert forward == pytest.approx(primal, rel=1.0e-10, abs=1.0e-12)


def test__solve_nnls__max_iter__honoured_and_reported() -> None:
    Q, q, _ = problem_from(size=60, condition=1.0e6, seed=4)

    _, _, _, converged, iterations = nnls.solve_nnls(Q, q, algorithm="pdip", max_iter=2)

    assert int(iterations) <= 2
    assert not bool(converged)

    _, _, _, converged, iterations = nnls.solve_nnls(Q, q, algorithm="pdip")

    assert int(iterations) > 2
    assert bool(converged)


def test__solve_nnls_primal__well_conditioned_size_1000__known_solution() -> None:
    Q, q, expected = problem_from(size=1000, condition=1.0e2, seed=5)

    x = np.asarray(nnls.solve_nnls_primal(Q, q))

    assert x == pytest.approx(expected, rel=1.0e-8, abs=1.0e-8)


def test__solve_nnls_primal__ill_conditioned_size_1000__kkt_conditions_hold() -> None:
    Q, q, _ = problem_from(size=1000, condition=1.0e10, seed=6)
    units = np.logspace(-3.0, 3.0, 1000)
    Q, q = Q * units[:, None] * units[None, :], q * units

    x = np.asarray(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))

    assert np.isfinite(x).all()
    assert (x >= 0.0).all()
    assert kkt_violation_from(Q=Q, q=q, x=x) < 1.0e-8


def test__solve_nnls_primal__vmap__every_lane_as_alone() -> None:
    problems = [
        problem_from(size=40, condition=condition, seed=7)
        for condition in (1.0e1, 1.0e5, 1.0e8)
    ]
    Q = jnp.stack([problem[0] for problem in problems])
    q = jnp.stack([problem[1] for problem in problems])

    lanes = jax.jit(jax.vmap(nnls.solve_nnls_primal))(Q, q)

    for lane, (Q_lane, q_lane, _) in zip(lanes, problems):
        alone = np.asarray(nnls.solve_nnls_primal(Q_lane, q_lane))
        assert np.asarray(lane) == pytest.approx(alone, rel=1.0e-6, abs=1.0e-8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test__solve_nnls_primal__not_finite__refused(value: float) -> None:
    Q, q, _ = problem_from(size=8, condition=1.0e1, seed=8)
    q[3] = value

    with pytest.raises(ValueError):
        nnls.solve_nnls_primal(Q, q)


def test__solve_nnls_primal__ill_conditioned__gradients_finite() -> None:
    Q, q, _ = problem_from(size=10, condition=1.0e7, seed=9)

    def total(Q: Any, q: Any) -> Any:
        return jnp.sum(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))

    dQ, dq = jax.grad(total, argnums=(0, 1))(jnp.asarray(Q), jnp.asarray(q))

    assert np.isfinite(np.asarray(dQ)).all()
    assert np.isfinite(np.asarray(dq)).all()
    assert np.abs(np.asarray(dq)).max() > 0.0


def test__solve_nnls_primal__well_conditioned__gradient_of_the_active_set() -> None:
    Q, q, solution = problem_from(size=12, condition=1.0e1, seed=10)
    free = solution > 0.0

    gradient = jax.grad(lambda q: jnp.sum(nnls.solve_nnls_primal(Q, q, 1.0e-11)))(
        jnp.asarray(q)
    )

    expected = np.zeros(12)
    expected[free] = np.linalg.solve(Q[np.ix_(free, free)], np.ones(free.sum()))

    assert np.asarray(gradient) == pytest.approx(expected, rel=1.0e-6, abs=1.0e-6)


@pytest.mark.parametrize("dense_columns", [None, [], [0, 1, 2]])
def test__reconstruction_positive_only_from__jax_agrees_with_numpy(
    dense_columns: Any,
) -> None:
    Q, q, _ = problem_from(size=30, condition=1.0e4, seed=11)

    expected = inversion_util.reconstruction_positive_only_from(
        data_vector=q, curvature_reg_matrix=Q
    )
    solve = jax.jit(
        lambda q, Q: inversion_util.reconstruction_positive_only_from(
            data_vector=q,
            curvature_reg_matrix=Q,
            xp=jnp,
            dense_columns=dense_columns,
        )
    )

    assert np.asarray(solve(q, Q)) == pytest.approx(expected, rel=1.0e-6, abs=1.0e-8)


def test__reconstruction_positive_only_from__config_reaches_the_solver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Q, q, _ = problem_from(size=4, condition=1.0e1, seed=12)
    config: dict = {
        "nnls_jacobi_preconditioning": False,
        "nnls_target_kappa": "1e-9",
        "nnls_algorithm": "pdip",
        "nnls_max_iter": 17,
        "nnls_solver_tol": "1e-7",
        "nnls_forward_only": False,
    }
    calls: list = []

    def record(name: str) -> Callable:
        def solve(Q: Any, q: Any, **options: Any) -> Any:
            calls.append((name, options))
            return q

        return solve

    for name in ("solve_nnls_primal", "solve_nnls_forward"):
        monkeypatch.setattr(nnls, name, record(name))
    monkeypatch.setattr(
        inversion_util, "nnls_config_from", lambda name, _: config[name]
    )

    for forward_only in (False, True):
        config["nnls_forward_only"] = forward_only
        inversion_util.reconstruction_positive_only_from(
            data_vector=q, curvature_reg_matrix=Q, xp=jnp, dense_columns=[0, 2]
        )

    options = {
        "algorithm": "pdip",
        "max_iter": 17,
        "solver_tol": 1.0e-7,
        "dense_columns": (0, 2),
        "jacobi": False,
    }

    assert calls == [
        ("solve_nnls_primal", {"target_kappa": 1.0e-9, **options}),
        ("solve_nnls_forward", options),
    ]


def test__nnls_config_from__key_absent__default() -> None:
    assert inversion_util.nnls_config_from("nnls_no_such_key", 3) == 3


def test__unregularized_columns_from__edge_pixels_removed__as_they_stand_in_the_system_solved() -> (
    None
):
    def mapper_from(shape: tuple) -> Any:
        return aa.m.MockMapper(
            parameters=shape[0] * shape[1],
            regularization=aa.m.MockRegularization(),
            interpolator=SimpleNamespace(mesh=aa.mesh.RectangularUniform(shape=shape)),
        )

    inversion = aa.m.MockInversion(
        linear_obj_list=[
            aa.m.MockLinearObj(parameters=2, regularization=aa.m.MockRegularization()),
            aa.m.MockLinearObj(parameters=3, regularization=None),
            mapper_from((3, 4)),
            mapper_from((4, 5)),
        ]
    )
    inversion.linear_obj_list[2].regularization = None

    full = inversion.unregularized_columns_from(edge_zeroed=False)
    solved = inversion.unregularized_columns_from(edge_zeroed=True)
    kept = np.asarray(inversion.zeroed_ids_to_keep)

    assert full == inversion.no_regularization_index_list
    assert kept[solved].tolist() == np.intersect1d(kept, full).tolist()
    assert solved == [2, 3, 4, 5, 6]
    assert all(type(column) is int for column in (*full, *solved))


def test__library__does_not_import_jaxnnls() -> None:
    code = "\n".join(
        [
            "import sys",
            "sys.modules['jaxnnls'] = None",
            "import autoarray as aa, numpy as np, jax.numpy as jnp",
            "x = aa.util.inversion.reconstruction_positive_only_from(",
            "    data_vector=np.ones(3), curvature_reg_matrix=np.eye(3), xp=jnp)",
            "assert abs(np.asarray(x) - 1.0).max() < 1e-6, x",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
