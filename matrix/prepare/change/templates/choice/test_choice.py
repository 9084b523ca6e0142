"""The third value of `positive_only_solver`, "nnls": where it is used, and what its callers can rely on."""

from collections import Counter
from typing import Any, Iterator

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

import autoarray as aa  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from autoarray.inversion import nnls  # noqa: E402
from autoarray.inversion.inversion import inversion_util  # noqa: E402


def system_from(size: int, seed: int = 0) -> tuple:
    """A data vector and a well-conditioned matrix whose unconstrained solution has negative entries."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((3 * size, size)), rng.standard_normal(3 * size)
    data_vector, matrix = A.T @ b, A.T @ A
    assert (np.linalg.solve(matrix, data_vector) < 0.0).any()
    return data_vector, matrix


def solve(data_vector: Any, matrix: Any, **options: Any) -> Any:
    """The call site, with the solver under test unless another is given."""
    return inversion_util.reconstruction_positive_only_from(
        data_vector=data_vector,
        curvature_reg_matrix=matrix,
        xp=jnp,
        **{"solver": "nnls", "settings": aa.Settings(), **options},
    )


def exact(data_vector: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The solution of the NumPy path."""
    return inversion_util.reconstruction_positive_only_from(
        data_vector=data_vector,
        curvature_reg_matrix=matrix,
        settings=aa.Settings(nnls_warm_start_memo=False),
    )


def light(parameters: int) -> Any:
    return aa.m.MockLinearObjFuncList(parameters=parameters)


def mapper(shape: tuple = (4, 4)) -> Any:
    return aa.m.MockMapper(
        mesh=aa.mesh.RectangularUniform(shape=shape),
        parameters=shape[0] * shape[1],
        regularization=aa.reg.Constant(),
        source_plane_mesh_grid=np.zeros((shape[0] * shape[1], 2)),
    )


def inversion_from(linear_objs: list, use_jax: bool = True, **settings: Any) -> Any:
    """An inversion of a system of its size, whose settings choose the solver under test unless they say otherwise."""
    data_vector, matrix = system_from(sum(obj.params for obj in linear_objs))
    inversion = aa.m.MockInversion(
        linear_obj_list=linear_objs,
        data_vector=jnp.asarray(data_vector) if use_jax else data_vector,
        curvature_reg_matrix=jnp.asarray(matrix) if use_jax else matrix,
        settings=aa.Settings(
            **{
                "positive_only_solver": "nnls",
                "use_positive_only_solver": True,
                "use_edge_zeroed_pixels": False,
                **settings,
            }
        ),
    )
    inversion.use_jax = use_jax
    return inversion


INVERSIONS = {
    "mapper": lambda: [mapper()],
    "light": lambda: [light(5)],
    "light and mapper": lambda: [light(3), mapper()],
    "two mappers": lambda: [light(2), mapper(), mapper((3, 5))],
}


@pytest.mark.parametrize("name", INVERSIONS)
def test__positive_only_solver_used__every_jax_inversion(name: str) -> None:
    inversion = inversion_from(INVERSIONS[name]())

    assert inversion.positive_only_solver_used == "nnls"
    assert inversion.positive_only_preconditioning_used == "jacobi"
    assert np.asarray(inversion.reconstruction) == pytest.approx(
        exact(
            np.asarray(inversion.data_vector),
            np.asarray(inversion.curvature_reg_matrix),
        ),
        rel=1.0e-8,
        abs=1.0e-10,
    )


@pytest.mark.parametrize("name", INVERSIONS)
def test__positive_only_solver_used__the_solver_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list = []

    def record(_: Any, q: Any, **__: Any) -> Any:
        calls.append(q.shape)
        return q, 1, 1

    monkeypatch.setattr(nnls, "solve_nnls_primal_with_status", record)

    inversion = inversion_from(INVERSIONS[name]())

    assert inversion.reconstruction.shape == inversion.data_vector.shape
    assert calls == [inversion.data_vector.shape]


@pytest.mark.parametrize("name", INVERSIONS)
def test__positive_only_solver_used__numpy_keeps_fnnls(name: str) -> None:
    inversion = inversion_from(
        INVERSIONS[name](), use_jax=False, nnls_warm_start_memo=False
    )

    assert inversion.positive_only_solver_used == "pdip"
    assert np.array_equal(
        inversion.reconstruction,
        exact(inversion.data_vector, inversion.curvature_reg_matrix),
    )


def test__positive_only_solver_used__other_settings_choose_as_before() -> None:
    for setting, objs, used in [
        ("pdip", [mapper()], "pdip"),
        ("certified", [mapper()], "certified"),
        ("certified", [light(2), mapper()], "pdip"),
        ("certified", [light(4)], "pdip"),
    ]:
        inversion = inversion_from(objs, positive_only_solver=setting)
        assert inversion.positive_only_solver_used == used


