#!/usr/bin/env python3
"""Any session with Python and Git alone: makes `.venv` from its lock, then hands its words to nox.

    python3 run.py matrix-fp64
    python3 run.py tests

Needs the standard library alone, and must be readable to Pythons that it refuses.
"""

import ast
import fcntl
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "locks" / "nox.txt"
NOXFILE = ROOT / "noxfile.py"
VENV = ROOT / ".venv"
# Where nox makes the environments of sessions.
SESSIONS = ROOT / ".nox"
# Says what the environment holds; written last, and "unfinished" before anything else.
STAMP = VENV / "made-by-run.txt"
WRONG_USE, MACHINE = 2, 3


class RefusedError(Exception):
    """What a person has to do before this can go on, and the exit code."""

    def __init__(self, message, exit_code):
        super().__init__(message)
        self.exit_code = exit_code


def main(words):
    """Make the environment if need be, and become nox; return an exit code only if that fails."""
    try:
        require_python(sys.version_info[:2])
        require_sessions(words)
        python = environment()
        require_room()
    except RefusedError as refused:
        print(f"run.py: {refused}", file=sys.stderr)
        return refused.exit_code
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"run.py: cannot make {VENV}: {error}", file=sys.stderr)
        print("Look at the lines above, then give the same command again.", file=sys.stderr)
        return MACHINE
    sys.stdout.flush()
    os.chdir(ROOT)
    # What a shell adds for another Python would be imported in place of nox's own.
    os.environ.pop("PYTHONPATH", None)
    return os.execv(python, [str(python), "-m", "nox", *nox_words(words)])


def require_python(version):
    """Refuse a Python that is too old, and name those of this machine that are not."""
    if version >= OLDEST:
        return
    newer = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    remedy = f"give the command with {newer[0]} instead" if newer else "install Python 3.11, 3.12 or 3.13"
    raise RefusedError(
        "Python {}.{} is too old, at least 3.11 is needed: {}".format(*version, remedy), MACHINE
    )


def require_room():
    """Refuse where nox can make no environment: it would end with 1, which is a gate's word alone."""
    try:
        SESSIONS.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=SESSIONS) as file:
            file.write(bytes(2**20))
    except OSError as error:
        raise RefusedError(
            f"nox cannot write in {SESSIONS}: {error}. Make room on the disk, or move what is there away",
            MACHINE,
        ) from error


def require_sessions(words):
    """Refuse a session that there is not, and name the nearest that there is."""
    # Here, where a Python that is too old does not come.
    from matrix.ground.suggestions import did_you_mean

    known = list(sessions())
    for name in itertools.takewhile(lambda word: not word.startswith("-"), words):
        if name not in known:
            hint = did_you_mean(name, known)
            raise RefusedError(
                f"there is no session {name!r}.{hint} All are shown by: python3 run.py --list", WRONG_USE
            )


def sessions():
    """The names of the sessions, read and not run: nox, which the file imports, may not be there yet."""
    tree = ast.parse(NOXFILE.read_text(encoding="utf-8"))
    for function in tree.body:
        for decorator in getattr(function, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "nox.session":
                names = [ast.literal_eval(word.value) for word in decorator.keywords if word.arg == "name"]
                yield (names or [function.name])[0]


def nox_words(words):
    """The words as nox takes them: sessions come first, without their option."""
    return ["--session", *words] if words and not words[0].startswith("-") else words


def environment():
    """The interpreter of `.venv`, which holds exactly what its lock says."""
    if not LOCK.is_file():
        raise RefusedError(f"{LOCK} is missing: `git checkout locks` brings it back", MACHINE)
    VENV.mkdir(exist_ok=True)
    python = VENV / "bin" / "python"
    folder = os.open(VENV, os.O_RDONLY)
    try:
        # A second command that is given meanwhile waits for the first.
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not (is_made() and starts(python, "nox")):
            refuse_foreign(python)
            make(python)
    finally:
        os.close(folder)
    return python


def key():
    """What the environment depends on: the lock, and the Python it is made with."""
    made_with = f"{sys.executable} {sys.version}"
    return hashlib.sha256(LOCK.read_bytes() + made_with.encode()).hexdigest()


def is_made():
    """Whether the environment was made to its end, from this lock."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == key()


def starts(python, module):
    """Whether an interpreter runs and has a module."""
    if not python.is_file():
        return False
    return subprocess.run([python, "-I", "-c", f"import {module}"], capture_output=True).returncode == 0


def refuse_foreign(python):
    """Refuse to remove an environment that works and is not ours."""
    if not STAMP.exists() and starts(python, "sys"):
        raise RefusedError(
            f"{VENV} was not made by this command, so it is left alone: move it away and try again, "
            "or use its own nox (.venv/bin/nox -s SESSION)",
            WRONG_USE,
        )


def make(python):
    """Make the environment anew, each package checked against its hash."""
    print("run.py: making .venv with nox and uv, about 80 MB", flush=True)
    STAMP.write_text("unfinished", encoding="utf-8")
    for entry in VENV.iterdir():
        if entry == STAMP:
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    # Here, where a Python that is too old does not come.
    from matrix.ground.redaction import OF_AN_INDEX, secrets_set_aside
    from matrix.ground.shell import without

    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Whatever the shell says of pip, which sees no secret but an index's.
    with secrets_set_aside(OF_AN_INDEX), without("PIP_"):
        try:
            venv.create(VENV, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError as error:
            raise RefusedError(
                "this Python makes no environments: on Debian and Ubuntu install python3-venv", MACHINE
            ) from error
        # Nothing is built from source: what builds it would see an index's password.
        subprocess.run(
            [*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", LOCK], check=True
        )
    STAMP.write_text(key(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
