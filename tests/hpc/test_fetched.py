"""What comes back from a cluster: files and folders, and nothing that leads elsewhere here."""

import os
import shutil
from pathlib import Path

import pytest

from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="there is no rsync")


def test_links_and_pipes_are_left_over_there(tmp_path: Path) -> None:
    there, here, secret = tmp_path / "there", tmp_path / "here", tmp_path / "secret"
    secret.write_text("mine")
    (there / "cells").mkdir(parents=True)
    (there / "cells" / "record.json").write_text("{}")
    (there / "cells" / "log.txt").symlink_to(secret)
    (there / "records").symlink_to(tmp_path)
    os.mkfifo(there / "stage")
    python = "/usr/bin/python3"
    Remote(Profile(root=str(there), driver=python, python=python)).fetch(str(there), here)
    assert [path.relative_to(here).as_posix() for path in sorted(here.rglob("*"))] == [
        "cells",
        "cells/record.json",
    ]
