"""Real PyAutoArray trees, where a folder of them is at hand: known ones are vendored, newer ones refused.

`PYAUTOARRAY_TREES` names a folder whose subfolders are unpacked releases or clones of PyAutoArray.
"""

import os
import shutil
from pathlib import Path

import pytest
from packaging.version import Version

from matrix.vendor import UnrecognisedError, vendor_library
from tests.vendor.miniature import snapshot

FOLDER = Path(os.environ.get("PYAUTOARRAY_TREES", "nowhere"))
TREES = sorted(path.parent.parent for path in FOLDER.glob("*/autoarray/__init__.py"))
FIRST_UNKNOWN = Version("2026.7.10")


@pytest.mark.skipif(not TREES, reason="PYAUTOARRAY_TREES names no folder of PyAutoArray trees")
@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_known_releases_are_vendored_and_newer_ones_refused(tree: Path, solver: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(tree, library, ignore=shutil.ignore_patterns(".git", "__pycache__", "docs"))
    before = snapshot(library)
    release = tree.name.rpartition("-")[2]

    if release[:4].isdigit() and Version(release) >= FIRST_UNKNOWN:
        with pytest.raises(UnrecognisedError, match="inversion_util"):
            vendor_library(library, solver)
        assert snapshot(library) == before
        return

    report = vendor_library(library, solver)

    after = snapshot(library)
    assert {name for name in before if after.get(name) != before[name]} == set(report.changed)
    assert [name for name, text in after.items() if b"jaxnnls" in text and "nnls/" not in name] == []
    assert vendor_library(library, solver).already_vendored
    assert snapshot(library) == after
