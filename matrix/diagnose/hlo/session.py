"""What of the gradient's machinery is compiled into a sampler's likelihood: `nox -s hlo-audit`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from matrix.diagnose.sides.driver import newest_plan
from matrix.errors import EnvironmentFailure, exit_code_of
from matrix.execute.local import log_tail, side_variables, supervise
from matrix.execute.reservations import Share, usable_cores
from matrix.files import write_json, write_text
from matrix.gates import in_sampling_path
from matrix.layout import REPOSITORY_ROOT
from matrix.options import add_root
from matrix.pipelines.catalogue import PIPELINES
from matrix.plan import SIDES, Plan, Side

SCHEMA = "nnls-matrix/hlo-audit"
VERSION = 1
PIXELISED = tuple(name for name in PIPELINES if not name.endswith("mge"))
PROGRAMS = ("likelihood", "solver", "forward-only", "gradient")


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit one pipeline in a run's environments; 0 if the relaxed pass is out of the sampling path."""
    parser = argparse.ArgumentParser(prog="nox -s hlo-audit --", description=__doc__)
    parser.add_argument("pipeline", nargs="?", default="interferometer-pixelization", choices=PIXELISED)
    parser.add_argument("--scale", choices=("production", "smoke"), default="production")
    add_root(parser)
    parser.add_argument("--run", help="name of the run whose two environments are used (default: the newest)")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    plan = newest_plan(options.root.resolve(), options.run)
    found = {side: _audit(plan, side, options.pipeline, options.scale) for side in SIDES}
    folder = _folder(plan, options.pipeline)
    sentences = {side: sentence(side, found[side]["programs"]) for side in SIDES}
    record = {"schema": SCHEMA, "version": VERSION, "pipeline": options.pipeline, "scale": options.scale}
    write_json(folder / "audit.json", {**record, "sides": found, "verdict": sentences})
    console = Console(highlight=False, record=True, width=None if sys.stdout.isatty() else 140)
    _show(console, options.pipeline, options.scale, found)
    for text in sentences.values():
        console.print(text)
    console.print(f"record, this text and the programs: {folder}")
    write_text(folder / "audit.txt", console.export_text())
    return 1 if in_sampling_path(found["candidate"]["programs"]) else 0


def sentence(side: str, programs: Mapping[str, Any]) -> str:
    """State in one line whether the relaxed backward pass is in the sampling path."""
    counts = {name: programs[name]["kinds"]["Cholesky"] for name in ("solver", "forward-only", "gradient")}
    word = "IS" if in_sampling_path(programs) else "is not"
    return (
        f"{side}: the relaxed backward pass {word} in the sampling path: the solve has {counts['solver']} "
        f"Cholesky instructions as it is called and {counts['forward-only']} without gradient machinery, its "
        f"gradient {counts['gradient']}; {programs['likelihood']['from relaxed code']} instructions of the "
        "likelihood come from relaxed code"
    )


def _folder(plan: Plan, pipeline: str) -> Path:
    return plan.folder / "hlo" / pipeline


def _audit(plan: Plan, side: Side, pipeline: str, scale: str) -> dict[str, Any]:
    folder = _folder(plan, pipeline)
    folder.mkdir(parents=True, exist_ok=True)
    output, log = folder / f"{side}.json", folder / f"{side}.log"
    command = [
        *(str(plan.environments[side].python), "-m", "matrix.diagnose.hlo.cell", "--pipeline", pipeline),
        *("--side", side, "--scale", scale, "--workspace", str(plan.workspace), "--output", str(output)),
    ]
    print(f"compiling the {side}", flush=True)
    exit_code = supervise(
        command,
        cwd=folder,
        env=side_variables(plan, side, folder, (REPOSITORY_ROOT,)),
        log=log,
        timeout=plan.cell_timeout,
        share=Share(memory=0, cores=usable_cores()),
    )
    if exit_code != 0:
        raise EnvironmentFailure(f"the {side} could not be compiled ({log}):\n{log_tail(log)}")
    return dict(json.loads(output.read_text()))


def _show(console: Console, pipeline: str, scale: str, found: Mapping[Side, Mapping[str, Any]]) -> None:
    table = Table(
        title=f"{pipeline}, {scale} scale, K = {found['candidate']['size']}, batch of 3, instructions"
    )
    table.add_column("baseline → candidate")
    for program in PROGRAMS:
        table.add_column(program, justify="right")
    rows = [
        *(("kinds", name) for name in found["baseline"]["programs"]["likelihood"]["kinds"]),
        *((None, name) for name in ("from relaxed code", "temporary MiB", "code MiB")),
    ]
    for group, name in rows:
        pairs = []
        for program in PROGRAMS:
            facts = [found[side]["programs"][program] for side in SIDES]
            values = [fact[group][name] if group else fact[name] for fact in facts]
            pairs.append(
                " → ".join(
                    "–" if v is None else f"{v:.1f}" if isinstance(v, float) else str(v) for v in values
                )
            )
        table.add_row(name, *pairs)
    console.print(table)
    difference = Table("operation of the likelihood", "baseline", "candidate", "difference")
    before, after = (found[side]["programs"]["likelihood"]["operations"] for side in SIDES)
    for name in sorted({*before, *after}):
        was, now = before.get(name, 0), after.get(name, 0)
        if was != now:
            difference.add_row(name, str(was), str(now), f"{now - was:+d}")
    console.print(difference)


if __name__ == "__main__":
    sys.exit(main())
