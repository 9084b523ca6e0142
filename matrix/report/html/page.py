"""A run's `report.html`: what failed first, then the table, pictures, times, solves and provenance."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from matrix.execute.local import cell_command
from matrix.execute.variables import cell_variables
from matrix.gates import CHANGE, TIME, Outcome, Verdict
from matrix.prepare.manifest import SourceKind
from matrix.records.cell import SIDES, Record, Side
from matrix.report.headlines import headlines, named_or_counted, open_gates
from matrix.report.html.charts import COLOURS, chart_or_reason, convergence_chart, drift_chart, timing_chart
from matrix.report.html.images import hex_palette
from matrix.report.html.pictures import Pictures, gallery
from matrix.report.html.problems import ProblemCard, named, problems_of, rerun_command, whose
from matrix.report.html.rendering import write_page
from matrix.report.pairs import CAPTION as PAIR_CAPTION
from matrix.report.pairs import HEADINGS as PAIR_HEADINGS
from matrix.report.pairs import Pairs, pair_rows
from matrix.report.rows import (
    HEADINGS,
    NO_PAIRS,
    Row,
    caption,
    concerned,
    failures,
    overall,
    table_rows,
    tried,
)
from matrix.report.since import since_green
from matrix.run.plan import CheckedOut, Plan, PlannedCell

FILE = "report.html"
VERSIONS = (
    "autolens",
    "autogalaxy",
    "autofit",
    "autoarray",
    "jax",
    "jaxlib",
    "jaxnnls",
    "numpy",
    "scipy",
    "numba",
)
# Colour maps that pictures use, for the values under the pointer.
PALETTES = ("inferno", "RdBu_r")
COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class CellView:
    """One cell: what was measured, or why nothing was, and how to run it again."""

    cell: PlannedCell
    record: Record | None
    reason: str
    process: str


@dataclass(frozen=True)
class PipelineView:
    """One pipeline: its pictures, and how to run it again."""

    name: str
    outcome: Outcome
    word: str
    pictures: Pictures
    command: str
    cells: tuple[CellView, ...]


def write_html(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs = NO_PAIRS
) -> Path:
    """Write `report.html` into the run's folder.

    Parameters
    ----------
    plan
        What was to be run.
    records
        Finished records by cell name; a cell without one is shown as not run, with its reason.
    verdicts
        Of all gates, in the order they are to be shown.
    pairs
        Both sides timed in turn, by the pipeline's name.

    Returns
    -------
    Path
        The file.
    """
    path = plan.folder / FILE
    shown = concerned(plan, records)
    rows = table_rows(plan, records, verdicts, pairs)
    judged = tried(plan, records, verdicts)
    pictures = gallery(plan, [row.cells[0] for row in rows], records)
    pipelines = [_pipeline(plan, row, records, verdicts, pictures[row.cells[0]]) for row in rows]
    problems = problems_of(plan, verdicts)
    write_page(
        path,
        "report.html.j2",
        title=f"{overall(plan, records, verdicts)} · {plan.run}",
        plan=plan,
        overall=overall(plan, records, verdicts),
        tone=_tone(plan, verdicts),
        headlines=headlines(plan, records, verdicts, pairs),
        change=[v for v in judged if v.pipeline == CHANGE and v.outcome is not Outcome.NOT_RUN],
        since=since_green(plan) if failures(verdicts) else None,
        explanation=_explanation(shown, records, verdicts, problems),
        problems=problems,
        headings=HEADINGS,
        rows=rows,
        caption=caption(plan, records),
        pair_headings=PAIR_HEADINGS,
        pair_rows=pair_rows(plan, pairs),
        pair_caption=PAIR_CAPTION,
        verdicts=judged,
        not_passed=_not_passed(plan, records, judged),
        passed=[verdict for verdict in judged if verdict.outcome is Outcome.PASS],
        untried=len(verdicts) - len(judged),
        charts=_charts(shown, records, verdicts) if rows else {},
        pipelines=pipelines,
        cells=[view for pipeline in pipelines for view in pipeline.cells],
        checkouts=[(checkout, _link(plan, checkout)) for checkout in plan.checkouts],
        machines=_machines(records),
        colours=COLOURS,
        palettes={name: hex_palette(name) for name in PALETTES},
        precision=[verdict for verdict in judged if verdict.gate == "precision"],
    )
    return path


def _charts(shown: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> Mapping[str, Markup]:
    return {
        "drift": chart_or_reason(lambda: drift_chart(shown, verdicts)),
        "timing": chart_or_reason(lambda: timing_chart(shown, records)),
        "convergence": chart_or_reason(lambda: convergence_chart(shown, records, verdicts)),
    }


_ORDER = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.NOT_RUN: 2, Outcome.PASS: 3}


def _not_passed(
    plan: Plan, records: Mapping[str, Record], judged: Sequence[Verdict]
) -> list[tuple[Outcome, str, str, str, str]]:
    """Outcome, pipelines, gate, side and message: failures one by one, what is open together."""
    failed = [(v.outcome, v.pipeline, v.gate, v.side or "both", v.message) for v in failures(judged)]
    left = [
        (one.outcome, named_or_counted(one.pipelines), one.gate, "both", one.message)
        for one in open_gates(plan, records, judged)
    ]
    return failed + left


def _tone(plan: Plan, verdicts: Sequence[Verdict]) -> str:
    # Gates that belong to other machines, sessions or scales are named as not run, but need not alarm.
    telling = (
        verdict.outcome
        for verdict in verdicts
        if verdict.outcome is not Outcome.NOT_RUN or (verdict.pipeline != CHANGE and verdict.gate != TIME)
    )
    worst = min(telling, key=_ORDER.__getitem__, default=Outcome.NOT_RUN)
    on_stand_ins = worst is Outcome.PASS and plan.source == SourceKind.EMBEDDED
    return "stand_ins" if on_stand_ins else worst.name.lower()


def _explanation(
    shown: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], problems: Sequence[ProblemCard]
) -> str:
    """The banner's second line: what the verdict is about."""
    done = sum(cell.name in records for cell in shown.cells)
    cells = f"{done} of {len(shown.cells)} cells have a record"
    if problems:
        return "; ".join(filter(None, (f"Failing: {named(problems)}", whose(verdicts), cells))) + "."
    if done < len(shown.cells):
        return f"{cells}; nothing that ran has failed."
    return ""


