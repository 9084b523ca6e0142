"""Locks hold all that is asked for, by hash; both sides are built from one; no build is shown a secret."""

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrix.catalogue.releases import KNOWN, pythons_for, stack_of
from matrix.commands import lock_check
from matrix.commands.lock import main
from matrix.commands.matrix import matrix_options
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.process import Completed
from matrix.ground.redaction import OF_AN_INDEX
from matrix.prepare import packages
from matrix.prepare.environments import (
    Recipe,
    interpreter_of,
    recipe_for,
    side_environment,
    stock_environment,
)
from matrix.prepare.locking import _for, _pins, machines, own_environments, resolve
from matrix.prepare.locks import LOCKS, Lock, Pin, committed, pins
from matrix.prepare.packages import build_sources, build_wheel, install_locked
from tests.index import PASSWORD, Index
from tests.prepare.made_up_stack import RELEASE, installed, running

OWN = own_environments(tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text()))
FILES = sorted(LOCKS.rglob("*.txt"))


def unmet(text: str, wanted: Iterable[str], machine: Mapping[str, str]) -> list[str]:
    """Which requirements a lock's text does not meet on a machine, as markers speak of it."""
    versions = {pin.name: pin.version for pin in pins(text) if pin.is_for(machine)}
    found = []
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        needed = requirement.marker is None or requirement.marker.evaluate(dict(machine))
        if needed and (version is None or not requirement.specifier.contains(version, prereleases=True)):
            found.append(f"{requirement} (locked: {version or 'not at all'})")
    return found


def own(name: str) -> str:
    return (LOCKS / f"{name}.txt").read_text()


# What is committed


@pytest.mark.parametrize("name", OWN)
def test_lock_of_an_environment_of_ours_holds_what_pyproject_asks_for(name: str) -> None:
    for machine in machines():
        assert unmet(own(name), OWN[name], machine.facts) == []


@pytest.mark.parametrize("release", KNOWN)
def test_known_release_has_a_lock_for_each_of_its_pythons(release: str) -> None:
    lock = committed(release, "cpu")
    assert lock is not None
    for machine in machines(pythons_for(release)):
        assert unmet(lock.wheels + lock.sources, stack_of(release, "cpu"), machine.facts) == []


def test_package_that_a_lock_lacks_or_has_too_old_is_noticed() -> None:
    (machine, *_) = machines(["3.12"])
    assert unmet(own("driver"), ("no-such-package", "numpy"), machine.facts) == [
        "no-such-package (locked: not at all)"
    ]
    (found,) = unmet(own("driver"), ("numpy>=99",), machine.facts)
    assert re.fullmatch(r"numpy>=99 \(locked: \d+\.\d+\.\d+\)", found)


def test_build_for_gpus_comes_on_top_of_the_same_jax() -> None:
    plain, on_gpu = committed(KNOWN[0], "cpu"), committed(KNOWN[0], "cuda12")
    assert plain is not None
    assert on_gpu is not None
    assert on_gpu.wheels.startswith(plain.wheels)
    versions = {pin.name: pin.version for pin in pins(on_gpu.wheels)}
    assert versions["jax-cuda12-plugin"] == versions["jax"]
    assert committed("2026.5.8.2", "cuda13") is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LOCKS)))
def test_lock_has_hashes_alone_and_names_no_index(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, flags=re.MULTILINE)
    for pin in pins(text):
        assert pin.hashes, pin.requirement
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in pin.hashes)
        assert Version(pin.version)


def test_environments_of_ours_have_one_version_of_a_package_between_them() -> None:
    for machine in machines():
        found: dict[str, set[str]] = {}
        for name in OWN:
            for pin in pins(own(name)):
                if pin.is_for(machine.facts):
                    found.setdefault(pin.name, set()).add(pin.version)
        assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}


def test_no_stack_is_locked_to_a_jax_that_can_stop_on_cpus() -> None:
    of_jax = [pin for path in FILES for pin in pins(path.read_text()) if pin.name in ("jax", "jaxlib")]
    assert of_jax
    assert not [pin for pin in of_jax if pin.version.startswith("0.10.")]


def test_unknown_name_is_not_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["2026.1.1.1", "--folder", str(tmp_path)]) == 2
    assert "there is no lock for 2026.1.1.1." in capsys.readouterr().err


# Which machines a lock's lines are for


GRID = machines()


def test_marker_is_true_where_it_should_be_and_nowhere_else() -> None:
    for bits in range(1, 2 ** len(GRID)):
        chosen = [machine for number, machine in enumerate(GRID) if bits >> number & 1]
        pin = Pin(f"numpy==1.0{_for(chosen, GRID)}", ())
        assert [machine for machine in GRID if pin.is_for(machine.facts)] == chosen, pin.requirement


