"""`nox -s doctor`: what would stop a run on this machine, with the remedy for each."""

import enum
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.text import Text

from matrix.catalogue.pipelines import PIPELINES
from matrix.execute.reservations import machine_folder, peak_bytes, shares
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, MatrixError, UsageError, exit_code_of
from matrix.ground.layout import MANIFEST, REPOSITORY_ROOT, Layout, open_layout
from matrix.ground.machine import GIB, gpu_lines, usable_cores
from matrix.ground.options import SessionParser, add_root
from matrix.ground.process import run
from matrix.ground.redaction import OF_AN_INDEX, redact
from matrix.ground.shell import inherited
from matrix.prepare.checkout.git import git, list_refs
from matrix.prepare.jax_build import OLDEST_DRIVER, builds_for
from matrix.prepare.manifest import Role, load_manifest
from matrix.refresh.branches.identity import read_identity
from matrix.run.plan import PlanError, read_plan, run_folders

PYTHON = ((3, 11), (3, 14))
# The first to take a configuration file in place of the person's.
OLDEST_GIT = (2, 32)
DISK_NEEDED = 6 * GIB
NETWORK_SECONDS = 10.0
LOCK_TABLE = Path("/proc/locks")


class Weight(enum.StrEnum):
    """How much a finding matters."""

    GOOD = "ok"
    NOTE = "note"
    TROUBLE = "TROUBLE"


@dataclass(frozen=True)
class Look:
    """One thing looked at: what was found, and what to do unless it is good."""

    what: str
    state: Weight
    found: str
    remedy: str = ""


def examine(layout: Layout, manifest: Path) -> Iterator[Look]:
    """Look at everything a run needs, one finding each; a look that fails is a finding too."""
    looks: tuple[tuple[str, Callable[[], Look]], ...] = (
        ("Python", python),
        ("disk", lambda: disk(layout)),
        ("memory", lambda: memory(psutil.virtual_memory().total, psutil.virtual_memory().available)),
        ("threads", threads),
        ("Git", git_identity),
        ("network, packages", packages),
        ("network, repositories", lambda: repositories(manifest)),
        ("float64", lambda: float64(os.environ)),
        ("GPU", lambda: gpu(layout)),
        ("caches", lambda: caches(layout)),
        ("locks", lambda: locks(layout)),
        ("neighbours", lambda: neighbours(machine_folder())),
    )
    for what, look in looks:
        try:
            yield look()
        except (MatrixError, OSError) as error:
            yield Look(what, Weight.TROUBLE, str(error), "see the message")


def python() -> Look:
    """The interpreter is one the stack is released for."""
    version = sys.version_info[:2]
    found = f"Python {sys.version.split()[0]}"
    if PYTHON[0] <= version < PYTHON[1]:
        return Look("Python", Weight.GOOD, found)
    return Look("Python", Weight.TROUBLE, found, "use Python 3.11, 3.12 or 3.13: the stack has no other")


def disk(layout: Layout) -> Look:
    """Two environments, checkouts and records fit."""
    free = shutil.disk_usage(layout.root).free
    found = f"{free / GIB:.1f} GiB free at {layout.root}"
    if free >= DISK_NEEDED:
        return Look("disk", Weight.GOOD, found)
    remedy = f"free {DISK_NEEDED / GIB:.0f} GiB, or choose another folder with --root or MATRIX_ROOT"
    return Look("disk", Weight.TROUBLE, found, remedy)


def memory(total: int, available: int) -> Look:
    """The largest cell fits, in bytes."""
    needed = max(peak_bytes(name, "production") for name in PIPELINES)
    found = (
        f"{available / GIB:.1f} of {total / GIB:.1f} GiB available, the largest cell needs {needed / GIB:.0f}"
    )
    if available >= needed:
        return Look("memory", Weight.GOOD, found)
    if total >= needed:
        return Look("memory", Weight.NOTE, found, "end other programs, or the largest cells will swap")
    return Look("memory", Weight.TROUBLE, found, "use --scale smoke, or --only with a smaller pipeline")


def threads() -> Look:
    """Cores this process may use, and whether others are at work on them."""
    cores, load = len(usable_cores()), os.getloadavg()[0]
    found = f"{cores} of {os.cpu_count()} cores usable, load {load:.1f}"
    if load > 0.5 * cores:
        return Look("threads", Weight.NOTE, found, "times of a busy machine are not to be quoted: wait")
    return Look("threads", Weight.GOOD, found)


