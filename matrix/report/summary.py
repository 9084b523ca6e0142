"""`summary.md`: the run as Markdown, for a pull request or a CI step summary."""

from collections.abc import Iterable, Mapping, Sequence

from matrix.gates import CHANGE, Outcome, Verdict
from matrix.gates.judging import timed_elsewhere
from matrix.ground.files import write_text
from matrix.records.cell import SIDES, Record
from matrix.report.change import HEADINGS as CHANGE_HEADINGS
from matrix.report.change import change_rows
from matrix.report.headlines import headlines
from matrix.report.html.problems import ProblemCard, problems_of
from matrix.report.markdown import markdown_table
from matrix.report.pairs import CAPTION as PAIR_CAPTION
from matrix.report.pairs import HEADINGS as PAIR_HEADINGS
from matrix.report.pairs import Pairs, pair_rows
from matrix.report.rows import (
    HEADINGS,
    MISSING,
    NO_PAIRS,
    caption,
    concerned,
    counted,
    iterations_of,
    table_rows,
    tried,
    word_of,
)
from matrix.run.plan import Plan

# The verdict first: on a phone the rest is there to be scrolled to.
_ORDER = ("pipeline", "verdict", "log evidence", "drift")
_TIMES = ("baseline ms", "candidate ms", "ratio")
_CELL_HEADINGS = (
    "cell",
    "eager s",
    "JIT compile s",
    "JIT ms",
    "vmap compile s",
    "vmap ms/lane",
    "peak GiB",
    "solver",
    "K",
    "iterations",
    "KKT residual",
)


def write_summary(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs = NO_PAIRS
) -> None:
    """Write `summary.md` into the run's folder."""
    lines = headlines(plan, records, verdicts, pairs)
    parts = [
        f"## NNLS matrix: {word_of(plan, records, verdicts)}",
        "\n".join(
            [
                f"- **Gates**: {counted(verdicts)}",
                *(_problem(problem) for problem in problems_of(plan, verdicts)),
                *(f"- **{name}**: {text}" for name, text in lines.items()),
            ]
        ),
        _pipelines(plan, records, verdicts, pairs),
        f"Run `{plan.run}`. {plan.source_meaning}",
        *_of_the_change(verdicts),
        _folded("What the numbers are", f"{caption(plan, records)}."),
        *(
            [
                _folded(
                    "Times in pairs",
                    markdown_table(PAIR_HEADINGS, pair_rows(plan, pairs)),
                    f"{PAIR_CAPTION}.",
                )
            ]
            if pairs
            else ()
        ),
        _folded("Every gate of the pipelines", _gates(_tried(plan, records, verdicts))),
        _folded(
            f"Times and solves{_devices(records)}", markdown_table(_CELL_HEADINGS, _cell_rows(plan, records))
        ),
        *_times_elsewhere(plan),
        _folded("Provenance", *_provenance(plan, records)),
    ]
    write_text(plan.folder / "summary.md", "\n\n".join(parts) + "\n")


def _of_the_change(verdicts: Sequence[Verdict]) -> list[str]:
    """The gates of the change, and how many ended in which way."""
    rows = change_rows(verdicts)
    ended = [outcome for _, outcome in rows]
    counted = ", ".join(f"{ended.count(outcome)} {outcome}" for outcome in Outcome if outcome in ended)
    table = markdown_table(CHANGE_HEADINGS, (cells for cells, _ in rows))
    return [_folded(f"The change: {counted}", table)] if rows else []


def _problem(problem: ProblemCard) -> str:
    """A failure in a line: the gate nearest to the cause, where, and what else fails there."""
    first = problem.first
    side = f", {first.side}" if first.side else ""
    blame = f" ({first.blame})" if first.blame else ""
    more = f" Other failures there: {len(problem.others)}." if problem.others else ""
    message, where = next(iter(problem.messages.items()))
    among = f"{', '.join(where)} " if len(problem.messages) > 1 else ""
    said = among + " ".join(message.split())
    return f"- ✗ **{first.gate}** on {', '.join(problem.pipelines)}{side}{blame}: {said}.{more}"


def _gates(verdicts: Iterable[Verdict]) -> str:
    headings = ("pipeline", "gate", "side", "verdict", "what was found")
    return markdown_table(headings, (_gate_row(verdict) for verdict in verdicts))


