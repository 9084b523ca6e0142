"""The catalogue fits the code, and of what our tests must catch one defect of each area is planted."""

import ast
import importlib
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from matrix.ground.layout import REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.prepare.environments import SideEnvironment
from matrix.records.cell import write_record
from matrix.run.kept import kept_record
from tests.detect.__main__ import Found, chosen_by, detect, key_of, main, said_of
from tests.detect.catalogue import DEFECTS, clean_on
from tests.detect.defect import NEWEST, Defect
from tests.detect.planted import take_over_baseline
from tests.factory import make_plan, make_record

AREAS = {
    *("solver", "call site", "config", "dependency", "precision", "constants", "artifacts", "harness"),
    *("audit", "gates", "report", "merge", "hpc"),
}
# All are planted by `nox -s detect`.
ONE_OF_EACH_AREA = {defect.area: defect for defect in DEFECTS if defect.gate == "tests"}.values()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_fits_the_code_and_leaves_it_valid(defect: Defect, tmp_path: Path) -> None:
    for name in dict.fromkeys(edit.file for edit in defect.edits):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY_ROOT / name, tmp_path / name)
    for edit in defect.edits:
        edit.plant(tmp_path)
        ast.parse((tmp_path / edit.file).read_text())


IN_SOLVER = [defect for defect in DEFECTS if all(edit.file.startswith("solver/") for edit in defect.edits)]


@pytest.mark.parametrize("place", range(len(IN_SOLVER)), ids=[defect.name for defect in IN_SOLVER])
def test_a_defect_of_the_solver_is_an_answer_and_no_crash(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SOLVER, tmp_path / "solver", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in IN_SOLVER[place].edits:
        edit.plant(tmp_path)
    # Under a name of its own, or Python would give the solver that it has.
    name = f"solver_with_defect_{place}"
    (tmp_path / "solver").rename(tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path)
    solver = importlib.import_module(name)
    Q, q = jnp.array([[2.0, 0.5], [0.5, 1.0]]), jnp.array([1.0, 2.0])
    gradient = jax.grad(lambda q: solver.solve_nnls_primal(Q, q, 1e-11).sum())(q)
    assert gradient.shape == solver.solve_nnls(Q, q)[0].shape == (2,)
    assert gradient.dtype == jnp.float64


def test_every_area_has_its_defects() -> None:
    counts = Counter(defect.area for defect in DEFECTS)
    assert set(counts) == AREAS
    assert len(DEFECTS) >= 20
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


@pytest.mark.parametrize("defect", ONE_OF_EACH_AREA, ids=lambda defect: defect.name)
def test_a_defect_that_our_tests_must_catch_is_caught(defect: Defect, tmp_path: Path) -> None:
    found = detect(defect, open_layout(tmp_path), Path(sys.executable))
    assert found.as_it_should, found.output


def test_unknown_word_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solver", "sovler"]) == 2
    said = capsys.readouterr().err
    assert "no defect has sovler in its name or area" in said
    assert all(one.name in said and one.area in said for one in DEFECTS)


def test_words_choose_by_name_and_by_area() -> None:
    assert chosen_by([]) == list(DEFECTS)
    assert {one.area for one in chosen_by(["constants"])} >= {"constants"}
    first = DEFECTS[0]
    assert first in chosen_by([first.name])
    assert len(chosen_by([first.name])) < len(DEFECTS)


def _found(defect: Defect) -> Found:
    return Found(defect.name, defect.area, defect.gate, 1, {}, True, 0.0, 0.0, "", "", key_of(defect))


def test_session_goes_on_with_what_has_changed_in_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with nothing else: what was found of the other defects stands."""
    planted: list[str] = []

    def detected(defect: Defect, *_: object) -> Found:
        planted.append(defect.name)
        return _found(defect)

    made = SideEnvironment(Path(sys.executable), (), "k")
    monkeypatch.setattr("tests.detect.__main__.stock_environment", lambda *_: made)
    monkeypatch.setattr("tests.detect.__main__.detect", detected)
    words = ["constants", "--root", str(tmp_path), "--output", str(tmp_path / "detect.json")]
    assert [main(words), main(words)] == [0, 0]
    whole = [clean_on(NEWEST).name, *(one.name for one in chosen_by(["constants"]))]
    assert planted == whole
    changed = [replace(one, gate="another") if one.name == whole[-1] else one for one in DEFECTS]
    monkeypatch.setattr("tests.detect.__main__.DEFECTS", changed)
    assert main(words) == 0
    assert planted == [*whole, whole[-1]]


def test_runs_have_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def detected(defect: Defect, layout: Layout, *_: object) -> Found:
        asked.append(layout.runs)
        return _found(defect)

    made = SideEnvironment(Path(sys.executable), (), "k")
    monkeypatch.setattr("tests.detect.__main__.stock_environment", lambda *_: made)
    monkeypatch.setattr("tests.detect.__main__.detect", detected)
    words = [DEFECTS[0].name, "--root", str(tmp_path), "--output", str(tmp_path / "detect.json")]
    assert main(words) == 0
    assert set(asked) == {tmp_path / "detect" / "runs"}


def test_record_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    layout, copy = open_layout(tmp_path / ".matrix" / "detect"), tmp_path / "copy"
    message = f"{copy}/a.py, {layout.runs}/one/log.txt, {tmp_path}/.matrix/environments/stock/bin/python"
    said = said_of(message, copy, layout)
    assert said == "./a.py, .matrix/detect/runs/one/log.txt, .matrix/environments/stock/bin/python"


def test_clean_runs_baseline_stands_where_its_content_is_the_planned(tmp_path: Path) -> None:
    clean = make_plan(tmp_path / "clean")
    for cell in clean.cells:
        write_record(clean.record_path(cell), make_record(side=cell.side, key=cell.key))
    same = make_plan(tmp_path / "same")
    take_over_baseline(same, clean)
    assert [kept_record(same, cell) is not None for cell in same.cells] == [True, False]
    cells = tuple(cell.model_copy(update={"key": "another"}) for cell in clean.cells)
    other = make_plan(tmp_path / "other", cells=cells)
    take_over_baseline(other, clean)
    assert not any(other.record_path(cell).exists() for cell in other.cells)
