"""The call site of the NNLS solver: what reaches it, and which columns it is told of."""

from types import SimpleNamespace
from typing import Any, Callable

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

import autoarray as aa  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from autoarray.inversion import nnls  # noqa: E402
from autoarray.inversion.inversion import inversion_util  # noqa: E402


def system_from(size: int, seed: int) -> tuple:
    """A well-conditioned matrix Q and a vector q whose unconstrained solution has negative entries."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((3 * size, size)), rng.standard_normal(3 * size)
    return A.T @ A, A.T @ b


@pytest.mark.parametrize("dense_columns", [None, [], [0, 1, 2]])
def test__reconstruction_positive_only_from__jax_agrees_with_numpy(
    dense_columns: Any,
) -> None:
    Q, q = system_from(size=30, seed=11)

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
    Q, q = system_from(size=4, seed=12)
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
