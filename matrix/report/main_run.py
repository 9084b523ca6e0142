"""The record of a main run that docs keep: what came out per pipeline, and on what machine and software."""

import datetime
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from matrix.gates import CHANGE, Outcome, Verdict
from matrix.ground.errors import UsageError
from matrix.ground.files import read_bytes, write_text
from matrix.records.cell import SIDES, Side
from matrix.records.pair import BATCH
from matrix.report.pairs import ratio_words, seconds_of
from matrix.report.rows import ending, overall, word_of
from matrix.report.runs import Run, machines_of

PACKAGES = ("autolens", "autoarray", "jax", "jaxlib", "jaxnnls", "numpy", "scipy")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PipelineResult(_Frozen):
    """One pipeline on both sides; milliseconds are per lane of a batch, and None where nothing was timed."""

    pipeline: str
    evidence: float
    drift: float | None
    baseline_ms: float | None
    candidate_ms: float | None
    speed: str
    gates: dict[str, int]


class JudgedGate(_Frozen):
    """What a gate of the change said."""

    name: str
    outcome: str
    message: str


class MainRun(_Frozen):
    """A whole run of the matrix, without its arrays and logs.

    Attributes
    ----------
    seconds
        From the plan to the last record; None where an earlier run's records were kept, or it was not noted.
    peak_bytes
        Of the largest cell's resident memory; None where it was not noted.
    """

    schema_: Literal["nnls-matrix/main-run"] = "nnls-matrix/main-run"
    version: Literal[2] = 2
    run: str
    created: str
    precision: str
    scale: str
    release: str
    source: str
    word: str
    exit_code: int
    counted: str
    solver_tree: str
    code: str
    commits: dict[str, str]
    machines: tuple[str, ...]
    versions: dict[str, dict[str, str]]
    pipelines: tuple[PipelineResult, ...]
    change: tuple[JudgedGate, ...]
    seconds: float | None = None
    peak_bytes: int | None = None


def main_run_of(run: Run) -> MainRun:
    """Sum up a run in which every pipeline that it plans has both its records.

    Raises
    ------
    UsageError
        A pipeline has none on some side.
    """
    plan, records = run.plan, run.records
    missing = [cell.name for cell in plan.cells if cell.name not in records]
    if missing:
        raise UsageError(
            f"{plan.folder} is no whole run, it lacks {', '.join(missing)}: give its command again."
        )
    return MainRun(
        run=plan.run,
        created=plan.created,
        precision=plan.precision,
        scale=plan.scale,
        release=plan.release,
        source=plan.source,
        word=word_of(plan, records, run.verdicts),
        exit_code=ending(plan, records, run.verdicts).exit_code,
        counted=overall(plan, records, run.verdicts).partition(": ")[2],
        solver_tree=plan.solver_tree,
        code=plan.code,
        commits={checkout.name: checkout.commit for checkout in plan.checkouts},
        machines=machines_of(run),
        versions={side: _versions(run, side) for side in SIDES},
        pipelines=tuple(_pipeline(run, pipeline) for pipeline in plan.pipelines),
        change=tuple(
            JudgedGate(name=verdict.gate, outcome=str(verdict.outcome), message=verdict.message)
            for verdict in run.verdicts
            if verdict.pipeline == CHANGE
        ),
        seconds=_seconds(run),
        peak_bytes=max(record.memory.peak_rss_bytes for record in records.values()),
    )


def _seconds(run: Run) -> float | None:
    facts = [record.provenance for record in run.records.values()]
    ends = [*(each.finished for each in facts), *(pair.finished for pair in run.pairs.values())]
    began, first, last = map(
        datetime.datetime.fromisoformat, (run.plan.created, min(each.started for each in facts), max(ends))
    )
    return (last - began).total_seconds() if began <= first else None


def write_main_run(path: Path, run: MainRun) -> None:
    """Write the record, whole or not at all."""
    document = run.model_dump(mode="json")
    write_text(path, json.dumps({"schema": document.pop("schema_"), **document}, indent=1) + "\n")


def read_main_run(path: Path) -> MainRun:
    """Read what `write_main_run` wrote.

    Raises
    ------
    UsageError
        The file is no such record.
    """
    try:
        document = json.loads(read_bytes(path))
        return MainRun(schema_=document.pop("schema"), **document)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise UsageError(f"{path} is no record of a main run: {error}. Make it again.") from error


def _pipeline(run: Run, pipeline: str) -> PipelineResult:
    candidate = run.records[run.plan.cell(pipeline, "candidate").name]
    verdicts = [verdict for verdict in run.verdicts if verdict.pipeline == pipeline]
    return PipelineResult(
        pipeline=pipeline,
        evidence=candidate.evaluations.jit.values[0],
        drift=_drift(verdicts),
        baseline_ms=_milliseconds(run, pipeline, "baseline"),
        candidate_ms=_milliseconds(run, pipeline, "candidate"),
        speed=ratio_words(run.pairs, pipeline, BATCH),
        gates={
            str(outcome): count
            for outcome in Outcome
            if (count := sum(verdict.outcome is outcome for verdict in verdicts))
        },
    )


def _milliseconds(run: Run, pipeline: str, side: Side) -> float | None:
    seconds = seconds_of(run.pairs, pipeline, BATCH, side)
    return None if seconds is None else seconds * 1e3


def _drift(verdicts: list[Verdict]) -> float | None:
    for verdict in verdicts:
        if verdict.gate == "constant" and verdict.side == "candidate":
            return verdict.numbers.get("drift_jit")
    return None


def _versions(run: Run, side: str) -> dict[str, str]:
    facts = next(record.provenance for record in run.records.values() if record.cell.side == side)
    found = {name: facts.packages[name] for name in PACKAGES if name in facts.packages}
    return {"Python": facts.python, **found}
