"""The corpus: metrics of answers known to be off, the rule on made-up solvers, points by the recipe."""

import dataclasses
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from matrix.catalogue.pipelines import Rectangular  # noqa: E402
from matrix.diagnose.bench.contenders import Contender, Solved  # noqa: E402
from matrix.diagnose.bench.record import BenchRow  # noqa: E402
from matrix.diagnose.bench.release import (  # noqa: E402
    FALLBACK,
    JACOBI,
    OURS,
    RAW,
    ours_differentiable,
    solvers_of_release,
)
from matrix.diagnose.corpus.cell import _with_gradient  # noqa: E402
from matrix.diagnose.corpus.kinds import BILINEAR, KINDS, SLAM  # noqa: E402
from matrix.diagnose.corpus.metrics import Metrics, metrics_of  # noqa: E402
from matrix.diagnose.corpus.plot import corpus_plot  # noqa: E402
from matrix.diagnose.corpus.points import CHANGES, WantedPoints, slam_vectors  # noqa: E402
from matrix.diagnose.corpus.record import CorpusRecord, Examined, JudgedSolve, KindRecord  # noqa: E402
from matrix.diagnose.corpus.rule import judgements, revisited  # noqa: E402
from matrix.diagnose.corpus.session import DIAGNOSIS  # noqa: E402
from matrix.diagnose.corpus.table import corpus_table  # noqa: E402
from matrix.diagnose.sides.record import write_diagnosis  # noqa: E402
from matrix.records import typed_json  # noqa: E402
from tests.factory import make_record  # noqa: E402

# The optimum of this system is (2, 0, 1): the second gradient there is 3.
Q = np.diag([1.0, 2.0, 4.0])
q = np.array([2.0, -3.0, 4.0])
OPTIMUM = np.array([2.0, 0.0, 1.0])
EXACT = Metrics(0.0, 0.0, 0.0, 0.0)


def test_the_optimum_has_no_error() -> None:
    assert metrics_of(Q, q, OPTIMUM, OPTIMUM, lens_columns=1) == EXACT


def test_each_metric_sees_its_own_error() -> None:
    found = metrics_of(Q, q, np.array([2.2, 0.6, 1.0]), OPTIMUM, lens_columns=1)
    assert found.significant == pytest.approx(0.1)
    # The source has columns 1 and 2: 1.6 instead of 1.
    assert found.source_flux == pytest.approx(0.6)
    assert found.inactive_flux == pytest.approx(0.6 / 3)
    # Complementarity: 0.6 (2 · 0.6 + 3) = 2.52, over max x = 2.2 and max |q| = 4.
    assert found.kkt == pytest.approx(2.52 / (2.2 * 4))
    too_small = metrics_of(Q, q, np.array([2.0, 0.0, 0.5]), OPTIMUM, lens_columns=2)
    # The last gradient is -2: a growth that is not taken.
    assert (too_small.significant, too_small.source_flux, too_small.kkt) == pytest.approx((0.5, 0.5, 0.5))
    assert metrics_of(Q, q, np.array([2.0, -0.5, 1.0]), OPTIMUM, 1).kkt == pytest.approx(0.25)


