"""`nox -s survey`: algorithms and their parameters on real and synthetic systems, by four criteria."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from matrix.diagnose.clock import provenance
from matrix.diagnose.declaration import Diagnosis
from matrix.diagnose.survey.grid import grid, system_batches
from matrix.diagnose.survey.measure import Lanes, class_gradients, curve, measure_settings
from matrix.diagnose.survey.plot import survey_plot
from matrix.diagnose.survey.record import SurveyRecord
from matrix.diagnose.survey.table import survey_table
from matrix.diagnose.systems.stored import System, stored_systems
from matrix.ground.console import open_console
from matrix.ground.files import write_text
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import SOLVER
from matrix.ground.options import add_record
from matrix.ground.waiting import clock, shown
from matrix.prepare.embedded.generations import GENERATIONS
from matrix.records import typed_json

# Seconds, only to tell how much of the whole is done: programs to compile, and a lane at K = 1000.
_COMPILE, _LANE, _CURVE, _GRADIENTS = 80.0, 40.0, 70.0, 150.0


# Facts of a record that differ from call to call.
PASSING = {"accelerators", "cores", "load_before", "taken"}


class SurveyProgress:
    """Says what is being done, and how long the rest may take by the pace so far."""

    def __init__(self, console: Console, total: float) -> None:
        self._console, self._total = console, total
        self._done, self._began = 0.0, time.monotonic()

    def kept(self, name: str, weight: float) -> None:
        """One part was done by an earlier call."""
        self._total -= weight
        self._console.print(f"[kept] {name}", markup=False)

    @contextmanager
    def part(self, name: str, weight: float) -> Iterator[Callable[[str], None]]:
        """One part of the work, which is told how to say what it does."""
        at = "starting"

        def say(words: str) -> None:
            nonlocal at
            at = words

        with shown(self._console, name, lambda: at):
            yield say
        self._done += weight
        spent = time.monotonic() - self._began
        left = spent * (self._total - self._done) / self._done
        self._console.print(f"[{clock(spent)}] {name}  (about {clock(left)} left)", markup=False)


def _survey(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    stored = stored_systems(options.systems) if options.systems else []
    if not stored:
        print("left out: real systems (name a folder with --systems)")
    work = [
        b for b in system_batches(stored, options.lanes) if any(options.match in system.name for system in b)
    ]
    choices = [choice for choice in grid() if options.only in choice.label or choice.label == grid()[0].label]
    drawn = _drawn(work)
    record = _begun(options)
    progress = SurveyProgress(open_console(), sum(map(_weight, work)) + _CURVE * len(drawn) + _GRADIENTS)

    def keep(name: str, values: Iterable[object]) -> None:
        nonlocal record
        grown: dict[str, Any] = {name: (*getattr(record, name), *values)}
        record = dataclasses.replace(record, **grown)
        typed_json.write(options.output, record)

    measured = {(row.systems, row.choice) for row in record.rows}
    for batch in work:
        names = tuple(system.name for system in batch)
        if all((names, choice) in measured for choice in choices):
            progress.kept(_name(batch), _weight(batch))
            continue
        with progress.part(_name(batch), _weight(batch)) as say:
            keep("rows", measure_settings(batch, choices, options.repeats, say))
    differentiated = {found.choice for found in record.gradients}
    with_gradient = [choice for choice in choices if choice.has_gradient]
    if differentiated.issuperset(with_gradient):
        progress.kept("gradients by class", _GRADIENTS)
    else:
        with progress.part("gradients by class", _GRADIENTS) as say:
            keep("gradients", class_gradients(with_gradient, say))
    for system in drawn:
        if any(point.system == system.name for point in record.curves):
            progress.kept(f"curves of {system.name}", _CURVE)
            continue
        with progress.part(f"curves of {system.name}", _CURVE) as say:
            keep("curves", curve(system, options.repeats, say))
    text = survey_table(record)
    write_text(options.output.with_suffix(".txt"), text)
    if record.curves:
        survey_plot(record.curves, options.output.with_suffix(".png"))
    print(f"\n{text}\nwritten     {options.output}, its table and picture beside it")
    return 0


def _begun(options: argparse.Namespace) -> SurveyRecord:
    """The record to go on with: what is there already if it is of this solver, software and machine."""
    here = {**provenance(), "solver": tree_hash(SOLVER)}
    if options.output.is_file() and not options.fresh:
        record = typed_json.read(options.output, SurveyRecord)
        if all(record.provenance.get(fact) == here[fact] for fact in here.keys() - PASSING):
            print("goes on with what the record has; --fresh starts over")
            return record
    return SurveyRecord(here, _smallest_evidence(), (), (), ())


def _drawn(work: Sequence[Lanes]) -> list[System]:
    """The largest single system with a dense block beside a source, and the largest without one."""
    alone = [batch[0] for batch in work if len(batch) == 1]
    kinds = (
        [system for system in alone if 0 < len(system.dense) < system.K],
        [system for system in alone if not system.dense],
    )
    # Real systems come first, so of equal size they are taken.
    return [max(kind, key=lambda system: system.K) for kind in kinds if kind]


def _smallest_evidence() -> float:
    constants = [generation.constants for generation in GENERATIONS]
    return min(abs(by_scale["production"]) for recorded in constants for by_scale in recorded.values())


def _name(batch: Lanes) -> str:
    lanes = f" and {len(batch) - 1} more lanes" if len(batch) > 1 else ""
    return f"{batch[0].name}{lanes}, K = {batch[0].K}"


def _weight(batch: Lanes) -> float:
    return _COMPILE + _LANE * len(batch) * (batch[0].K / 1000) ** 2.5


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--systems", type=Path, help="folder of *.npz systems from real likelihoods")
    add("--match", default="", help="only systems whose name contains this")
    add("--only", default="", help="only settings whose name contains this, beside the library's of today")
    add("--lanes", type=int, default=3, help="different systems in one vmap (default 3)")
    add("--fresh", action="store_true", help="start over instead of going on with an interrupted survey")
    add("--repeats", type=int, default=3, help="timed rounds (default 3)")
    add_record(parser, "survey")


DIAGNOSIS = Diagnosis(
    name="survey",
    sentence=(
        "Every algorithm over its parameters, alone and under vmap: time, iterations, objective, "
        "reconstruction, certificate and gradients, beside the library's interior-point method of today."
    ),
    example="--systems FOLDER",
    options=_options,
    run=_survey,
)
