"""What asks for a package is seen where it asks, and a solve is made as the library's settings choose it."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from matrix.checks.inside.call_site import as_set
from matrix.checks.inside.watch import ImportWatch

ABSENT = "package_that_is_not_there"
WAYS = {
    "statement": f"try:\n    import {ABSENT}\nexcept ImportError:\n    pass\n",
    "of a part": f"try:\n    from {ABSENT}.inner import name\nexcept ImportError:\n    pass\n",
    "by function": (
        f"import importlib\ntry:\n    importlib.import_module('{ABSENT}')\nexcept ImportError:\n    pass\n"
    ),
    "look": f"import importlib.util\nimportlib.util.find_spec('{ABSENT}')\n",
}


@pytest.fixture
def watch() -> Iterator[ImportWatch]:
    made = ImportWatch(ABSENT)
    made.start()
    yield made
    sys.meta_path.remove(made)


@pytest.mark.parametrize("way", WAYS)
def test_an_import_is_seen_with_its_line_though_it_fails_in_silence(
    watch: ImportWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    name = f"asks_{way.replace(' ', '_')}"
    (tmp_path / f"{name}.py").write_text(WAYS[way])
    monkeypatch.syspath_prepend(tmp_path)

    importlib.import_module(name)

    assert watch.seen
    assert {place.rpartition(":")[0] for place in watch.seen} == {str(tmp_path / f"{name}.py")}


def test_what_nobody_asks_for_is_not_seen(watch: ImportWatch) -> None:
    importlib.import_module("json")
    importlib.util.find_spec(f"{ABSENT}_of_another_name")

    assert watch.seen == []


def test_the_call_is_made_with_the_solver_that_the_settings_choose() -> None:
    def solve(data_vector: object, solver: str = "pdip", settings: object = None) -> dict[str, object]:
        return {"data_vector": data_vector, "solver": solver, "settings": settings}

    settings = SimpleNamespace(positive_only_solver="certified")
    call, chosen = as_set(SimpleNamespace(reconstruction_positive_only_from=solve), settings)

    assert chosen == "certified"
    assert call(data_vector=1) == {"data_vector": 1, "solver": "certified", "settings": settings}


def test_a_library_without_a_choice_is_called_as_it_is() -> None:
    def solve(data_vector: object) -> object:
        return data_vector

    call, chosen = as_set(SimpleNamespace(reconstruction_positive_only_from=solve), SimpleNamespace())

    assert chosen == "nnls"
    assert call(data_vector=1) == 1
