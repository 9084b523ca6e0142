"""A downloaded run in which all is hostile: nothing of it is run, followed, made elsewhere or believed."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.commands import compare, trend
from matrix.commands import refresh_artifacts as refresh
from matrix.commands import report as merge
from matrix.ground.console import open_console
from matrix.ground.errors import exit_code_of
from matrix.records.arrays import arrays_path
from tests.report.made_up import write_run

Attack = Callable[[Path, Path], None]


class _Boom:
    """What a pickle may do while it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


def record(run: Path) -> Path:
    return sorted((run / "records").glob("*.json"))[0]


def absolute_paths(run: Path, place: Path) -> None:
    program = place / "program"
    program.write_text(f"#!/bin/sh\nmkdir {place / 'marker'}\n")
    program.chmod(0o755)
    plan = json.loads((run / "plan.json").read_text())
    for side in plan["environments"].values():
        side |= {"python": str(program), "pythonpath": [str(place)]}
    theirs = {
        **dict.fromkeys(("locks", "cache"), str(place / "made")),
        **dict.fromkeys(("workspace", "test_workspace", "folder", "float64_run"), "/etc"),
        "libraries": {"baseline": "/etc", "candidate": "/etc"},
    }
    (run / "plan.json").write_text(json.dumps(plan | theirs))


def record_is_a_link(run: Path, place: Path) -> None:
    path = record(run)
    path.rename(place / "elsewhere.json")
    path.symlink_to(place / "elsewhere.json")


def records_are_a_link(run: Path, place: Path) -> None:
    (run / "records").rename(place / "elsewhere")
    (run / "records").symlink_to(place / "elsewhere")


def plan_is_a_link(run: Path, place: Path) -> None:
    (run / "plan.json").rename(place / "elsewhere.json")
    (run / "plan.json").symlink_to(place / "elsewhere.json")


def log_is_a_link(run: Path, place: Path) -> None:
    (place / "secret").write_text("what nobody may see")
    for path in list((run / "records").glob("*.json")):
        folder = run / "cells" / path.stem
        folder.mkdir(parents=True)
        (folder / "log.txt").symlink_to(place / "secret")
        path.unlink()


def results_are_links(run: Path, place: Path) -> None:
    (place / "precious").write_text("precious")
    for name in ("report.html", "summary.md", "junit.xml", "verdicts.json"):
        (run / name).symlink_to(place / "precious")


def results_are_folders(run: Path, _: Path) -> None:
    for name in ("report.html", "summary.md", "junit.xml", "verdicts.json"):
        (run / name).mkdir()


def plan_has_no_time(run: Path, _: Path) -> None:
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(plan | {"created": "9999-12-31T23:59:59+00:00"}))


def record_has_no_time(run: Path, _: Path) -> None:
    document = json.loads(record(run).read_text())
    document["provenance"]["started"] = "[/x]\x1b"
    record(run).write_text(json.dumps(document))


def record_is_a_pipe(run: Path, _: Path) -> None:
    path = record(run)
    path.unlink()
    os.mkfifo(path)


def record_is_a_pickle(run: Path, place: Path) -> None:
    record(run).write_bytes(pickle.dumps(_Boom(place / "marker")))


def arrays_are_pickles(run: Path, place: Path) -> None:
    boom = np.array([_Boom(place / "marker")], dtype=object)
    np.savez(arrays_path(record(run)), key=boom, mask=boom)


def record_is_large(run: Path, _: Path) -> None:
    os.truncate(record(run), 2**40)


def plan_is_large(run: Path, _: Path) -> None:
    os.truncate(run / "plan.json", 2**40)


def record_is_deep(run: Path, _: Path) -> None:
    record(run).write_text('{"a":' * 1_000_000)


def plan_is_deep(run: Path, _: Path) -> None:
    (run / "plan.json").write_text("[" * 1_000_000)


def number_is_long(run: Path, _: Path) -> None:
    record(run).write_text(record(run).read_text().replace('"version": 1', f'"version": {"9" * 1_000_000}'))


ATTACKS = (
    absolute_paths,
    *(record_is_a_link, records_are_a_link, plan_is_a_link, log_is_a_link, results_are_links),
    *(results_are_folders, plan_has_no_time, record_has_no_time),
    *(record_is_a_pipe, record_is_a_pickle, arrays_are_pickles),
    *(record_is_large, plan_is_large, record_is_deep, plan_is_deep, number_is_long),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_hostile_run_is_refused_or_read_for_what_it_is(
    attack: Attack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GH_TOKEN", "t0ken-of-a-person")
    run, place = tmp_path / "root" / "runs" / "made-up", tmp_path / "place"
    place.mkdir()
    write_run(run)
    attack(run, place)
    root = f"--root={tmp_path / 'root'}"
    ends = {
        # What `hpc pull` does with what it brought.
        "pull": exit_code_of(lambda: merge.report_in_place(open_console(), run)),
        "report": merge.main([str(run), f"--root={tmp_path / 'out'}"]),
        "refresh": refresh.main(["--run-nothing", root]),
        "compare": compare.main([str(run), str(run)]),
        "trend": trend.main([root]),
    }
    said = capsys.readouterr()
    # None of them is a crash, none a verdict of a gate, and none of it may be refreshed from.
    assert "error of ours" not in said.err
    assert "Traceback" not in said.err
    assert 1 not in ends.values()
    assert ends["refresh"] == 2
    assert not (place / "marker").exists()
    assert not (place / "made").exists()
    if (place / "precious").exists():
        assert (place / "precious").read_text() == "precious"
    written = [path for path in tmp_path.rglob("*") if path.is_file() and place not in path.parents]
    small = [path for path in written if path.stat().st_size < 2**30 and not path.is_symlink()]
    for secret in (b"what nobody may see", b"t0ken-of-a-person"):
        assert not [path for path in small if secret in path.read_bytes()]
    assert "what nobody may see" not in said.out + said.err
