"""Environments are keyed by content, refuse what does not fit, and keep jaxnnls from the candidate."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import MANIFEST, REPOSITORY_ROOT, Layout, open_layout
from matrix.ground.process import Completed
from matrix.ground.shell import inherited
from matrix.prepare import environments, packages
from matrix.prepare.environments import Recipe, newest_release, packages_of, side_environment
from matrix.prepare.locks import Lock
from matrix.prepare.manifest import load_manifest, override

RELEASE = "2026.7.9.1"


def test_a_new_module_by_which_an_environment_is_made_is_in_its_key(tmp_path: Path) -> None:
    copy = shutil.copytree(REPOSITORY_ROOT / "matrix", tmp_path / "matrix")
    planted = copy / "prepare" / "planted.py"
    planted.write_text("")
    before = environments._made_by(tmp_path)
    assert {path.name for path in before} >= {"environments.py", "packages.py"}
    assert planted not in before
    with (copy / "prepare" / "packages.py").open("a") as packages_of_the_copy:
        packages_of_the_copy.write("from matrix.prepare import planted\n")
    assert {*environments._made_by(tmp_path)} == {*before, planted}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return open_layout(tmp_path / "matrix")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    package = tmp_path / "library" / "autoarray"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("MARK = 'from the checkout'\n")
    return package.parent


def interpreter(tmp_path: Path, release: str) -> Path:
    """This Python, which says that it holds autolens `release`, and has an installed jaxnnls."""
    site = tmp_path / "site"
    for name, version in (("autolens", release), ("jaxnnls", "1.0.1")):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("")
        metadata = site / f"{name}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{site}" exec {sys.executable} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return python


def run_in(environment: environments.SideEnvironment, code: str) -> "subprocess.CompletedProcess[str]":
    path = ":".join(map(str, environment.pythonpath))
    return subprocess.run(
        [environment.python, "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tree_hash_sees_content_and_names_but_not_git(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = tree_hash(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    assert tree_hash(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = tree_hash(tmp_path)
    assert renamed != first
    (tmp_path / "b.py").write_text("2")
    assert tree_hash(tmp_path) not in (first, renamed)


def test_prepared_environment_uses_the_checkout_on_both_sides(
    layout: Layout, library: Path, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, RELEASE)
    for side, jaxnnls_works in (("baseline", True), ("candidate", False)):
        made = side_environment(layout, Recipe(RELEASE), side, library, python)
        assert run_in(made, "import autoarray; print(autoarray.MARK)").stdout == "from the checkout\n"
        imported = run_in(made, "import jaxnnls")
        assert (imported.returncode == 0) == jaxnnls_works
        if not jaxnnls_works:
            assert "not part of the candidate side" in imported.stderr


def test_prepared_environment_is_a_copy_that_later_edits_do_not_reach(
    layout: Layout, library: Path, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, RELEASE)
    first = side_environment(layout, Recipe(RELEASE), "baseline", library, python)
    (library / "autoarray" / "__init__.py").write_text("MARK = 'edited'\n")
    second = side_environment(layout, Recipe(RELEASE), "baseline", library, python)
    assert second.key != first.key
    assert run_in(first, "import autoarray; print(autoarray.MARK)").stdout == "from the checkout\n"
    assert run_in(second, "import autoarray; print(autoarray.MARK)").stdout == "edited\n"


def test_prepared_environment_of_another_release_is_refused(
    layout: Layout, library: Path, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, "2026.5.8.2")
    with pytest.raises(
        UsageError, match=r"holds autolens 2026\.5\.8\.2, the manifest asks for 2026\.7\.9\.1"
    ):
        side_environment(layout, Recipe(RELEASE), "baseline", library, python)


def test_another_version_of_a_package_is_another_environment_on_both_sides(
    layout: Layout, library: Path, tmp_path: Path
) -> None:
    """Else one side's records would be kept while the other is measured with what is newer."""
    python = interpreter(tmp_path, RELEASE)

    def keys() -> list[str]:
        return [
            side_environment(layout, Recipe(RELEASE), side, library, python).key
            for side in ("baseline", "candidate")
        ]

    before = keys()
    assert keys() == before
    (tmp_path / "site" / "jaxnnls-1.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: jaxnnls\nVersion: 1.0.2\n"
    )
    assert not set(before) & set(keys())


def test_lock_of_other_versions_is_another_environment() -> None:
    recipes = [Recipe(RELEASE, lock=Lock(f"jax=={version}\n", "", "")) for version in ("0.9.2", "0.11.2")]
    assert len({environments._key("baseline", recipe, "3.12.1", "") for recipe in recipes}) == 2


