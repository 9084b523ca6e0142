"""What goes to a cluster: our code, the data, each side's library, and a plan with the paths over there."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.hashing import code_hash, digest
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote
from matrix.prepare.environments import DESCRIBE, LIBRARY_PACKAGE, SideEnvironment, described, write_blocker
from matrix.prepare.planning import kept_run, new_run, planned_pairs, run_key
from matrix.records.cell import REPLACED, Side
from matrix.run.plan import Plan, PlannedEnvironment, Word

CODE = ("matrix", "solver")
CODE_EXCLUDED = ("__pycache__", "/prepare/embedded")
RUN_EXCLUDED = ("work", "matplotlib", "*.pkl")


class Shipped(BaseModel):
    """What was last pushed to a root; lies there as `pushed.json`, written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Word
    code: str


@dataclass(frozen=True)
class Places:
    """Where things lie on the cluster."""

    root: str

    @property
    def code(self) -> str:
        """This program."""
        return f"{self.root}/code"

    @property
    def workspace(self) -> str:
        """The developer workspace: datasets."""
        return f"{self.root}/workspace"

    @property
    def pushed(self) -> str:
        """What was pushed last."""
        return f"{self.root}/pushed.json"

    def library(self, side: Side) -> str:
        """The folder that is put in front of the stack's packages."""
        return f"{self.root}/libraries/{side}"

    def run(self, name: str) -> str:
        """A run's folder."""
        return f"{self.root}/runs/{name}"


def pushed_code() -> str:
    """Digest of the code that is pushed."""
    return code_hash(CODE)


@dataclass(frozen=True)
class Stack:
    """What the profile's Python has.

    Attributes
    ----------
    packages
        Version by name.
    trees
        Folder and commit of each package that is a working tree.
    path
        Folders that the profile's PYTHONPATH names.
    """

    python: str
    packages: Mapping[str, str]
    trees: Mapping[str, tuple[str, str]]
    path: tuple[str, ...]

    def said(self, name: str) -> str:
        """A package with its version, and where it lies if it was not installed."""
        folder, commit = self.trees.get(name, ("", ""))
        where = f" ({folder}, {commit})" if folder else ""
        return f"{name} {self.packages.get(name, 'is not there')}{where}"


def describe_stack(remote: Remote) -> Stack:
    """Python and packages of the profile's stack, as a job will find them.

    Raises
    ------
    EnvironmentFailure
        It does not start, or does not say.
    """
    words = [*remote.profile.launched, remote.profile.python]
    # What is imported leaves nothing behind.
    nothing = {"PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": "/dev/null"}
    done = remote.run([*words, "-c", DESCRIBE], variables=nothing, prepared=True)
    said = described(done.stdout, remote.profile.python)
    try:
        found = _Described.model_validate(said)
    except ValidationError as error:
        raise EnvironmentFailure(f"{remote.profile.python} does not say what it has, but {said}") from error
    trees = {name: (folder, _commit(remote, folder)) for name, folder in found.trees.items()}
    return Stack(found.python, found.packages, trees, found.path)


class _Described(BaseModel):
    python: str
    packages: dict[str, str]
    trees: dict[str, str] = {}
    path: tuple[str, ...] = ()


def _commit(remote: Remote, folder: str) -> str:
    # In a container the folder may be another one than outside.
    git = [*remote.profile.launched, "git", "-C", folder]
    head = remote.run([*git, "rev-parse", "HEAD"], check=False, prepared=True)
    if head.exit_code != 0:
        return "no commit"
    changes = ("status", "--porcelain", "--untracked-files=no")
    changed = remote.run([*git, *changes], check=False, prepared=True).stdout.strip()
    return f"commit {head.stdout.strip()}" + (", changed since" if changed else "")