def test__reconstruction__edge_pixels_exact_zeros_and_the_rest_solved_without_them() -> (
    None
):
    inversion = inversion_from([light(3), mapper((4, 5))], use_edge_zeroed_pixels=True)
    kept = [0, 1, 2, *(3 + np.array([6, 7, 8, 11, 12, 13]))]

    reconstruction = np.asarray(inversion.reconstruction)

    assert np.asarray(inversion.solve_ids_to_keep).tolist() == kept
    edge = np.setdiff1d(np.arange(23), kept)
    assert (reconstruction[edge] == 0.0).all()
    expected = exact(
        np.asarray(inversion.data_vector)[kept],
        np.asarray(inversion.curvature_reg_matrix)[np.ix_(kept, kept)],
    )
    assert reconstruction[kept] == pytest.approx(expected, rel=1.0e-8, abs=1.0e-10)
    assert (expected == 0.0).any() and (expected > 0.0).any()


@pytest.mark.parametrize("way", ["jit", "vmap", "jit of vmap"])
def test__reconstruction_positive_only_from__compiled_and_batched_as_alone(
    way: str,
) -> None:
    systems = [system_from(12, seed) for seed in (1, 2, 3)]
    vectors, matrices = (jnp.stack(arrays) for arrays in zip(*systems))

    wrapped = {
        "jit": lambda: jnp.stack(list(map(jax.jit(solve), vectors, matrices))),
        "vmap": lambda: jax.vmap(solve)(vectors, matrices),
        "jit of vmap": lambda: jax.jit(jax.vmap(solve))(vectors, matrices),
    }
    found = np.asarray(wrapped[way]())

    assert found.shape == (3, 12)
    assert (found >= 0.0).all()
    for lane, (data_vector, matrix) in zip(found, systems):
        assert lane == pytest.approx(
            exact(data_vector, matrix), rel=1.0e-8, abs=1.0e-10
        )


def test__reconstruction_positive_only_from__gradient_of_the_active_set() -> None:
    data_vector, matrix = system_from(12)
    free = exact(data_vector, matrix) > 0.0
    weights = jnp.linspace(0.5, 1.5, 12)

    def total(data_vector: Any, matrix: Any) -> Any:
        return weights @ solve(data_vector, matrix)

    derivative = jax.grad(total, argnums=(0, 1))
    dq, dQ = jax.jit(derivative)(jnp.asarray(data_vector), jnp.asarray(matrix))
    lanes = jax.jit(jax.vmap(derivative))(
        jnp.stack([data_vector, 2.0 * data_vector]), jnp.stack([matrix, matrix])
    )

    expected = np.zeros(12)
    expected[free] = np.linalg.solve(
        matrix[np.ix_(free, free)], np.asarray(weights)[free]
    )
    assert np.asarray(dq) == pytest.approx(expected, rel=1.0e-6, abs=1.0e-8)
    solution = exact(data_vector, matrix)
    symmetric = 0.5 * (np.asarray(dQ) + np.asarray(dQ).T)
    outer = -0.5 * (np.outer(expected, solution) + np.outer(solution, expected))
    assert symmetric == pytest.approx(outer, rel=1.0e-6, abs=1.0e-8)
    for lane in lanes[0]:
        assert np.asarray(lane) == pytest.approx(expected, rel=1.0e-6, abs=1.0e-8)


def test__reconstruction_positive_only_from__stats() -> None:
    data_vector, matrix = system_from(12)
    stats: dict = {}

    alone = solve(data_vector, matrix, stats=stats)

    assert set(stats) == {"solver", "converged", "iterations"}
    assert stats["solver"] == "nnls"
    assert int(stats["converged"]) == 1
    assert int(stats["iterations"]) >= 1
    assert np.array_equal(alone, solve(data_vector, matrix))


def operations_in(program: Any) -> Iterator[str]:
    """The names of the operations of a traced program, those of the programs inside it as often as it runs them."""
    for operation in program.eqns:
        yield operation.primitive.name
        inner = jax.tree.leaves(
            operation.params, is_leaf=lambda value: hasattr(value, "jaxpr")
        )
        for value in inner:
            value = getattr(value, "jaxpr", value)
            if hasattr(value, "eqns"):
                yield from operations_in(value)


def test__reconstruction_positive_only_from__stats_come_from_the_one_solve() -> None:
    data_vector, matrix = system_from(12)

    def told(data_vector: Any, matrix: Any) -> tuple:
        stats: dict = {}
        solution = solve(data_vector, matrix, stats=stats)
        return solution, stats["converged"], stats["iterations"]

    programs = [
        Counter(operations_in(jax.make_jaxpr(function)(data_vector, matrix).jaxpr))
        for function in (solve, told)
    ]

    assert programs[0]["cholesky"] > 0
    assert programs[0]["cholesky"] == programs[1]["cholesky"]


