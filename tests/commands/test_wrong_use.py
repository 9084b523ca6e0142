"""Wrong words for the main job: refused by its own program before anything is made."""

import subprocess
import sys
from pathlib import Path

import pytest

from matrix.ground.layout import REPOSITORY_ROOT

SMOKE = ("fp64", "--scale", "smoke", "--source", "embedded")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--ref", "PyAutoArray"), "NAME=REF"),
        (("--release", "yesterday"), "yesterday"),
        (("--only", "imaging-mgee"), "Did you mean 'imaging-mge'"),
        (("--soruce", "git"), "Did you mean '--source'"),
        (("--manifest", "missing.yaml"), "missing.yaml"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_made(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    root = tmp_path / "untouched"
    command = [sys.executable, "-m", "matrix", *SMOKE, "--root", str(root), *words]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not root.exists()
