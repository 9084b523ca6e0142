"""`nox -s releases`: which releases vendoring knows, and which reproduced their constants in kept runs."""

import dataclasses
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from matrix.catalogue.releases import KNOWN, order_of, pythons_for
from matrix.gates import Outcome
from matrix.gates.judging import Run, judge_run
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.files import write_json, write_text
from matrix.ground.layout import REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.ground.options import SessionParser, add_root
from matrix.prepare.change import UnrecognisedError, vendor_library
from matrix.prepare.checkout.sdist import fetch_sdist, unpack_sdist
from matrix.report.markdown import markdown_table
from matrix.run.plan import Plan, PlanError, read_plan, run_folders

RECORD = REPOSITORY_ROOT / "docs" / "results" / "releases.json"
_PAGE = REPOSITORY_ROOT / "docs" / "releases.md"
_TABLE = re.compile(r"(<!-- releases: begin -->\n).*?(<!-- releases: end -->)", re.DOTALL)
SCHEMA = "nnls-matrix/releases"

# Besides the known ones: the first release of every shape of the call site since July 2026.
_OTHERS = ("2026.10.7.1", "2026.10.2.1", "2026.9.26.1", "2026.9.19.1", "2026.8.29.1", "2026.7.15.1")
_HEADINGS = ("release", "Python", "vendoring", "constants reproduced", "largest drift", "source", "run on")


@dataclasses.dataclass(frozen=True)
class ExaminedRelease:
    """One release.

    Attributes
    ----------
    pythons
        Minor versions that it is run on.
    refusals
        What vendoring does not recognise; empty where it knows the release.
    reproduced
        As ``6 of 6``: pipelines whose NumPy, JIT and vmap values are within tolerance of their constant
        on both sides; empty where no complete run at production scale is kept.
    drift
        The largest relative difference among them; None without a run.
    source, run_on
        Where that run's repositories came from; its Python, JAX and processor.
    """

    release: str
    pythons: tuple[str, ...]
    refusals: tuple[str, ...]
    reproduced: str = ""
    drift: float | None = None
    source: str = ""
    run_on: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """The release's line of the table."""
        vendoring = "refused" if self.refusals else "known"
        drift = "" if self.drift is None else f"{self.drift:.1e}"
        found = (self.reproduced or "not run", drift, self.source, self.run_on)
        return (self.release, ", ".join(self.pythons), vendoring, *found)


def table_of(examined: Iterable[ExaminedRelease]) -> str:
    """The table of docs/releases.md."""
    return markdown_table(_HEADINGS, [one.row for one in examined])


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine the releases, print the table and write the record; 0, or 2 or 3 on trouble."""
    parser = SessionParser(
        "releases", "Say which releases vendoring knows, and which reproduced their constants in kept runs."
    )
    add_root(parser)
    parser.add_argument("--record", type=Path, help="where to write the record (default: nowhere)")
    parser.add_argument("--page", action="store_true", help="put the table into docs/releases.md")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _releases(options.root, options.record, options.page))


def _releases(root: Path, record: Path | None, page: bool) -> int:
    console = open_console()
    layout = open_layout(root)
    releases = sorted({*KNOWN, *_OTHERS}, key=order_of, reverse=True)
    console.print(
        f"{len(releases)} releases: source archives of a few MB each, and the runs in {layout.runs}"
    )
    examined = []
    for release in releases:
        examined.append(_examine(layout, release))
        console.print(" | ".join(examined[-1].row), markup=False)
    if record is not None:
        entries = [dataclasses.asdict(one) for one in examined]
        write_json(record, {"schema": SCHEMA, "version": 1, "releases": entries})
        console.print(f"written     {record}")
    table = table_of(examined)
    if page:
        text = _TABLE.sub(lambda found: f"{found[1]}{table}\n{found[2]}", _PAGE.read_text(encoding="utf-8"))
        write_text(_PAGE, text)
    console.print(table, markup=False)
    return 0


def _examine(layout: Layout, release: str) -> ExaminedRelease:
    examined = ExaminedRelease(release, pythons_for(release), _refusals(layout, release))
    run = _fullest_run(layout, release)
    return examined if run is None else _with_run(examined, run)


def _refusals(layout: Layout, release: str) -> tuple[str, ...]:
    archive = fetch_sdist("autoarray", release, layout.cache / "sdist")
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "library"
        unpack_sdist(archive, library)
        try:
            vendor_library(library, SOLVER)
        except UnrecognisedError as error:
            return tuple(f"{problem.where}: {problem.what}" for problem in error.problems)
    return ()


def _fullest_run(layout: Layout, release: str) -> Plan | None:
    """The newest run of a release in float64 at production scale that has every record."""
    for folder in reversed(run_folders(layout.runs)):
        try:
            plan = read_plan(folder)
        except PlanError:
            continue
        whole = all(plan.record_path(cell).is_file() for cell in plan.cells)
        if (plan.release, plan.scale, plan.precision) == (release, "production", "fp64") and whole:
            return plan
    return None


def _with_run(examined: ExaminedRelease, plan: Plan) -> ExaminedRelease:
    run = judge_run(plan)
    verdicts = [verdict for verdict in run.verdicts if verdict.gate == "constant"]
    if not verdicts:
        raise UsageError(
            f"{plan.folder} judges no constants: it was made by another version of this program."
        )
    failed = {verdict.pipeline for verdict in verdicts if verdict.outcome is not Outcome.PASS}
    drifts = [
        number
        for verdict in verdicts
        for name, number in verdict.numbers.items()
        if name.startswith("drift_")
    ]
    count = len(plan.pipelines)
    return dataclasses.replace(
        examined,
        reproduced=f"{count - len(failed)} of {count}",
        drift=max(drifts),
        source=str(plan.source),
        run_on=_machine(run),
    )


def _machine(run: Run) -> str:
    record = next(iter(run.records.values()))
    packages = record.provenance.packages
    return f"Python {record.provenance.python}, JAX {packages.get('jax', '?')}, {record.provenance.cpu}"


if __name__ == "__main__":
    sys.exit(main())
