"""What becomes of a constant, for every way the paths can stand to it and to each other."""

from pathlib import Path
from typing import Any

import pytest

from matrix.records.cell import EagerEvaluation
from matrix.refresh.artifacts.drift import Drift, DriftRuling, constant_ruling, measure_drift
from tests.factory import EVIDENCE, evaluation, make_plan
from tests.refresh.artifacts.made_up import complete_record

BOTH = ("jit", "vmap")


@pytest.mark.parametrize(
    ("change", "agree", "because", "ruling"),
    [
        (0.0, BOTH, "", DriftRuling.UNCHANGED),
        (5e-10, (), "", DriftRuling.UNCHANGED),
        (2e-9, BOTH, "", DriftRuling.PROPOSED),
        (1e-4, BOTH, "", DriftRuling.PROPOSED),
        (2e-9, ("jit",), "", DriftRuling.REFUSED),
        (2e-9, ("vmap",), "known", DriftRuling.REFUSED),
        (1.1e-4, BOTH, "", DriftRuling.REFUSED),
        (1.1e-4, BOTH, "new mesh", DriftRuling.ACCEPTED),
        (float("inf"), (), "new mesh", DriftRuling.REFUSED),
        (float("nan"), (), "new mesh", DriftRuling.REFUSED),
    ],
)
def test_rule(change: float, agree: tuple[str, ...], because: str, ruling: DriftRuling) -> None:
    assert constant_ruling(change, 1e-4, agree, because)[0] is ruling


def drift_of(tmp_path: Path, moved: float, accepted: dict[str, str], **evaluations: Any) -> Drift:
    """The drift of a pipeline whose every path moved to `moved` times the constant, but for `evaluations`."""
    new = EVIDENCE * moved
    paths = {
        "eager": EagerEvaluation(evaluation(new + 3.0), evaluation(new)),
        "jit": evaluation(new),
        "vmap_equal": evaluation(new, new, new),
    }
    plan = make_plan(tmp_path)
    records = {
        cell.name: complete_record(cell.pipeline, cell.side, evaluations={**paths, **evaluations})
        for cell in plan.cells
    }
    return measure_drift(plan, "imaging-pixelization", records, accepted)


def test_nothing_moved(tmp_path: Path) -> None:
    drift = drift_of(tmp_path, 1.0, {})
    assert (drift.ruling, drift.new, drift.agree) == (DriftRuling.UNCHANGED, EVIDENCE, BOTH)
    assert not drift.rewrites


def test_small_drift_is_proposed(tmp_path: Path) -> None:
    drift = drift_of(tmp_path, 1 + 5e-5, {})
    assert drift.ruling is DriftRuling.PROPOSED
    assert drift.rewrites
    assert drift.relative_change == pytest.approx(5e-5)


def test_one_stray_lane_keeps_the_constant(tmp_path: Path) -> None:
    new = EVIDENCE * (1 + 5e-5)
    drift = drift_of(tmp_path, 1 + 5e-5, {}, vmap_equal=evaluation(new, new, new * (1 + 1e-5)))
    assert (drift.ruling, drift.agree) == (DriftRuling.REFUSED, ("jit",))
    assert "vmap" in drift.reason


def test_large_drift_needs_a_word(tmp_path: Path) -> None:
    assert drift_of(tmp_path, 1.01, {"imaging-mge": "not this one"}).ruling is DriftRuling.REFUSED
    accepted = drift_of(tmp_path, 1.01, {"imaging-pixelization": "the mesh changed"})
    assert (accepted.ruling, accepted.because) == (DriftRuling.ACCEPTED, "the mesh changed")


def test_reason_is_dropped_where_nobody_needed_it(tmp_path: Path) -> None:
    assert drift_of(tmp_path, 1.0, {"imaging-pixelization": "unneeded"}).because == ""


def test_log_likelihood_constant_is_compared_by_likelihood_and_the_paths_by_evidence(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ("interferometer-mge",))
    eager = EagerEvaluation(evaluation(EVIDENCE), evaluation(EVIDENCE + 0.01))
    evaluations = {
        "quantity": "log_likelihood",
        "eager": eager,
        "jit": evaluation(EVIDENCE + 0.01),
        "vmap_equal": evaluation(*[EVIDENCE + 0.01] * 3),
    }
    records = {c.name: complete_record(c.pipeline, c.side, evaluations=evaluations) for c in plan.cells}
    drift = measure_drift(plan, "interferometer-mge", records, {})
    assert (drift.new, drift.ruling, drift.agree) == (EVIDENCE, DriftRuling.UNCHANGED, BOTH)