@pytest.mark.parametrize(
    ("wheel", "taken"),
    [
        ("x-1-py3-none-any.whl", 9),
        ("x-1-py2.py3-none-any.whl", 9),
        ("x-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", 1),
        ("x-1-cp311-abi3-manylinux2014_aarch64.whl", 3),
        ("x-1-cp313-cp313t-manylinux_2_17_x86_64.whl", 0),
        ("x-1-cp313-abi3-macosx_11_0_arm64.whl", 1),
        ("x-1-cp312-cp312-macosx_10_13_universal2.whl", 1),
        ("x-1-cp312-cp312-macosx_10_13_x86_64.whl", 0),
        ("x-1-cp312-cp312-musllinux_1_2_x86_64.whl", 0),
        ("x-1-cp312-cp312-win_amd64.whl", 0),
        ("x-1-pp310-pypy310_pp73-manylinux_2_17_x86_64.whl", 0),
        ("x-1-py2-none-any.whl", 0),
        ("x-1-py3-none-linux_x86_64.whl", 3),
        ("x-1-cp314-abi3-manylinux_2_28_x86_64.whl", 0),
    ],
)
def test_wheel_is_for_the_machines_that_its_name_says(wheel: str, taken: int) -> None:
    assert sum(machine.takes(wheel) for machine in GRID) == taken


def test_package_is_built_where_there_is_no_wheel_of_it() -> None:
    def file(name: str, value: str) -> dict[str, object]:
        return {"url": f"https://index.invalid/{name}", "hashes": {"sha256": value}}

    package = {
        "name": "xxhash",
        "version": "3.4.1",
        "sdist": file("xxhash-3.4.1.tar.gz", "archive"),
        "wheels": [
            file(f"xxhash-3.4.1-cp{python}-cp{python}-{place}.whl", f"{python}-{place}")
            for python in ("310", "311", "312")
            for place in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "macosx_11_0_arm64")
        ],
    }
    found = _pins([package], GRID)
    (wheel,), (source,) = found.wheels, found.sources
    assert wheel.requirement == "xxhash==3.4.1 ; (python_version == '3.11' or python_version == '3.12')"
    assert len(wheel.hashes) == 6
    assert str(source) == "xxhash==3.4.1 ; python_version == '3.13' \\\n    --hash=sha256:archive"


def test_source_of_another_python_is_left_alone(layout: Layout, tmp_path: Path) -> None:
    sources = "no-such-package==1 ; python_version == '3.0' --hash=sha256:0\n"
    assert build_sources(layout, running(), Lock("", sources, ""), tmp_path) == []


# Where a lock can be installed, and what is, from an index of our own


def test_both_sides_have_the_same_packages_but_for_the_change(
    index: Index, layout: Layout, library: Path
) -> None:
    recipe = recipe_for(layout, RELEASE, "cpu")
    baseline = side_environment(layout, recipe, "baseline", library, None)
    # Whatever is published while a run is prepared is of no concern to it.
    index.wheel("numba", "2.0")
    candidate = side_environment(layout, recipe, "candidate", library, None)
    assert installed(baseline) == installed(candidate) | {"jaxnnls": "1.0"}
    assert installed(candidate)["numba"] == "1.0"
    assert "jaxnnls" not in installed(candidate)


def test_release_without_a_lock_is_resolved_once_and_says_so(index: Index, layout: Layout) -> None:
    first = recipe_for(layout, RELEASE, "cpu")
    assert f"resolved now since there is no lock for {RELEASE}" in first.lock.meaning
    index.wheel("numba", "2.0")
    again = recipe_for(layout, RELEASE, "cpu")
    assert "resolved earlier" in again.lock.meaning
    assert again.lock.key == first.lock.key
    newest = recipe_for(layout, RELEASE, "cpu", newest=True)
    assert "resolved now as --newest asks" in newest.lock.meaning
    assert newest.lock.key != first.lock.key


def test_environment_of_other_packages_is_another_one(index: Index, layout: Layout) -> None:
    kept = stock_environment(layout, recipe_for(layout, RELEASE, "cpu"))
    assert stock_environment(layout, recipe_for(layout, RELEASE, "cpu")) == kept
    index.wheel("numba", "2.0")
    newer = stock_environment(layout, recipe_for(layout, RELEASE, "cpu", newest=True))
    assert newer.key != kept.key
    assert installed(newer)["numba"] == "2.0"
    assert installed(kept)["numba"] == "1.0"


