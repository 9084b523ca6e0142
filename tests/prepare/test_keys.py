"""What a program is made of is read from its imports; content keys know exactly that."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from matrix.catalogue import pipelines as catalogue
from matrix.catalogue.pipelines import PIPELINES
from matrix.ground import imports
from matrix.ground.imports import definitions_in, files_behind
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare import planning
from matrix.prepare.planning import cell_codes, program_code

FILES = {
    "ours/__init__.py": "",
    "ours/program.py": "import json\nfrom ours import one\nfrom .deep.two import thing\n",
    "ours/one.py": "def late():\n    import ours.three as three\n    return three\n",
    "ours/three.py": "TEXT = open('words.txt')\nFOLDER = 'templates'\nCACHE = '__pycache__'\n",
    "ours/deep/__init__.py": "from ours import four\n",
    "ours/deep/two.py": "import typing\nif typing.TYPE_CHECKING:\n    from ours import typed\nthing = 1\n",
    "ours/four.py": "",
    "ours/typed.py": "",
    "ours/outside.py": "from ours import program\n",
    "ours/words.txt": "a",
    "ours/other.txt": "a",
    "ours/templates/page/a.md": "a",
    "ours/templates/.cache/b": "a",
    "ours/__pycache__/a.pyc": "a",
}
CACHED = {"ours/templates/.cache/b", "ours/__pycache__/a.pyc"}
INSIDE = sorted({*FILES} - {"ours/typed.py", "ours/outside.py", "ours/other.txt"} - CACHED)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def behind(repository: Path) -> list[str]:
    found = files_behind(["ours.program"], repository)
    return [path.relative_to(repository).as_posix() for path in found]


def test_imports_are_followed_wherever_they_stand_and_named_data_counts(repository: Path) -> None:
    assert behind(repository) == INSIDE


def test_a_file_that_is_imported_from_now_on_counts_from_now_on(repository: Path) -> None:
    (repository / "ours" / "five.py").write_text("")
    assert behind(repository) == INSIDE
    (repository / "ours" / "four.py").write_text("from ours.five import *\n")
    assert behind(repository) == sorted([*INSIDE, "ours/five.py"])


def test_module_that_is_not_there_is_no_program_of_nothing(repository: Path) -> None:
    with pytest.raises(LookupError, match=r"holds no module ours\.gone"):
        files_behind(["ours.program", "ours.gone"], repository)


def test_definitions_are_a_module_without_its_data(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.py"
    path.write_text("PUBLIC = 1\n_SIZE = 2\nTABLE = {1: _SIZE}\ndef f():\n    return 3\n")
    assert definitions_in(path, "TABLE") == "PUBLIC = 1\ndef f():\n    return 3"


def test_a_cell_loads_nothing_of_ours_that_its_key_does_not_know() -> None:
    """Python's own word on it: what is loaded once a cell's program and its variables are."""
    code = (
        "import sys, matrix.pipelines.cell, matrix.execute.variables\n"
        "ours = [name for name in sys.modules if name.split('.')[0] in ('matrix', 'solver')]\n"
        "print(*(sys.modules[name].__file__ for name in ours))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    )
    loaded = {Path(name) for name in done.stdout.split()}
    assert loaded <= set(files_behind(planning._CELL))
    assert len(loaded) > 5


EDITED: list[tuple[str, bool]] = [
    ("matrix/pipelines/kkt.py", True),
    ("matrix/ground/process.py", True),
    ("matrix/execute/variables.py", True),
    ("matrix/report/rows.py", False),
    ("matrix/gates/pipelines.py", False),
    ("matrix/run/plan.py", False),
]


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a file of the repository read as if a line were added to it."""
    read = Path.read_bytes

    def edit(name: str) -> None:
        path = REPOSITORY_ROOT / name
        assert path.is_file()
        monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + b"\nx = 1\n" * (self == path))
        imports._parsed_as.cache_clear()

    return edit


@pytest.mark.parametrize(("name", "counts"), EDITED)
def test_key_changes_with_what_a_cell_runs_and_with_nothing_else(
    edited: Callable[[str], None], name: str, counts: bool
) -> None:
    before = cell_codes(catalogue.PIPELINES)
    edited(name)
    after = cell_codes(catalogue.PIPELINES)
    changed = {pipeline for pipeline in PIPELINES if after[pipeline] != before[pipeline]}
    assert changed == (set(PIPELINES) if counts else set())


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_settings_of_one_pipeline_change_its_cells_alone(
    monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    before, whole = cell_codes(catalogue.PIPELINES), program_code()
    entry = PIPELINES[pipeline]
    settings = {
        scale: dataclasses.replace(one, mask_radius=one.mask_radius + 0.5)
        for scale, one in entry.settings.items()
    }
    other = dataclasses.replace(entry, settings=MappingProxyType(settings))
    monkeypatch.setattr(catalogue, "PIPELINES", {**PIPELINES, pipeline: other})
    assert [name for name, code in cell_codes(catalogue.PIPELINES).items() if code != before[name]] == [
        pipeline
    ]
    assert program_code() != whole


def test_what_a_pipeline_is_changes_every_key(edited: Callable[[str], None]) -> None:
    before = cell_codes(catalogue.PIPELINES)
    edited("matrix/catalogue/pipelines.py")
    assert not set(before.values()) & set(cell_codes(catalogue.PIPELINES).values())


def test_a_new_pipeline_leaves_the_others_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell_codes(catalogue.PIPELINES)
    entry = dataclasses.replace(PIPELINES["imaging-mge"], name="imaging-uniform")
    monkeypatch.setattr(catalogue, "PIPELINES", {**PIPELINES, "imaging-uniform": entry})
    after = cell_codes(catalogue.PIPELINES)
    assert {name: after[name] for name in PIPELINES} == before
