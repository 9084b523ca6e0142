"""`nox -s detect`: plant each defect of the catalogue in a scratch copy and see whether it is caught."""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.files import write_json
from matrix.ground.hashing import code_hash, digest
from matrix.ground.layout import REPOSITORY_ROOT, Layout, open_layout
from matrix.ground.options import SessionParser, add_root
from matrix.ground.redaction import without_folders
from matrix.prepare.environments import recipe_for, stock_environment
from tests.copies import copy_project
from tests.detect.catalogue import CLEAN_AGAIN, DEFECTS, clean_on
from tests.detect.defect import NEWEST, Defect

LIMIT_SECONDS = 1800.0
# What is vendored into the candidate, and how: the baseline is the same whatever is planted there.
CANDIDATE_ONLY = ("solver/", "matrix/prepare/change/")
# What a finding depends on, besides its defect and the tests.
CODE = ("solver", "matrix", "repos.yaml", "tests/detect/__main__.py", "tests/detect/planted.py")


@dataclass(frozen=True)
class Found:
    """What a run on a planted copy said.

    Attributes
    ----------
    failed
        The gates that failed, or "tests", each with what it said.
    as_it_should
        Whether the defect's gate is among them and the exit code is 1; for the clean tree, that nothing is.
    seconds, cpu_seconds
        Of the run and of all processes it started.
    run
        Name of the matrix's run.
    key
        Hash of what it depends on: the defect and our code.
    """

    defect: str
    area: str
    gate: str
    exit_code: int
    failed: dict[str, str]
    as_it_should: bool
    seconds: float
    cpu_seconds: float
    run: str
    output: str
    key: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant and run; 0 if every defect is caught by its gate and the clean tree raises no alarm."""
    parser = SessionParser(
        "detect", "Plant defects, one at a time, and see that the right gate catches each."
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only defects with one of these in name or area"
    )
    parser.add_argument(
        "--clean", type=int, default=1, metavar="N", help="runs of the clean tree, 1 at least (default 1)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start over instead of going on with an interrupted session"
    )
    add_root(parser)
    parser.add_argument("--output", type=Path, default=Path(".matrix/detect.json"), help="the record")
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: _run(options), "interrupted; what was found is kept, the same command goes on from here"
    )


def _run(options: argparse.Namespace) -> int:
    chosen = chosen_by(options.words)
    # Red runs of planted defects are nobody's latest run, and no part of a trend.
    layout = open_layout(options.root / "detect")
    # One prepared environment per release: a defect in the solver then costs a copy and not an installation.
    releases = dict.fromkeys((NEWEST, *(one.on for one in chosen)))
    shared = open_layout(options.root)
    recipes = {release: recipe_for(shared, release, "cpu") for release in releases}
    pythons = {release: stock_environment(shared, recipe).python for release, recipe in recipes.items()}
    wanted = [*map(clean_on, releases), *chosen, *[CLEAN_AGAIN] * (options.clean - 1)]
    kept = [] if options.fresh else _kept(options.output, {key_of(one) for one in (*wanted, *DEFECTS)})
    found = _go_on(wanted, kept, layout, pythons, options.output)
    _show(found)
    return 0 if all(one.as_it_should for one in found) else 1


def chosen_by(words: Sequence[str]) -> list[Defect]:
    """The defects with one of these words in name or area; all where none is given.

    Raises
    ------
    UsageError
        A word is in none of them; names the areas and the defects.
    """
    unknown = [word for word in words if not any(word in one.name or word in one.area for one in DEFECTS)]
    if unknown:
        areas = ", ".join(dict.fromkeys(one.area for one in DEFECTS))
        names = "".join(f"\n  {one.name}" for one in DEFECTS)
        raise UsageError(
            f"no defect has {', '.join(unknown)} in its name or area. Areas: {areas}. Defects:{names}"
        )
    return [one for one in DEFECTS if not words or any(w in one.name or w in one.area for w in words)]


def _go_on(
    wanted: Sequence[Defect],
    kept: Sequence[Found],
    layout: Layout,
    pythons: Mapping[str, Path],
    output: Path,
) -> list[Found]:
    """What was found of every wanted defect, in order; what is not kept is planted now."""
    left, found = list(kept), []
    for defect in wanted:
        earlier = next((one for one in left if one.key == key_of(defect)), None)
        if earlier is not None:
            left.remove(earlier)
            found.append(earlier)
            continue
        name = clean_on(defect.on).name
        clean = next((layout.runs / one.run for one in found if one.defect == name and one.run), None)
        found.append(detect(defect, layout, pythons[defect.on], clean))
        _say(found[-1])
        write_json(output, {"found": [asdict(one) for one in (*found, *left)]})
    return found


def key_of(defect: Defect) -> str:
    """Hash of all that a finding depends on; of the catalogue that is the defect alone."""
    return digest((_code(), repr(defect)))[:16]


@cache
def _code() -> str:
    apart = {"detect", "__pycache__"}
    tests = sorted(path.name for path in (REPOSITORY_ROOT / "tests").iterdir() if path.name not in apart)
    return code_hash((*CODE, *(f"tests/{name}" for name in tests)))


def _kept(record: Path, keys: set[str]) -> list[Found]:
    """What an earlier session had found of exactly this."""
    if not record.is_file():
        return []
    found = json.loads(record.read_text(encoding="utf-8"))["found"]
    return [Found(**one) for one in found if one.get("key") in keys]


def _say(found: Found) -> None:
    word = "as it should" if found.as_it_should else "MISSED" if found.gate else "FALSE ALARM"
    gates = ", ".join(found.failed)
    print(
        f"{found.cpu_seconds:5.0f} s  {word:12}  {found.area or '-':10}  {found.defect}: {gates}", flush=True
    )


def detect(defect: Defect, layout: Layout, python: Path, clean: Path | None = None) -> Found:
    """Plant `defect` in a copy of this repository and run what should catch it.

    Parameters
    ----------
    layout, python
        Where runs are kept, and the prepared environment they use.
    clean
        A run of the clean tree, whose baseline stands where the defect can only be in the candidate.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = copy_project(Path(scratch) / "repository")
        for edit in defect.edits:
            edit.plant(copy)
        started, cpu_started = time.monotonic(), _cpu_seconds()
        done = subprocess.run(
            _tests(defect) if defect.gate == "tests" else _matrix(defect, layout.root, python, clean),
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        seconds, cpu_seconds = time.monotonic() - started, _cpu_seconds() - cpu_started
    # As it says itself: others may be at work in the same folder.
    runs = {Path(folder) for folder in re.findall(r"^run +(\S+)", done.stdout, re.MULTILINE)}
    if defect.gate == "tests":
        failed = {"tests": _first_failure(done.stdout)} if done.returncode == 1 else {}
    else:
        failed = {gate: said_of(message, copy, layout) for gate, message in _failed_gates(runs).items()}
    caught = any(gate.startswith(defect.gate) for gate in failed) and done.returncode == 1
    right = caught if defect.gate else done.returncode == 0 and not failed
    return Found(
        defect=defect.name,
        area=defect.area,
        gate=defect.gate,
        exit_code=done.returncode,
        failed=failed,
        as_it_should=right,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        run=max((run.name for run in runs), default=""),
        output="" if right else "\n".join((done.stdout + done.stderr).splitlines()[-20:]),
        key=key_of(defect),
    )


def _cpu_seconds() -> float:
    """What the processes started from here and ended by now took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tests(defect: Defect) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *defect.run]


def _matrix(defect: Defect, root: Path, python: Path, clean: Path | None) -> list[str]:
    # What is no part of the candidate may change how the baseline is measured or kept: then it is measured.
    spared = bool(clean and defect.edits) and all(e.file.startswith(CANDIDATE_ONLY) for e in defect.edits)
    program = ["tests.detect.planted", str(clean)] if spared else ["matrix"]
    release = ("--release", defect.on)
    where = (
        *release,
        "--source",
        "embedded",
        "--scale",
        "smoke",
        "--root",
        str(root),
        "--base-python",
        str(python),
    )
    return [sys.executable, "-m", *program, "fp64", *where, "--fresh", "-n", "1", *defect.run]


def _failed_gates(runs: set[Path]) -> dict[str, str]:
    failed: dict[str, str] = {}
    for path in (run / "verdicts.json" for run in runs):
        for verdict in json.loads(path.read_text())["verdicts"] if path.exists() else ():
            if verdict["outcome"] == "fail":
                failed.setdefault(verdict["gate"], verdict["message"])
    return failed


def said_of(message: str, copy: Path, layout: Layout) -> str:
    """A gate's message without folders of this machine: the copy, our runs, and our environments."""
    places = {copy: ".", layout.root: ".matrix/detect", layout.root.parent: ".matrix"}
    return without_folders(message, places)


def _first_failure(output: str) -> str:
    return next((line for line in output.splitlines() if line.startswith("E  ")), "")


def _show(found: Sequence[Found]) -> None:
    table = Table("defect", "area", "must catch it", "failed", "verdict")
    for one in found:
        good = "caught" if one.gate else "no alarm"
        bad = "MISSED" if one.gate else "FALSE ALARM"
        table.add_row(
            one.defect, one.area, one.gate, ", ".join(one.failed), good if one.as_it_should else bad
        )
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(table)
    console.print(f"{sum(one.as_it_should for one in found)} of {len(found)} as they should be")


if __name__ == "__main__":
    sys.exit(main())
