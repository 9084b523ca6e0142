"""Merging: what belongs together gives one report, what does not is refused, what is missing is a failure."""

import dataclasses
import datetime
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.commands.refresh_artifacts import _options, _timed
from matrix.commands.report import main, report, report_in_place
from matrix.execute.local import log_tail
from matrix.gates import CHANGE, Outcome
from matrix.ground.errors import UsageError
from matrix.ground.files import write_json
from matrix.ground.layout import open_layout
from matrix.records import typed_json
from matrix.records.cell import SIDES, PrecisionFacts, Side, read_record, write_record
from matrix.records.check import CheckRecord, Item
from matrix.refresh.artifacts.runs import newest_run
from matrix.report.runs import find_run
from matrix.run.kept import kept_check
from matrix.run.plan import (
    Constant,
    OwnDataset,
    Plan,
    PlannedCheck,
    PlannedPair,
    Tolerances,
    read_plan,
    run_folders,
)
from tests.factory import CHECKED_OUT, make_pair, make_plan, make_record
from tests.gates.test_change import green_checks

PIPELINES = ("imaging-pixelization", "imaging-delaunay")


def make_run(
    folder: Path,
    pipelines: Sequence[str],
    sides: Sequence[Side] = SIDES,
    keys: str = "key",
    **changes: Any,
) -> Plan:
    """A run that was planned for both pipelines and has records of `pipelines`."""
    plan = make_plan(folder, PIPELINES, run=folder.name, **changes)
    cells = tuple(cell.model_copy(update={"key": f"{keys} {cell.name}"}) for cell in plan.cells)
    pairs = tuple(
        PlannedPair(
            pipeline=name, precision="fp64", scale="production", key=f"{keys} pair {name}", seconds=60.0
        )
        for name in PIPELINES
    )
    plan = plan.model_copy(update={"cells": cells, "pairs": pairs, "selected": tuple(pipelines)})
    plan.write()
    for pair in pairs:
        if pair.pipeline in pipelines and tuple(sides) == SIDES:
            plan.pair_path(pair).parent.mkdir(exist_ok=True)
            typed_json.write(plan.pair_path(pair), make_pair(pair.pipeline, key=pair.key))
    for cell in plan.cells:
        if cell.pipeline in pipelines and cell.side in sides:
            write_cell(plan, cell.pipeline, cell.side)
    return plan


def write_cell(plan: Plan, pipeline: str, side: Side, commits: object = None) -> None:
    cell = plan.cell(pipeline, side)
    record = make_record(pipeline, side, key=cell.key)
    driver = {"checkouts": commits or [checkout.model_dump() for checkout in plan.checkouts]}
    provenance = dataclasses.replace(record.provenance, driver=driver)
    write_record(plan.record_path(cell), dataclasses.replace(record, provenance=provenance))
    plan.cell_folder(cell).mkdir(parents=True)
    (plan.cell_folder(cell) / "log.txt").write_text(f"log of {cell.name}\n")


def merged_run(root: Path) -> Path:
    return next((root / "runs").glob("*-merged"))


def verdicts(run: Path) -> list[dict[str, Any]]:
    found = json.loads((run / "verdicts.json").read_text())["verdicts"]
    return sorted(found, key=lambda verdict: (verdict["pipeline"], verdict["gate"], verdict["side"] or ""))


