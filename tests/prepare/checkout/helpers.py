"""Real repositories, as a person would make them."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import matrix
from matrix.prepare.manifest import Manifest

RELEASE = "2026.7.9.1"
NAMES = ("PyAutoArray", "autolens_workspace_developer", "autolens_workspace_test")


def run_git(folder: Path, *words: str) -> str:
    """Run Git as a person would, in `folder`."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def start_python(code: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a process that can import `matrix`."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(matrix.__file__).parent.parent,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def make_repository(folder: Path) -> Path:
    """Make a repository with two commits, branches `main` and `feature/fast`, and an annotated tag."""
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "package").mkdir()
    (folder / "package" / "code.py").write_text("x = 1\n")
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    (folder / ".gitignore").write_text("ignored/\n")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "--quiet", "-m", "first")
    run_git(folder, "tag", "--annotate", RELEASE, "-m", "a release")
    run_git(folder, "branch", "feature/fast")
    (folder / "package" / "code.py").write_text("x = 2\n")
    run_git(folder, "commit", "--quiet", "--all", "-m", "second")
    return folder


def make_history(folder: Path) -> Path:
    """Make nine commits, each tagged by its subject: c0 to c5, and s1 and s2 that m merges after c2."""
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")

    def commit(*words: str) -> None:
        run_git(folder, *words)
        run_git(folder, "tag", "--no-sign", words[-1])

    def empty(name: str) -> None:
        commit("commit", "--quiet", "--allow-empty", "-m", name)

    for name in ("c0", "c1", "c2"):
        empty(name)
    run_git(folder, "checkout", "--quiet", "-b", "side", "c0")
    for name in ("s1", "s2"):
        empty(name)
    run_git(folder, "checkout", "--quiet", "main")
    commit("merge", "--quiet", "--no-ff", "side", "-m", "m")
    for name in ("c3", "c4", "c5"):
        empty(name)
    return folder


def fingerprint(folder: Path) -> dict[str, tuple[str, float]]:
    """Return content and time of every file below `folder`, `.git` included."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Upstream:
    """Three repositories under their urls' owner, and the manifest that names them."""

    folder: Path
    manifest: Manifest

    def clone(self, name: str) -> Path:
        """Return where a repository lies."""
        return self.folder / "PyAutoLabs" / name
