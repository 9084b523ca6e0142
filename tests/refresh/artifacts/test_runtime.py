"""Run-time results have the profiling repository's form, the record's numbers, and drifts from its pin."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from matrix.ground.errors import UsageError
from matrix.refresh.artifacts.runtime import PIPELINE, write_runtime
from tests.factory import EVIDENCE
from tests.refresh.artifacts.made_up import complete_record
from tests.refresh.branches.studied import OLDER_SCRIPT_FILE, RESULT_FILE, SCRIPT, SCRIPT_FILE, make_profiling

PIN = EVIDENCE + 1.5
# What the repository's own gate asks of the provenance of every result.
ASKED = {
    *("provenance_schema", "captured_at", "host", "slurm", "loadavg_at_import", "loadavg_at_write"),
    *("profiling_revision", "library_revisions", "library_versions", "dependency_versions"),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_profiling(tmp_path)
    return tmp_path


def written(repository: Path, config: str = "local_cpu_fp64", **changes: Any) -> dict[str, Any]:
    record = dataclasses.replace(complete_record(PIPELINE), **changes)
    found = write_runtime(repository, {config: record})
    assert len(found.paths) == 1
    return json.loads(found.paths[0].read_text())


def test_numbers_are_the_records_and_the_form_the_repositorys(repository: Path) -> None:
    document = written(repository)
    assert list(document) == [
        *("autolens_version", "device", "instrument", "configuration", "full_pipeline_single_jit"),
        *("full_pipeline_lower_s", "full_pipeline_compile_s", "full_pipeline_first_call_s", "vmap"),
        *("memory_mb", "pinned_expected", "pinned_drift"),
    ]
    assert document["full_pipeline_single_jit"] == 1.25
    assert document["vmap"]["per_call"] == 0.75
    assert document["configuration"]["over_sampled_pixels"] == 17980
    assert document["configuration"]["inversion_path"] == "dense"
    assert (document["pinned_expected"], document["pinned_drift"]) == (PIN, [])
    assert set(document["device"]["provenance"]) >= ASKED
    assert document["device"]["provenance"]["captured_at"] == "2026-01-01T00:01:00Z"
    assert document["device"]["provenance"]["library_versions"] == {"PyAutoLens": "2026.7.9.1"}
    assert not (repository / RESULT_FILE).read_bytes().endswith(b"\n")


def test_what_is_replaced_is_said(repository: Path) -> None:
    results = {"local_cpu_fp64": complete_record(PIPELINE)}
    assert write_runtime(repository, results).notes == (
        f"{RESULT_FILE} replaces what was measured with release 2026.7.6.649",
    )
    assert write_runtime(repository, results).notes == ()
    assert write_runtime(repository, {"hpc_h100_fp64": complete_record(PIPELINE)}).notes == ()


@pytest.mark.parametrize(
    ("pin", "labels"),
    [(EVIDENCE, ["eager"]), (EVIDENCE * 1.01, ["eager", "full", "vmap"]), (EVIDENCE + 5.0, [])],
)
def test_drifts_are_those_beyond_the_scripts_tolerances(
    repository: Path, pin: float, labels: list[str]
) -> None:
    (repository / SCRIPT_FILE).write_text(SCRIPT.replace(repr(PIN), repr(pin)))
    drifts = written(repository)["pinned_drift"]
    if pin == EVIDENCE:
        # 3 of 24746 is 1.2e-4.
        assert drifts == [
            {"label": "eager", "expected": pin, "got": EVIDENCE + 3.0, "rel_diff": 3.0 / pin, "rtol": 1e-4}
        ]
    assert [drift["label"] for drift in drifts] == labels


def test_an_instrument_without_pin_drifts_from_nothing(repository: Path) -> None:
    (repository / SCRIPT_FILE).write_text(SCRIPT.replace(repr(PIN), "None"))
    document = written(repository)
    assert (document["pinned_expected"], document["pinned_drift"]) == (None, [])


def test_the_script_may_be_where_it_was_in_summer(repository: Path) -> None:
    (repository / OLDER_SCRIPT_FILE).parent.mkdir(parents=True)
    (repository / SCRIPT_FILE).rename(repository / OLDER_SCRIPT_FILE)
    assert written(repository)["pinned_expected"] == PIN


@pytest.mark.parametrize(
    ("gone", "missing"),
    [(SCRIPT_FILE, SCRIPT_FILE), ("results", "results/runtime/imaging/mge")],
)
def test_what_the_repository_has_no_place_for_is_left_out(repository: Path, gone: str, missing: str) -> None:
    (repository / gone).rename(repository / "elsewhere")
    found = write_runtime(repository, {"local_cpu_fp64": complete_record(PIPELINE)})
    assert (found.paths, found.notes) == ((), ())
    assert missing in found.left_out[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('label="vmap"', 'label="batch"', "holds 'batch' against its pin"),
        ('label="vmap", rtol=1e-3', 'label="vmap", rtol=RTOL', "line 11: check_pinned"),
        ("check_pinned(", "compare(", "holds no value against its pin"),
    ],
)
def test_another_comparison_is_refused(repository: Path, old: str, new: str, complaint: str) -> None:
    assert old in SCRIPT
    (repository / SCRIPT_FILE).write_text(SCRIPT.replace(old, new))
    with pytest.raises(UsageError, match=complaint):
        written(repository)


def test_a_result_that_is_no_json_stops_the_branch(repository: Path) -> None:
    (repository / RESULT_FILE).write_text("<<<<<<< HEAD")
    with pytest.raises(UsageError, match="is no result file"):
        written(repository)
