"""`nox -s sweep`: solver settings through the likelihood, and whether a config change alone would do."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
)
from matrix.diagnose.sweep.cell import REFERENCE
from matrix.diagnose.sweep.plot import sweep_curves
from matrix.diagnose.sweep.record import Setting, SweepRecord
from matrix.diagnose.sweep.verdict import PUBLISHED_ON, Sweep
from matrix.ground.options import SessionParser
from matrix.records.cell import SIDES, Cell, Side

DESCRIPTION = (
    "Iteration limits and tolerances of jaxnnls, of the candidate's algorithm and of its interior-point "
    "method, through the whole likelihood: wall time, log evidence, reconstruction."
)
ITERATIONS = (5, 10, 15, 20)
TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-8)
# One program serves them all on the baseline, so there it may be many.
FINE_ITERATIONS = (2, *range(4, 27, 2))
FINE_TOLERANCES = tuple(10.0**power for power in range(-2, -13, -1))
# Of a large system: the identification's, and those of one or two rounds of the elimination.
FACTORISATIONS = (2, 3)


def settings_of(side: Side) -> tuple[Setting, ...]:
    """What is swept on a side, defaults first."""
    if side == "baseline":
        return _family("jaxnnls", FINE_ITERATIONS, FINE_TOLERANCES)
    return (*_family("auto", FACTORISATIONS, TOLERANCES), *_family("pdip", ITERATIONS, TOLERANCES))


def _family(algorithm: str, iterations: Sequence[int], tolerances: Sequence[float]) -> tuple[Setting, ...]:
    limits = (Setting(algorithm, max_iter=limit) for limit in iterations)
    settings = (Setting(algorithm, solver_tol=tolerance) for tolerance in tolerances)
    return (Setting(algorithm), *limits, *settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _sweep)


def _sweep(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    plan = newest_plan(options.root, options.run)
    folder = folder_of(options, pipeline, "sweeps", f"{pipeline}-{options.scale}")
    records: dict[Side, SweepRecord] = {}
    for side in SIDES:
        details = {
            "settings": [dataclasses.asdict(setting) for setting in settings_of(side)],
            "repeats": options.repeats,
            "reference": str((folder / "baseline" / REFERENCE).resolve()) if side == "candidate" else None,
        }
        records[side] = run_side(
            console,
            plan,
            "matrix.diagnose.sweep.cell",
            Cell(pipeline, "fp64", side, options.scale),
            folder / side,
            SweepRecord,
            details=details,
            timeout=options.timeout,
        )
    sweep = Sweep(records["baseline"], records["candidate"])
    parity = plan.tolerances.parity
    advice = sweep.recommendation(parity, plan.targets.get(PUBLISHED_ON, {}))
    lines = [*_table(sweep, sweep.baseline), *_table(sweep, sweep.candidate), advice]
    (folder / "sweep.png").write_bytes(sweep_curves(sweep, parity))
    deliver(console, folder, "\n".join(lines))


def _table(sweep: Sweep, record: SweepRecord) -> list[str]:
    facts = record.provenance
    whole, rest = (1e3 * min(times) for times in (record.whole_s, record.rest_s))
    lines = [
        f"{record.cell.name}, {record.cell.scale} scale; {facts.device_kind} ({facts.cpu}, "
        f"{len(facts.affinity)} of {facts.cores} cores), JAX {facts.packages.get('jax')}",
        f" whole likelihood {whole:.2f} ms, all but its solve {rest:.2f} ms",
        f" {'setting':22s} {'solve ms':>9s} {'likelihood ms':>13s} {'Δ log evidence':>14s} {'drift':>8s} "
        f"{'L2':>8s} {'iterations':>10s}",
    ]
    for point in record.points:
        numbers = [_short(number) for number in (sweep.change(point), sweep.drift(point), point.l2)]
        word = "" if point.converged else " not converged"
        lines.append(
            f" {point.setting.label:22s} {1e3 * min(point.solve_s):9.2f} "
            f"{1e3 * sweep.call_s(point):13.2f} {numbers[0]:>14s} {numbers[1]:>8s} {numbers[2]:>8s} "
            f"{point.iterations:10d}{word}"
        )
    return lines


def _short(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.1e}"


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("sweep", DESCRIPTION, "interferometer-delaunay")
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. interferometer-delaunay, or all")
    add("--repeats", type=int, default=5, help="timed calls per setting, in turn (default 5)")
    add("--output-dir", type=Path, help="default: a new folder under .matrix/sweeps")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
