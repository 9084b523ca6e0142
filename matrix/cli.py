"""The command line behind the nox sessions: options, then one call."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.environments import ACCELERATORS
from matrix.errors import EnvironmentFailure, MatrixError, UsageError
from matrix.flow import PIPELINES, Options, run_matrix
from matrix.layout import MANIFEST

DESCRIPTION = "Run the six likelihood pipelines, baseline against candidate, and judge every gate."
EPILOG = "What is not listed here goes to pytest, which runs the matrix: -k EXPR, -n WORKERS, -x, --lf, ..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one session; return its exit code (0 pass, 1 a gate failed, 2 wrong use, 3 machine or network)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run_matrix(_options(words))
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; finished cells are kept, the same command goes on from here", file=sys.stderr)
        return EnvironmentFailure.exit_code


def _options(words: list[str]) -> Options:
    known, for_pytest = _parser().parse_known_args(words)
    return Options(
        precision=known.precision,
        manifest=known.manifest,
        root=known.root,
        source=known.source,
        mirror=known.mirror,
        release=known.release,
        refs=dict(_ref(text) for text in known.ref),
        scale=known.scale,
        only=tuple(dict.fromkeys(known.only)),
        fresh=known.fresh,
        base_python=known.base_python,
        accelerator=known.accelerator,
        cell_timeout=known.cell_timeout,
        pytest_arguments=tuple(for_pytest),
    )


def _parser() -> argparse.ArgumentParser:
    # Abbreviations off: a mistyped option must not turn into another one.
    parser = argparse.ArgumentParser(
        prog="matrix", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("precision", choices=("fp64", "mp"), help="the precision of the six likelihoods")
    add("--manifest", type=Path, default=MANIFEST, help="default: repos.yaml")
    add(
        "--root", type=Path, default=Path(os.environ.get("MATRIX_ROOT", ".matrix")), help="our working folder"
    )
    add("--source", choices=("auto", "git", "mirror", "embedded"), help="where the repositories come from")
    add("--mirror", type=Path, help="folder of clones, for --source mirror")
    add("--release", help="PyAuto release of the rest of the stack, e.g. 2026.7.9.1")
    add("--ref", action="append", default=[], metavar="NAME=REF", help="another ref for one repository")
    add("--scale", choices=("production", "smoke"), default="production", help="smoke: small, same code path")
    add("--only", action="append", default=[], choices=PIPELINES, help="this pipeline only (repeatable)")
    add("--fresh", action="store_true", help="start over instead of going on with an interrupted run")
    add("--base-python", type=Path, help="interpreter of a prepared environment; nothing is installed")
    add("--accelerator", choices=ACCELERATORS, default="cpu", help="which build of JAX to install")
    add("--cell-timeout", type=float, default=1800.0, metavar="SECONDS", help="limit per cell (default 1800)")
    return parser


def _ref(text: str) -> tuple[str, str]:
    name, separator, ref = text.partition("=")
    if not separator or not name or not ref:
        raise UsageError(f"--ref {text}: write NAME=REF, for example --ref PyAutoArray=main")
    return name, ref
