"""`hpc check`: what must be there before anything is pushed, each with its remedy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.text import Text

from matrix.execute.slurm_script import Resources, job_script
from matrix.ground.errors import EnvironmentFailure, NetworkError
from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote
from matrix.hpc.ship import describe_stack

# What our programs over there import.
DRIVER_NEEDS = "filelock matplotlib numpy packaging psutil pydantic rich submitit yaml"
# Found and not imported: some make folders of their own when they are.
DRIVER_PROBE = f"""
import importlib.util, sys
needed = {DRIVER_NEEDS!r}.split()
missing = [name for name in needed if importlib.util.find_spec(name) is None]
raise SystemExit(", ".join(missing) + " missing" if missing or sys.version_info < (3, 11) else 0)
"""
NEEDED = ("autolens", "jax", "numba")
X64_PROBE = "import jax.numpy as n; x = n.zeros(1); print(x.dtype); raise SystemExit(x.dtype != 'float64')"
# In the nearest folder that is there: what a push makes is made by a push.
WRITABLE = """
folder=$1
until [ -e "$folder" ]; do folder=$(dirname "$folder"); done
tried=$(mktemp "$folder/.nnls-matrix-XXXXXX") && rm "$tried" && echo "$1"
"""
# What is written inside has to be there outside.
MOUNTED = """
folder=$1; shift
until [ -e "$folder" ]; do folder=$(dirname "$folder"); done
tried=$(mktemp "$folder/.nnls-matrix-XXXXXX")
trap 'rm "$tried"' EXIT
"$@" -c 'import sys; open(sys.argv[1], "r+").write("seen")' "$tried"
[ -s "$tried" ] && echo "$folder is there"
"""
# What a shell there exports for sbatch would beat the script's own lines.
ASK_SLURM = """
unset ${!SBATCH_@} ${!SALLOC_@} ${!SRUN_@}
printf %s "$1" | sbatch --test-only 2>&1
"""
QUIET_SHELL = (
    "rsync takes that for an answer. Let the start-up files there (.bashrc, .profile, .bash_logout) print "
    "at a terminal alone: `[ -t 1 ] && echo ...`."
)


@dataclass(frozen=True)
class Probe:
    """One thing that must work, and what to do where it does not."""

    name: str
    asked: Callable[[], str]
    remedy: str


def check(console: Console, remote: Remote) -> int:
    """Try everything; return 0, or the exit code of a failing machine."""
    failed = 0
    for probe in _probes(remote):
        works, said = _tried(probe)
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
    ask, prepared = partial(_answer, remote), partial(_answer, remote, prepared=True)
    return [
        Probe(
            "reached",
            partial(ask, ("uname", "-sr")),
            "Make `ssh HOST true` work without a question: key, agent, known host. Where a second factor is "
            "asked for: `multiplex: true`.",
        ),
        Probe(
            "folder",
            partial(ask, ("sh", "-c", WRITABLE, "sh", profile.root)),
            "Correct `root`: it must be yours to write.",
        ),
        Probe(
            "rsync",
            partial(ask, ("sh", "-c", "rsync --version | head -1")),
            "Load or install rsync on both machines.",
        ),
        Probe(
            "sbatch",
            partial(prepared, ("sbatch", "--version")),
            "`host` must be a login node of the cluster, with Slurm in PATH.",
        ),
        Probe(
            "controller",
            partial(prepared, ("scontrol", "ping")),
            "The Slurm controller does not answer: try later, ask the operators.",
        ),
        Probe(
            "job",
            partial(expected_start, remote),
            "Slurm takes no such job: correct what it names in the profile (`sinfo`, `sacctmgr show assoc`).",
        ),
        Probe(
            "driver",
            partial(prepared, (profile.driver, "-c", DRIVER_PROBE)),
            "`driver` needs Python 3.11 or newer with locks/driver.txt: `nox -s hpc -- install`.",
        ),
        *_container(profile, prepared),
        Probe(
            "environment",
            partial(_environment, remote),
            "`python` needs the release: `nox -s hpc -- install`, or its checkouts on the PYTHONPATH that "
            "`setup` exports.",
        ),
        Probe(
            "x64",
            partial(prepared, (*profile.launched, profile.python, "-c", X64_PROBE)),
            "JAX in `python` must start and compute in 64 bit: see what it said.",
        ),
    ]


def _container(profile: Profile, prepared: Callable[[Sequence[str]], str]) -> list[Probe]:
    if not profile.launched:
        return []
    words = ("sh", "-c", MOUNTED, "sh", profile.root, *profile.launched, profile.python)
    remedy = "`launch` must mount `root` under its own name, to be written too, and `python` be in there."
    return [Probe("container", partial(prepared, words), remedy)]


def expected_start(remote: Remote) -> str:
    """When Slurm would start a job as the profile asks for it, in Slurm's words; nothing is submitted.

    Raises
    ------
    EnvironmentFailure
        It takes no such job.
    """
    resources = Resources.model_validate(remote.profile.model_dump())
    script = job_script("check", resources, folder=remote.profile.root, command="true")
    return _answer(remote, ("bash", "-c", ASK_SLURM, "bash", script), prepared=True)


def _environment(remote: Remote) -> str:
    stack = describe_stack(remote)
    said = ", ".join(map(stack.said, NEEDED))
    if not set(NEEDED) <= stack.packages.keys():
        raise EnvironmentFailure(said)
    return said


def _answer(remote: Remote, words: Sequence[str], prepared: bool = False) -> str:
    done = remote.run(words, variables={"JAX_ENABLE_X64": "True"}, prepared=prepared, check=False)
    if done.exit_code != 0:
        said = f"{done.stderr}\n{done.stdout}".strip().splitlines()
        raise EnvironmentFailure("\n".join((f"exit {done.exit_code}", *said[-5:])))
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else "as it should be"


def _tried(probe: Probe) -> tuple[bool, str]:
    try:
        return True, probe.asked()
    except NetworkError:
        raise
    except EnvironmentFailure as error:
        return False, str(error)
