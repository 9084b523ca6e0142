"""`nox -s docs-tables`: every table of figures in README and docs, from the records of docs/results."""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matrix.catalogue.pipelines import PIPELINES
from matrix.commands.doctor import DISK_NEEDED
from matrix.diagnose.bench.release import OURS
from matrix.diagnose.corpus.record import REFERENCE, CorpusRecord
from matrix.diagnose.corpus.rule import judgements
from matrix.diagnose.corpus.table import FAMILIES
from matrix.execute.reservations import peak_bytes
from matrix.gates import Outcome
from matrix.ground.console import open_console
from matrix.ground.errors import exit_code_of
from matrix.ground.files import write_text
from matrix.ground.layout import REPOSITORY_ROOT, open_layout
from matrix.ground.machine import GIB
from matrix.ground.options import SessionParser, add_root
from matrix.records import typed_json
from matrix.records.null import NullRecord
from matrix.records.pair import BATCH, CONTROL, SINGLE, SOLVE, PairRecord, read_pair
from matrix.report.main_run import MainRun, main_run_of, read_main_run, write_main_run
from matrix.report.markdown import markdown_table
from matrix.report.runs import find_run, load_run

RESULTS = REPOSITORY_ROOT / "docs" / "results"
PAGES = (
    REPOSITORY_ROOT / "README.md",
    REPOSITORY_ROOT / "docs" / "benchmarks.md",
    REPOSITORY_ROOT / "docs" / "corpus.md",
    REPOSITORY_ROOT / "docs" / "pairs.md",
)
_MARKED = re.compile(r"(<!-- (?P<name>[\w-]+): begin -->\n).*?(<!-- (?P=name): end -->)", re.DOTALL)
Rows = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the tables up to date; 0, with `--check` 1 where they are not, 2 or 3 on trouble."""
    parser = SessionParser(
        "docs-tables",
        "Write every table of figures in README and docs from the records of docs/results.",
        "--check",
    )
    add_root(parser)
    parser.add_argument("--run", metavar="RUN", help="first make the record of this run, or of `latest`")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a table is not up to date")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _tables(options))


def _tables(options: argparse.Namespace) -> int:
    console = open_console()
    if options.run is not None:
        run = main_run_of(load_run(find_run(open_layout(options.root).runs, options.run)))
        path = RESULTS / f"matrix-{run.precision}.json"
        write_main_run(path, run)
        console.print(f"written     {path}")
    old = [page for page in PAGES if up_to_date(page.read_text(encoding="utf-8")) != page.read_text("utf-8")]
    for page in old:
        if options.check:
            console.print(f"{page} is not as docs/results says: nox -s docs-tables", markup=False)
        else:
            write_text(page, up_to_date(page.read_text(encoding="utf-8")))
            console.print(f"written     {page}")
    return int(options.check and bool(old))


def up_to_date(text: str) -> str:
    """A page with every marked block made anew.

    Raises
    ------
    KeyError
        A mark names no table.
    """
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}\n{found[3]}", text)


# The main run


def _main_run() -> str:
    run = read_main_run(RESULTS / "matrix-fp64.json")
    return "\n\n".join((_pipelines(_without_reasons(run)), _judged(run), _conditions(run)))


def _without_reasons(run: MainRun) -> MainRun:
    """The run with one word for a speed-up that is not known: why stands where there is room."""
    short = [one.model_copy(update={"speed": one.speed.partition(":")[0]}) for one in run.pipelines]
    return run.model_copy(update={"pipelines": tuple(short)})


def _main_run_in_full() -> str:
    run = read_main_run(RESULTS / "matrix-fp64.json")
    gates = markdown_table(
        ("gate of the change", "verdict", "what was found"),
        [(gate.name, gate.outcome, gate.message) for gate in run.change],
    )
    packages = dict.fromkeys(name for found in run.versions.values() for name in found)
    versions = markdown_table(
        ("side", *packages),
        [(side, *(found.get(name, "none") for name in packages)) for side, found in run.versions.items()],
    )
    commits = ", ".join(f"{name} `{commit[:12]}`" for name, commit in run.commits.items())
    parts = (_pipelines(run), _judged(run), gates, f"{_conditions(run)} {_of_times(run)}", versions)
    return "\n\n".join(
        (*parts, f"Commits: {commits}; solver tree `{run.solver_tree[:12]}`; run `{run.run}`.")
    )


def _pipelines(run: MainRun) -> str:
    timed = ("baseline, ms", "candidate, ms", "speed-up, 95 % interval") if _is_timed(run) else ()
    return markdown_table(
        ("pipeline", "log evidence", "drift", *timed, "gates"),
        [
            (
                one.pipeline,
                f"{one.evidence:.6f}",
                "none recorded" if one.drift is None else f"{one.drift:.1e}",
                *((_ms(one.baseline_ms), _ms(one.candidate_ms), one.speed) if timed else ()),
                ", ".join(f"{count} {outcome}" for outcome, count in one.gates.items()),
            )
            for one in run.pipelines
        ],
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _is_timed(run: MainRun) -> bool:
    """Whether times mean anything."""
    return run.scale == "production"


def _judged(run: MainRun) -> str:
    left_out = [gate.name for gate in run.change if gate.outcome == "not run"]
    return f"**{run.word}**: {run.counted}." + (f" Not run: {', '.join(left_out)}." if left_out else "")


def _conditions(run: MainRun) -> str:
    facts = run.versions["candidate"]
    return (
        f"Release {run.release}, source {run.source}, {run.precision}, {run.scale} scale. "
        f"Python {facts['Python']}, JAX {facts.get('jax', '?')}. "
        f"{'; '.join(run.machines)}. {run.created[:10]}."
    )


def _of_times(run: MainRun) -> str:
    if not _is_timed(run):
        return "Times of this scale mean nothing, so none are shown."
    return (
        "Milliseconds are of the whole likelihood, per lane of a batch of different lanes. "
        "Both sides were timed in turn; a speed-up has its 95 % interval."
    )


def _needs() -> str:
    """What the main job asks of a machine: what the program itself asks, and what the recorded run took."""
    run = read_main_run(RESULTS / "matrix-fp64.json")
    reserved = max(peak_bytes(pipeline, "production") for pipeline in PIPELINES)
    used = "" if run.peak_bytes is None else f"; the largest took {run.peak_bytes / GIB:.1f} GiB"
    rows = [
        ("disk", f"{DISK_NEEDED / GIB:.0f} GiB free"),
        ("memory", f"{reserved / GIB:.0f} GiB per large likelihood that runs{used}"),
    ]
    if run.seconds is not None:
        rows.append(("time", f"{run.seconds / 60:.0f} minutes for the run recorded above"))
    return markdown_table(("the main job", "needs"), rows)


# The solver alone


def _bench(name: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def _taken(document: Mapping[str, Any]) -> str:
    facts = document["provenance"]
    cores = len(facts["cores"])
    on = facts["cpu"] if facts["device"] == "cpu" else facts["device"]
    return (
        f"{on}, {cores} {'core' if cores == 1 else 'cores'}, load {facts['load_before']:.1f} before, "
        f"JAX {facts['jax']}, Python {facts['python']}, {facts['taken'][:10]}."
    )


def _by_system(rows: Rows) -> list[dict[str, dict[str, Any]]]:
    """The rows of each system and number of lanes, by solver."""
    found: dict[tuple[str, str, int, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["part"], row["system"], row["K"], row["lanes"]), {})[row["solver"]] = row
    return list(found.values())


def _ratio(row: Mapping[str, Any]) -> str:
    spread = row.get("spread")
    return f"{row['times_ours']:.2f}×" + (f" ({spread[0]:.2f}–{spread[1]:.2f})" if spread else "")


def _systems() -> str:
    return _beside_jaxnnls("systems", ("our residual", "its residual"))


def _gradients() -> str:
    return _beside_jaxnnls("gradient", ())


def _beside_jaxnnls(part: str, residuals: tuple[str, ...]) -> str:
    """Both solvers on each system of a part of the bench; with their residuals where these have headings."""
    document = _bench("bench-cpu")
    table = markdown_table(
        ("system", "K", "lanes", "ours, C-eq", "jaxnnls, C-eq", "speed-up", *residuals),
        [
            (
                *_what(sides[0]),
                *(f"{side['cholesky_equivalents']:.1f}" for side in sides),
                _ratio(sides[1]),
                *(f"{side['residual']:.0e}" for _, side in zip(residuals, sides, strict=False)),
            )
            for sides in _pairs(document["rows"], part)
        ],
    )
    return f"{table}\n\n{_taken(document)}"


def _what(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["system"], str(row["K"]), str(row["lanes"])


def _families() -> str:
    document = _bench("bench-families-cpu")
    groups: dict[tuple[int, int], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for ours, theirs in _pairs(document["rows"], "families"):
        groups.setdefault((ours["K"], ours["lanes"]), []).append((ours, theirs))
    lines = []
    slower: list[str] = []
    for (size, lanes), found in sorted(groups.items()):
        ratios = [theirs["times_ours"] for _, theirs in found]
        slower += [f"{one['system']} {_ratio(one)}" for _, one in found if one["spread"][1] < 1]
        certified = [sum(bool(side["certified"]) for side in sides) for sides in zip(*found, strict=True)]
        lines.append(
            (
                str(size),
                str(lanes),
                str(len(found)),
                f"{statistics.median(ratios):.2f}×",
                f"{min(ratios):.2f}–{max(ratios):.2f}",
                *(f"{count} of {len(found)}" for count in certified),
            )
        )
    headings = ("K", "lanes", "systems", "speed-up, median", "all", "ours certified", "jaxnnls certified")
    words = f"Slower than jaxnnls: {'; '.join(slower) or 'none'}."
    return f"{markdown_table(headings, lines)}\n\n{words}\n\n{_taken(document)}"


def _compiling() -> str:
    document = _bench("bench-compile-cpu")
    table = markdown_table(
        ("program", "K", "lanes", "ours, s", "jaxnnls, s", "jaxnnls over ours"),
        [
            (
                *_what(ours),
                *(f"{side['lowering_s'] + side['compiling_s']:.1f}" for side in (ours, theirs)),
                _ratio(theirs),
            )
            for ours, theirs in _pairs(document["rows"], "compile")
        ],
    )
    return f"{table}\n\n{_taken(document)}"


def _ablation() -> str:
    documents = [_bench(path.stem) for path in sorted(RESULTS.glob("bench-ablation-*.json"))]
    by_part: dict[str, dict[int, dict[str, Any]]] = {}
    for row in (row for document in documents for row in document["rows"]):
        by_part.setdefault(row["left_out"], {})[row["K"]] = row
    sizes = sorted({size for rows in by_part.values() for size in rows})
    times, compiling = ([f"{what}, K = {size}" for size in sizes] for what in ("time", "to compile"))
    table = markdown_table(
        ("without", *times, "certified, with it", *compiling),
        [
            (
                part,
                *(_ratio(rows[size]) if size in rows else "–" for size in sizes),
                f"{_total(rows, 'certified')} of {_total(rows, 'systems')}, {_total(rows, 'certified_ours')}",
                *(f"{rows[size]['compiling']:.2f}×" if size in rows else "–" for size in sizes),
            )
            for part, rows in by_part.items()
        ],
    )
    return "\n\n".join([table, *dict.fromkeys(map(_taken, documents))])


def _total(rows: Mapping[int, Mapping[str, Any]], figure: str) -> int:
    return sum(row[figure] for row in rows.values())


def _pairs(rows: Rows, part: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Our row and that of jaxnnls of each system that both were timed on."""
    systems = _by_system([row for row in rows if row["part"] == part])
    return [(by["ours"], by["jaxnnls"]) for by in systems if {"ours", "jaxnnls"} <= by.keys()]


