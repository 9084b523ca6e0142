"""Runs found, compared and put in series: only what is comparable, and never silently."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from matrix.commands import flow
from matrix.commands.compare import compare, main, print_comparison, write_comparison
from matrix.commands.matrix import main as matrix
from matrix.commands.matrix import matrix_options
from matrix.commands.report import main as report
from matrix.commands.trend import kept_runs, series_of
from matrix.commands.trend import main as trend
from matrix.ground.errors import UsageError
from matrix.records.cell import Record, Timing, Timings
from matrix.report.runs import find_run, load_run
from matrix.run.plan import OwnDataset
from tests.factory import EVIDENCE, evaluation, make_record
from tests.report.made_up import write_run

FAST = Timing(0.5, 9.9, 2.4, (1.125,) * 3)


def on(cpu: str, started: str = "2026-01-01T00:00:00+00:00") -> list[Record]:
    """Both sides' records of a machine with that processor, measured then."""
    records = [make_record(side=side) for side in ("baseline", "candidate")]
    return [
        dataclasses.replace(
            record, provenance=dataclasses.replace(record.provenance, cpu=cpu, started=started)
        )
        for record in records
    ]


def test_runs_are_found_by_name_start_path_and_latest(tmp_path: Path) -> None:
    for name in ("20260101-a", "20260102-b"):
        write_run(tmp_path / name)
    assert find_run(tmp_path, "20260101-a").name == "20260101-a"
    assert find_run(tmp_path, "20260102").name == "20260102-b"
    assert find_run(tmp_path, "latest").name == "20260102-b"
    assert find_run(tmp_path / "elsewhere", str(tmp_path / "20260101-a")).name == "20260101-a"
    for wrong, says in (("2026", "could be any of"), ("2027", "is none of")):
        with pytest.raises(UsageError, match=says):
            find_run(tmp_path, wrong)


def test_copied_run_is_read_where_it_lies_now(tmp_path: Path) -> None:
    write_run(tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / "moved")
    assert len(load_run(tmp_path / "moved").records) == 2


def test_comparison_shows_difference_and_changed_gates_and_no_ratio_of_two_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    faster = make_record(
        timings=Timings(10.5, make_record().timings.jit, FAST, 3),
        evaluations={"jit": evaluation(EVIDENCE * 1.001)},
    )
    write_run(tmp_path / "b", [make_record(side="baseline"), faster], release="2026.5.8.2")
    found = compare(load_run(tmp_path / "a"), load_run(tmp_path / "b"), across_machines=False)
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows["imaging-pixelization-fp64-candidate"][2:] == (
        *("1.0e-03", "750.0", "375.0"),
        *("inconclusive: not timed in turn",) * 2,
    )
    assert rows["imaging-pixelization-fp64-baseline"][-2:] == ("–", "–")
    assert rows["imaging-pixelization-fp64-baseline"][2] == "0.0e+00"
    assert rows["imaging-pixelization-fp64-candidate"][:2] == ("24746.105672", f"{EVIDENCE * 1.001:.6f}")
    assert ("imaging-pixelization constant candidate", "pass", "fail") in found.changes
    assert found.settings == (("release", "2026.7.9.1", "2026.5.8.2"),)
    page = write_comparison(found).read_text()
    assert "2.00×" not in page
    assert "imaging-pixelization constant candidate" in page


def test_run_against_itself_is_refused_whatever_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "20260101-a")
    for words in (("latest", "latest"), ("latest", str(tmp_path / "runs" / "20260101-a"))):
        assert main([*words, "--root", str(tmp_path)]) == 2
        assert "are the same run, 20260101-a: give two runs" in capsys.readouterr().err


def test_mistyped_run_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write_run(tmp_path / "20260101-green")
    with pytest.raises(UsageError, match="Did you mean '20260101-green'"):
        find_run(tmp_path, "2026-01-01-gren")


def test_trend_counts_a_merged_copy_once(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "20260101-a")
    report([str(tmp_path / "runs" / "20260101-a"), "--root", str(tmp_path)])
    read, _ = kept_runs(tmp_path / "runs")
    assert len(read) == 2
    (series,) = series_of(read)
    assert list(series.runs) == ["20260101-a"]
    assert len(series.points) == 2


def test_other_scale_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs" / "a")
    write_run(tmp_path / "runs" / "b", scale="smoke")
    assert main(["a", "b", "--root", str(tmp_path)]) == 2
    assert "scale production" in capsys.readouterr().err


