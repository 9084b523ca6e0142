"""The report says what the records and verdicts say, in the terminal and in the files."""

import io
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from matrix.gates import judge, judged_in
from matrix.records.cell import Evaluation, LaneSolve, Record, Timing, Timings
from matrix.report import terminal, write_report
from matrix.report.html.page import write_html
from matrix.report.junit import write_junit
from matrix.report.rows import caption, convergence_of, ending, iterations_of, table_rows
from matrix.run.plan import Plan
from tests.factory import EVIDENCE, LANES, evaluation, make_pair, make_plan, make_record

BOTH = ("imaging-pixelization", "imaging-delaunay")

GATES = len(judged_in("fp64"))


def _timings(seconds: float) -> Timings:
    """A batch of three that takes `seconds` per lane, and a single call that takes twice as long."""
    jit, vmap = (
        Timing(1.0, 1.0, 1.0, (2.0 * whole, whole, 3.0 * whole)) for whole in (seconds, 1.5 * seconds)
    )
    return Timings(1.0, jit, vmap, 3)


def report(tmp_path: Path, **evaluations: Evaluation) -> tuple[Plan, str]:
    """Write the report of one pipeline that ran, twice as fast as before, and one that did not."""
    plan = make_plan(tmp_path, BOTH, residual_dependencies=("jaxnnls==1.0.1 (autoconf)",))
    baseline = make_record(side="baseline", timings=_timings(2.0))
    candidate = make_record(timings=_timings(1.0), evaluations=evaluations)
    records: dict[str, Record] = {record.cell.name: record for record in (baseline, candidate)}
    stream = io.StringIO()
    pairs = {"imaging-pixelization": make_pair()}
    write_report(Console(file=stream, width=160), plan, records, judge(plan, records, {}), pairs)
    return plan, stream.getvalue()