# Against the library's own solvers


def _corpus() -> CorpusRecord:
    return typed_json.read(RESULTS / "corpus-cpu.json", CorpusRecord)


def _corpus_rule() -> str:
    """On how many systems of each family a solver has not converged, and is inexact."""
    kinds = _corpus().kinds
    found = {
        title: judgements([system for kind in kinds if kind.family == family for system in kind.systems])
        for family, title in FAMILIES.items()
    }
    shown = {title: [one for one in each if one.solver != REFERENCE] for title, each in found.items()}
    solvers = [one.solver for one in next(iter(shown.values()))]
    counts = [
        (title, str(each[0].systems), *(f"{one.unconverged}, {one.inexact}" for one in each))
        for title, each in shown.items()
    ]
    worst = [
        f"{max(one.significant for one in of_solver):.1e}" for of_solver in zip(*shown.values(), strict=True)
    ]
    return markdown_table(
        ("family", "systems", *solvers), [*counts, ("worst significant column", "", *worst)]
    )


def _corpus_times() -> str:
    """The time per lane in a batch, over ours."""
    rows = [(kind.kind, row) for kind in _corpus().kinds for row in kind.times if row.lanes > 1]
    by_batch: dict[tuple[str, str, str], dict[str, float]] = {}
    for kind, row in rows:
        by_batch.setdefault((kind, str(row.K), str(row.lanes)), {})[row.solver] = row.times_ours
    others = [name for name in next(iter(by_batch.values())) if not name.startswith(OURS)]
    return markdown_table(
        ("systems", "K", "lanes", *others),
        [(*what, *(f"{times[name]:.1f}" for name in others)) for what, times in by_batch.items()],
    )


