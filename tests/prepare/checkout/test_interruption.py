"""Several runs at once, and runs that are killed, with real processes."""

import random
import signal
import subprocess
import time
from pathlib import Path

from matrix.prepare.checkout import prepare, resolve_source
from tests.prepare.checkout.helpers import NAMES, Upstream, run_git, start_python

_CODE = """
import sys, pathlib
from matrix.prepare.checkout import candidate_of, commit_candidate, prepare, resolve_source
from matrix.prepare.manifest import Manifest

manifest = Manifest.model_validate_json(pathlib.Path(sys.argv[1]).read_text())
checkouts = prepare(manifest, resolve_source(manifest), pathlib.Path(sys.argv[2]))
with candidate_of(checkouts["PyAutoArray"]) as candidate:
    (candidate.path / "package" / "solver.py").write_text("solve = None")
    print(commit_candidate(candidate, manifest.branch, "Vendor the solver").commit)
"""


def start(upstream: Upstream, root: Path) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    manifest = root.parent / "manifest.json"
    manifest.write_text(upstream.manifest.model_dump_json(by_alias=True))
    return start_python(_CODE, str(manifest), str(root))


def assert_whole(upstream: Upstream, root: Path) -> None:
    checkouts = prepare(upstream.manifest, resolve_source(upstream.manifest), root)
    for name in NAMES:
        assert run_git(root / "store" / f"{name}.git", "fsck", "--no-dangling") == ""
        assert run_git(checkouts[name].path, "status", "--porcelain", "--ignored") == ""
        assert (checkouts[name].path / "package" / "code.py").read_text() == "x = 2\n"


def test_runs_at_once_agree(upstream: Upstream, tmp_path: Path) -> None:
    root = tmp_path / "root"
    runs = [start(upstream, root) for _ in range(3)]
    ended = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], ended
    assert len({output for output, _ in ended}) == 1
    assert_whole(upstream, root)


def test_killed_at_any_moment_the_next_run_is_whole(upstream: Upstream, tmp_path: Path) -> None:
    root = tmp_path / "root"
    delays = random.Random(7)
    killed = 0
    for _ in range(8):
        run = start(upstream, root)
        time.sleep(delays.uniform(0.25, 0.9))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        killed += run.returncode == -signal.SIGKILL
    assert killed > 0
    assert_whole(upstream, root)
    run = start(upstream, root)
    output, errors = run.communicate()
    assert run.returncode == 0, errors
    assert len(output.strip()) == 40
