"""The probe whose step timings stand beside a record: of the same work, on the same machine, the newest."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.diagnose.probe.record import ProbeRecord
from matrix.diagnose.sides.record import write_diagnosis
from matrix.ground.errors import EnvironmentFailure
from matrix.records.cell import Record
from matrix.refresh.artifacts.probes import kept_probe, new_probe
from tests.factory import make_plan
from tests.refresh.artifacts.made_up import complete_record
from tests.refresh.artifacts.test_steps import probed

PIPELINE = "imaging-delaunay"
DRIVER = {
    "release": "2026.7.9.1",
    "solver_tree": "solver",
    "threads": 2,
    "checkouts": [
        {"name": "PyAutoArray", "role": "library", "purpose": "candidate", "commit": "1"},
        {"name": "autolens_workspace_test", "role": "test", "purpose": "baseline", "commit": "2"},
    ],
}


def measured() -> Record:
    record = complete_record(PIPELINE)
    return dataclasses.replace(record, provenance=dataclasses.replace(record.provenance, driver=DRIVER))


def probe(**changes: Any) -> ProbeRecord:
    made = probed(PIPELINE)
    return dataclasses.replace(made, provenance=dataclasses.replace(measured().provenance, **changes))


def test_newest_of_the_same_work(tmp_path: Path) -> None:
    other_tests = [dict(DRIVER["checkouts"][0]), {**DRIVER["checkouts"][1], "commit": "3"}]  # type: ignore[index]
    newest = probe(finished="2026-01-03", driver={**DRIVER, "checkouts": other_tests})
    write_diagnosis(tmp_path / "probes" / "a" / "candidate" / "record.json", probe(finished="2026-01-02"))
    write_diagnosis(tmp_path / "probes" / "b" / "record.json", newest)
    write_diagnosis(tmp_path / "there" / "c" / "record.json", probe(finished="2026-01-01"))
    (tmp_path / "probes" / "d").mkdir()
    (tmp_path / "probes" / "d" / "record.json").write_text("{")
    folders = [tmp_path / "probes", tmp_path / "there", tmp_path / "nowhere"]
    found = kept_probe(measured(), folders)
    assert found is not None
    assert found.provenance.finished == "2026-01-03"
    pulled = tmp_path / "probes" / "probe-of-a-job" / PIPELINE / "candidate" / "record.json"
    write_diagnosis(pulled, probe(finished="2026-01-04"))
    found = kept_probe(measured(), folders)
    assert found is not None
    assert found.provenance.finished == "2026-01-04"
    found = kept_probe(measured(), folders[1:])
    assert found is not None
    assert found.provenance.finished == "2026-01-01"


@pytest.mark.parametrize(
    "changes",
    [
        {"cpu": "another CPU"},
        {"device_kind": "NVIDIA A100"},
        {"packages": {"autolens": "2026.7.9.1", "jax": "0.7.1"}},
        {"datasets": {"data.fits": "another"}},
        {"driver": {**DRIVER, "solver_tree": "another"}},
        {"driver": {**DRIVER, "threads": 1}},
        {"driver": {**DRIVER, "checkouts": []}},
    ],
    ids=["cpu", "device", "packages", "data", "solver", "threads", "commits"],
)
def test_probe_of_something_else_does_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_diagnosis(tmp_path / "a" / "record.json", probe(**changes))
    assert kept_probe(measured(), [tmp_path]) is None


def test_probe_of_the_baseline_does_not_count(tmp_path: Path) -> None:
    made = probe()
    baseline = dataclasses.replace(made, cell=dataclasses.replace(made.cell, side="baseline"))
    write_diagnosis(tmp_path / "a" / "record.json", baseline)
    assert kept_probe(measured(), [tmp_path]) is None


def test_without_its_environment_nothing_is_probed(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="is gone"):
        new_probe(Console(), make_plan(tmp_path, (PIPELINE,)), measured(), tmp_path)
