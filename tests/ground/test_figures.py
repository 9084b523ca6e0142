"""What a plotting library starts when it is imported sees no secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.ground.layout import REPOSITORY_ROOT

TOKEN = "t0ken-of-a-person"


@pytest.mark.parametrize(
    "module",
    [
        *("matrix.report.html.charts", "matrix.report.html.images", "matrix.commands.refresh_artifacts"),
        *sorted(
            ".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts)
            for path in (REPOSITORY_ROOT / "matrix" / "diagnose").glob("*/plot.py")
        ),
    ],
)
def test_who_is_asked_for_fonts_sees_no_token(module: str, tmp_path: Path) -> None:
    seen, program = tmp_path / "seen", tmp_path / "fc-list"
    program.write_text(f'#!/bin/sh\necho "started $GH_TOKEN" >> {seen}\n')
    program.chmod(0o755)
    variables = {
        "GH_TOKEN": TOKEN,
        # Where no fonts were noted before, as on a new machine.
        "MPLCONFIGDIR": str(tmp_path / "fresh"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    words = [sys.executable, "-c", f"import os, {module}; print(os.environ['GH_TOKEN'])"]
    done = subprocess.run(
        words,
        cwd=REPOSITORY_ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [TOKEN]
    assert set(seen.read_text().splitlines()) == {"started "}
