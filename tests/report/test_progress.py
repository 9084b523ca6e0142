"""Progress as a real pytest run drives it: plain, quiet, verbose and on GitHub."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matrix.ground.layout import REPOSITORY_ROOT
from matrix.run.plan import PlannedCheck
from tests.report.made_up import write_run

SUITE = """
import time
import pytest

@pytest.mark.parametrize("cell", ["baseline", "candidate"], ids="imaging-pixelization-fp64-{{}}".format)
def test_cell(cell):
    time.sleep({seconds})
    assert cell == "baseline", "the reason of the failure"

@pytest.mark.parametrize("check", ["scripts-candidate"], ids="gate-done-{{}}".format)
def test_check(check):
    time.sleep({seconds})
"""
DRIVER = """
import sys
from pathlib import Path
import pytest
from rich.console import Console
from matrix.run.plan import read_plan
from matrix.report.progress import Progress
progress = Progress(Console(highlight=False, soft_wrap=True), read_plan(Path(sys.argv[1])))
pytest.main([*sys.argv[2:], "-p", "no:cacheprovider", "-p", "no:xdist"], plugins=[progress])
"""


def output(tmp_path: Path, *words: str, seconds: float = 0.0, setup: str = "", **variables: str) -> str:
    check = PlannedCheck(check="scripts", side="candidate", scale="production", key="k")
    plan = write_run(tmp_path / "run", checks=(check,))
    plan.check_stage(check).parent.mkdir(parents=True)
    plan.check_stage(check).write_text("3 of 9, a script\n")
    folder = plan.cell_folder(plan.cell("imaging-pixelization", "baseline"))
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("what the cell said\n")
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE.format(seconds=seconds))
    done = subprocess.run(
        [sys.executable, "-c", setup + DRIVER, str(plan.folder), str(suite), *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY_ROOT), "PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_plain_lines_say_what_ends_and_why_it_failed(tmp_path: Path) -> None:
    said = output(tmp_path)
    # Two cells and a check: each counts.
    assert "1/3 imaging-pixelization-fp64-baseline finished" in said
    assert "3/3 check scripts-candidate finished" in said
    assert "FAILED test_cell[imaging-pixelization-fp64-candidate]" in said
    assert "the reason of the failure" in said
    assert "check scripts-candidate started" in said
    assert "check scripts-candidate finished" in said
    assert "::group::" not in said
    assert "\x1b" not in said


def test_plain_lines_say_what_still_runs_and_how_much_slower_than_expected(tmp_path: Path) -> None:
    expected = "first_guess = lambda cell: 1.0"
    setup = f"from matrix.report import progress\nprogress.STILL_SECONDS = 1.0\nprogress.{expected}\n"
    # Here tests run in the process that reports, whose output pytest would hold back.
    lines = output(tmp_path, "--capture=no", seconds=3.5, setup=setup).splitlines()
    assert any("imaging-pixelization-fp64-baseline still running: " in line for line in lines)
    assert any("check scripts-candidate still running: 3 of 9, a script" in line for line in lines)
    # One second was expected of each; the second is given what the first took.
    begin = next(line for line in lines if "imaging-pixelization-fp64-candidate kept" in line)
    left = re.search(r"about 0:(\d+) left", begin)
    assert left and int(left[1]) >= 3


def test_checks_are_part_of_what_is_left_and_what_one_took_is_kept(tmp_path: Path) -> None:
    setup = "from matrix.report import progress\nprogress.CHECK_SECONDS = 3000.0\n"
    lines = output(tmp_path, "--capture=no", seconds=1.2, setup=setup).splitlines()
    begin = next(line for line in lines if "0/3 imaging-pixelization-fp64-baseline" in line)
    left = re.search(r"about (\d+):\d+ left", begin)
    assert left and int(left[1]) >= 50
    (kept,) = tmp_path.rglob("durations.json")
    assert json.loads(kept.read_text())["check scripts-candidate-production"] == pytest.approx(1.2, abs=0.4)


def test_quiet_says_only_what_failed(tmp_path: Path) -> None:
    said = output(tmp_path, "-q")
    assert "finished" not in said
    assert "FAILED test_cell[imaging-pixelization-fp64-candidate]" in said


def test_verbose_adds_time_and_memory_of_the_record(tmp_path: Path) -> None:
    assert "vmap 750.0 ms per lane, peak 3.00 GiB" in output(tmp_path, "-v")


def test_ci_gets_folded_logs(tmp_path: Path) -> None:
    lines = output(tmp_path, CI="true").splitlines()
    opened = lines.index("::group::log of imaging-pixelization-fp64-baseline")
    assert lines[opened + 1 : opened + 3] == ["what the cell said", "::endgroup::"]
    assert lines.count("::endgroup::") == sum(line.startswith("::group::") for line in lines)


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
def test_colours_follow_the_variables_people_set(tmp_path: Path, variable: str) -> None:
    variables: dict[str, Any] = {variable: "1"}
    coloured = "\x1b[31m" in output(tmp_path, **variables)
    assert coloured == (variable == "FORCE_COLOR")
