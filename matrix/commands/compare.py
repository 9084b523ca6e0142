"""`nox -s compare -- RUN_A RUN_B`: two runs side by side, in the terminal and as a page."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.gates import Verdict, differences
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.options import SessionParser, add_root
from matrix.records.cell import SIDES
from matrix.report.html.rendering import write_page
from matrix.report.pairs import candidate_ratio
from matrix.report.rows import MISSING
from matrix.report.runs import Run, find_run, load_run, machines_of, verdict_of

HEADINGS = (
    "cell",
    "evidence A",
    "evidence B",
    "difference",
    "A ms",
    "B ms",
    "ratio A",
    "ratio B",
)
CAPTION = (
    "Evidence: compiled, at the prior medians. Difference: the largest relative one of any path. "
    "ms: median per lane of the batch, as each cell was measured; two runs are never timed in turn, so these "
    "have no ratio. Ratio: of the sides within one run, in the batch, above 1 where the candidate is faster."
)


@dataclass(frozen=True)
class Comparison:
    """Two runs held against each other; judges nothing.

    Attributes
    ----------
    rows
        Text, one row per cell, in the order of `HEADINGS`.
    settings
        What the runs were made with, where it differs: name, in A, in B.
    changes
        Gates that ended differently: gate with its pipeline and side, in A, in B.
    timed_alike
        Whether both ran on the same class of machine.
    """

    a: Run
    b: Run
    rows: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, str, str], ...]
    changes: tuple[tuple[str, str, str], ...]
    timed_alike: bool


def compare(a: Run, b: Run, across_machines: bool) -> Comparison:
    """Hold run `b` against run `a`.

    Parameters
    ----------
    a, b
        Of the same precision and scale.
    across_machines
        Whether runs of different classes of machine may be compared.

    Raises
    ------
    UsageError
        The runs are not comparable.
    """
    for name in ("precision", "scale"):
        first, second = getattr(a.plan, name), getattr(b.plan, name)
        if first != second:
            raise UsageError(
                f"{a.plan.run} has {name} {first}, {b.plan.run} has {second}: their numbers do not compare. "
                f"Choose two runs of the same {name}."
            )
    common = [name for name in a.records if name in b.records]
    if not common:
        raise UsageError(f"{a.plan.run} and {b.plan.run} have no finished cell in common.")
    alike = machines_of(a) == machines_of(b) and len(machines_of(a)) == 1
    if not alike and not across_machines:
        raise UsageError(
            f"the runs come from different machines (A: {' and '.join(machines_of(a))}; "
            f"B: {' and '.join(machines_of(b))}), so their times do not compare. "
            "Add --across-machines to see the evidences all the same."
        )
    names = list(dict.fromkeys((*a.records, *b.records)))
    rows = tuple(_row(name, a, b) for name in names)
    return Comparison(a, b, rows, _settings(a, b), _changes(a.verdicts, b.verdicts), alike)


def _row(name: str, a: Run, b: Run) -> tuple[str, ...]:
    mine, other = a.records.get(name), b.records.get(name)
    apart = max(differences(other, mine).values()) if mine and other else None
    return (
        name,
        *(f"{record.evaluations.jit.values[0]:.6f}" if record else MISSING for record in (mine, other)),
        f"{apart:.1e}" if apart is not None else MISSING,
        *(f"{record.timings.vmap_lane_s * 1e3:.1f}" if record else MISSING for record in (mine, other)),
        *(candidate_ratio(run.pairs, run.records.get(name)) for run in (a, b)),
    )


def _settings(a: Run, b: Run) -> tuple[tuple[str, str, str], ...]:
    first, second = _facts(a), _facts(b)
    names = dict.fromkeys((*first, *second))
    pairs = [(name, first.get(name, MISSING), second.get(name, MISSING)) for name in names]
    return tuple(pair for pair in pairs if pair[1] != pair[2])


def _facts(run: Run) -> Mapping[str, str]:
    plan = run.plan
    commits = {f"{c.name} {c.purpose}": c.commit[:12] for c in plan.checkouts}
    packages = {
        f"{name} ({side})": record.provenance.packages[name]
        for side in SIDES
        for record in run.records.values()
        if record.cell.side == side
        for name in ("jax", "numpy", "scipy")
        if name in record.provenance.packages
    }
    return {
        "release": plan.release,
        "source": plan.source,
        "solver": plan.solver_tree[:12],
        "algorithm asked for": plan.algorithm or MISSING,
        "settings asked for": "; ".join(plan.settings) or MISSING,
        "data beside the workspace's": "; ".join(plan.own_data) or MISSING,
        "change": plan.difference or MISSING,
        "threads per cell": str(plan.threads),
        "machine": " and ".join(machines_of(run)),
        **commits,
        **packages,
    }


def _changes(a: Sequence[Verdict], b: Sequence[Verdict]) -> tuple[tuple[str, str, str], ...]:
    first, second = _outcomes(a), _outcomes(b)
    names = dict.fromkeys((*first, *second))
    pairs = [(name, first.get(name, "not judged"), second.get(name, "not judged")) for name in names]
    return tuple(pair for pair in pairs if pair[1] != pair[2])


def _outcomes(verdicts: Sequence[Verdict]) -> Mapping[str, str]:
    return {f"{v.pipeline} {v.gate} {v.side or 'both sides'}": v.outcome.value for v in verdicts}


def write_comparison(found: Comparison) -> Path:
    """Write the comparison as a page into B's folder."""
    path = found.b.plan.folder / f"compare-with-{found.a.plan.run}.html"
    write_page(
        path,
        "compare.html.j2",
        title=f"{found.a.plan.run} and {found.b.plan.run}",
        found=found,
        headings=HEADINGS,
        caption=CAPTION,
        verdict_a=verdict_of(found.a),
        verdict_b=verdict_of(found.b),
    )
    return path


def print_comparison(console: Console, found: Comparison) -> None:
    """Print what the page shows."""
    console.print(f"A: {found.a.plan.run}, {verdict_of(found.a)}")
    console.print(f"B: {found.b.plan.run}, {verdict_of(found.b)}")
    table = Table(caption=CAPTION, width=None if console.is_terminal else 140)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
    for row in found.rows:
        table.add_row(*map(Text, row))
    console.print(table)
    if not found.timed_alike:
        console.print(Text("The machines differ: their times do not compare.", "yellow"))
    for title, lines in (("made with", found.settings), ("gates", found.changes)):
        for name, first, second in lines:
            console.print(Text(f"{title}: {name}: {first} → {second}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two runs; 0, or 2 where they are not comparable."""
    parser = SessionParser(
        "compare", "Hold two runs against each other, in the terminal and as a page.", "RUN_A latest"
    )
    parser.add_argument("a", metavar="RUN_A", help="name, start of a name, or folder of a run")
    parser.add_argument("b", metavar="RUN_B", help="the same, or: latest")
    parser.add_argument("--across-machines", action="store_true", help="compare evidences all the same")
    add_root(parser)
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> int:
    folders = [find_run(options.root / "runs", name) for name in (options.a, options.b)]
    if folders[0].resolve() == folders[1].resolve():
        raise UsageError(f"{options.a} and {options.b} are the same run, {folders[0].name}: give two runs.")
    a, b = map(load_run, folders)
    found = compare(a, b, options.across_machines)
    path = write_comparison(found)
    console = open_console()
    print_comparison(console, found)
    console.print(f"to look at: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
