"""The solver without one of its parts: another program each time, and the solver itself as it was."""

import json
from pathlib import Path

import pytest

import solver
from matrix.diagnose.bench import ablation
from matrix.diagnose.bench.ablation import ABLATIONS, Ablation
from matrix.diagnose.bench.session import DIAGNOSIS
from matrix.diagnose.families import families

# Of the order from which on systems are cut in blocks.
K = 300
TOLD = tuple(range(4))


@pytest.mark.parametrize("left_out", ABLATIONS, ids=lambda one: one.part)
def test_each_part_has_a_place_in_a_program(left_out: Ablation) -> None:
    # A block that is told is not sought, and the guess is one of small systems.
    size = 40 if left_out.part == "guess of the free set" else K
    told = None if left_out.part == "finding the dense block" else TOLD
    whole, rest = (ablation._program(one, left_out.gradient) for one in (solver, left_out.solver()))
    assert ablation._lowered(whole, size, told).as_text() != ablation._lowered(rest, size, told).as_text()


def test_programs_of_one_solver_do_not_differ() -> None:
    one, other = (ablation._program(solver, gradient=False) for _ in range(2))
    assert not ablation._differ(one, other, 12)


def test_the_solver_itself_stays_as_it_is() -> None:
    (guess,) = (one for one in ABLATIONS if one.part == "guess of the free set")
    before = solver._interior.GUESS_UP_TO
    assert guess.solver()._interior.GUESS_UP_TO == 0
    assert solver._interior.GUESS_UP_TO == before > 0


def test_a_part_that_the_solver_no_longer_has_is_an_error() -> None:
    with pytest.raises(AttributeError, match="HUNCH"):
        Ablation("hunch", {"_interior.HUNCH": 0}).solver()


@pytest.mark.parametrize(("part", "measured"), [("guess", 1), ("identification", 0)])
def test_the_command_measures_what_has_a_place_in_so_small_a_system(
    part: str, measured: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [case for case in families([6]) if "1e+02" in case.name or "alike" in case.name]
    monkeypatch.setattr(ablation, "families", lambda _sizes: few)
    path = tmp_path / "ablation.json"
    words = ["--part", "ablation", "--size", "6", "--repeats", "1", "--record", str(path)]
    assert DIAGNOSIS.main([*words, "--match", part]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == measured
    for row in rows:
        assert row["certified_ours"] == row["systems"] == len(few) > 1
        assert 0 < row["spread"][0] <= row["times_ours"] <= row["spread"][1]
        assert row["compiling"] > 0