def _pipeline(
    plan: Plan, row: Row, records: Mapping[str, Record], verdicts: Sequence[Verdict], pictures: Pictures
) -> PipelineView:
    name = row.cells[0]
    cells = tuple(_cell(plan, plan.cell(name, side), records, verdicts) for side in SIDES)
    fresh = ("--fresh",) if all(view.record for view in cells) else ()
    command = rerun_command(plan, "--only", name, *fresh)
    return PipelineView(name, row.outcome, row.cells[-1], pictures, command, cells)


def _cell(
    plan: Plan, cell: PlannedCell, records: Mapping[str, Record], verdicts: Sequence[Verdict]
) -> CellView:
    finished = (
        verdict.message
        for verdict in verdicts
        if (verdict.pipeline, verdict.gate, verdict.side) == (cell.pipeline, "finished", cell.side)
    )
    variables = (f"{name}={value}" for name, value in cell_variables(plan, cell).items())
    process = shlex.join(["env", *variables, *cell_command(plan, cell)])
    return CellView(cell, records.get(cell.name), next(finished, "the cell was not run"), process)


def _link(plan: Plan, checkout: CheckedOut) -> str:
    """The commit's address, where it is upstream's own; empty for stand-ins and for what we committed."""
    if (
        plan.source == SourceKind.EMBEDDED
        or checkout.purpose == "candidate"
        or not COMMIT.match(checkout.commit)
    ):
        return ""
    url = plan.urls.get(checkout.name, "")
    return f"{url.removesuffix('.git')}/commit/{checkout.commit}" if url.startswith("https://") else ""


def _machines(records: Mapping[str, Record]) -> list[tuple[Side, str, Mapping[str, str], Mapping[str, str]]]:
    """Each combination of machine, versions and flags once per side."""
    seen: dict[tuple[Side, str], tuple[Side, str, Mapping[str, str], Mapping[str, str]]] = {}
    for record in records.values():
        facts = record.provenance
        machine = (
            f"{facts.cpu}, {facts.cores} cores, {len(facts.affinity)} given to the cell; "
            f"{facts.device_platform} ({facts.device_kind}); {facts.platform}; Python {facts.python}"
        )
        versions = {name: facts.packages[name] for name in VERSIONS if name in facts.packages}
        seen.setdefault((record.cell.side, machine), (record.cell.side, machine, versions, facts.variables))
    return list(seen.values())
