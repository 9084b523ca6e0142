"""The command line behind the nox sessions: options, then one call."""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from matrix.catalogue.arguments import PIPELINE_NAMES, pipeline_argument
from matrix.catalogue.checks import ALL_CHECKS, CHECKS
from matrix.catalogue.pipelines import LANES, PIPELINES, planned_pipelines
from matrix.commands.change_options import add_change, change_from, expected_from, named_ref
from matrix.commands.flow import run_matrix
from matrix.commands.shards import Selection, shard_listing, shard_of
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.layout import MANIFEST, SOLVER
from matrix.ground.options import SessionParser, add_root, one_of
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.prepare.change import algorithm_names
from matrix.prepare.environments import ACCELERATORS
from matrix.prepare.manifest import load_manifest
from matrix.prepare.planning import selected_checks
from matrix.prepare.sides import SideOptions

DESCRIPTION = "Run the six likelihood pipelines, baseline against candidate, and judge every gate."
EPILOG = "What is not listed here goes to pytest, which runs the matrix: -k EXPR, -n WORKERS, -x, --lf, ..."

# Of the rounds of each pair of processes at production scale: six of the slowest pipeline's.
PAIR_SECONDS = 180.0
MOST_LANES = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one session; return its exit code (0 pass, 1 a gate failed, 2 wrong use, 3 machine or network)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_code_of(
        lambda: _run(words), "interrupted; finished cells are kept, the same command goes on from here"
    )


def _run(words: Sequence[str]) -> int:
    known, _ = _parser().parse_known_args(words)
    if known.list_shards is not None:
        print(shard_listing(_selection(known), known.list_shards))
        return 0
    return run_matrix(matrix_options(words))


def matrix_options(words: Sequence[str]) -> SideOptions:
    """What `words`, given to any session of the matrix, mean.

    Raises
    ------
    UsageError
        A value is not of the form its option takes, or two options exclude each other.
    """
    parser = _parser()
    known, for_pytest = parser.parse_known_args(words)
    _check_for_pytest(for_pytest, parser.nearest_option(for_pytest))
    if known.newest and known.base_python is not None:
        raise UsageError("--newest says what to install, and with --base-python nothing is: give one of them")
    selected, checks = tuple(dict.fromkeys(known.only)), tuple(known.check)
    whole = Selection((), ())
    if known.shard is not None:
        whole = _selection(known)
        part = shard_of(whole, known.shard)
        selected, checks = part.pipelines, part.checks
    options = SideOptions(
        precision=known.precision,
        manifest=known.manifest,
        root=known.root,
        source=known.source,
        mirror=known.mirror,
        release=known.release,
        refs=dict(_ref(text) for text in known.ref),
        scale=known.scale,
        only=selected,
        checks=checks,
        algorithm=known.algorithm,
        change=change_from(known),
        expected=expected_from(known),
        lanes=known.lanes,
        datasets=datasets_from(known.dataset),
        # Of a shard's checks these are some already.
        with_scripts=known.with_scripts and known.shard is None,
        fresh=known.fresh,
        base_python=known.base_python,
        accelerator=known.accelerator,
        newest=known.newest,
        cell_timeout=known.cell_timeout,
        pair_seconds=_pair_seconds(known.pair_seconds, known.scale),
        pytest_arguments=tuple(for_pytest),
        whole=whole.pipelines,
        whole_checks=whole.checks,
    )
    for name in options.expected:
        if name not in planned_pipelines(options.pipelines):
            raise UsageError(f"--expect-drift {name}: that is not run. Add --only {name}.")
    return options


def _selection(known: argparse.Namespace) -> Selection:
    """What is to be run: what was named; where nothing was, all but what runs on demand."""
    pipelines = tuple(dict.fromkeys(known.only)) or (() if known.check else tuple(PIPELINES))
    change = change_from(known) or load_manifest(known.manifest).change
    checks = selected_checks(tuple(known.only), tuple(known.check), known.with_scripts, vendors=change.vendor)
    return Selection(pipelines, checks)


def _check_for_pytest(arguments: Sequence[str], hint: str) -> None:
    """Refuse a mistyped option now: the suite itself starts only when environments are built."""
    if not arguments:
        return
    with tempfile.TemporaryDirectory() as empty:
        words = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *arguments]
        done = run(words, cwd=Path(empty), env=inherited(), check=False)
    if done.exit_code == pytest.ExitCode.USAGE_ERROR:
        raise UsageError(f"{done.stderr.strip()}\nNeither the matrix nor pytest knows this.{hint}")


