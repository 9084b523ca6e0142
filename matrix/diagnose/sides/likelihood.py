"""Diagnoses of likelihoods: pipelines one after the other, a process per side of each, a table, a picture."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from rich.console import Console

from matrix.catalogue.pipelines import PIPELINES, pipeline_named
from matrix.diagnose.declaration import Declaration, declared, names
from matrix.diagnose.sides.driver import Diagnosed, add_common_options, newest_plan, output_folder, run_side
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError
from matrix.ground.files import write_bytes, write_text
from matrix.records.cell import SIDES, Cell, Precision, Side
from matrix.run.plan import Plan

EVERY = "all"


@dataclass(frozen=True, kw_only=True)
class LikelihoodDiagnosis(Declaration, Generic[Diagnosed]):
    """One that looks at a pipeline's likelihood, in the environment of a side.

    Its `cell.py` has a function `look`, which does so and leaves a record. Its options may have `side` and
    `precision`; without them it is both sides in float64.

    Attributes
    ----------
    record
        Class of the record.
    table
        What is shown of the plan's run and of the record of each side.
    details
        What `look` is told besides, of the options, the cell, and the folder that has one for each side.
    picture
        What is drawn of the same as the table; nothing where there is nothing to draw.
    variables
        Of a process's environment, where it is to differ from that of the plan's cells.
    failed
        Whether what the records say is a failure.
    """

    record: type[Diagnosed]
    table: Callable[[Plan, Mapping[Side, Diagnosed]], str]
    details: Callable[[argparse.Namespace, Cell, Path], Mapping[str, Any]] = lambda *_: {}
    picture: Callable[[Plan, Mapping[Side, Diagnosed]], bytes | None] = lambda *_: None
    variables: Callable[[Plan], Mapping[str, str]] = lambda _: {}
    failed: Callable[[Mapping[Side, Diagnosed]], bool] = lambda _: False

    def parser(self) -> argparse.ArgumentParser:
        """Its own options, and those that all of its kind have."""
        parser = super().parser()
        add = parser.add_argument
        add("pipeline", nargs="*", metavar="PIPELINE", help=f"e.g. {self.example}, or {EVERY}")
        add("--output-dir", type=Path, help=f"default: a new folder under .matrix/{self.name}")
        add_common_options(parser)
        return parser

    def place(self, options: argparse.Namespace) -> Path:
        """The folder that was named, or ours."""
        return Path(options.output_dir or options.root)

    def diagnose(self, options: argparse.Namespace) -> int:
        """Diagnose every pipeline that was named; return the worst exit code."""
        console = open_console()
        named = pipeline_names(options.pipeline)
        if len(named) > 1:
            limit = len(named) * len(_sides(options)) * options.timeout / 3600.0
            console.print(
                f"measures    {len(named)} pipelines one after the other, a process per side of each; their "
                f"limits (--timeout) add up to {limit:.3g} h"
            )
        return max(self._diagnose(console, pipeline, options) for pipeline in named)

    def _diagnose(self, console: Console, pipeline: str, options: argparse.Namespace) -> int:
        folder = self.folder(options, pipeline)
        cells = [Cell(pipeline, _precision(options), side, options.scale) for side in _sides(options)]
        # First of all, since what was asked for may make no sense.
        details = [self.details(options, cell, folder) for cell in cells]
        plan = newest_plan(options.root, options.run)
        records = {
            cell.side: run_side(
                console,
                plan,
                self.name,
                cell,
                folder / cell.side,
                self.record,
                details=told,
                timeout=options.timeout,
                variables=self.variables(plan),
            )
            for cell, told in zip(cells, details, strict=True)
        }
        text = self.table(plan, records)
        write_text(folder / "table.txt", text + "\n")
        if picture := self.picture(plan, records):
            write_bytes(folder / f"{self.name}.png", picture)
        console.print(text, markup=False)
        console.print(f"\nwritten     {folder}\n", markup=False)
        return int(self.failed(records))

    def folder(self, options: argparse.Namespace, pipeline: str) -> Path:
        """Where one pipeline's diagnosis goes: in `--output-dir` its own folder, else a new one of ours."""
        if options.output_dir:
            return Path(options.output_dir) / pipeline
        name = f"{pipeline}-{_precision(options)}-{options.scale}"
        return output_folder(options.root, self.name, name)


def of_likelihoods() -> list[str]:
    """The diagnoses that are told pipelines."""
    return [name for name in names("cell") if isinstance(declared(name), LikelihoodDiagnosis)]


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Let the caller say which sides are looked at."""
    parser.add_argument("--side", choices=(*SIDES, "both"), default="both")


def pipeline_names(words: list[str]) -> tuple[str, ...]:
    """The pipelines named; every one of them for the word `all`.

    Raises
    ------
    UsageError
        None is named, or there is no such pipeline.
    """
    known = f"choose from: {', '.join(PIPELINES)}, or {EVERY} of them, one after the other"
    if not words:
        raise UsageError(f"name a pipeline or more; {known}.")
    named = [pipeline_named(word).name for word in words if word != EVERY]
    return tuple(PIPELINES) if EVERY in words else tuple(dict.fromkeys(named))


def _precision(options: argparse.Namespace) -> Precision:
    word: Precision = getattr(options, "precision", "fp64")
    return word


def _sides(options: argparse.Namespace) -> tuple[Side, ...]:
    word = getattr(options, "side", "both")
    return SIDES if word == "both" else tuple(side for side in SIDES if side == word)