def test__reconstruction_positive_only_from__stats_traced_per_lane() -> None:
    systems = [system_from(12, seed) for seed in (1, 2)]
    vectors, matrices = (jnp.stack(arrays) for arrays in zip(*systems))

    def told(data_vector: Any, matrix: Any) -> tuple:
        stats: dict = {}
        solution = solve(data_vector, matrix, stats=stats)
        return jnp.sum(solution), (stats["converged"], stats["iterations"])

    (_, (converged, iterations)), gradient = jax.jit(
        jax.vmap(jax.value_and_grad(told, has_aux=True))
    )(vectors, matrices)

    assert np.asarray(converged).tolist() == [1, 1]
    assert (np.asarray(iterations) >= 1).all()
    assert np.isfinite(np.asarray(gradient)).all()


def test__reconstruction_positive_only_from__not_converged__told_and_not_raised() -> (
    None
):
    data_vector, matrix = system_from(60)
    stats: dict = {}
    settings = aa.Settings(nnls_max_iter=2)
    config = inversion_util.nnls_config_from

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            inversion_util,
            "nnls_config_from",
            lambda name, default: (
                "pdip" if name == "nnls_algorithm" else config(name, default)
            ),
        )
        solution = solve(data_vector, matrix, stats=stats, settings=settings)

    assert int(stats["converged"]) == 0
    assert int(stats["iterations"]) == 2
    assert solution.shape == (60,)


@pytest.mark.parametrize(
    "given, options",
    [
        ({}, {"max_iter": None, "solver_tol": None}),
        ({"nnls_max_iter": 50}, {"max_iter": 50, "solver_tol": None}),
        (
            {"nnls_solver_tol": 1.0e-6, "nnls_max_iter": 7},
            {"max_iter": 7, "solver_tol": 1.0e-6},
        ),
    ],
)
def test__reconstruction_positive_only_from__limits_of_a_fit_reach_the_solver_and_no_others(
    given: dict, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_vector, matrix = system_from(4)
    calls: list = []

    def record(_: Any, q: Any, **options: Any) -> Any:
        calls.append(options)
        return q, 1, 1

    monkeypatch.setattr(nnls, "solve_nnls_primal_with_status", record)

    solve(data_vector, matrix, settings=aa.Settings(**given))
    solve(data_vector, matrix, settings=None)

    expected = {"algorithm": "auto", "jacobi": True, "target_kappa": 1.0e-11}
    assert calls == [
        {**expected, **options},
        {**expected, "max_iter": None, "solver_tol": None},
    ]


def test__reconstruction_positive_only_from__factor_is_cleared_and_fingerprint_has_no_effect() -> (
    None
):
    data_vector, matrix = system_from(12)
    factor = {"left": "over"}

    found = solve(data_vector, matrix, factor=factor, fingerprint="mesh")

    assert factor == {}
    assert np.array_equal(found, solve(data_vector, matrix))


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "simplex"},
        {"preconditioning": "diagonal"},
        {"solver": "nnls", "preconditioning": "raw"},
        {"solver": "certified", "preconditioning": "raw"},
    ],
)
def test__reconstruction_positive_only_from__arguments_without_meaning_are_refused(
    options: dict,
) -> None:
    data_vector, matrix = system_from(4)

    with pytest.raises(ValueError):
        solve(data_vector, matrix, **options)


def test__settings__positive_only_solver() -> None:
    for value in ("pdip", "certified", "nnls"):
        assert aa.Settings(positive_only_solver=value).positive_only_solver == value
    with pytest.raises(ValueError, match="nnls"):
        aa.Settings(positive_only_solver="simplex")


def test__nnls_config_from__key_absent__default() -> None:
    assert inversion_util.nnls_config_from("nnls_no_such_key", 3) == 3


@pytest.mark.parametrize("name", ["light", "light and mapper"])
def test__reconstruction__pdip_is_that_of_jaxnnls_bit_for_bit(name: str) -> None:
    jaxnnls = pytest.importorskip(
        "jaxnnls", reason="it needs jaxnnls, which is not installed"
    )

    inversion = inversion_from(
        INVERSIONS[name](),
        positive_only_solver="pdip",
        nnls_preconditioning_no_mapper="jacobi",
    )

    Q, q = inversion.curvature_reg_matrix, inversion.data_vector
    scale = 1.0 / jnp.sqrt(jnp.diag(Q))
    expected = scale * jaxnnls.solve_nnls_primal(
        (Q * scale[:, None]) * scale[None, :], q * scale, target_kappa=1.0e-11
    )
    assert np.array_equal(np.asarray(inversion.reconstruction), np.asarray(expected))