def relocated(plan: Plan, profile: Profile, stack: Stack, layout: Layout) -> Plan:
    """The plan as the cluster carries it out: paths of there, and keys that know the stack of there.

    Raises
    ------
    UsageError
        The stack there is of another release.
    """
    if stack.packages.get("autolens") != plan.release:
        raise UsageError(
            f"{profile.python} on {profile.host or 'this machine'}: {stack.said('autolens')}, the plan is "
            f"for {plan.release}. Install that release there or check it out, or push with --release."
        )
    places = Places(profile.root)
    has = dataclasses.asdict(stack)
    facts = json.dumps(
        [profile.host, profile.launch, profile.python, profile.accelerator, has], sort_keys=True
    )
    environments = {
        side: PlannedEnvironment(
            python=Path(profile.python),
            pythonpath=(Path(places.library(side)), *map(Path, stack.path)),
            key=digest((environment.key, facts))[:16],
            settings=environment.settings,
            launch=profile.launched,
        )
        for side, environment in plan.environments.items()
    }
    cells = tuple(
        cell.model_copy(update={"key": digest((cell.key, environments[cell.side].key))})
        for cell in plan.cells
    )
    seconds = plan.pairs[0].seconds if plan.pairs else 0.0
    folder = kept_run(layout, cells) or new_run(layout, cells)
    return plan.model_copy(
        update={
            "run": folder.name,
            "key": run_key(cells),
            "folder": Path(places.run(folder.name)),
            "accelerator": profile.accelerator,
            "environments": environments,
            "stack": {name: commit for name, (_, commit) in stack.trees.items()},
            "workspace": Path(places.workspace),
            "own_workspace": None,
            "cells": cells,
            "pairs": planned_pairs(cells, seconds),
            # The scheduler's limit counts there, and its word is wanted.
            "cell_timeout": profile.time * 60.0 + 600.0,
            "threads": profile.cpus,
            "locks": Path(profile.root) / "locks",
            "cache": Path(profile.root) / "cache",
            "float64_run": None,
            # Cells are what is measured there; the checks of the change are made here.
            "selected_checks": (),
        }
    )


def ship(remote: Remote, plan: Plan, there: Plan) -> list[str]:
    """Send everything `there`, the relocated `plan`, needs; return what had been there and differed."""
    places = Places(remote.profile.root)
    changed = []
    for name in CODE:
        sent = remote.send(REPOSITORY_ROOT / name, f"{places.code}/{name}", CODE_EXCLUDED)
        changed += [f"code/{name}/{file}" for file in sent]
    changed += [
        f"workspace/{file}"
        for file in remote.send(plan.data_workspace, places.workspace, (".git", "__pycache__"))
    ]
    for side, environment in plan.environments.items():
        made = SideEnvironment(environment.python, environment.pythonpath, environment.key)
        target = f"{places.library(side)}/{LIBRARY_PACKAGE}"
        sent = remote.send(_library(made), target, ("__pycache__",))
        if sent:
            changed.append(f"libraries/{side} ({len(sent)} files)")
    _ship_blocker(remote, f"{places.library('candidate')}/{REPLACED}", plan.change.vendor)
    remote.write(f"{there.folder}/plan.json", there.model_dump_json(indent=2) + "\n")
    remote.write(places.pushed, Shipped(run=there.run, code=pushed_code()).model_dump_json() + "\n")
    return changed


def _ship_blocker(remote: Remote, target: str, vendored: bool) -> None:
    """Hide jaxnnls from a vendored candidate; from any other what an earlier push hid is there again."""
    if not vendored:
        remote.run(["rm", "-rf", target])
        return
    with tempfile.TemporaryDirectory() as scratch:
        write_blocker(Path(scratch))
        remote.send(Path(scratch) / REPLACED, target)


def read_pushed(remote: Remote) -> Shipped | None:
    """What was pushed last; None where nothing was.

    Raises
    ------
    UsageError
        The note of it is damaged.
    """
    path = Places(remote.profile.root).pushed
    text = remote.read(path)
    if text is None:
        return None
    try:
        return Shipped.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(
            f"{path} on {remote.profile.host or 'this machine'} is damaged. If no job of ours is waiting or "
            "running there, remove it and push again."
        ) from error


def _library(environment: SideEnvironment) -> Path:
    """Where a side's library is installed."""
    if environment.pythonpath:
        return environment.pythonpath[0] / LIBRARY_PACKAGE
    probe = (
        f"import importlib.util as u; print(u.find_spec({LIBRARY_PACKAGE!r}).submodule_search_locations[0])"
    )
    return Path(run([environment.python, "-c", probe], env=inherited()).stdout.strip())
