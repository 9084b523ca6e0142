"""What the record of the corpus says of the library's own solvers and ours, for the pull requests."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.corpus.record import CorpusRecord
from matrix.diagnose.corpus.rule import revisited
from matrix.diagnose.corpus.table import corpus_table
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.records import typed_json
from matrix.report.markdown import markdown_table

RESULTS = REPOSITORY_ROOT / "docs" / "results"
RECORDS = "corpus*.json"


def measured_paragraphs(folder: Path = RESULTS) -> list[str]:
    """Of each record in a folder: upstream's conditions, times against ours, the whole table; else nothing.

    Raises
    ------
    RecordError
        A record is there and cannot be read: what a text leaves out should be left out knowingly.
    """
    return [part for path in sorted(folder.glob(RECORDS)) for part in _parts(path)]


def _parts(path: Path) -> list[str]:
    record = typed_json.read(path, CorpusRecord)
    release = record.kinds[0].provenance.packages["autolens"]
    sentences = "\n".join(f"- {words}" for words in revisited(record.kinds))
    return [
        "## Against the library's own solvers\n\nOn systems as the likelihoods of release "
        f"{release} hand them over (`{path.name}`). To the conditions that would reopen the decision:",
        sentences,
        "Times relative to `ours`, from the quickest to the slowest system, with the worst residual:",
        _times([row for kind in record.kinds for row in kind.times]),
        f"<details><summary>All families</summary>\n\n{_demoted(corpus_table(record)).strip()}\n\n</details>",
    ]


def _times(rows: Sequence[BenchRow]) -> str:
    headings = ("solver", "systems alone", "times ours", "batches", "times ours, per lane", "residual")
    cells = []
    for solver in dict.fromkeys(row.solver for row in rows):
        mine = [row for row in rows if row.solver == solver]
        alone = [row.times_ours for row in mine if row.lanes == 1]
        batched = [row.times_ours for row in mine if row.lanes > 1]
        worst = f"{max(row.residual for row in mine):.0e}"
        cells.append((solver, str(len(alone)), _range(alone), str(len(batched)), _range(batched), worst))
    return markdown_table(headings, cells)


def _range(values: Iterable[float]) -> str:
    ends = [f"{value:.1f}" for value in sorted(values)]
    if not ends:
        return "–"
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]}–{ends[-1]}"


def _demoted(markdown: str) -> str:
    """A page's text below a heading of ours."""
    return re.sub(r"^#", "###", markdown, flags=re.MULTILINE)