def _parser() -> SessionParser:
    parser = SessionParser(
        "matrix-fp64", DESCRIPTION, "--scale smoke --only interferometer-mge", epilog=EPILOG
    )
    add = parser.add_argument
    add("precision", choices=("fp64", "mp"), help="the precision of the six likelihoods")
    add("--manifest", type=Path, default=MANIFEST, help="default: repos.yaml")
    add_root(parser)
    add("--source", choices=("auto", "git", "mirror", "embedded"), help="where the repositories come from")
    add("--mirror", type=Path, help="folder of clones, for --source mirror")
    add("--release", help="PyAuto release of the rest of the stack, e.g. 2026.7.9.1, or latest")
    add("--ref", action="append", default=[], metavar="NAME=REF", help="another ref for one repository")
    add("--scale", choices=("production", "smoke"), default="production", help="smoke: small, same code path")
    add(
        "--only",
        action="append",
        default=[],
        type=pipeline_argument,
        metavar="PIPELINE",
        help=f"this pipeline only (repeatable): {PIPELINE_NAMES}",
    )
    add(
        "--dataset",
        action="append",
        default=[],
        metavar="INSTRUMENT=FOLDER",
        help="data of your own in place of an instrument's, e.g. hst=~/data/my-lens (repeatable)",
    )
    add("--shard", metavar="I/N", help="the I-th of N parts of the session, e.g. 2/3")
    add(
        "--list-shards",
        type=int,
        metavar="N",
        help="print N parts, or one per pipeline, as a job matrix in JSON",
    )
    add(
        "--check",
        action="append",
        default=[],
        type=one_of("check", (*CHECKS, ALL_CHECKS)),
        metavar="CHECK",
        help=f"this check of the change only (repeatable): {', '.join((*CHECKS, ALL_CHECKS))}",
    )
    add(
        "--with-scripts",
        action="store_true",
        help="also the workspaces' own scripts, which take as long again",
    )
    add(
        "--algorithm",
        type=one_of("algorithm", algorithm_names(SOLVER)),
        metavar="NAME",
        help="what the candidate's configuration names as nnls_algorithm (default: the solver's own choice)",
    )
    add_change(parser)
    add(
        "--lanes",
        type=_lanes,
        default=(),
        metavar="N,N,...",
        help=f"batches of more sizes, as 16,50: each lane against itself alone and NumPy ({LANES} always is)",
    )
    add("--fresh", action="store_true", help="start over instead of going on with an interrupted run")
    add("--base-python", type=Path, help="interpreter of a prepared environment; nothing is installed")
    add("--accelerator", choices=ACCELERATORS, default="cpu", help="which build of JAX to install")
    add(
        "--newest",
        action="store_true",
        help="both sides with the newest packages that fit the release, instead of the locked ones",
    )
    add(
        "--cell-timeout",
        type=_seconds,
        default=1800.0,
        metavar="SECONDS",
        help="limit per cell (default 1800)",
    )
    add(
        "--pair-seconds",
        type=_seconds_or_none,
        metavar="SECONDS",
        help=f"limit for timing both sides of a pipeline in turn, per pair of processes (default "
        f"{PAIR_SECONDS:.0f}, at smoke scale 0: not timed)",
    )
    return parser


def _pair_seconds(asked: float | None, scale: str) -> float:
    """The time for rounds; none at smoke scale unless it was asked for, since its times mean nothing."""
    if asked is not None:
        return asked
    return PAIR_SECONDS if scale == "production" else 0.0


def _seconds_or_none(text: str) -> float:
    return 0.0 if text == "0" else _seconds(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time to wait: give seconds above 0, as 3600")
    return seconds


def _lanes(text: str) -> tuple[int, ...]:
    """Sizes of batches, ascending, without the one that is evaluated anyway."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 2 <= int(word) <= MOST_LANES for word in words):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no sizes of batches: whole numbers from 2 to {MOST_LANES}, as 16,50"
        )
    return tuple(sorted({int(word) for word in words} - {LANES}))


def datasets_from(words: Sequence[str]) -> dict[str, Path]:
    """The folders of a person's data, by instrument.

    Raises
    ------
    UsageError
        A word is of another form, or an instrument is there twice.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, separator, folder = word.partition("=")
        if not (separator and name and folder):
            raise UsageError(f"--dataset {word}: write INSTRUMENT=FOLDER, as --dataset hst=~/data/my-lens")
        if name in found:
            raise UsageError(f"--dataset: {name} is there twice.")
        found[name] = Path(folder).expanduser().resolve()
    return found


def _ref(text: str) -> tuple[str, str]:
    return named_ref("--ref", text)
