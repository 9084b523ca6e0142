"""What the texts quote of records beside the run's own: the records' numbers, and nothing without records."""

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.branches.measured import measured_paragraphs
from matrix.errors import UsageError


def row(solver: str, times: float, lanes: int = 1, residual: float = 1e-14) -> dict[str, Any]:
    return {
        "part": "systems",
        "system": "s",
        "K": 1261,
        "lanes": lanes,
        "solver": solver,
        "milliseconds": times,
        "cholesky_equivalents": times,
        "times_ours": times,
        "residual": residual,
        "objective_excess": None,
        "temporary_bytes": None,
    }


def judged(solver: str, converged: bool, significant: float, gradient: bool | None = True) -> dict[str, Any]:
    metrics = {"significant": significant, "source_flux": 1e-11, "inactive_flux": 8e-8, "kkt": 1e-14}
    return {
        "solver": solver,
        "converged": converged,
        "steps": 2,
        "metrics": metrics,
        "residual": 1e-14,
        "gradient_finite": gradient,
    }


def kind(
    name: str, family: str, *systems: list[dict[str, Any]], left_out: str | None = None
) -> dict[str, Any]:
    examined = [{"name": str(n), "K": 60, "condition": 1e11, "judged": one} for n, one in enumerate(systems)]
    return {"kind": name, "family": family, "systems": examined, "left_out": left_out, "times": []}


def write(path: Path, schema: str, version: int, **content: Any) -> None:
    path.write_text(json.dumps({"schema": schema, "version": version, **content}))


def test_nothing_is_said_without_records(tmp_path: Path) -> None:
    assert measured_paragraphs(tmp_path) == []
    assert measured_paragraphs(tmp_path / "nowhere") == []


def test_times_are_ranges_of_the_record(tmp_path: Path) -> None:
    rows = [
        *(row("ours", 1.0), row("Jacobi PDIP", 8.52), row("Jacobi PDIP", 9.94, residual=3e-8)),
        *(row("Jacobi PDIP", 7.6, lanes=3), row("certified, 16 passes", 9.0, residual=1.0)),
    ]
    write(tmp_path / "upstream-cpu.json", "nnls-bench", 2, rows=rows, provenance={})
    text = "\n".join(measured_paragraphs(tmp_path))
    assert "| ours | 1 | 1.0 | 0 | – | 1e-14 |" in text
    assert "| Jacobi PDIP | 2 | 8.5–9.9 | 1 | 7.6 | 3e-08 |" in text
    assert "| certified, 16 passes | 1 | 9.0 | 0 | – | 1e+00 |" in text
    assert "`upstream-cpu.json`" in text
    assert "corpus" not in text


def test_the_corpus_is_judged_by_family_and_its_worst_systems(tmp_path: Path) -> None:
    kinds = [
        kind(
            "slam",
            "slam",
            [judged("ours", True, 4.6e-9), judged("Jacobi PDIP", False, 3e122, gradient=False)],
        ),
        kind("noise", "slam", [judged("ours", True, 1e-9), judged("Jacobi PDIP", True, float("nan"))]),
        kind("rtu", "mapper", left_out="the release has no such mesh"),
    ]
    write(tmp_path / "corpus.json", "nnls-matrix/corpus-record", 1, kinds=kinds, options={})
    text = "\n".join(measured_paragraphs(tmp_path))
    assert "| slam | ours | 0 of 2 | 4.6e-09 | 1.0e-11 | 8.0e-08 | 0 |" in text
    assert "| slam | Jacobi PDIP | 1 of 2 | inf | 1.0e-11 | 8.0e-08 | 1 |" in text
    assert "- rtu: the release has no such mesh" in text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "is no record"),
        ('{"schema": "nnls-bench"}', "is no record"),
        ('{"schema": "nnls-bench", "version": 1}', "not of"),
        ('{"schema": "nnls-bench", "version": 2, "rows": [{}]}', "faults"),
    ],
)
def test_a_record_that_cannot_be_read_is_not_left_out_in_silence(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "upstream.json").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        measured_paragraphs(tmp_path)