def test_what_is_built_sees_no_secret(index: Index, layout: Layout, library: Path, seen: Path) -> None:
    assert PASSWORD in os.environ["UV_DEFAULT_INDEX"]
    recipe = recipe_for(layout, RELEASE, "cpu")
    side_environment(layout, recipe, "baseline", library, None)
    records = seen.read_text().splitlines()
    # The package that has no wheel, and the library.
    assert len(records) == 2
    assert index.url not in seen.read_text()
    assert PASSWORD not in seen.read_text()
    assert all("PATH" in json.loads(record) for record in records)


def tells(seen: Path) -> dict[str, str]:
    """A source archive whose `setup.py` writes out what it sees, by whatever it is run."""
    return {
        "PKG-INFO": "Metadata-Version: 2.1\nName: telling\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n',
        "setup.py": f"import json, os\nwith open({str(seen)!r}, 'a') as record:\n"
        "    record.write(json.dumps(dict(os.environ)) + '\\n')\n",
    }


@pytest.mark.parametrize("asked", ["telling", "asks-for-it"])
def test_package_without_a_wheel_is_not_run_to_learn_what_it_needs(
    index: Index, seen: Path, asked: str
) -> None:
    index.sdist("telling", "1.0", tells(seen))
    index.wheel("asks-for-it", "1.0", ["telling"])
    with pytest.raises(EnvironmentFailure, match=r"`telling`") as caught:
        resolve([asked], running())
    assert "name that folder in UV_FIND_LINKS" in str(caught.value)
    assert caught.value.exit_code == 3
    assert PASSWORD not in str(caught.value)
    assert not seen.exists()


def test_wheel_that_a_person_built_of_it_is_taken(
    index: Index, seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, value = tmp_path / "built", index.wheel("telling", "1.0")
    (index.folder / "simple" / "telling").rename(built)
    index.sdist("telling", "1.0", tells(seen))
    monkeypatch.setenv("UV_FIND_LINKS", str(built))
    (pin,) = resolve(["telling"], running()).wheels
    assert str(pin) == f"telling==1.0 \\\n    --hash=sha256:{value}"
    assert not seen.exists()


def test_build_tools_that_are_not_locked_are_had_first(
    index: Index, layout: Layout, library: Path, tmp_path: Path
) -> None:
    index.wheel("another-tool", "3.0")
    project = (
        (library / "pyproject.toml").read_text().replace('["setuptools"]', '["setuptools", "another-tool"]')
    )
    (library / "pyproject.toml").write_text(project)
    assert (
        build_wheel(layout, running(), library, tmp_path / "out").name
        == f"autoarray-{RELEASE}-py3-none-any.whl"
    )
    (made,) = layout.environments.glob("build-*")
    assert list(made.glob("lib/python*/site-packages/another_tool"))


def with_other_hash(text: str, name: str) -> str:
    (pin,) = (pin for pin in pins(text) if pin.name == name)
    return text.replace(pin.hashes[0], "0" * 64)


def test_package_that_is_not_what_is_locked_is_refused(index: Index, layout: Layout) -> None:
    assert index
    lock = recipe_for(layout, RELEASE, "cpu").lock
    wrong = Lock(with_other_hash(lock.wheels, "numba"), lock.sources, "")
    for _ in range(2):
        with pytest.raises(EnvironmentFailure, match="not the one that the lock names") as caught:
            stock_environment(layout, Recipe(RELEASE, lock=wrong))
    assert "ask another index" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.exit_code == 3
    assert not list(layout.environments.glob("stock-*/ready.json"))


def test_archive_that_is_not_what_is_locked_is_refused_and_removed(index: Index, layout: Layout) -> None:
    assert index
    lock = recipe_for(layout, RELEASE, "cpu").lock
    wrong = Lock(lock.wheels, with_other_hash(lock.sources, "timeout-decorator"), "")
    with pytest.raises(EnvironmentFailure, match="not the one that the lock names and was removed") as caught:
        stock_environment(layout, Recipe(RELEASE, lock=wrong))
    assert PASSWORD not in str(caught.value)
    assert not list(layout.cache.glob("sdist/*.tar.gz"))


@pytest.mark.parametrize(
    ("words", "keep"),
    [
        (("pip", "install", "x"), OF_AN_INDEX),
        (("pip", "compile", "x"), OF_AN_INDEX),
        (("venv", "install"), ()),
        (("pip", "check"), ()),
        (("pip", "uninstall", "x"), ()),
    ],
)
def test_who_asks_no_index_is_shown_no_secret(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], keep: tuple[str, ...]
) -> None:
    """It starts the environment's interpreter, and what packages have told that to start."""
    kept: list[tuple[str, ...]] = []

    def noted(_: object, **facts: Any) -> Completed:
        kept.append(facts["keep"])
        return Completed((), 0, "", "")

    monkeypatch.setattr(packages, "run", noted)
    packages.run_uv(*words)
    assert kept == [keep]