def _folded(title: str, *parts: str) -> str:
    """Parts that are there when somebody asks for them; the blank lines let Markdown be read inside."""
    return "\n\n".join((f"<details><summary>{title}</summary>", *parts, "</details>"))


def _provenance(plan: Plan, records: Mapping[str, Record]) -> list[str]:
    rows = (
        (c.name, c.purpose, c.ref, f"`{c.commit}`" + (" (source dirty)" if c.dirty else ""))
        for c in plan.checkouts
    )
    return [
        markdown_table(("repository", "purpose", "ref", "commit"), rows),
        *(f"Still declared outside the library: {line}" for line in plan.residual_dependencies),
        *_machines(records),
    ]


def _times_elsewhere(plan: Plan) -> list[str]:
    """The times of another machine, in a table of their own: no ratio is of two machines."""
    found = timed_elsewhere(plan)
    if found is None:
        return []
    rows = _cell_rows(plan.model_copy(update={"folder": plan.timed_elsewhere}), found.records)
    title = f"Times and solves of run {found.run}{_devices(found.records)}"
    return [_folded(title, markdown_table(_CELL_HEADINGS, rows))]


def _devices(records: Mapping[str, Record]) -> str:
    """Where records were made, as the end of a heading."""
    facts = [record.provenance for record in records.values()]
    devices = dict.fromkeys(f"{each.device_kind} ({each.cpu}, {each.cores} cores)" for each in facts)
    return f", on {', '.join(devices)}" if devices else ""


def _pipelines(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs) -> str:
    """The table of pipelines; no columns of times where nothing was timed."""
    headings = (*_ORDER, *_TIMES) if pairs else _ORDER
    rows = (dict(zip(HEADINGS, row.cells, strict=True)) for row in table_rows(plan, records, verdicts, pairs))
    # What else failed, and why a ratio is inconclusive, is said above the table or below it.
    short = (
        {**row, "verdict": _first(row["verdict"]), "ratio": row["ratio"].partition(":")[0]} for row in rows
    )
    return markdown_table(headings, ([row[name] for name in headings] for row in short))


def _first(listed: str) -> str:
    """The first of several gates, and how many more there are."""
    first, *others = listed.split(", ")
    return f"{first} and {len(others)} more" if others else first


def _tried(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """On the pipelines that left something; the change's gates have their own table."""
    return [verdict for verdict in tried(plan, records, verdicts) if verdict.pipeline != CHANGE]


def _gate_row(verdict: Verdict) -> tuple[str, ...]:
    mark = {Outcome.PASS: "✓ pass", Outcome.FAIL: "✗ FAIL"}.get(verdict.outcome, str(verdict.outcome))
    blame = f" ({verdict.blame})" if verdict.blame else ""
    return verdict.pipeline, verdict.gate, verdict.side or "both", mark + blame, verdict.message


def _cell_rows(plan: Plan, records: Mapping[str, Record]) -> Iterable[tuple[str, ...]]:
    for cell in concerned(plan, records).cells:
        record = records.get(cell.name)
        if record is None:
            yield (cell.name, *[MISSING] * 10)
            continue
        timings = record.timings
        yield (
            cell.name,
            f"{timings.eager_s:.1f}",
            f"{timings.jit.compile_s:.1f}",
            f"{timings.jit.median_s * 1e3:.1f}",
            f"{timings.vmap.compile_s:.1f}",
            f"{timings.vmap_lane_s * 1e3:.1f}",
            f"{record.memory.peak_rss_bytes / 1024**3:.2f}",
            record.solver.said,
            str(record.nnls[0].size),
            "/".join(iterations_of(record)),
            f"{max(lane.kkt_residual for lane in record.nnls):.1e}",
        )


def _machines(records: Mapping[str, Record]) -> list[str]:
    """Each machine once, with the versions that computed there."""
    seen: dict[str, None] = {}
    for side in SIDES:
        for record in records.values():
            if record.cell.side != side:
                continue
            facts = record.provenance
            names = ("autolens", "autoarray", "jax", "jaxlib", "jaxnnls", "numpy", "scipy")
            versions = ", ".join(f"{name} {facts.packages[name]}" for name in names if name in facts.packages)
            device = " ".join(dict.fromkeys((facts.device_platform, facts.device_kind)))
            line = f"{side}: {facts.cpu}, {facts.cores} cores, {device}, "
            seen[line + f"Python {facts.python}, {versions}"] = None
    return list(seen)
