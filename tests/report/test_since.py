"""Beside a red verdict stands what changed in the solver since the last green run."""

from pathlib import Path
from typing import Any

from matrix.report.html import write_html
from matrix.report.runs import load_run
from matrix.report.since import since_green
from matrix.run.change import Change, Given
from matrix.run.plan import Plan
from tests.factory import EVIDENCE, evaluation, make_record
from tests.report.made_up import write_run

RED = [make_record(side="baseline"), make_record(evaluations={"jit": evaluation(EVIDENCE * 1.01)})]


def library(folder: Path, **files: str) -> dict[str, Path]:
    """A candidate's library with these files of the solver."""
    package = folder / "autoarray" / "inversion" / "nnls"
    package.mkdir(parents=True)
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return {"candidate": folder}


def run(tmp_path: Path, name: str, red: bool = False, text: str = "one\ntwo\n", **changes: Any) -> Plan:
    libraries = library(tmp_path / f"library-{name}", solve=text, same="same\n")
    facts: dict[str, Any] = {
        "created": f"2026-01-0{name[0]}T00:00:00+00:00",
        "libraries": libraries,
        "solver_tree": text,
        **changes,
    }
    return write_run(tmp_path / "runs" / name, RED if red else None, **facts)


def test_changed_lines_are_counted_and_shown_against_the_newest_green_run(tmp_path: Path) -> None:
    run(tmp_path, "1-green", text="older\n")
    run(tmp_path, "2-green")
    run(tmp_path, "3-red", red=True, text="other\n")
    run(tmp_path, "4-smoke", scale="smoke")
    red = run(tmp_path, "5-red", red=True, text="one\nthree\nfour\n")
    run(tmp_path, "6-later", text="later\n")
    found = since_green(red)
    assert found is not None
    assert (found.green, found.said) == ("2-green", "Changed: solve.py (+2 −1).")
    assert found.difference.splitlines()[-4:] == [" one", "-two", "+three", "+four"]
    judged = load_run(red.folder)
    page = write_html(judged.plan, judged.records, judged.verdicts).read_text()
    banner = page.partition("</header>")[0]
    assert "<code>2-green</code>: Changed: solve.py (+2 −1)." in banner
    assert "+three" in page


def test_same_solver_and_files_that_are_gone_are_said(tmp_path: Path) -> None:
    run(tmp_path, "1-green")
    same = run(tmp_path, "2-red", red=True)
    other = run(tmp_path, "3-red", red=True, text="other\n", libraries={"candidate": tmp_path / "gone"})
    assert [found.said for each in (same, other) if (found := since_green(each))] == [
        "The solver is the same.",
        "The solver is another one; its files are no longer kept.",
    ]


def test_without_a_green_run_nothing_is_said(tmp_path: Path) -> None:
    assert since_green(run(tmp_path, "1-red", red=True)) is None


def test_a_change_that_vendors_nothing_is_no_solver_of_any_run(tmp_path: Path) -> None:
    ref = Change(vendor=False, candidate=Given(refs={"PyAutoArray": "feature/x"}))
    run(tmp_path, "1-green")
    run(tmp_path, "2-green", text="", change=ref)
    assert since_green(run(tmp_path, "3-red", red=True, text="", change=ref)) is None
    vendored = since_green(run(tmp_path, "4-red", red=True))
    assert vendored is not None
    assert (vendored.green, vendored.said) == ("1-green", "The solver is the same.")