def line_of(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_table_holds_evidence_drift_times_ratio_and_verdict(tmp_path: Path) -> None:
    _, text = report(tmp_path)
    line = line_of(text, "imaging-pixelization")
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells[1:6] == ["24746.105672", "0.0e+00", "2000.0", "1000.0", "2.00× (1.98–2.02)"]
    assert cells[6].startswith(f"pass ({GATES} gates)")
    assert "not run" in line_of(text, "imaging-delaunay")
    assert f"UNFINISHED: {GATES} pass, {GATES} not run" in text


def test_failure_is_named_with_its_numbers_and_whose_it_is(tmp_path: Path) -> None:
    _, text = report(tmp_path, jit=evaluation(EVIDENCE * 1.01))
    assert "FAIL" in line_of(text, "imaging-pixelization")
    line = line_of(text, "constant imaging-pixelization candidate")
    assert "[regressed]" in line
    assert "drift 1.0e-02 (tolerance 1e-04)" in line


def test_summary_holds_gates_times_and_provenance(tmp_path: Path) -> None:
    plan, _ = report(tmp_path)
    summary = (plan.folder / "summary.md").read_text()
    assert "| imaging-pixelization | parity | candidate | ✓ pass |" in summary
    times = "| imaging-pixelization-fp64-candidate | 1.0 | 1.0 | 2000.0 | 1.0 | 1000.0 | 3.00 |"
    assert f"{times} autoarray.inversion.nnls | 1285 | 2/2/2 |" in summary
    assert "`0000000000000000000000000000000000000000`" in summary
    assert "some CPU" in summary
    assert "jaxnnls==1.0.1 (autoconf)" in summary
    assert "imaging-delaunay | parity" not in summary


def test_summary_folds_what_passed_and_shows_what_failed(tmp_path: Path) -> None:
    plan, _ = report(tmp_path / "red", jit=evaluation(EVIDENCE * 1.01))
    shown, *folded = (plan.folder / "summary.md").read_text().split("<details>")
    gates, failed, *_ = shown.splitlines()[2:]
    assert gates.startswith("- **Gates**: ")
    assert failed.startswith("- ✗ **constant** on imaging-pixelization, candidate (regressed): jit")
    assert "Other failures there: 4." in shown
    assert [line for line in shown.splitlines() if line.startswith("- **")][-1].startswith(
        "- **Speed**: 2.00×"
    )
    assert "| imaging-pixelization | FAIL: constant (candidate) and 4 more | 24993." in shown
    # What GitHub shows before anything is unfolded is one screen.
    assert len(shown.splitlines()) < 30
    assert "✓ pass" not in shown
    assert [part.partition("</summary>")[0].strip() for part in folded] == [
        "<summary>What the numbers are",
        "<summary>Times in pairs",
        "<summary>Every gate of the pipelines",
        "<summary>Times and solves, on cpu (some CPU, 2 cores)",
        "<summary>Provenance",
    ]
    plan, _ = report(tmp_path / "green")
    assert "✗" not in (plan.folder / "summary.md").read_text()


def test_verdicts_are_standard_json_even_with_nan(tmp_path: Path) -> None:
    plan, _ = report(tmp_path, jit=evaluation(math.nan))

    def refuse(token: str) -> None:
        raise AssertionError(token)

    document = json.loads((plan.folder / "verdicts.json").read_text(), parse_constant=refuse)
    assert (document["schema"], document["version"]) == ("nnls-matrix/verdicts", 1)
    failed = [verdict for verdict in document["verdicts"] if verdict["outcome"] == "fail"]
    assert {"finite", "constant"} <= {verdict["gate"] for verdict in failed}


def test_pipelines_that_nobody_asked_for_are_named_and_left_out(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, pipelines=("imaging-mge", "imaging-delaunay", "imaging-pixelization"))
    left = make_record(pipeline="imaging-delaunay")
    only = plan.model_copy(update={"selected": ("imaging-mge",)})
    records = {left.cell.name: left}
    assert [row.cells[0] for row in table_rows(only, records, [])] == ["imaging-mge", "imaging-delaunay"]
    assert caption(only, records).endswith("not asked for: imaging-pixelization")
    assert "not asked for" not in caption(plan, {})


@pytest.mark.parametrize(
    ("lanes", "iterations", "convergence"),
    [
        ([(7, True, None), (8, True, None)], ["7", "8"], "all lanes"),
        ([(7, True, None), (50, False, None)], ["7", "50"], "NOT all lanes"),
        ([(4, True, True), (16, None, False)], ["4", "16"], "1 of 2 lanes certified, the others are the"),
        ([(None, None, None)], ["–"], "not stated"),
    ],
)
def test_what_a_solver_says_is_shown_and_what_it_does_not_say_is_not_made_up(
    lanes: list[tuple[int | None, bool | None, bool | None]], iterations: list[str], convergence: str
) -> None:
    solves = tuple(
        LaneSolve(9, count, converged, 0.0, 0.0, 0.0, 1, 50.0, 7.0, certified)
        for count, converged, certified in lanes
    )
    record = make_record(nnls=solves)
    assert iterations_of(record) == iterations
    assert convergence_of(record).startswith(convergence)


def test_note_on_a_curve_stands_beside_it_or_in_its_place(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    polished = make_record(convergence_note="the library polishes")
    without = make_record(side="baseline", convergence=(), convergence_note="no curve: not stated")
    write_html(
        plan, {plan.cell(one.cell.pipeline, one.cell.side).name: one for one in (polished, without)}, []
    )
    page = (tmp_path / "report.html").read_text()
    assert "2: 1e-15 the library polishes" in page
    assert "<td> no curve: not stated</td>" in page


def test_first_lines_stand_in_a_column_behind_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"Moved": "aaa", "Inconclusive": "bbb", "Of whatever length": "ccc"}
    monkeypatch.setattr(terminal, "headlines", lambda *_: lines)
    _, text = report(tmp_path)
    (column,) = {line_of(text, said).index(said) for said in lines.values()}
    assert column == len("Of whatever length") + 2


HOSTILE = "drift [/x] of [bold]1[/bold] \x1b[31m \x00 \ud800 × → <a> & | :warning:"


def test_no_reason_breaks_the_report_or_its_files(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, source_meaning=HOSTILE)
    cell = plan.cell("imaging-pixelization", "candidate")
    verdicts = judge(plan, {}, {cell.name: HOSTILE})
    stream = io.StringIO()
    write_report(Console(file=stream, width=400), plan, {}, verdicts)
    write_junit(plan, verdicts)
    assert "drift [/x] of [bold]1[/bold]" in line_of(stream.getvalue(), "finished imaging-pixelization")
    assert ":warning:" in stream.getvalue()
    failure = ElementTree.parse(tmp_path / "junit.xml").find(".//failure")
    assert failure is not None
    assert "drift [/x] of [bold]1[/bold] \\x1b[31m \\x00 \\ud800 × → <a> & |" in failure.attrib["message"]
    assert "[/x]" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_junit_tells_pass_fail_and_not_run_apart(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, BOTH)
    drifted = make_record(evaluations={"lanes_eager": evaluation(*LANES[:2], math.inf)})
    records = {
        plan.cell(BOTH[0], record.cell.side).name: record
        for record in (make_record(side="baseline"), drifted)
    }
    verdicts = judge(plan, records, {})
    write_junit(plan, verdicts)
    cases = ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")
    said = {
        case.attrib["name"]: "fail"
        if case.find("failure") is not None
        else "not run"
        if case.find("skipped") is not None
        else "pass"
        for case in cases
    }
    assert said == {
        "-".join(filter(None, (v.pipeline, "fp64", v.side, v.gate))): v.outcome.value for v in verdicts
    }
    assert set(said.values()) == {"pass", "fail", "not run"}


def test_an_empty_selection_is_no_pass(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, selected=())
    assert ending(plan, {}, judge(plan, {}, {})).exit_code == 3
