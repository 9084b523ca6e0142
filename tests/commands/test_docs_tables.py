"""Tables of figures: made of committed records, up to date, and the main run's record made of a run."""

import dataclasses
import json
from pathlib import Path

import pytest

from matrix.commands import docs_tables
from matrix.commands.docs_tables import PAGES, TABLES, main, up_to_date
from matrix.diagnose.corpus.record import CorpusRecord
from matrix.diagnose.corpus.table import corpus_table
from matrix.ground.errors import UsageError
from matrix.records import typed_json
from matrix.report.main_run import main_run_of, read_main_run, write_main_run
from matrix.report.runs import load_run
from tests.factory import make_pair, make_record
from tests.report.made_up import write_run

PIPELINES = ("imaging-pixelization",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_as_the_committed_records_say(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert up_to_date(text) == text


def test_the_whole_table_of_the_corpus_is_as_its_record_says() -> None:
    record = typed_json.read(docs_tables.RESULTS / "corpus-cpu.json", CorpusRecord)
    assert (docs_tables.RESULTS / "corpus-cpu.md").read_text(encoding="utf-8") == corpus_table(record)


def test_every_table_stands_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in TABLES:
        assert f"<!-- {name}: begin -->" in text


def test_mark_of_no_table_is_an_error() -> None:
    with pytest.raises(KeyError, match="no-such-table"):
        up_to_date("<!-- no-such-table: begin -->\n<!-- no-such-table: end -->")


def test_record_holds_what_the_run_s_records_hold(tmp_path: Path) -> None:
    write_run(tmp_path / "run", pipelines=PIPELINES)
    run = load_run(tmp_path / "run")
    kept = main_run_of(run)
    (pipeline,) = kept.pipelines
    candidate = run.records["imaging-pixelization-fp64-candidate"]
    assert pipeline.evidence == candidate.evaluations.jit.values[0]
    assert (pipeline.candidate_ms, pipeline.speed) == (None, "inconclusive: not timed in turn")
    assert sum(pipeline.gates.values()) == sum(v.pipeline == pipeline.pipeline for v in run.verdicts)
    write_main_run(tmp_path / "kept.json", kept)
    assert json.loads((tmp_path / "kept.json").read_text())["schema"] == "nnls-matrix/main-run"
    assert read_main_run(tmp_path / "kept.json") == kept


@pytest.mark.parametrize(
    ("created", "seconds"), [("2025-12-31T23:59:00+00:00", 120.0), ("2026-01-01T00:00:30+00:00", None)]
)
def test_time_of_a_run_is_known_where_it_kept_nothing_of_an_earlier_one(
    created: str, seconds: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", pipelines=PIPELINES, created=created)
    kept = main_run_of(load_run(tmp_path / "run"))
    assert kept.seconds == seconds
    assert kept.peak_bytes == make_record().memory.peak_rss_bytes
    write_main_run(tmp_path / "matrix-fp64.json", kept)
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path)
    table = TABLES["needs"]()
    assert "the largest took 3.0 GiB" in table
    assert ("| time | 2 minutes" in table) is (seconds is not None)


def test_families_on_which_ours_is_slower_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = json.loads((docs_tables.RESULTS / "bench-families-cpu.json").read_text(encoding="utf-8"))
    rows = [row for row in record["rows"] if row["solver"] in ("ours", "jaxnnls") and row["lanes"] == 1]
    ours, theirs = ([row for row in rows if row["solver"] == name][:3] for name in ("ours", "jaxnnls"))
    for index, (system, spread) in enumerate(
        {"slow": (0.7, 0.9), "open": (0.9, 1.1), "fast": (2, 3)}.items()
    ):
        ours[index]["system"] = theirs[index]["system"] = system
        theirs[index] |= {"spread": spread, "times_ours": sum(spread) / 2}
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path)
    for kept, said in (
        (3, "Slower than jaxnnls: slow 0.80× (0.70–0.90).\n"),
        (0, "Slower than jaxnnls: none.\n"),
    ):
        changed = record | {"rows": [*ours[:kept], *theirs[:kept]]}
        (tmp_path / "bench-families-cpu.json").write_text(json.dumps(changed), encoding="utf-8")
        assert said in TABLES["families"]()


@pytest.mark.parametrize(("scale", "shown"), [("production", True), ("smoke", False)])
def test_times_are_shown_where_they_mean_something(
    scale: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", pipelines=PIPELINES)
    kept = main_run_of(load_run(tmp_path / "run")).model_copy(update={"scale": scale})
    write_main_run(tmp_path / "matrix-fp64.json", kept)
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path)
    table = TABLES["main-run-in-full"]()
    assert ("speed-up" in table) is shown
    assert ("Times of this scale mean nothing" in table) is not shown


def test_run_that_lacks_a_record_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [make_record(side="baseline")], pipelines=PIPELINES)
    with pytest.raises(UsageError, match="lacks imaging-pixelization-fp64-candidate"):
        main_run_of(load_run(tmp_path / "run"))


def test_damaged_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text('{"schema": "another"}')
    with pytest.raises(UsageError, match=r"kept\.json is no record of a main run"):
        read_main_run(tmp_path / "kept.json")


def test_speed_is_that_of_the_pair_with_its_interval(tmp_path: Path) -> None:
    write_run(tmp_path / "run", pipelines=PIPELINES)
    run = load_run(tmp_path / "run")
    record = make_pair(baseline=6.0, candidate=3.0)
    (pipeline,) = main_run_of(dataclasses.replace(run, pairs={"imaging-pixelization": record})).pipelines
    assert (pipeline.baseline_ms, pipeline.candidate_ms) == (2000.0, 1000.0)
    assert pipeline.speed == "2.00× (1.98–2.02)"


def test_command_makes_the_record_and_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- main-run: begin -->\nold\n<!-- main-run: end -->\nafter\n")
    write_run(tmp_path / "run", pipelines=PIPELINES)
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path)
    monkeypatch.setattr(docs_tables, "PAGES", (page,))
    root = ["--root", str(tmp_path / "root")]
    assert main([*root, "--run", str(tmp_path / "run"), "--check"]) == 1
    assert "old" in page.read_text()
    assert main(root) == 0
    made = page.read_text()
    assert made.startswith("before\n<!-- main-run: begin -->\n| pipeline |")
    assert "imaging-pixelization" in made
    assert "old" not in made
    assert main([*root, "--check"]) == 0


def test_package_of_one_side_leaves_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", pipelines=PIPELINES)
    versions = {"baseline": {"Python": "3.12.1", "jaxnnls": "1.0.1", "scipy": "1.17.1"}}
    versions["candidate"] = {"Python": "3.12.1", "scipy": "1.17.1"}
    kept = main_run_of(load_run(tmp_path / "run")).model_copy(update={"versions": versions})
    write_main_run(tmp_path / "matrix-fp64.json", kept)
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path)
    assert "| candidate | 3.12.1 | none | 1.17.1 |" in TABLES["main-run-in-full"]()
