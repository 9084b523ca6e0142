"""Sessions, thin: make the environment, hand over. What is for the same purpose stands together."""

import os
import subprocess
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix.ground.redaction import OF_AN_INDEX, secrets_set_aside
from matrix.ground.shell import without

# uv trusts what the machine trusts, as pip and Git do.
os.environ.setdefault("UV_SYSTEM_CERTS", "true")

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["matrix-fp64"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

# A file's tests share what they build; files start in the order of tests/conftest.py.
BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")

# Of a session that judges nothing: nothing in it can fail but the session itself.
JUDGES_NOTHING = ""
MACHINE_OR_OURS = 3
# Nothing is built from source: what builds it would see an index's password.
LOCKED = ("--require-hashes", "--only-binary", ":all:")

NOT_INSTALLED = (
    "nothing was judged: a package could not be installed. Is the index reachable, and the disk not full? "
    "A hash that does not match means another file than was tested: ask another index. "
    "`uv cache clean` forgets what uv kept. "
    "A lock that is missing or changed comes back with `git checkout locks`."
)

WORDS = {
    2: "wrong use, or the manifest: see above",
    MACHINE_OR_OURS: "it broke off: the machine, the network or an error of ours, see above",
}


def _hand_over(session: nox.Session, *words: str, failed: str = "a gate failed") -> None:
    _install(session, "driver")
    _run(session, *words, failed=failed)


def _install(session: nox.Session, *locks: str) -> None:
    """What is locked, each file checked against its hash, and this project over it."""
    # One by one, since what is on top of a lock is no whole of its own.
    for more, lock in enumerate(locks):
        _put(session, *LOCKED, *("--no-deps",) * bool(more), "-r", f"locks/{lock}.txt")
    _put(session, "--no-deps", "--no-build-isolation", "-e", ".", index=())


def _put(session: nox.Session, *words: str, index: tuple[str, ...] = OF_AN_INDEX) -> None:
    """Install, whatever the shell says of uv and pip, which see no secret but an index's."""
    try:
        with secrets_set_aside(index), without("UV_", "PIP_"):
            session.install(*words)
    except CommandFailed:
        # Nox would end with 1, which is a gate's word alone.
        session.warn(WORDS[MACHINE_OR_OURS])
        session.warn(NOT_INSTALLED)
        sys.exit(MACHINE_OR_OURS)


def _run(session: nox.Session, *words: str, failed: str, **variables: str) -> None:
    # A command of nox's own, which nox leaves out under --install-only: then ours is left out too.
    if session.run("python", "--version", silent=True) is None:
        return
    command = [f"{session.bin}/python", "-m", *words, *session.posargs]
    # What a shell adds for another Python would be imported in place of what was installed.
    exit_code = subprocess.call(command, env={**os.environ, "PYTHONPATH": "", **variables})
    if exit_code == 1 and failed:
        session.error(failed)
    if exit_code:
        # Nox knows only 1; the difference between wrong use (2) and a failing machine (3) is for CI.
        told = exit_code if exit_code in WORDS else MACHINE_OR_OURS
        session.warn(WORDS[told] if exit_code > 0 else f"it was killed by signal {-exit_code}")
        sys.exit(told)


def _install_solver(session: nox.Session, lock: str) -> None:
    """Our code and what it is compared with, on the GPU where there is one."""
    _install(session, lock)
    build = (session.run_install("python", "-m", "matrix.prepare.jax_build", silent=True) or "").strip()
    if build:
        _install(session, lock, f"solver-{build}")


@nox.session(name="matrix-fp64", tags=["main"])
def matrix_fp64(session: nox.Session) -> None:
    """Six pipelines in float64, baseline against candidate, every gate judged."""
    _hand_over(session, "matrix", "fp64")


@nox.session(name="matrix-mp", tags=["main"])
def matrix_mp(session: nox.Session) -> None:
    """The same under the library's mixed precision, and how far it moves from float64."""
    _hand_over(session, "matrix", "mp")


@nox.session(tags=["main"])
def canary(session: nox.Session) -> None:
    """The float64 matrix on the newest of everything, where a library of a new shape is no failure."""
    _put(session, "-e", ".")
    _run(session, "matrix.commands.canary", failed="a gate failed")


@nox.session(tags=["main"])
def scripts(session: nox.Session) -> None:
    """The workspaces' own JAX scripts as they are, baseline against candidate."""
    _hand_over(session, "matrix", "fp64", "--check", "scripts")


@nox.session(tags=["runs"])
def report(session: nox.Session) -> None:
    """The runs of several machines as one, judged anew: nox -s report -- DIR..."""
    _hand_over(session, "matrix.commands.report", failed="a gate failed")


@nox.session(tags=["runs"])
def compare(session: nox.Session) -> None:
    """Two runs side by side: nox -s compare -- RUN_A RUN_B"""
    _hand_over(session, "matrix.commands.compare", failed=JUDGES_NOTHING)


@nox.session(tags=["runs"])
def trend(session: nox.Session) -> None:
    """Evidence and time of all kept runs, one class of machine at a time."""
    _hand_over(session, "matrix.commands.trend", failed=JUDGES_NOTHING)


@nox.session(tags=["runs"])
def releases(session: nox.Session) -> None:
    """Which releases vendoring knows, and which reproduced their constants in the kept runs."""
    _hand_over(session, "matrix.commands.releases", failed=JUDGES_NOTHING)


@nox.session(name="docs-tables", tags=["runs"])
def docs_tables(session: nox.Session) -> None:
    """The tables of README and docs from the records of docs/results: nox -s docs-tables -- --run latest."""
    _hand_over(session, "matrix.commands.docs_tables", failed="a table is not up to date")


@nox.session(tags=["runs"])
def doctor(session: nox.Session) -> None:
    """What would stop a run on this machine, and the remedy."""
    _hand_over(session, "matrix.commands.doctor", failed=JUDGES_NOTHING)


@nox.session(tags=["change"])
def audit(session: nox.Session) -> None:
    """Result files that are float32 under a float64 label, found by their digits: nox -s audit -- PATH..."""
    _hand_over(session, "matrix.diagnose", "audit", failed="float32 under a float64 label")


@nox.session(tags=["change"])
def bisect(session: nox.Session) -> None:
    """Which commit moved a log evidence or a time: nox -s bisect -- PyAutoArray GOOD BAD --only PIPELINE."""
    _hand_over(session, "matrix.commands.bisect", failed=JUDGES_NOTHING)


@nox.session(name="hlo-audit", tags=["change"])
def hlo_audit(session: nox.Session) -> None:
    """What of the gradient's machinery is compiled into the likelihood: nox -s hlo-audit -- PIPELINE."""
    _hand_over(
        session,
        "matrix.diagnose",
        "hlo-audit",
        failed="the relaxed backward pass is in the sampling path",
    )


@nox.session(tags=["change"])
def detect(session: nox.Session) -> None:
    """Planted defects, one at a time, each with the gate that must catch it: nox -s detect -- [WORD...]."""
    # Some are caught by our tests, which import the solver.
    _install_solver(session, "solver")
    _run(session, "tests.detect", failed="a planted defect was missed, or a clean tree raised an alarm")


@nox.session(name="refresh-artifacts", tags=["change"])
def refresh_artifacts(session: nox.Session) -> None:
    """From a green run: result files, constants, and the branches with their pull-request texts."""
    _hand_over(session, "matrix.commands.refresh_artifacts", failed="a constant drifted beyond its tolerance")


@nox.session(tags=["machines"])
def hpc(session: nox.Session) -> None:
    """The matrix on a Slurm cluster: nox -s hpc -- check | install | push | submit | jobs | wait | pull."""
    _hand_over(session, "matrix.commands.hpc", failed="a job did not pass")


@nox.session(tags=["machines"])
def pack(session: nox.Session) -> None:
    """Environments, checkouts and code in one file, for a machine without internet."""
    _hand_over(session, "matrix.commands.pack", failed=JUDGES_NOTHING)


@nox.session(tags=["measure"])
def null(session: nox.Session) -> None:
    """How often a side timed against itself comes out faster or slower: nox -s null -- RUN PIPELINE."""
    _hand_over(session, "matrix.commands.null", failed="the truth was outside an interval too often")


@nox.session(tags=["measure"])
def probe(session: nox.Session) -> None:
    """Where a likelihood's time goes, step by step, alone and under vmap: nox -s probe -- PIPELINE..."""
    _hand_over(session, "matrix.diagnose", "probe", failed=JUDGES_NOTHING)


@nox.session(tags=["measure"])
def profile(session: nox.Session) -> None:
    """One config's result file and picture, with step timings: nox -s profile -- PIPELINE."""
    _hand_over(session, "matrix.commands.profile", failed=JUDGES_NOTHING)


@nox.session(tags=["measure"])
def batch(session: nox.Session) -> None:
    """Time and memory against the batch size, baseline against candidate: nox -s batch -- PIPELINE..."""
    _hand_over(session, "matrix.diagnose", "batch", failed=JUDGES_NOTHING)


@nox.session(tags=["measure"])
def sweep(session: nox.Session) -> None:
    """Solver settings through the likelihood; would a config change alone do: nox -s sweep -- PIPELINE..."""
    _hand_over(session, "matrix.diagnose", "sweep", failed=JUDGES_NOTHING)


@nox.session(tags=["solver"])
def assertions(session: nox.Session) -> None:
    """The solver on systems with a known optimum: answers and gradients, alone and in a batch."""
    _install_solver(session, "solver")
    _run(session, "matrix.commands.assertions", failed="a system was not solved", JAX_ENABLE_X64="True")


@nox.session(tags=["solver"])
def bench(session: nox.Session) -> None:
    """The solver against jaxnnls, interleaved in one process, in ratios and Cholesky equivalents."""
    _install_solver(session, "bench")
    _run(session, "matrix.diagnose", "bench", failed=JUDGES_NOTHING)


@nox.session(tags=["solver"])
def systems(session: nox.Session) -> None:
    """A likelihood's systems as files, other lens models' and settings' too: nox -s systems -- PIPELINE..."""
    _hand_over(session, "matrix.diagnose", "systems", failed=JUDGES_NOTHING)


@nox.session(tags=["solver"])
def survey(session: nox.Session) -> None:
    """Algorithms and their parameters, by four criteria: nox -s survey -- --systems FOLDER."""
    _install_solver(session, "solver")
    _run(session, "matrix.diagnose", "survey", failed=JUDGES_NOTHING)


@nox.session(tags=["solver"])
def corpus(session: nox.Session) -> None:
    """A release's own solvers and ours on a corpus of systems, by upstream's rule: nox -s corpus -- KIND"""
    _hand_over(session, "matrix.diagnose", "corpus", failed=JUDGES_NOTHING)


@nox.session(name="docs-picture", tags=["upkeep"])
def docs_picture(session: nox.Session) -> None:
    """The picture in the README from a run's report, by a browser: nox -s docs-picture -- latest."""
    _install(session, "tests")
    _run(session, "matrix.commands.docs_picture", failed=JUDGES_NOTHING)


@nox.session(tags=["upkeep"])
def lock(session: nox.Session) -> None:
    """The files of locks/ anew, with the newest packages: nox -s lock -- ours, or a known release."""
    _hand_over(session, "matrix.commands.lock", failed=JUDGES_NOTHING)


@nox.session(name="lock-check", tags=["upkeep"])
def lock_check(session: nox.Session) -> None:
    """Whether each lock has a wheel for each kind of machine; the index is asked, nothing is installed."""
    _hand_over(session, "matrix.commands.lock_check", failed="a lock lacks wheels for a machine")


@nox.session(tags=["upkeep"])
def tests(session: nox.Session) -> None:
    """The tests of the harness and of the solver, with an end-to-end matrix at smoke scale."""
    _install(session, "tests")
    session.run("python", "-m", "pytest", "-n", "2", *BY_FILE, *session.posargs)


@nox.session(tags=["upkeep"])
def coverage(session: nox.Session) -> None:
    """Which lines the tests leave out, by room: nox -s coverage -- tests/gates."""
    _install(session, "tests")
    _run(session, "tests.coverage", "-n", "2", *BY_FILE, failed="a test failed")


@nox.session(tags=["upkeep"])
def lint(session: nox.Session) -> None:
    """Style, types, which room may import which, prose, and whether docs' tables are as the records say."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")
    session.run("python", "-m", "tests.docs.prose")
    session.run("python", "-m", "matrix.commands.docs_tables", "--check")


@nox.session(tags=["upkeep"])
def docs(session: nox.Session) -> None:
    """The site of the documentation, in docs/_build/html; a warning is an error."""
    _put(session, *LOCKED, "-r", "locks/docs.txt")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")