def test_columns_below_a_millionth_are_not_significant() -> None:
    reference = np.array([1.0, 0.5e-6, 2e-6])
    found = metrics_of(np.eye(3), reference, np.array([1.0, 1.5e-6, 2.2e-6]), reference, 0)
    assert found.significant == pytest.approx(0.1)
    assert found.inactive_flux == pytest.approx(1.5e-6, rel=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_infinitely_wrong(value: float) -> None:
    assert metrics_of(Q, q, np.array([2.0, value, 1.0]), OPTIMUM, 1) == Metrics(*4 * (np.inf,))


def test_a_diverged_answer_is_judged_without_overflow() -> None:
    found = metrics_of(Q, q, np.array([2.0, 1e200, 1.0]), OPTIMUM, 1)
    assert found.inactive_flux == pytest.approx(1e200 / 3)
    assert found.kkt == pytest.approx(2e200 / 4)


def test_points_are_the_recipe_s() -> None:
    medians = np.linspace(0, 1, 17)
    points = dict(slam_vectors(tuple(medians), range(48)))
    assert len(points) == 48
    generator = np.random.default_rng(1)
    first, second = generator.random(17), generator.random(17)
    assert points[0][4] == pytest.approx(0.25 + 0.013 * np.sin(5) + 0.01 * (first[4] - 0.5))
    assert points[1][0] == pytest.approx(0.013 * np.sin(1) + 0.01 * (second[0] - 0.5))
    names = [f"{change.label}_{n}" for change in CHANGES for n, _ in slam_vectors(medians, change.points)]
    assert len(names) == len(set(names)) == 72
    assert names[48:54] == [f"noise_x0.3_{n}" for n in (0, 8, 16, 24, 32, 40)]
    assert dict(slam_vectors(medians, CHANGES[1].points))[8] == points[8]


def test_models_near_the_truth_begin_at_the_medians_and_others_fill_the_prior(tmp_path: Path) -> None:
    units = WantedPoints(near=3, whole=40, seed=1, folder=tmp_path).units(5)
    assert list(units)[:4] == ["near_0", "near_1", "near_2", "whole_0"]
    assert (units["near_0"] == 0.5).all()
    assert 0 < np.abs(units["near_1"] - 0.5).max() <= 0.05
    whole = np.array([unit for name, unit in units.items() if name.startswith("whole")])
    assert whole.min() < 0.05
    assert whole.max() > 0.95


def test_kinds_name_their_mesh_their_lens_light_and_their_collinear_columns() -> None:
    mixed, mapper = KINDS["bilinear"], KINDS["bilinear-mapper"]
    source = mixed.applied("production").settings["production"].source
    assert isinstance(source, Rectangular)
    assert (source.mesh, source.shape) == (BILINEAR, (35, 35))
    assert mixed.dense("production", 1149) == tuple(range(60))
    assert (mapper.columns_of_lens("production"), mapper.dense("production", 1089)) == (0, ())
    assert (KINDS[SLAM].columns_of_lens("production"), len(KINDS[SLAM].dense("production", 60))) == (40, 60)
    assert KINDS["imaging-mge"].columns_of_lens("production") == 20


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts modules of a made-up release of the library in place."""

    def install(**modules: dict[str, Any]) -> None:
        for name in ("autoarray", "autoarray.util"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        for name in ("jax_nnls", "jax_active_set"):
            made = types.ModuleType(name)
            vars(made).update(modules.get(name, {}))
            monkeypatch.setitem(sys.modules, f"autoarray.util.{name}", made if name in modules else None)
        solvers_of_release.cache_clear()

    yield install
    solvers_of_release.cache_clear()


def _status(Q: Any, q: Any, target_kappa: float, solver_tol: None, max_iter: int) -> Any:
    assert (target_kappa, solver_tol, max_iter) == (1e-11, None, 50)
    np.testing.assert_allclose(np.diagonal(Q), 1)
    return jnp.linalg.solve(Q, q), 1, 7


def _raw(Q_pc: Any, q_pc: Any, Q: Any, q: Any, D: Any, **options: Any) -> Any:
    np.testing.assert_allclose(Q_pc, Q * D[:, None] * D)
    return jnp.linalg.solve(Q, q) / D, *_status(Q_pc, q_pc, **options)[1:]


def _passes(
    Q: Any, q: Any, pdip: Callable[[], Any], *, fallback: bool, pass_budget: int, tau_rel: float
) -> Any:
    assert tau_rel == 1e-9
    return pdip() if fallback else jnp.linalg.solve(Q, q), not fallback, pass_budget


PDIP = {
    "solve_nnls_primal_with_status": _status,
    "solve_nnls_primal": lambda *system, **options: _status(*system, **options)[0],
}


def test_which_solvers_there_are_depends_on_the_release(release: Callable[..., None]) -> None:
    release()
    assert not solvers_of_release()
    release(jax_nnls={"solve_nnls_primal": PDIP["solve_nnls_primal"]})
    assert not solvers_of_release()
    release(jax_nnls={**PDIP, "solve_nnls_primal_raw_forward": _raw})
    assert list(solvers_of_release()) == [JACOBI, RAW]
    release(jax_nnls=PDIP, jax_active_set={"solve_certified_with_fallback": _passes})
    assert list(solvers_of_release()) == [JACOBI, "certified, 16 passes", "certified, 40 passes", FALLBACK]


def test_the_release_s_solvers_are_called_as_its_call_site_does(release: Callable[..., None]) -> None:
    release(
        jax_nnls={**PDIP, "solve_nnls_primal_raw_forward": _raw},
        jax_active_set={"solve_certified_with_fallback": _passes},
    )
    matrix = jnp.array([[4.0, 1.0], [1.0, 9.0]])
    found = {
        name: solve(matrix, matrix @ jnp.array([3.0, 2.0])) for name, solve in solvers_of_release().items()
    }
    for solved in found.values():
        np.testing.assert_allclose(solved.x, [3, 2], rtol=1e-5)
    assert {name: int(solved.steps) for name, solved in found.items()} == {
        JACOBI: 7, RAW: 7, "certified, 16 passes": 16, "certified, 40 passes": 40, FALLBACK: 16
    }  # fmt: skip
    assert not found[FALLBACK].converged


def test_a_contender_tells_of_how_many_lanes_it_says_that_it_solved_them() -> None:
    x = np.ones((3, 2))
    answers, solved = Contender(lambda: Solved(x, np.array([1, 0, 1]), np.array([5, 50, 6]))).outcome(3)
    np.testing.assert_array_equal(answers, x)
    assert solved == 2
    assert Contender(lambda: x).outcome(3)[1] is None


def test_gradients_that_are_not_finite_are_noticed() -> None:
    with jax.enable_x64(True):
        system = jnp.asarray(Q), jnp.asarray(q)
        x, converged, _, finite = _with_gradient(ours_differentiable)(*system)
        np.testing.assert_allclose(x, OPTIMUM, atol=1e-12)
        assert (bool(converged), bool(finite)) == (True, True)

        def broken(Q: Any, q: Any) -> Solved:
            # The derivative of a root at zero is infinite.
            return Solved(jnp.sqrt(0 * q) + Q[0, 0], 1, 1)

        assert not _with_gradient(broken)(*system)[3]


def judged(solver: str, kkt: float = 1e-17, converged: bool = True, **metrics: float) -> JudgedSolve:
    return JudgedSolve(solver, converged, 5, dataclasses.replace(EXACT, kkt=kkt, **metrics), kkt, None)


def examined(name: str, *found: JudgedSolve) -> Examined:
    return Examined(name, 3, 4.0, found)


def row(solver: str, times_ours: float) -> BenchRow:
    return BenchRow("corpus", "near_0", 3, 2, solver, 1.0, 2 * times_ours, times_ours, 1e-15, 0.0, None, 2)


def kind(name: str, *systems: Examined, left_out: str | None = None) -> KindRecord:
    made = make_record()
    where = dataclasses.replace(made.provenance, packages={"autolens": "2026.10.26.1", "jax": "0.11.2"})
    times = (row(OURS, 1.0), row(JACOBI, 8.0)) if systems else ()
    return KindRecord(
        name, KINDS[name].family, made.cell, "key", systems, times, left_out, made.precision, where
    )


GOOD = judged(OURS)


def test_the_rule_is_broken_by_each_of_its_four_parts() -> None:
    def admissible(ours: JudgedSolve, yardstick: JudgedSolve | None = None) -> bool:
        return judgements([examined("a", ours, yardstick or judged(JACOBI))])[0].admissible

    assert admissible(GOOD)
    assert not admissible(judged(OURS, converged=False))
    assert not admissible(judged(OURS, significant=1.1e-3))
    assert admissible(judged(OURS, significant=0.9e-3, source_flux=0.9e-4))
    assert not admissible(judged(OURS, source_flux=1.1e-4))
    assert not admissible(judged(OURS, kkt=2e-13), judged(JACOBI, kkt=1e-14))
    assert admissible(judged(OURS, kkt=2e-13), judged(JACOBI, kkt=1e-13))
    # Nothing is asked where the yardstick did not converge.
    assert admissible(judged(OURS, kkt=2e-13), judged(JACOBI, kkt=1e-14, converged=False))
    assert not admissible(judged(OURS, significant=np.nan))


def test_roundings_break_the_fourth_rule_only_as_it_is_written() -> None:
    one = judgements([examined("a", judged(OURS, kkt=5e-16), judged(JACOBI, kkt=1e-17))])[0]
    assert (one.not_optimal, one.above_floor, one.admissible) == (1, 0, True)
    # The floor grows with the number of products in a gradient, of which this system has three.
    other = judgements([examined("a", judged(OURS, kkt=7e-16), judged(JACOBI, kkt=1e-17))])[0]
    assert (other.not_optimal, other.above_floor, other.admissible) == (1, 1, False)


def test_a_fallback_has_converged_where_it_says_so() -> None:
    uncertified = judged(FALLBACK, converged=False)
    found = [
        judgements([examined("a", uncertified, judged(JACOBI, converged=converged))])[0].unconverged
        for converged in (True, False)
    ]
    assert found == [0, 1]


def test_sentences_answer_each_condition_from_its_own_systems() -> None:
    off = judged(JACOBI, significant=1.05)
    said = revisited(
        (
            kind("delaunay", examined("near_0", GOOD, judged(JACOBI, converged=False))),
            kind("bilinear-mapper", examined("near_0", GOOD, off), examined("whole_0", GOOD, judged(JACOBI))),
            kind("interferometer-delaunay", examined("near_0", GOOD, judged(JACOBI))),
        )
    )
    assert "2 systems: Jacobi PDIP breaks it: not converged on 1; ours keeps the rule on all." in said[0]
    assert "1 systems: Jacobi PDIP keeps the rule on all; ours keeps" in said[1]
    assert "on 4 systems: ours keeps the rule on all. In a batch it takes 1/8.0 to 1/8.0" in said[2]
    assert "2 systems: Jacobi PDIP breaks it: inexact (worst column 1.1e+00) on 1; ours" in said[3]
    assert all("Not measured" in words for words in revisited([kind("rtu", left_out="no such mesh")]))


def test_record_table_and_picture(tmp_path: Path) -> None:
    everyone = (
        GOOD,
        judged(JACOBI, significant=np.inf),
        judged(RAW),
        judged("certified, 16 passes"),
        judged(FALLBACK),
    )
    record = CorpusRecord(
        {"near": 1}, (kind("bilinear", examined("near_0", *everyone)), kind("rtu", left_out="no RTU"))
    )
    write_diagnosis(tmp_path / "corpus.json", record)
    assert typed_json.read(tmp_path / "corpus.json", CorpusRecord) == record
    said = corpus_table(record)
    lines = [line for line in said.splitlines() if line.startswith(f"| {JACOBI}")]
    assert "| 1 of 1" in lines[0]
    assert "inf" in lines[0]
    assert lines[0].rstrip(" |").endswith("broken")
    assert "rtu is left out: no RTU." in said
    assert "| bilinear, near_0 |" in said
    corpus_plot(record, tmp_path / "corpus.png")
    assert (tmp_path / "corpus.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "there is no kind nowhere; choose from: slam-571,"),
        (["--near", "0"], "--near, --lanes"),
        ([], "no run in"),
    ],
)
def test_what_cannot_be_done_is_refused(
    words: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = ["--root", str(tmp_path), "--record", str(tmp_path / "corpus.json")]
    assert DIAGNOSIS.main([*words, *output]) == 2
    assert says in capfd.readouterr().err
