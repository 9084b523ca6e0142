"""What the texts quote of the corpus: the record's numbers, and nothing without a record."""

import dataclasses
from pathlib import Path

import pytest

from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.bench.release import JACOBI, OURS
from matrix.diagnose.corpus.kinds import KINDS
from matrix.diagnose.corpus.metrics import Metrics
from matrix.diagnose.corpus.record import CorpusRecord, Examined, JudgedSolve, KindRecord
from matrix.diagnose.sides.record import write_diagnosis
from matrix.ground.errors import MatrixError
from matrix.refresh.branches.measured import measured_paragraphs
from tests.factory import make_record


def judged(solver: str, *, converged: bool = True, significant: float = 1e-9) -> JudgedSolve:
    return JudgedSolve(solver, converged, 2, Metrics(significant, 1e-11, 8e-8, 1e-15), 1e-14, True)


def row(solver: str, times: float, lanes: int = 1, residual: float = 1e-14) -> BenchRow:
    return BenchRow("corpus", "near_0", 1261, lanes, solver, times, times, times, residual, None, None, lanes)


def record(*times: BenchRow) -> CorpusRecord:
    made = make_record()
    where = dataclasses.replace(made.provenance, packages={"autolens": "2026.10.26.1", "jax": "0.11.2"})
    yardstick = judged(JACOBI, converged=False, significant=3e122)
    systems = (Examined("whole_0", 1261, 1e9, (yardstick, judged(OURS))),)
    kind = KindRecord(
        "delaunay", KINDS["delaunay"].family, made.cell, "key", systems, times, None, made.precision, where
    )
    return CorpusRecord({"near": 0}, (kind,))


def test_nothing_is_said_without_records(tmp_path: Path) -> None:
    assert measured_paragraphs(tmp_path) == []
    assert measured_paragraphs(tmp_path / "nowhere") == []


def test_the_record_is_quoted_by_its_own_numbers(tmp_path: Path) -> None:
    rows = (
        *(row(OURS, 1.0), row(JACOBI, 9.94, residual=3e-8), row(JACOBI, 8.52)),
        *(row(OURS, 1.0, lanes=3), row(JACOBI, 7.6, lanes=3)),
    )
    write_diagnosis(tmp_path / "corpus-cpu.json", record(*rows))
    text = "\n".join(measured_paragraphs(tmp_path))
    assert "likelihoods of release 2026.10.26.1 hand them over (`corpus-cpu.json`)" in text
    assert "- Is a wide-prior or production Mapper system unstable? 1 systems: Jacobi PDIP breaks it" in text
    assert "| Jacobi PDIP | 2 | 8.5–9.9 | 1 | 7.6 | 3e-08 |" in text
    assert "| ours | 1 | 1.0 | 1 | 1.0 | 1e-14 |" in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0] == "## Against the library's own solvers"
    assert all(line.startswith("###") for line in headings[1:])


def test_a_solver_timed_in_batches_alone(tmp_path: Path) -> None:
    write_diagnosis(tmp_path / "corpus.json", record(row(OURS, 1.0, lanes=3)))
    assert "| ours | 0 | – | 1 | 1.0 | 1e-14 |" in "\n".join(measured_paragraphs(tmp_path))


def test_a_record_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text('{"schema": "nnls-bench", "version": 1}')
    with pytest.raises(MatrixError, match=r"corpus\.json"):
        measured_paragraphs(tmp_path)