def test_package_installed_by_hand_makes_a_kept_environment_untrue(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    (packages / "jax-0.9.2.dist-info").mkdir(parents=True)
    before = environments._fingerprint(tmp_path)
    (packages / "jax-0.9.2.dist-info").rename(packages / "jax-0.11.2.dist-info")
    assert environments._fingerprint(tmp_path) != before


def test_missing_interpreter_is_refused(layout: Layout, library: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such interpreter"):
        side_environment(layout, Recipe(RELEASE), "baseline", library, tmp_path / "nothing")


def test_failed_build_leaves_nothing_that_passes_for_ready(
    layout: Layout, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []

    def uv_without_network(command: list[object], **_: object) -> Completed:
        words = tuple(map(str, command))
        calls.append(words)
        failed = "install" in words
        return Completed(words, int(failed), "", "error: error sending request for url" if failed else "")

    monkeypatch.setattr(packages, "run", uv_without_network)
    recipe = Recipe(RELEASE, lock=Lock("idna==3.10\n", "", "made up"))
    for _ in range(2):
        with pytest.raises(EnvironmentFailure, match="could not be reached"):
            side_environment(layout, recipe, "baseline", library, None)
    assert len([words for words in calls if "venv" in words]) == 2
    assert not list(layout.environments.glob("*/ready.json"))


def edit_library(folder: Path) -> None:
    (folder / "autoarray" / "__init__.py").write_text("MARK = 'edited by hand'\n")


def lose_blocker(folder: Path) -> None:
    (folder / "jaxnnls" / "__init__.py").unlink()


def lose_note(folder: Path) -> None:
    (folder / "ready.json").write_bytes(b"")


@pytest.mark.parametrize("damage", [edit_library, lose_blocker, lose_note])
def test_kept_environment_that_is_not_as_it_was_made_is_made_again(
    layout: Layout, library: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    python = interpreter(tmp_path, RELEASE)
    made = side_environment(layout, Recipe(RELEASE), "candidate", library, python)
    (folder,) = made.pythonpath
    before = (folder / "ready.json").stat().st_ino
    assert side_environment(layout, Recipe(RELEASE), "candidate", library, python) == made
    assert (folder / "ready.json").stat().st_ino == before
    damage(folder)
    assert side_environment(layout, Recipe(RELEASE), "candidate", library, python) == made
    assert run_in(made, "import autoarray; print(autoarray.MARK)").stdout == "from the checkout\n"
    assert "is not part of the candidate side" in run_in(made, "import jaxnnls").stderr


def test_kept_environment_without_its_interpreter_is_no_environment(tmp_path: Path) -> None:
    python, ready = tmp_path / "bin" / "python", tmp_path / "ready.json"
    ready.write_text(json.dumps({"packages": environments._fingerprint(tmp_path)}))
    assert not environments._is_as_made(ready, python)
    python.parent.mkdir()
    python.symlink_to(tmp_path / "a-python-that-was-removed")
    assert not environments._is_as_made(ready, python)
    python.unlink()
    python.symlink_to(sys.executable)
    assert environments._is_as_made(ready, python)


def clone_in_the_middle_of_an_edit(folder: Path) -> None:
    (folder / "autoarray").mkdir()
    (folder / "autoarray" / "__init__.py").write_text(
        'raise ImportError("a clone in the middle of an edit")\n'
    )


def replaced_package_of_ones_own(folder: Path) -> None:
    (folder / "replaced").mkdir()
    (folder / "replaced" / "__init__.py").write_text("")


@pytest.mark.parametrize("own", [clone_in_the_middle_of_an_edit, replaced_package_of_ones_own])
def test_what_a_person_has_on_their_path_does_not_reach_preparation(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch, own: Callable[[Path], None]
) -> None:
    site = tmp_path / "stack"
    for name, text in (("autolens", "import autoarray"), ("autoarray", "")):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(text)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{site}" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(environments, "run_uv", lambda *_, **__: Completed((), 0, "", ""))
    monkeypatch.setattr(environments, "REPLACED", "replaced")
    own(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    environments._check_fit(python, library, RELEASE)
    environments._check_absent(python)


def test_of_uv_and_pip_only_what_names_an_index_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "SBATCH_", "SLURM_", "PYTEST_ADD")):
            monkeypatch.delenv(name)
    kept = {
        "UV_DEFAULT_INDEX": "https://index.example.org/simple",
        "UV_INDEX_OURS_USERNAME": "me",
        "PIP_INDEX_URL": "https://index.example.org/simple",
        "SLURM_CONF": "/etc/slurm.conf",
    }
    steering = {
        "UV_SYSTEM_PYTHON": "1",
        "UV_CONSTRAINT": "c.txt",
        "UV_PYTHON": "3.9",
        "UV_NO_BINARY": "1",
        "PIP_TARGET": "/elsewhere",
        "PIP_USER": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PYTHONPATH": "/clone",
        "PYTHONHOME": "/old",
        "PYTEST_ADDOPTS": "-x",
        "PYTEST_PLUGINS": "p",
        "SBATCH_PARTITION": "urgent",
        "SBATCH_TIMELIMIT": "1",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "1",
    }
    for name, value in {**kept, **steering}.items():
        monkeypatch.setenv(name, value)
    found = inherited()
    assert kept.items() <= found.items()
    assert not steering.keys() & found.keys()
    assert found["PATH"] == os.environ["PATH"]


def test_accelerator_asks_for_the_matching_jax() -> None:
    assert "jax[cuda12]" in Recipe(RELEASE, "cuda12").requirements
    assert not any(word.startswith("jax[") for word in Recipe(RELEASE).requirements)


def test_description_names_what_is_installed(tmp_path: Path) -> None:
    packages = packages_of(interpreter(tmp_path, RELEASE))
    assert (packages["autolens"], packages["jaxnnls"]) == (RELEASE, "1.0.1")
    assert "autonerves" not in packages


def test_newest_release_is_one_that_the_manifest_takes() -> None:
    release = newest_release()
    manifest = override(load_manifest(MANIFEST), release=release)
    assert manifest.release == release
    assert release.split(".")[0] >= "2026"
