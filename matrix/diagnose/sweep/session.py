"""`nox -s sweep`: solver settings through the likelihood, and whether a config change alone would do."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix.diagnose.sides.likelihood import LikelihoodDiagnosis
from matrix.diagnose.sweep.cell import REFERENCE
from matrix.diagnose.sweep.plot import sweep_curves
from matrix.diagnose.sweep.record import Setting, SweepRecord
from matrix.diagnose.sweep.verdict import PUBLISHED_ON, Sweep
from matrix.records.cell import Cell, Side
from matrix.run.plan import Plan

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


def _details(options: argparse.Namespace, cell: Cell, folder: Path) -> Mapping[str, Any]:
    return {
        "settings": [dataclasses.asdict(setting) for setting in settings_of(cell.side)],
        "repeats": options.repeats,
        "reference": str((folder / "baseline" / REFERENCE).resolve()) if cell.side == "candidate" else None,
    }


def _both(records: Mapping[Side, SweepRecord]) -> Sweep:
    return Sweep(records["baseline"], records["candidate"])


def _tables(plan: Plan, records: Mapping[Side, SweepRecord]) -> str:
    sweep = _both(records)
    advice = sweep.recommendation(plan.tolerances.parity, plan.targets.get(PUBLISHED_ON, {}))
    return "\n".join([*_table(sweep, sweep.baseline), *_table(sweep, sweep.candidate), advice])


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


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=5, help="timed calls per setting, in turn (default 5)")


DIAGNOSIS = LikelihoodDiagnosis(
    name="sweep",
    sentence=(
        "Iteration limits and tolerances of jaxnnls, of the candidate's algorithm and of its interior-point "
        "method, through the whole likelihood: wall time, log evidence, reconstruction."
    ),
    example="interferometer-delaunay",
    options=_options,
    record=SweepRecord,
    details=_details,
    table=_tables,
    picture=lambda plan, records: sweep_curves(_both(records), plan.tolerances.parity),
)