# The method of times


def _trials() -> str:
    """A side against itself: how often the interval held what is true, and what the gate said."""
    records = [typed_json.read(path, NullRecord) for path in sorted(RESULTS.glob("null-*.json"))]
    table = markdown_table(
        ("pipeline", "candidate slowed by", "trials", "true ratio inside", *Outcome, "load"),
        [
            (
                record.pipeline,
                f"{record.slower - 1:.0%}",
                str(len(record.trials)),
                f"{len(record.told) - record.wrong()} of {len(record.told)}",
                *(str(sum(trial.outcome == outcome for trial in record.trials)) for outcome in Outcome),
                _load(record),
            )
            for record in sorted(records, key=lambda record: (record.pipeline, record.slower))
        ],
    )
    taken = dict.fromkeys(
        f"{record.cpu}, {record.cores} cores, release {record.release}, {record.scale} scale, "
        f"{record.seconds:.0f} s a pair of processes, {record.taken[:10]}."
        for record in records
    )
    return "\n\n".join((table, *taken))


def _timed_in_turn() -> str:
    """What pairs of real processes said."""
    records = [read_pair(path) for path in sorted(RESULTS.glob("pair-*.json"))]
    headings = ("pipeline", "alone", "in a batch", "solve alone", "control", "rounds", "load")
    return markdown_table(headings, map(_of_pair, records))


