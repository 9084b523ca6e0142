"""Sessions, thin: make the environment, hand over."""

import subprocess
import sys

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["matrix-fp64"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True


def _hand_over(session: nox.Session, *words: str, failed: str = "a gate failed") -> None:
    session.install("-e", ".")
    exit_code = subprocess.call([f"{session.bin}/python", "-m", *words, *session.posargs])
    if exit_code == 1:
        session.error(failed)
    if exit_code:
        # Nox knows only 1; the difference between wrong use (2) and a failing machine (3) is for CI.
        sys.exit(exit_code)


@nox.session(name="matrix-fp64")
def matrix_fp64(session: nox.Session) -> None:
    """Six pipelines in float64, baseline against candidate, every gate judged."""
    _hand_over(session, "matrix", "fp64")


@nox.session(name="matrix-mp")
def matrix_mp(session: nox.Session) -> None:
    """The same under the library's mixed precision, and how far it moves from float64."""
    _hand_over(session, "matrix", "mp")


@nox.session
def audit(session: nox.Session) -> None:
    """Result files that are float32 under a float64 label, found by their digits: nox -s audit -- PATH..."""
    _hand_over(session, "matrix.diagnose.precision_audit", failed="float32 under a float64 label")


@nox.session(name="refresh-artifacts")
def refresh_artifacts(session: nox.Session) -> None:
    """From a green run: result files, constants, and three branches with their pull-request texts."""
    _hand_over(session, "matrix.refresh", failed="a constant drifted beyond its tolerance")


@nox.session
def bench(session: nox.Session) -> None:
    """The solver against jaxnnls, interleaved in one process, in ratios and Cholesky equivalents."""
    session.install("-e", ".[solver-tests]")
    session.run("python", "-m", "matrix.diagnose.bench", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests of the harness and of the solver, with an end-to-end matrix at smoke scale."""
    session.install("-e", ".[solver-tests]")
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install("-e", ".[lint,solver-tests]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
