"""`hpc check`: what must be there before anything is pushed, each with its remedy."""

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from matrix.ground.errors import EnvironmentFailure, NetworkError
from matrix.hpc.remote import Remote

DRIVER_PROBE = "import filelock, psutil, pydantic, submitit, sys; assert sys.version_info >= (3, 11)"
STACK_PROBE = (
    "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('autolens', 'jax', 'numba')))"
)
X64_PROBE = "import jax.numpy as n; x = n.zeros(1); print(x.dtype); raise SystemExit(x.dtype != 'float64')"
QUIET_SHELL = (
    "rsync takes that for an answer. Let the start-up files there (.bashrc, .profile, .bash_logout) print "
    "at a terminal alone: `[ -t 1 ] && echo ...`."
)


@dataclass(frozen=True)
class Probe:
    """One thing that must work, and what to do where it does not."""

    name: str
    words: tuple[str, ...]
    remedy: str


def check(console: Console, remote: Remote) -> int:
    """Try everything; return 0, or the exit code of a failing machine."""
    failed = 0
    for probe in _probes(remote):
        works, said = _tried(remote, probe)
        failed += not works
        _show(console, probe.name, works, said, probe.remedy)
    chatter = remote.chatter()
    said = f"it prints {chatter.splitlines()[0]!r} unasked" if chatter else "it prints nothing unasked"
    _show(console, "login shell", not chatter, said, QUIET_SHELL)
    return EnvironmentFailure.exit_code if failed or chatter else 0


def _show(console: Console, name: str, works: bool, said: str, remedy: str) -> None:
    mark = ("✓", "green") if works else ("✗", "red")
    console.print(Text.assemble(mark, f" {name}: {said}"))
    if not works:
        console.print(Text(f"  {remedy}"))


def _probes(remote: Remote) -> list[Probe]:
    profile = remote.profile
    writable = 'mkdir -p "$1" && touch "$1/.writable" && rm "$1/.writable" && echo "$1"'
    probes = [
        Probe(
            "reached",
            ("uname", "-sr"),
            "Make `ssh HOST true` work without a question: key, agent, known host.",
        ),
        Probe(
            "folder", ("sh", "-c", writable, "sh", profile.root), "Correct `root`: it must be yours to write."
        ),
        Probe("rsync", ("sh", "-c", "rsync --version | head -1"), "Load or install rsync on both machines."),
        Probe(
            "sbatch",
            ("sbatch", "--version"),
            "`host` must be a login node of the cluster, with Slurm in PATH.",
        ),
        Probe(
            "controller",
            ("scontrol", "ping"),
            "The Slurm controller does not answer: try later, ask the operators.",
        ),
        Probe(
            "driver",
            (profile.driver, "-c", DRIVER_PROBE),
            "`driver` needs Python 3.11 or newer with `pip install filelock psutil pydantic submitit`.",
        ),
        Probe(
            "environment",
            (profile.python, "-c", STACK_PROBE),
            "`python` needs `pip install 'autolens[jax]==RELEASE' numba`.",
        ),
        Probe(
            "x64",
            (profile.python, "-c", X64_PROBE),
            "JAX in `python` must start and compute in 64 bit: see what it said.",
        ),
    ]
    if profile.partition is not None:
        probe = 'test -n "$(sinfo --noheader --partition="$1")" && echo "$1"'
        remedy = "There is no such partition: `sinfo` lists them."
        probes.append(Probe("partition", ("sh", "-c", probe, "sh", profile.partition), remedy))
    return probes


def _tried(remote: Remote, probe: Probe) -> tuple[bool, str]:
    try:
        done = remote.run(probe.words, variables={"JAX_ENABLE_X64": "True"})
    except NetworkError:
        raise
    except EnvironmentFailure as error:
        return False, str(error)
    return True, done.stdout.strip() or "as it should be"