def test_other_machine_is_refused_and_on_request_shown_without_ratio(tmp_path: Path) -> None:
    write_run(tmp_path / "a", on("one CPU"))
    write_run(tmp_path / "b", on("another CPU"))
    a, b = load_run(tmp_path / "a"), load_run(tmp_path / "b")
    with pytest.raises(UsageError, match=r"different machines.*one CPU.*another CPU.*--across-machines"):
        compare(a, b, across_machines=False)
    found = compare(a, b, across_machines=True)
    assert {row[-1] for row in found.rows} == {"–", "inconclusive: not timed in turn"}
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=200), found)
    assert "their times do not compare" in stream.getvalue()


def test_comparison_names_data_that_are_not_the_workspaces(tmp_path: Path) -> None:
    own = OwnDataset(given="~/lens", files={"data.fits": "0"})
    write_run(tmp_path / "a", arrays=False)
    write_run(tmp_path / "b", arrays=False, datasets={"hst": own})
    found = compare(load_run(tmp_path / "a"), load_run(tmp_path / "b"), across_machines=False)
    named = [line for line in found.settings if "data" in line[0]]
    assert named == [("data beside the workspace's", "–", f"hst from ~/lens ({own.checksum})")]


def test_trend_leaves_out_a_persons_data_and_says_so(tmp_path: Path) -> None:
    made = {"euclid": OwnDataset(given="dataset_setup/imaging.py", files={"data.fits": "0"}, simulated=True)}
    own = {"hst": OwnDataset(given="~/lens", files={"data.fits": "0"})}
    for name, datasets in (("1", {}), ("2", made), ("3", own)):
        write_run(tmp_path / name, arrays=False, datasets=datasets)
    runs, left_out = kept_runs(tmp_path)
    assert [run.plan.run for run in runs] == ["1", "2"]
    assert left_out == [f"3, with hst from ~/lens ({own['hst'].checksum})"]


def test_trend_keeps_machines_and_scales_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "1", on("one CPU"))
    write_run(runs / "2", on("another CPU"))
    write_run(runs / "3", on("one CPU", started="2026-01-03T00:00:00+00:00"))
    (runs / "4").mkdir()
    (runs / "4" / "plan.json").write_text("{}")
    read, unreadable = kept_runs(runs)
    series = series_of(read)
    assert [[point.run for point in one.points] for one in series] == [["1", "1", "3", "3"], ["2", "2"]]
    assert [(row[2], row[3]) for row in series[1].rows] == [
        ("2", "jaxnnls"),
        ("2", "autoarray.inversion.nnls"),
    ]
    assert "4 was made by another version" in unreadable[0]
    assert trend(["--root", str(tmp_path)]) == 0
    assert "left out: 4" in capsys.readouterr().out
    assert (tmp_path / "trend.html").read_text().count('<svg class="chart"') == 2


def test_report_of_a_broken_off_run_is_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "broken", [make_record(side="baseline")])
    folder = tmp_path / "runs" / "broken"
    assert report([str(folder), "--root", str(tmp_path)]) == 3
    assert "there is no record" in capsys.readouterr().out
    (merged,) = (tmp_path / "runs").glob("*-merged")
    assert (merged / "report.html").is_file()


def test_interrupted_run_leaves_the_report_of_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_run(tmp_path / "runs" / "a", [make_record(side="baseline")])

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "plan_matrix", lambda *_: plan)
    monkeypatch.setattr(flow, "_run_suite", interrupted)
    assert matrix(["fp64", "--root", str(tmp_path)]) == 3
    page = plan.folder / "report.html"
    assert str(page) in capsys.readouterr().out
    assert "1 of 2 cells have a record" in page.read_text()


@pytest.mark.parametrize(("word", "silent"), [("-q", True), ("--quiet", True), ("-v", False)])
def test_quiet_is_quiet_about_preparation_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, silent: bool
) -> None:
    told: list[Console] = []
    monkeypatch.setattr(flow, "announced_source", lambda *_: None)
    monkeypatch.setattr(flow, "prepare_sides", lambda console, *_: told.append(console))
    monkeypatch.setattr(flow, "make_plan", lambda *_: None)
    flow.plan_matrix(Console(), matrix_options(["fp64", word, "--root", str(tmp_path)]))
    assert [console.quiet for console in told] == [silent]