def git_identity() -> Look:
    """Git is there, and knows who commits; only refresh-artifacts commits in a person's name."""
    version = git("--version").stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None or tuple(map(int, found.groups())) < OLDEST_GIT:
        remedy = (
            f"install Git {'.'.join(map(str, OLDEST_GIT))} or newer: an older one obeys all your settings"
        )
        return Look("Git", Weight.TROUBLE, version, remedy)
    try:
        identity = read_identity(REPOSITORY_ROOT)
    except UsageError as error:
        return Look("Git", Weight.NOTE, f"{version}, no identity", str(error))
    return Look("Git", Weight.GOOD, f"{version}, commits are by {identity.name}")


def packages() -> Look:
    """The package index answers, asked the way environments are built."""
    with tempfile.TemporaryDirectory() as target:
        words = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-deps", "--target", target]
        words += ["--refresh", "jaxnnls==1.0.1"]
        seconds = NETWORK_SECONDS * 3
        asked = run(words, env=inherited(), timeout=seconds, check=False, keep=OF_AN_INDEX)
    if asked.exit_code == 0:
        return Look("network, packages", Weight.GOOD, "the package index answers")
    last = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
    remedy = "connect, set the proxy or index your site uses, or pass a prepared --base-python"
    return Look("network, packages", Weight.TROUBLE, last, remedy)


def repositories(manifest: Path) -> Look:
    """The library's url answers."""
    url = load_manifest(manifest).of_role(Role.LIBRARY).url
    try:
        list_refs(url, timeout=NETWORK_SECONDS, attempts=1)
    except EnvironmentFailure:
        remedy = "--source mirror --mirror FOLDER uses clones; --source embedded needs no repository"
        return Look("network, repositories", Weight.NOTE, f"{redact(url)} does not answer", remedy)
    return Look("network, repositories", Weight.GOOD, f"{redact(url)} answers")


def float64(environment: "os._Environ[str] | dict[str, str]") -> Look:
    """Cells get their own flag; a person's own scripts in this shell do not."""
    value = environment.get("JAX_ENABLE_X64")
    if value is not None and value.lower() in ("1", "true"):
        return Look("float64", Weight.GOOD, f"JAX_ENABLE_X64={value}")
    found = "JAX_ENABLE_X64 is not exported" if value is None else f"JAX_ENABLE_X64={value}"
    remedy = (
        "cells set it themselves; for scripts of your own: export JAX_ENABLE_X64=True before Python starts"
    )
    return Look("float64", Weight.NOTE, found, remedy)


def gpu(layout: Layout) -> Look:
    """A GPU, and an environment whose JAX can use it."""
    if shutil.which("nvidia-smi") is None:
        return Look("GPU", Weight.GOOD, "none: cells run on the CPU")
    listed = gpu_lines("name,driver_version")
    if not listed:
        remedy = "repair the driver, or run without --accelerator"
        return Look("GPU", Weight.NOTE, "nvidia-smi fails: the driver is not usable", remedy)
    plugins = layout.environments.glob("*/lib/python*/site-packages/jax_cuda*_plugin")
    return matching_jax("\n".join(listed), {path.name.split("_")[1] for path in plugins})


def matching_jax(listed: str, builds: set[str]) -> Look:
    """Whether a build of JAX that the driver can carry is installed.

    Parameters
    ----------
    listed
        Name and driver of each GPU, as nvidia-smi lists them.
    builds
        Which of "cuda12" and "cuda13" our environments hold.
    """
    found = "; ".join(listed.strip().splitlines())
    fit = builds_for(found.rpartition(",")[2])
    if fit is None:
        return Look("GPU", Weight.NOTE, found, "its driver is not known: see that nvidia-smi names one")
    if not fit:
        oldest = min(OLDEST_DRIVER.values())
        remedy = f"JAX needs driver {oldest} or newer: update it, or run without --accelerator"
        return Look("GPU", Weight.NOTE, f"{found}: the driver is too old", remedy)
    usable, other = sorted(builds & set(fit)), sorted(builds - set(fit))
    if usable:
        return Look("GPU", Weight.GOOD, f"{found}; an environment has JAX for it ({', '.join(usable)})")
    remedy = f"--accelerator {fit[0]} installs a JAX for it; without it the CPU is used"
    if other:
        found += f"; the JAX of an environment ({', '.join(other)}) needs a newer driver"
    return Look("GPU", Weight.NOTE, found, remedy)