def test_package_without_a_hash_is_not_installed(index: Index, layout: Layout) -> None:
    assert index
    lock = recipe_for(layout, RELEASE, "cpu").lock
    (python, interpreter) = (layout.root / "v" / "bin" / "python", interpreter_of(RELEASE))
    packages.run_uv("venv", "--quiet", "--python", interpreter.path, layout.root / "v")
    unhashed = Lock(f"{lock.wheels}idna==3.10\n", "", "")
    with pytest.raises(EnvironmentFailure, match="idna"):
        install_locked(layout, interpreter, python, unhashed)


def test_lock_that_lacks_a_package_makes_no_environment(index: Index, layout: Layout) -> None:
    assert index
    recipe = recipe_for(layout, RELEASE, "cpu")
    pin = f"autoarray=={RELEASE}"
    shorter = recipe.lock.wheels.replace(pin, f'{pin} ; python_version < "3"')
    assert shorter != recipe.lock.wheels
    lacking = dataclasses.replace(recipe, lock=dataclasses.replace(recipe.lock, wheels=shorter))
    with pytest.raises(EnvironmentFailure, match=r"(?s)`autolens` requires `autoarray`.*git checkout locks"):
        stock_environment(layout, lacking)
    assert not list(layout.environments.glob("*/ready.json"))


def test_library_of_the_embedded_source_is_the_locked_one() -> None:
    lock = committed(RELEASE, "cpu")
    assert lock is not None
    # A wheel and an archive.
    assert len(lock.hashes_of("autoarray")) == 2
    assert lock.hashes_of("PyAutoArray") == ()


def test_nothing_is_built_without_a_lock(layout: Layout) -> None:
    with pytest.raises(UsageError, match="has no lock"):
        stock_environment(layout, Recipe(RELEASE))


PLACES = {
    ("linux", "x86_64"): "manylinux_2_28_x86_64",
    ("linux", "aarch64"): "manylinux_2_28_aarch64",
    ("darwin", "arm64"): "macosx_14_0_arm64",
}


@pytest.mark.parametrize("lacking_place", [None, *PLACES])
def test_lock_is_held_against_each_kind_of_machine(
    index: Index, tmp_path: Path, lacking_place: tuple[str, str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {place: index.wheel("compiled", "1.0", tag=f"py3-none-{tag}") for place, tag in PLACES.items()}
    hashes.pop(lacking_place, None)  # type: ignore[arg-type]
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "driver.txt").write_text(f"{Pin('compiled==1.0', tuple(hashes.values()))}\n")
    assert lock_check.main(["--folder", str(folder)]) == (0 if lacking_place is None else 1)
    said = capsys.readouterr().out
    expected = [machine for machine in GRID if (machine.system, machine.processor) == lacking_place]
    assert [f"driver.txt on {machine}" in said for machine in GRID] == [one in expected for one in GRID]
    assert "9 pairs of lock and machine" in said
    assert PASSWORD not in said


def test_lock_for_gpus_is_for_linux_alone(index: Index, tmp_path: Path) -> None:
    value = index.wheel("plugin", "1.0", tag="py3-none-manylinux_2_28_x86_64")
    other = index.wheel("plugin", "1.0", tag="py3-none-manylinux_2_28_aarch64")
    folder = tmp_path / "locks" / "2026.10.26.1"
    folder.mkdir(parents=True)
    (folder / "cuda12.txt").write_text(f"{Pin('plugin==1.0', (value, other))}\n")
    looked = list(lock_check.look_at_all(folder.parent))
    assert {(one.machine.system, one.machine.python) for one in looked} == {
        ("linux", "3.12"),
        ("linux", "3.13"),
    }
    assert {one.complaint for one in looked} == {""}


@pytest.mark.usefixtures("index")
def test_index_that_does_not_answer_is_no_verdict_on_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    (tmp_path / "driver.txt").write_text(f"compiled==1.0 --hash=sha256:{'0' * 64}\n")
    assert lock_check.main(["--folder", str(tmp_path)]) == 3
    assert "could not be reached" in capsys.readouterr().err


def test_what_no_index_has_is_said(index: Index, layout: Layout) -> None:
    assert index
    with pytest.raises(EnvironmentFailure, match="no-such-package"):
        resolve(["no-such-package==1"], running())
    assert not list(layout.cache.glob("locks/*"))


def test_newest_packages_are_taken_where_some_are_installed() -> None:
    assert not matrix_options(["fp64"]).newest
    assert matrix_options(["fp64", "--newest"]).newest
    with pytest.raises(UsageError, match="give one of them"):
        matrix_options(["fp64", "--newest", "--base-python", "python3"])
