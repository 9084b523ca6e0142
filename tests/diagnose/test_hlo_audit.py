"""Operations are counted right in programs whose content is known, and relaxed code is told from the rest."""

import ast
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import solver
from matrix.diagnose.hlo_audit.cell import RELAXED
from matrix.diagnose.hlo_audit.operations import instructions_from, kinds, operations
from matrix.diagnose.hlo_audit.record import PROGRAMS, AuditedProgram, HloRecord
from matrix.diagnose.hlo_audit.session import audit_table, relaxed_in_sampling_path, sentence
from matrix.ground.layout import SOLVER
from matrix.records.cell import Cell, Side
from tests.refresh.artifacts.made_up import complete_record

SYSTEM = (jax.ShapeDtypeStruct((3, 8, 8), jnp.float64), jax.ShapeDtypeStruct((3, 8), jnp.float64))


def text_of(function: Any, *shapes: Any) -> str:
    return str(jax.jit(jax.vmap(function)).lower(*shapes).compile().as_text())


def test_each_kind_is_counted_once() -> None:
    def program(Q: Any, q: Any) -> Any:
        lower = jnp.linalg.cholesky(Q)
        x = jax.scipy.linalg.solve_triangular(lower, q, lower=True)
        x = jax.pure_callback(lambda x: x, q, x, vmap_method="sequential")
        return jax.lax.while_loop(lambda x: x[0] < 1, lambda x: x + 1, x)

    counts = kinds(operations(text_of(program, *SYSTEM)))
    assert (counts["Cholesky"], counts["triangular solve"]) == (1, 1)
    assert counts["callback"] >= 1
    assert counts["while loop"] >= 1
    assert counts["LU"] == 0


def test_relaxed_code_is_in_the_gradient_and_nowhere_else() -> None:
    def gradient(Q: Any, q: Any) -> Any:
        return jax.grad(lambda Q: jnp.sum(solver.solve_nnls_primal(Q, q)))(Q)

    assert instructions_from(text_of(gradient, *SYSTEM), "relax") > 0
    assert instructions_from(text_of(solver.solve_nnls_primal, *SYSTEM), "relax") == 0


def test_only_the_gradient_s_own_functions_are_named_after_relaxing() -> None:
    """JAX 0.11 writes the name of every function an instruction comes through; older ones leave some out."""
    named = {
        path.name
        for path in SOLVER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and RELAXED in node.name
    }
    assert named == {"_gradient.py"}


def test_older_form_of_the_metadata() -> None:
    line = '  %a.1 = f64[3]{0} add(%b, %c), metadata={op_name="add" source_file="/p/x/FILE"}'
    assert instructions_from(line.replace("FILE", "pdip_relaxed.py"), "relax") == 1
    assert instructions_from(line.replace("FILE", "pdip.py").replace("/x/", "/relax/"), "relax") == 0


@pytest.mark.parametrize(("called", "relaxed", "word"), [(3, 0, "is not"), (5, 0, "IS"), (3, 7, "IS")])
def test_one_line_says_whether_it_is_in_the_sampling_path(called: int, relaxed: int, word: str) -> None:
    record = made("candidate", called, relaxed)
    assert relaxed_in_sampling_path(record) == (word == "IS")
    assert f"candidate: the relaxed backward pass {word} in the sampling path" in sentence(record)


def test_the_table_holds_both_sides_side_by_side() -> None:
    text = audit_table({"baseline": made("baseline", 5, 7), "candidate": made("candidate", 3, 0)})
    rows = {line[:21].strip(): line[21:].split() for line in text.splitlines()}
    assert rows["Cholesky"] == ["9", "→", "9", "5", "→", "3", "3", "→", "3", "8", "→", "8"]
    assert rows["from relaxed code"][:3] == ["7", "→", "0"]
    assert rows["code MiB"][:3] == ["-", "→", "-"]
    assert " dot                                              7         0         -7" in text


def made(side: Side, called: int, relaxed: int) -> HloRecord:
    programs = {
        name: AuditedProgram(
            kinds={"Cholesky": count, "callback": 1},
            operations={"add": 2, **({"dot": relaxed} if relaxed else {})},
            from_relaxed_code=relaxed,
            temporary_bytes=1024**2,
            code_bytes=None,
            text=f"{name}.txt",
        )
        for name, count in zip(PROGRAMS, (9, called, 3, 8), strict=True)
    }
    measured = complete_record("interferometer-pixelization")
    cell = Cell("interferometer-pixelization", "fp64", side, "smoke")
    return HloRecord(cell, 88, programs, measured.precision, measured.provenance)
