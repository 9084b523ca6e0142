"""`nox -s probe-float32`: what float32 does to the baseline's likelihood, alone and under vmap."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.diagnose.float32.record import ARITHMETICS, Float32Record
from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
)
from matrix.records.cell import Cell, LaneSolve

DESCRIPTION = (
    "The baseline's likelihood in float64, in float32 and with products rounded to TF32, a process each:"
    "  iterations of jaxnnls, residuals, log evidence and time, alone and in a batch."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _compare)


def _compare(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    plan = newest_plan(options.root, options.run)
    folder = folder_of(options, pipeline, "float32", f"{pipeline}-{options.scale}")
    records = [
        run_side(
            console,
            plan,
            "matrix.diagnose.float32.cell",
            Cell(pipeline, "fp64", "baseline", options.scale),
            folder / arithmetic,
            Float32Record,
            details={"arithmetic": arithmetic, "lanes": options.lanes, "repeats": options.repeats},
            timeout=options.timeout,
            variables={"JAX_ENABLE_X64": str(arithmetic == "float64")},
        )
        for arithmetic in options.arithmetic
    ]
    deliver(console, folder, float32_table(records))


def float32_table(records: Sequence[Float32Record]) -> str:
    """Per arithmetic what each lane does alone and in the batch; evidences as differences to the first."""
    facts = records[0].provenance
    exact = records[0].alone
    lines = [
        f"{records[0].cell.name}, {records[0].cell.scale} scale; {facts.device_kind} ({facts.cpu}), "
        f"JAX {facts.packages.get('jax')}",
        "log evidence per lane: " + ", ".join("not finite" if v is None else f"{v:.6f}" for v in exact),
    ]
    for record in records:
        single, lane = 1e3 * min(record.single_s), 1e3 * record.lane_s
        lines.append(
            f"{record.arithmetic}: {_tolerance(record)}; {single:.1f} ms alone, {lane:.1f} ms "
            f"per lane of {len(record.batched)}, ratio {lane / single:.2f}"
        )
        for word, values, solves in (
            ("alone", record.alone, record.solves_alone),
            ("in the batch", record.batched, record.solves_batched),
        ):
            lines.append(
                f" {word:14s} iterations {_each(solve.iterations for solve in solves)}; "
                f"converged {_each('yes' if solve.converged else 'no' for solve in solves)}; "
                f"residual {_each(f'{_residual(solve):.1e}' for solve in solves)}; "
                f"Δ log evidence {_each(map(_change, values, exact))}"
            )
        lines.append(f" {'equal lanes':14s} Δ log evidence {_change(record.equal[0], exact[0])}")
    return "\n".join(lines)


def _tolerance(record: Float32Record) -> str:
    if record.tolerance is None:
        return "tolerance scaled with the data"
    return f"tolerance {record.tolerance:.1e}"


def _each(words: object) -> str:
    return ", ".join(str(word) for word in words)  # type: ignore[attr-defined]


def _residual(solve: LaneSolve) -> float:
    return max(solve.primal_infeasibility, solve.dual_infeasibility, solve.complementarity)


def _change(value: float | None, exact: float | None) -> str:
    return "not finite" if value is None or exact is None else f"{value - exact:+.3g}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="probe-float32", description=DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. imaging-delaunay, or all")
    add("--lanes", type=int, default=3, help="lanes of the batch (default 3)")
    add("--repeats", type=int, default=3, help="timed calls per program, at least (default 3)")
    add(
        "--arithmetic",
        nargs="+",
        choices=ARITHMETICS,
        default=ARITHMETICS,
        help="which, the first being what the others are held against (default: all)",
    )
    add("--output-dir", type=Path, help="default: a new folder under .matrix/float32")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