def _of_pair(record: PairRecord) -> tuple[str, ...]:
    rounds = [each for pair in record.pairs for timed in pair.rounds.values() for each in timed]
    loads = [each.load for each in rounds]
    return (
        f"{record.pipeline}, {record.precision}, {record.scale}",
        *(str(record.finding(timed)) for timed in (SINGLE, BATCH, SOLVE)),
        " and ".join(str(pair.ratio(CONTROL)) for pair in record.pairs),
        " and ".join(str(len(pair.rounds[CONTROL])) for pair in record.pairs),
        f"{min(loads):.1f}–{max(loads):.1f}",
    )


def _load(record: NullRecord) -> str:
    loads = [end for trial in record.trials for end in trial.load]
    return f"{min(loads):.1f}–{max(loads):.1f}"


TABLES: Mapping[str, Callable[[], str]] = {
    "needs": _needs,
    "main-run": _main_run,
    "main-run-in-full": _main_run_in_full,
    "systems": _systems,
    "gradients": _gradients,
    "families": _families,
    "compiling": _compiling,
    "ablation": _ablation,
    "corpus-rule": _corpus_rule,
    "corpus-times": _corpus_times,
    "trials": _trials,
    "timed-in-turn": _timed_in_turn,
}


if __name__ == "__main__":
    sys.exit(main())
