"""The corpus as a table in Markdown, which a terminal shows as well."""

from collections.abc import Iterable, Sequence

from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.corpus.record import CorpusRecord, KindRecord
from matrix.diagnose.corpus.rule import BrokenRules, judgements, revisited
from matrix.report.markdown import markdown_table

FAMILIES = {
    "slam": "Lens models of PyAutoArray#571",
    "gaussians": "Gaussians alone",
    "mixed": "A mesh behind linear lens light (production)",
    "mapper": "A mesh alone",
    "interferometer": "Interferometer, a mesh alone",
}
JUDGED = (
    "solver", "not converged", "inexact", "less optimal", "worst significant column", "worst source flux",
    "inactive flux", "worst KKT", "worst residual", "steps, median / most", "gradients not finite", "rule",
)  # fmt: skip
TIMED = ("systems", "K", "lanes", "solver", "ms per lane", "C-eq", "times ours", "residual", "solved")


def corpus_table(record: CorpusRecord) -> str:
    """All families with their judgements, the times, and the sentences."""
    parts = [_heading(record)]
    for family, title in FAMILIES.items():
        kinds = [kind for kind in record.kinds if kind.family == family and kind.systems]
        if kinds:
            parts.append(f"## {title}\n\n{_contents(kinds)}\n\n{_judged(kinds)}")
    parts += [f"{kind.kind} is left out: {kind.left_out}." for kind in record.kinds if kind.left_out]
    parts.append(f"## Time\n\n{_times(record.kinds)}")
    sentences = "\n".join(f"- {words}" for words in revisited(record.kinds))
    parts.append(f"## Upstream's conditions\n\n{sentences}")
    return "\n\n".join(parts) + "\n"


def _heading(record: CorpusRecord) -> str:
    where = record.kinds[0].provenance
    options = ", ".join(f"{name} {value}" for name, value in record.options.items())
    return (
        f"# Corpus: autolens {where.packages['autolens']}, JAX {where.packages['jax']}, Python {where.python}"
        f"\n\n{where.cpu}, cores {', '.join(map(str, where.affinity))}, {where.started}. {options}.\n\n"
        "Inexact: a significant column off by over 1e-3, or the source's flux by 1e-4. Less optimal: KKT "
        "above ten times Jacobi PDIP's where that converges (of these, above K times 2.2e-16). Rule: kept on "
        "all systems, with that floor. C-eq: Cholesky equivalents per lane. Solved: lanes of which the "
        "solver says so."
    )


def _contents(kinds: Sequence[KindRecord]) -> str:
    return "; ".join(map(_content, kinds)) + "."


def _content(kind: KindRecord) -> str:
    conditions = [system.condition for system in kind.systems]
    span = f"condition {min(conditions):.0e} to {max(conditions):.0e}"
    return f"{kind.kind}: {len(kind.systems)} systems, K = {kind.systems[0].K}, {span}"


def _judged(kinds: Iterable[KindRecord]) -> str:
    systems = [system for kind in kinds for system in kind.systems]
    return markdown_table(JUDGED, map(_cells, judgements(systems)), aligned=True)


def _cells(one: BrokenRules) -> Sequence[str]:
    figures = (one.significant, one.source_flux, one.inactive_flux, one.kkt, one.residual)
    return (
        one.solver,
        *(f"{count} of {one.systems}" for count in (one.unconverged, one.inexact)),
        f"{one.not_optimal} ({one.above_floor})",
        *(f"{figure:.1e}" for figure in figures),
        f"{one.steps[0]:g} / {one.steps[1]}",
        "-" if one.gradients_not_finite is None else str(one.gradients_not_finite),
        "kept" if one.admissible else "broken",
    )


def _times(kinds: Iterable[KindRecord]) -> str:
    rows = (_timed(kind.kind, row) for kind in kinds for row in kind.times)
    return markdown_table(TIMED, rows, aligned=True)


def _timed(kind: str, row: BenchRow) -> Sequence[str]:
    return (
        f"{kind}, {row.system}", str(row.K), str(row.lanes), row.solver, f"{row.milliseconds:.3g}",
        f"{row.cholesky_equivalents:.1f}", f"{row.times_ours:.1f}", f"{row.residual:.0e}", f"{row.solved}",
    )  # fmt: skip
