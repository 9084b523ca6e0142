"""`nox -s corpus`: systems as a release's likelihoods hand them over, and all solvers by upstream's rule."""

import argparse
from pathlib import Path

from rich.console import Console

from matrix.catalogue.pipelines import pipeline_named
from matrix.diagnose.corpus.kinds import KINDS, SystemKind
from matrix.diagnose.corpus.plot import corpus_plot
from matrix.diagnose.corpus.record import CorpusRecord, KindRecord
from matrix.diagnose.corpus.table import corpus_table
from matrix.diagnose.declaration import Diagnosis
from matrix.diagnose.sides.driver import add_common_options, newest_plan, run_side
from matrix.diagnose.sides.record import write_diagnosis
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError
from matrix.ground.files import write_text
from matrix.ground.hashing import digest, file_hash, tree_hash
from matrix.ground.imports import files_behind
from matrix.ground.options import add_record
from matrix.ground.waiting import clock
from matrix.records import typed_json
from matrix.records.cell import Cell, RecordError
from matrix.run.plan import Plan

# Lanes of the lens models of PyAutoArray#571, as upstream has them in one vmap.
SLAM_LANES = 48
# Seconds on a core that has nothing else to do, to say beforehand how long it takes: a kind, and a system.
_SMALL, _MIDDLE, _LARGE = (60.0, 0.5), (60.0, 1.0), (190.0, 7.0)


def _corpus(options: argparse.Namespace) -> int:
    kinds = _kinds(options)
    plan = newest_plan(options.root, options.run)
    console = open_console()
    missing = [kind for kind in kinds if _kept(plan, kind, options) is None]
    estimate = clock(sum(_seconds(kind, options) for kind in missing))
    console.print(
        f"release {plan.release}, run {plan.run}: {len(kinds)} kinds of systems, "
        f"{len(kinds) - len(missing)} of them judged before; about {estimate} minutes on one quiet core"
    )
    found = []
    for kind in kinds:
        found.append(_kept(plan, kind, options) or _judge(console, plan, kind, options))
        record = CorpusRecord(_sizes(options), tuple(found))
        write_diagnosis(options.output, record)
    text = corpus_table(record)
    write_text(options.output.with_suffix(".md"), text)
    corpus_plot(record, options.output.with_suffix(".png"))
    console.print(f"\n{text}\nwritten     {options.output}, its table and picture beside it")
    return 0


def _kinds(options: argparse.Namespace) -> list[SystemKind]:
    unknown = [name for name in options.kind if name not in KINDS]
    if unknown:
        raise UsageError(f"there is no kind {', '.join(unknown)}; choose from: {', '.join(KINDS)}.")
    if options.near < 1 or options.whole < 0 or options.lanes < 1 or options.repeats < 1:
        raise UsageError("--near, --lanes and --repeats must be at least 1, --whole at least 0.")
    return [kind for kind in KINDS.values() if not options.kind or kind.name in options.kind]


def _sizes(options: argparse.Namespace) -> dict[str, int]:
    return {name: getattr(options, name) for name in ("near", "whole", "lanes", "alone", "repeats")}


def _sizes_of(kind: SystemKind, options: argparse.Namespace) -> dict[str, int]:
    return {**_sizes(options), **({"lanes": SLAM_LANES} if kind.family == "slam" else {})}


def _folder(plan: Plan, kind: SystemKind, options: argparse.Namespace) -> Path:
    """Where a kind's systems are kept: another place where anything differs that they come from."""
    data = plan.workspace / pipeline_named(kind.pipeline).dataset
    making = file_hash(files_behind(["matrix.diagnose.corpus.making"]))
    where = (plan.environments["baseline"].key, tree_hash(data), making, str(plan.seed))
    key = digest((*where, *(str(_sizes(options)[name]) for name in ("near", "whole"))))
    return Path(options.root).resolve() / "corpus" / key[:16] / f"{kind.name}-{options.scale}"


def _key(plan: Plan, kind: SystemKind, options: argparse.Namespace) -> str:
    judging = file_hash(files_behind(["matrix.diagnose.corpus.cell"]))
    return digest((str(_folder(plan, kind, options)), judging, str(_sizes_of(kind, options))))


def _kept(plan: Plan, kind: SystemKind, options: argparse.Namespace) -> KindRecord | None:
    try:
        record = typed_json.read(_folder(plan, kind, options) / "record.json", KindRecord)
    except RecordError:
        return None
    return record if record.key == _key(plan, kind, options) else None


def _judge(console: Console, plan: Plan, kind: SystemKind, options: argparse.Namespace) -> KindRecord:
    folder = _folder(plan, kind, options)
    details = {
        **_sizes_of(kind, options),
        "kind": kind.name,
        "key": _key(plan, kind, options),
        "systems": str(folder),
    }
    cell = Cell(kind.pipeline, "fp64", "baseline", options.scale)
    console.print(f"\n{kind.name}")
    return run_side(
        console,
        plan,
        "corpus",
        cell,
        folder,
        KindRecord,
        details=details,
        timeout=options.timeout,
    )


def _seconds(kind: SystemKind, options: argparse.Namespace) -> float:
    middle = _MIDDLE if kind.family == "interferometer" else _LARGE
    small = kind.family in ("slam", "gaussians") or options.scale == "smoke"
    once, system = _SMALL if small else middle
    return once + system * (options.near + options.whole)


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("kind", nargs="*", metavar="KIND", help=f"all without it: {', '.join(KINDS)}")
    add("--near", type=int, default=3, help="lens models near the truth, of each kind (default 3)")
    add("--whole", type=int, default=3, help="lens models of the whole prior, of each kind (default 3)")
    add("--lanes", type=int, default=3, help="of these in one vmap, to time it (default 3)")
    add("--alone", type=int, default=1, help="of these timed alone as well (default 1)")
    add("--repeats", type=int, default=3, help="timed rounds (default 3)")
    add_record(parser, "corpus")
    add_common_options(parser)


DIAGNOSIS = Diagnosis(
    name="corpus",
    sentence=(
        "Make a corpus of systems as the likelihoods of a release hand them to their solver, near the truth "
        "and of the whole prior, and judge its own solvers and ours by upstream's pre-registered rule. Uses "
        "the baseline's environment of the newest run; needs no network."
    ),
    example="delaunay",
    options=_options,
    run=_corpus,
)