def test_shards_of_two_machines_give_the_report_of_one(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole", PIPELINES)
    assert report_in_place(Console(), whole.folder) == 0
    # Two machines, so the content keys differ: the interpreter is part of them.
    make_run(tmp_path / "shards" / "a", PIPELINES[:1], keys="A")
    make_run(tmp_path / "shards" / "b", PIPELINES[1:], keys="B")
    assert report(Console(), [tmp_path / "shards"], tmp_path / "root") == 0
    merged = merged_run(tmp_path / "root")
    assert verdicts(merged) == verdicts(whole.folder)
    of_cells = [verdict for verdict in verdicts(merged) if verdict["pipeline"] != CHANGE]
    assert {verdict["outcome"] for verdict in of_cells} == {"pass"}
    plan = read_plan(merged)
    assert plan.cell(PIPELINES[0], "baseline").key.startswith("A")
    assert plan.cell(PIPELINES[1], "candidate").key.startswith("B")
    assert {pair.key[0] for pair in plan.pairs} == {"A", "B"}
    for cell in plan.cells:
        assert (plan.cell_folder(cell) / "log.txt").read_text() == f"log of {cell.name}\n"


def test_junit_tells_the_same_as_the_verdicts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", PIPELINES[:1])
    write_record(
        run.record_path(run.cell(PIPELINES[0], "candidate")),
        make_record(
            key=run.cell(PIPELINES[0], "candidate").key,
            precision=PrecisionFacts(False, None, False, "float32"),
        ),
    )
    report(Console(), [run.folder, make_run(tmp_path / "b", ()).folder], tmp_path / "root")
    merged = merged_run(tmp_path / "root")
    suite = ElementTree.parse(merged / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    outcomes = [verdict["outcome"] for verdict in verdicts(merged)]
    assert int(suite.attrib["tests"]) == len(outcomes)
    assert int(suite.attrib["failures"]) == outcomes.count("fail")
    assert int(suite.attrib["skipped"]) == outcomes.count("not run")


def test_merging_again_gives_the_same_folder(tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path / name, (pipeline,)).folder for name, pipeline in zip("ab", PIPELINES, strict=True)
    ]
    for _ in range(2):
        assert report(Console(), folders, tmp_path / "root") == 0
    assert len(list((tmp_path / "root" / "runs").iterdir())) == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_merged_run_is_newer_than_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """In its name too, which is by the clock of the place: `latest` and a trend tell them apart."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    created = datetime.datetime(2026, 1, 1, 12, 0, 5, tzinfo=datetime.UTC)
    runs = tmp_path / "runs"
    name = f"{created.astimezone():%Y%m%d-%H%M%S}-fp64-ffffff"
    source = make_run(runs / name, PIPELINES, created=created.isoformat())
    assert report(Console(), [source.folder], tmp_path) == 0
    merged = read_plan(find_run(runs, "latest"))
    assert merged.run.endswith("-merged")
    assert merged.created == "2026-01-01T12:00:06+00:00"
    assert [folder.name for folder in run_folders(runs)] == [source.run, merged.run]
    monkeypatch.undo()
    time.tzset()


def test_missing_cell_is_a_failure_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "in" / "a", PIPELINES[:1])
    other = make_run(tmp_path / "in" / "b", PIPELINES[1:], sides=("baseline",))
    lost = other.cell(PIPELINES[1], "candidate")
    write_json(other.cell_folder(lost) / "failure.json", {"reason": "exit code 7"})
    assert main([str(tmp_path / "in"), "--root", str(tmp_path / "root")]) == 1
    out = capsys.readouterr().out
    assert f"{lost.name}: there is no record" in out
    finished = [v for v in verdicts(merged_run(tmp_path / "root")) if v["gate"] == "finished"]
    assert [v["message"] for v in finished if v["outcome"] != "pass"] != []
    assert any("exit code 7" in v["message"] for v in finished)


def test_moved_run_is_judged_where_it_lies_on_what_it_was_asked_for(tmp_path: Path) -> None:
    make_run(tmp_path / "there", PIPELINES[:1])
    (tmp_path / "there").rename(tmp_path / "here")
    assert report_in_place(Console(), tmp_path / "here") == 0
    assert (tmp_path / "here" / "summary.md").exists()
    read_plan(tmp_path / "here").model_copy(update={"selected": PIPELINES}).write()
    assert report_in_place(Console(), tmp_path / "here") == 3


def test_only_shard_that_came_back_is_not_the_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", PIPELINES[:1])
    # On its own it is a selection, and whole.
    assert main([str(run.folder), "--root", str(tmp_path / "root")]) == 0
    read_plan(run.folder).model_copy(update={"whole": PIPELINES}).write()
    assert main([str(run.folder), "--root", str(tmp_path / "root")]) == 3
    assert "UNFINISHED" in (merged_run(tmp_path / "root") / "summary.md").read_text()


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("release", {"release": "2026.5.8.2"}),
        ("scale", {"scale": "smoke"}),
        ("precision", {"precision": "mp"}),
        ("source", {"source": "mirror"}),
        ("accelerator", {"accelerator": "cuda12"}),
        ("solver tree", {"solver_tree": "1"}),
        ("this program", {"code": "1"}),
        ("tolerances of the manifest", {"tolerances": Tolerances(evidence=1e-3, parity=1e-6)}),
        ("seed", {"seed": 2}),
        (
            "data beside the workspace's",
            {"datasets": {"hst": OwnDataset(given="~/lens", files={"data.fits": "0"})}},
        ),
        (
            "constants",
            {
                "constants": {
                    name: Constant(name="E", value=1.0, script="s", required=True) for name in PIPELINES
                }
            },
        ),
    ],
)
def test_run_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, changes: dict[str, Any]
) -> None:
    make_run(tmp_path / "in" / "a", PIPELINES[:1])
    make_run(tmp_path / "in" / "b", PIPELINES[1:], **changes)
    assert main([str(tmp_path / "in"), "--root", str(tmp_path / "root")]) == 2
    err = capsys.readouterr().err
    assert "do not belong together" in err
    assert f"  {what}: " in err


def test_run_of_other_commits_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = make_run(tmp_path / "in" / "a", PIPELINES[:1])
    moved = tuple(checkout.model_copy(update={"commit": "1" * 40}) for checkout in first.checkouts)
    make_run(tmp_path / "in" / "b", PIPELINES[1:], checkouts=moved)
    assert main([str(tmp_path / "in"), "--root", str(tmp_path / "root")]) == 2
    assert "1" * 40 in capsys.readouterr().err


def test_record_that_names_other_commits_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "a", PIPELINES[:1])
    write_cell(run, PIPELINES[1], "baseline", commits=[{"name": "PyAutoArray", "commit": "1" * 40}])
    write_cell(run, PIPELINES[1], "candidate")
    read_plan(run.folder).model_copy(update={"selected": PIPELINES}).write()
    other = make_run(tmp_path / "b", ())
    assert main([str(run.folder), str(other.folder), "--root", str(tmp_path / "root")]) == 3
    assert f"{PIPELINES[1]}-fp64-baseline: there is no record" in capsys.readouterr().out


def test_same_cell_twice_is_refused(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, PIPELINES).folder for name in "ab"]
    with pytest.raises(UsageError, match="give one of them"):
        report(Console(), folders, tmp_path / "root")


def test_sides_of_two_machines_are_refused(tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path / name, PIPELINES[:1], sides=(side,)).folder
        for name, side in zip("ab", SIDES, strict=True)
    ]
    with pytest.raises(UsageError, match="not be comparable"):
        report(Console(), folders, tmp_path / "root")


def with_gradients(plan: Plan, key: str, measured: bool) -> Plan:
    """The run asked for gate 6's check too, with a key of its machine, and made it or failed to."""
    check = PlannedCheck(check="gradients", side="candidate", scale=plan.scale, key=key)
    plan = plan.model_copy(update={"checks": (check,), "selected_checks": ("gradients",)})
    plan.write()
    if measured:
        ones = ("value", "lane_value", "exact_value", "largest_q_gradient", "largest_Q_gradient")
        numbers = {"condition": 1e7, "not_finite": 0.0, **dict.fromkeys(ones, 1.0)}
        items = (Item("solve_nnls_primal", "measured", numbers=numbers),)
        typed_json.write(plan.check_path(check), CheckRecord("gradients", "candidate", key, items, {}, 1.0))
    else:
        write_json(plan.check_folder(check) / "failure.json", {"reason": "exit code 7"})
    return plan


def two_runs_with_gradients(folder: Path, measured: Sequence[bool]) -> list[Path]:
    plans = [make_run(folder / name, (one,)) for name, one in zip("ab", PIPELINES, strict=True)]
    return [with_gradients(plan, plan.run, made).folder for plan, made in zip(plans, measured, strict=True)]


def test_check_of_another_machine_comes_with_its_key(tmp_path: Path) -> None:
    folders = two_runs_with_gradients(tmp_path, (False, True))
    report(Console(), folders, tmp_path / "root")
    merged = read_plan(merged_run(tmp_path / "root"))
    assert [check.key for check in merged.checks] == ["b"]
    assert kept_check(merged, merged.checks[0]) is not None
    assert gate_6(tmp_path)["outcome"] == "pass"


def test_check_that_was_asked_for_and_is_not_there_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = two_runs_with_gradients(tmp_path, (False, False))
    assert main([*map(str, folders), "--root", str(tmp_path / "root")]) == 1
    assert "gradients-candidate: exit code 7" in capsys.readouterr().out
    assert gate_6(tmp_path)["outcome"] == "fail"


def test_same_check_twice_is_refused(tmp_path: Path) -> None:
    folders = two_runs_with_gradients(tmp_path, (True, True))
    with pytest.raises(UsageError, match="gradients-candidate is in both"):
        report(Console(), folders, tmp_path / "root")


def gate_6(folder: Path) -> dict[str, Any]:
    found = verdicts(merged_run(folder / "root"))
    return next(verdict for verdict in found if verdict["gate"].startswith("gate 6"))


@pytest.mark.parametrize("damage", ["{", "no plan"])
def test_folder_without_a_readable_plan_is_refused(tmp_path: Path, damage: str) -> None:
    run = make_run(tmp_path / "a", PIPELINES)
    if damage == "{":
        (run.folder / "plan.json").write_text('{"version": 2}')
    else:
        (run.folder / "plan.json").unlink()
    assert main([str(run.folder), "--root", str(tmp_path / "root")]) == 2


@pytest.mark.parametrize("name", ["log.txt", "record", "plan.json", "junit.xml", "cells"])
def test_nothing_is_read_or_written_through_a_link_in_a_run(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("t0ken\n")
    run = make_run(tmp_path / "a", PIPELINES[:1])
    cell = run.cell(PIPELINES[0], "candidate")
    places = {"log.txt": run.cell_folder(cell) / "log.txt", "record": run.record_path(cell)}
    place = places.get(name, run.folder / name)
    place.rename(tmp_path / "moved") if place.exists() else None
    place.symlink_to(tmp_path / "moved" if name == "cells" else secret)
    # A log is read where its cell failed; merging copies it, and makes a junit.xml of its own.
    if name != "log.txt":
        with pytest.raises(UsageError, match="symbolic link"):
            report_in_place(Console(), run.folder)
    if name != "junit.xml":
        with pytest.raises(UsageError, match="symbolic link"):
            report(Console(), [run.folder], tmp_path / "root")
    if name == "log.txt":
        with pytest.raises(UsageError, match="symbolic link"):
            log_tail(place)
    assert secret.read_text() == "t0ken\n"
    assert not any("t0ken" in path.read_text() for path in (tmp_path / "root").rglob("*") if path.is_file())


def make_gpu_run(folder: Path, lane_ms: float = 20.0, **changes: Any) -> Plan:
    """A run of the same software on a cluster's GPU: cells alone, with keys of that place."""
    plan = make_run(folder, PIPELINES, keys="there", accelerator="cuda12", **changes)
    for cell in plan.cells:
        found = read_record(plan.record_path(cell))
        timing = dataclasses.replace(found.timings.vmap, steady_s=(3e-3 * lane_ms,) * 3)
        facts = dataclasses.replace(
            found.provenance, device_platform="gpu", device_kind="NVIDIA A100-SXM4-80GB", cpu="EPYC", cores=64
        )
        timings = dataclasses.replace(found.timings, vmap=timing)
        write_record(plan.record_path(cell), dataclasses.replace(found, provenance=facts, timings=timings))
    return plan


def whole_run(folder: Path, **changes: Any) -> Plan:
    """A run of this machine with all its cells and checks, green as far as it can be judged here."""
    given = green_checks()
    checks = tuple(
        PlannedCheck(check=one.check, side=one.side, scale="production", key=one.key) for one in given
    )
    names = tuple(dict.fromkeys(check.check for check in checks))
    plan = make_run(folder, PIPELINES, checks=checks, selected_checks=names, **changes)
    for check, found in zip(checks, given, strict=True):
        typed_json.write(plan.check_path(check), found)
    return plan


def test_with_the_times_of_a_gpu_every_gate_is_judged(tmp_path: Path) -> None:
    here, there = whole_run(tmp_path / "here"), make_gpu_run(tmp_path / "there")
    times = ["--times-from", str(there.folder)]
    assert main([str(here.folder), "--root", str(tmp_path / "root"), *times]) == 0
    found = verdicts(merged_run(tmp_path / "root"))
    of_the_change = {v["gate"]: v for v in found if v["pipeline"] == CHANGE}
    assert {name: v["outcome"] for name, v in of_the_change.items()} == dict.fromkeys(of_the_change, "pass")
    assert "on NVIDIA A100-SXM4-80GB" in of_the_change["gate 2: vmap time targets"]["message"]
    summary = (merged_run(tmp_path / "root") / "summary.md").read_text()
    assert "Times and solves, on cpu (some CPU, 2 cores)" in summary
    assert f"run {there.run}, on NVIDIA A100-SXM4-80GB (EPYC, 64 cores)" in summary
    # Without them nothing is judged that was not measured.
    assert main([str(here.folder), "--root", str(tmp_path / "alone")]) == 0
    alone = {v["gate"]: v["outcome"] for v in verdicts(merged_run(tmp_path / "alone"))}
    assert alone["gate 2: vmap time targets"] == "not run"


def test_a_gpu_that_is_too_slow_fails(tmp_path: Path) -> None:
    here, there = whole_run(tmp_path / "here"), make_gpu_run(tmp_path / "there", lane_ms=30.0)
    times = ["--times-from", str(there.folder)]
    assert main([str(here.folder), "--root", str(tmp_path / "root"), *times]) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"checkouts": (CHECKED_OUT.model_copy(update={"commit": "1" * 40}),)},
            "commits: .*0000.*here, .*1111.*there",
        ),
        ({"release": "2026.10.26.1"}, "release: '2026.7.9.1' in .*here, '2026.10.26.1' in .*there"),
        ({"solver_tree": "1"}, "solver tree: "),
        ({"targets": {}}, "time targets of the manifest: "),
    ],
)
def test_times_of_other_software_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    here, there = whole_run(tmp_path / "here"), make_gpu_run(tmp_path / "there", **changes)
    with pytest.raises(UsageError, match=says):
        report(Console(), [here.folder], tmp_path / "root", [there.folder])


def test_times_without_both_sides_are_refused(tmp_path: Path) -> None:
    here, there = whole_run(tmp_path / "here"), make_gpu_run(tmp_path / "there")
    for cell in there.cells:
        if cell.side == "baseline":
            there.record_path(cell).unlink()
    with pytest.raises(UsageError, match="both sides of a pipeline with a time target"):
        report(Console(), [here.folder], tmp_path / "root", [there.folder])


def test_a_refresh_takes_the_times_of_a_gpu_too(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "root")
    whole_run(layout.runs / "here")
    there = make_gpu_run(tmp_path / "there")
    words = ["--root", str(layout.root), "--times-from", str(there.folder)]
    timed = _timed(newest_run(layout.runs, None), layout, _options(words))
    outcomes = {verdict.gate: verdict.outcome for verdict in timed.verdicts if verdict.pipeline == CHANGE}
    assert outcomes == dict.fromkeys(outcomes, Outcome.PASS)
