"""`nox -s gpu-program`: a likelihood compiled for a GPU that need not be there, alone and as a batch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.diagnose.gpu_program.compiler import TARGETS, VARIABLES, compiler_for
from matrix.diagnose.gpu_program.record import GpuProgram, GpuProgramRecord
from matrix.diagnose.hlo_audit.levels import Level
from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
    sides_of,
)
from matrix.ground.layout import open_layout
from matrix.prepare.environments import install_beside, packages_of
from matrix.records.cell import Cell
from matrix.run.plan import Plan, Side

DESCRIPTION = (
    "What XLA makes of a likelihood for a GPU, without one: kernels, library calls, loops and memory, of the "
    "program for one lane and of the batch's. Nothing is run or timed."
)

_MIB = 1024**2


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _compile)


def _compile(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    plan = newest_plan(options.root, options.run)
    folder = folder_of(options, pipeline, "gpu-programs", f"{pipeline}-{options.target}")
    tables = []
    for side in sides_of(options.side):
        record = run_side(
            console,
            plan,
            "matrix.diagnose.gpu_program.cell",
            Cell(pipeline, "fp64", side, options.scale),
            folder / side,
            GpuProgramRecord,
            details={"target": options.target, "lanes": (1, options.lanes)},
            timeout=options.timeout,
            variables=VARIABLES,
            also_import=(_compiler(options.root, plan, side),),
        )
        tables.append(program_table(record))
    deliver(console, folder, "\n\n".join(tables))


def _compiler(root: Path, plan: Plan, side: Side) -> Path:
    """Where XLA's compiler for GPUs lies that fits the JAX of this side; fetched if need be."""
    python = plan.environments[side].python
    version = packages_of(python)["jax"]
    folder = open_layout(root).cache / f"gpu-compiler-for-{version}"
    install_beside(python, folder, *compiler_for(version))
    return folder


def program_table(record: GpuProgramRecord) -> str:
    """The programs beside each other, level by level, each operation with how often it stands there."""
    packages = record.provenance.packages
    lines = [
        f"{record.cell.name}, {record.cell.scale} scale, compiled for an NVIDIA {record.target} "
        f"(JAX {packages['jax']}, autolens {packages['autolens']})"
    ]
    for program in record.programs:
        lines.append(f" {program.lanes} lane(s): {program.temporary_bytes / _MIB:.0f} MiB temporary")
        lines += [f"   {line}" for line in _outline(program)]
    return "\n".join(lines)


def _outline(program: GpuProgram) -> list[str]:
    return [f"{'  ' * level.depth}{_heading(level)}: {_launches(level)}" for level in program.levels]


def _heading(level: Level) -> str:
    if level.trips is None:
        return "loop, as long as it takes"
    if level.trips > 1:
        return f"{level.trips} times"
    return "a branch" if level.depth else "once"


def _launches(level: Level) -> str:
    counted = ", ".join(f"{count} {name}" for name, count in level.launches.items()) or "nothing"
    return f"{counted}; results of {level.result_bytes / _MIB:.1f} MiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu-program", description=DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. imaging-delaunay, or all")
    add("--side", choices=("baseline", "candidate", "both"), default="baseline")
    add("--target", choices=TARGETS, default="A100", help="which GPU (default A100)")
    add("--lanes", type=int, default=3, help="of the batch (default 3)")
    add("--output-dir", type=Path, help="default: a new folder under .matrix/gpu-programs")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
