"""Where environments are built from: an index and a library of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.ground.layout import Layout, open_layout
from matrix.prepare import environments, packages
from tests.index import PASSWORD, Index, served
from tests.prepare.made_up_stack import RECORDER, RELEASE, source


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return open_layout(tmp_path / "matrix")


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen-by-builds"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Path) -> Iterator[Index]:
    """An index with a stack of its own, whose builds record what they see."""
    with served(tmp_path / "index", monkeypatch) as index:
        index.wheel("autolens", RELEASE, ["autoarray", "timeout-decorator", 'jaxnnls ; extra == "jax"'])
        for name in ("autoarray", "jaxnnls", "numba", "jax", "jaxlib"):
            index.wheel(name, "1.0" if name != "autoarray" else RELEASE)
        recorder = {"recorder.py": RECORDER.replace("@SEEN@", repr(str(seen)))}
        tools = index.wheel("setuptools", "99", files=recorder)
        index.sdist("timeout-decorator", "0.5.0", source("timeout_decorator", "0.5.0"))
        listed = tmp_path / "build.txt"
        listed.write_text(f"setuptools==99 --hash=sha256:{tools}\n")
        monkeypatch.setattr(packages, "BUILD_TOOLS", listed)
        monkeypatch.setattr(environments, "committed", lambda *_: None)
        monkeypatch.setenv("GH_TOKEN", f"token-{PASSWORD}")
        yield index


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for path, text in source("autoarray", RELEASE).items():
        (folder / path).write_text(text)
    return folder
