"""Real PyAutoArray trees, where a folder of them is at hand: known ones are vendored, others refused.

`PYAUTOARRAY_TREES` names a folder whose subfolders are unpacked releases or clones of PyAutoArray, named
autoarray-RELEASE or as one likes. `PYAUTOARRAY_PYTHONS` names interpreters with pytest and the stack of a
release installed, as RELEASE=PATH separated by blanks: the library's tests of the solver then run after every
step of that release's series.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from matrix.ground.layout import SOLVER
from matrix.prepare.change import UnrecognisedError, plan_vendoring, vendor_library, write_step
from tests.prepare.change.miniature import snapshot

FOLDER = Path(os.environ.get("PYAUTOARRAY_TREES", "nowhere"))
TREES = sorted(path.parent.parent for path in FOLDER.glob("*/autoarray/__init__.py"))
PYTHONS = dict(pair.split("=", 1) for pair in os.environ.get("PYAUTOARRAY_PYTHONS", "").split())
REFUSED = (Version("2026.7.10"), Version("2026.9.20"))
CHOICE = Version("2026.9.20")
NNLS_TESTS = "test_autoarray/inversion/inversion/nnls"


def _version(tree: Path) -> Version:
    release = tree.name.rpartition("-")[2]
    # A clone without a release in its name is taken for one of the time of the oldest.
    return Version(release if release[:4].isdigit() else "2026.5.8.2")


def _copy(tree: Path, folder: Path) -> Path:
    return Path(
        shutil.copytree(
            tree, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", "docs"), symlinks=True
        )
    )


@pytest.mark.skipif(not TREES, reason="PYAUTOARRAY_TREES names no folder of PyAutoArray trees")
@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_known_releases_are_vendored_and_those_between_refused(
    tree: Path, solver: Path, tmp_path: Path
) -> None:
    library = _copy(tree, tmp_path / "library")
    before = snapshot(library)

    if REFUSED[0] <= _version(tree) < REFUSED[1]:
        with pytest.raises(UnrecognisedError, match=r"2026\.7\.9\.1 before and 2026\.9\.26\.1 after"):
            vendor_library(library, solver)
        assert snapshot(library) == before
        return

    report = vendor_library(library, solver)

    after = snapshot(library)
    assert {name for name in before if after.get(name) != before[name]} == set(report.changed)
    if _version(tree) < CHOICE:
        assert [name for name, text in after.items() if b"jaxnnls" in text and "nnls/" not in name] == []
    else:
        _assert_documented(after)
    assert vendor_library(library, solver).already_vendored
    assert snapshot(library) == after


def _assert_documented(files: dict[str, bytes]) -> None:
    """What the releases say of the default in words is said of ours, once each."""
    settings, abstract = (
        files[f"autoarray/{name}.py"].decode() for name in ("settings", "inversion/inversion/abstract")
    )
    assert '``"nnls"`` (default)' in settings
    assert '``"pdip"`` (default)' not in settings
    assert 'the packaged default is ``"nnls"``' in abstract
    call_site = files["autoarray/inversion/inversion/inversion_util.py"].decode()
    assert '``"nnls"`` is the solver' in call_site
    assert 'With ``solver="nnls"``' in call_site


def _series() -> list[tuple[str, int]]:
    return [(release, steps) for release in PYTHONS for steps in range(1, 5)]


@pytest.mark.skipif(not PYTHONS, reason="PYAUTOARRAY_PYTHONS names no interpreter with a stack")
@pytest.mark.parametrize(("release", "steps"), _series())
def test_the_library_passes_its_tests_of_the_solver_after_every_step(
    release: str, steps: int, tmp_path: Path
) -> None:
    library = _copy(FOLDER / f"autoarray-{release}", tmp_path / "library")
    series = plan_vendoring(library, SOLVER)
    if steps > len(series):
        pytest.skip(f"the series of {release} has {len(series)} steps")
    for step in series[:steps]:
        write_step(library, step)
    environment = {
        **os.environ,
        "PYTHONPATH": str(library),
        "JAX_ENABLE_X64": "True",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", NNLS_TESTS]

    done = subprocess.run(
        [PYTHONS[release], *words], cwd=library, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