def caches(layout: Layout) -> Look:
    """Environments that no kept run uses, and runs that this version cannot read."""
    made = {path.name: path for path in layout.environments.iterdir() if path.is_dir()}
    used, unreadable = set(), []
    for folder in run_folders(layout.runs):
        try:
            plan = read_plan(folder)
        except PlanError:
            unreadable.append(folder)
            continue
        used |= {f"{side}-{environment.key}" for side, environment in plan.environments.items()}
    # The stock environment, which simulates data, is in no plan.
    stale = [path for name, path in made.items() if name not in used and not name.startswith("stock-")]
    found = f"{len(made)} environments, {len(stale)} of them of no kept run"
    if unreadable:
        found += f"; {len(unreadable)} runs are of other versions of this program"
    if not stale and not unreadable:
        return Look("caches", Weight.GOOD, found)
    remedies = []
    if stale:
        remedies.append(f"to free their space: {shlex.join(['rm', '-r', *map(str, stale)])}")
    if unreadable:
        names = ", ".join(folder.name for folder in unreadable)
        remedies.append(f"check out the version that made {names} to read them, or remove them")
    return Look("caches", Weight.NOTE, found, "; ".join(remedies))


def locks(layout: Layout) -> Look:
    """Whether another run holds something here now; a lock file alone holds nothing."""
    files = list(layout.locks.glob("*.lock"))
    held = holders(files, LOCK_TABLE)
    cells = [process.pid for process in psutil.process_iter(["cmdline"]) if _is_cell(process, layout.root)]
    if held or cells:
        what = ", ".join([*(f"{path.name} by process {pid}" for path, pid in held.items())])
        running = f"cells in processes {', '.join(map(str, cells))}" if cells else ""
        remedy = "wait for it, or end it (kill PROCESS); a second call on the same run waits by itself"
        found = "another run is at work: " + "; ".join(filter(None, (what, running)))
        return Look("locks", Weight.NOTE, found, remedy)
    found = f"nobody is at work here; {len(files)} lock files are left over, which hold nothing"
    return Look("locks", Weight.GOOD, found)


def neighbours(ledger: Path) -> Look:
    """What running cells hold of this machine, those of other working folders included."""
    held = shares(ledger)
    if not held:
        return Look("neighbours", Weight.GOOD, "no cell runs on this machine")
    memory = sum(share.memory for share in held.values()) / GIB
    cores = len({core for share in held.values() for core in share.cores})
    gpus = sum(share.gpu is not None for share in held.values())
    also = f", {gpus} GPU(s)" if gpus else ""
    found = (
        f"cells of this or other working folders hold {cores} of {len(usable_cores())} cores{also} and "
        f"{memory:.0f} GiB (for processes {', '.join(map(str, held))})"
    )
    return Look("neighbours", Weight.NOTE, found, "a run started now shares with them, and its times show it")


def holders(files: Sequence[Path], table: Path) -> dict[Path, int]:
    """Which of the lock files are held, by which process, from the kernel's own table (Linux).

    To try the locks would be no way to look: a run that asks for one in that moment would be refused.
    """
    try:
        # A line with an arrow is one who waits.
        lines = [line.split() for line in table.read_text().splitlines() if "->" not in line]
    except OSError:
        return {}
    inodes = {path.stat().st_ino: path for path in files}
    # number: FLOCK ADVISORY WRITE process device:device:inode start end
    held = {int(words[5].rpartition(":")[2]): int(words[4]) for words in lines if words[1] == "FLOCK"}
    return {path: held[inode] for inode, path in inodes.items() if inode in held}


def _is_cell(process: psutil.Process, root: Path) -> bool:
    words = process.info["cmdline"] or []
    return "matrix.pipelines.cell" in words and any(str(root) in word for word in words)


STYLES = {Weight.GOOD: "green", Weight.NOTE: "yellow", Weight.TROUBLE: "bold red"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every finding; 3 where one would stop a run, else 0."""
    parser = SessionParser("doctor", "Say what would stop a run on this machine, with the remedy for each.")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="default: repos.yaml")
    add_root(parser)
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _print_findings(open_layout(options.root), options.manifest))


def _print_findings(layout: Layout, manifest: Path) -> int:
    console = open_console()
    console.print(f"working in {layout.root}")
    states = []
    for finding in examine(layout, manifest):
        states.append(finding.state)
        state = (f"{finding.state:>7}", STYLES[finding.state])
        console.print(Text.assemble(state, f"  {finding.what}: {finding.found}"))
        if finding.remedy:
            console.print(f"         → {finding.remedy}")
    return EnvironmentFailure.exit_code if Weight.TROUBLE in states else 0


if __name__ == "__main__":
    sys.exit(main())
