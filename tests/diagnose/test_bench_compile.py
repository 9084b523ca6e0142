"""Compile times: measured in fresh processes in turn, and held against jaxnnls'."""

import pytest

from matrix.diagnose.bench import compiling
from matrix.diagnose.bench.record import Compiled


def test_solvers_take_turns_and_quotients_are_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    seconds = {"ours": iter([(1.0, 3.0), (1.0, 1.0)]), "jaxnnls": iter([(1.0, 1.0), (0.5, 0.5)])}

    def fresh(solver: str, program: str, K: int) -> tuple[float, float]:
        asked.append(f"{solver} {program} {K}")
        return next(seconds[solver])

    monkeypatch.setattr(compiling, "_in_fresh_process", fresh)
    monkeypatch.setattr(compiling, "PROGRAMS", ("answer",))
    ((ours, theirs),) = compiling.compiling(2, [8])
    assert asked == ["ours answer 8", "jaxnnls answer 8"] * 2
    assert (ours.lowering_s, ours.compiling_s, ours.times_ours) == (1.0, 2.0, 1.0)
    assert (theirs.lowering_s, theirs.compiling_s) == (0.75, 0.75)
    assert (theirs.times_ours, theirs.spread) == (0.5, (0.5, 0.5))


@pytest.mark.parametrize(("K", "quotient", "late"), [(40, 0.65, True), (40, 0.7, False), (1261, 0.49, True)])
def test_what_compiles_too_slowly_is_named(K: int, quotient: float, late: bool) -> None:
    row = Compiled("compile", "answer", K, 3, "jaxnnls", 1.0, 1.0, quotient, (quotient, quotient))
    named = f"answer, K = {K} ({1 / quotient:.2f}x)" if late else "none"
    assert compiling.slow_compilations([row]).endswith(f": {named}")


@pytest.mark.parametrize("solver", compiling.SOLVERS)
@pytest.mark.parametrize("program", compiling.PROGRAMS)
def test_a_fresh_process_compiles_each_program(solver: str, program: str) -> None:
    lowering, seconds = compiling._in_fresh_process(solver, program, 6)
    assert 0 < lowering < 100
    assert 0 < seconds < 100
