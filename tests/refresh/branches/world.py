"""Small real repositories with a complete made-up run on them, as the person's machine would hold it."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.pipelines import PIPELINES
from matrix.commands import refresh_artifacts as refresh
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.change import vendor_library
from matrix.prepare.checkout import candidate_of, commit_candidate, prepare, resolve_source
from matrix.prepare.constants import read_constant
from matrix.prepare.manifest import Role, load_manifest
from matrix.refresh.artifacts.results import RESULTS
from matrix.run.plan import CheckedOut, Plan
from tests.factory import EVIDENCE
from tests.prepare.change.miniature import make_library, write
from tests.refresh.artifacts.made_up import run_on_disk
from tests.refresh.branches.studied import make_profiling

LIBRARY, DEVELOPER, TEST, CONFIG, PROFILING = (
    *("PyAutoArray", "autolens_workspace_developer", "autolens_workspace_test"),
    *("PyAutoConf", "autolens_profiling"),
)
ROLES = {
    LIBRARY: "library",
    DEVELOPER: "developer",
    TEST: "test",
    CONFIG: "dependency",
    PROFILING: "profiling",
}
BRANCH = "feature/nnls-vmap-speedup"
ASSERTIONS = "scripts/jax_assertions/nnls.py"
STAND_INS = REPOSITORY_ROOT / "matrix" / "prepare" / "embedded"


def run_git(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Run Git as a person would, in `folder`."""
    command = ["git", *words]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env=env
    ).stdout.strip()


@dataclass
class World:
    """Remotes, manifest, our folder, and the run in it."""

    folder: Path
    solver: Path
    plan: Plan

    @property
    def root(self) -> Path:
        return self.folder / "matrix"

    @property
    def manifest(self) -> Path:
        return self.folder / "repos.yaml"

    @property
    def out(self) -> Path:
        return self.root / "trio" / self.plan.run

    def remote(self, name: str) -> Path:
        return self.folder / "remotes" / f"{name}.git"

    def tree(self, name: str) -> Path:
        return self.root / "trio" / "worktrees" / name

    def run(self, *words: str) -> int:
        return refresh.main([f"--root={self.root}", f"--manifest={self.manifest}", *words])

    def head(self, name: str) -> str:
        """Tip of our branch in the working tree."""
        return run_git(self.tree(name), "rev-parse", BRANCH)

    def pushed(self, name: str) -> str:
        """Tip of our branch at the remote; empty where it is not."""
        return run_git(self.remote(name), "for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}")

    def commits(self, name: str, form: str = "%s") -> list[str]:
        """Our commits, oldest first."""
        log = run_git(
            self.tree(name), "log", "--reverse", f"--format={form}", f"{self.start(name)}..{BRANCH}"
        )
        return log.splitlines()

    def changed(self, name: str) -> set[str]:
        """Paths that differ between the start of the branch and its tip."""
        names = run_git(self.tree(name), "diff", "--name-only", self.start(name), BRANCH)
        return set(names.splitlines())

    def start(self, name: str) -> str:
        """The commit that was validated."""
        places = {(c.name, c.purpose): c.commit for c in self.plan.checkouts}
        return places[(name, "baseline")]

    def commit_at_remote(self, name: str, branch: str, path: str) -> str:
        """Somebody else's commit at a remote's branch; returns it."""
        clone = self.folder / "somebody" / name
        if not clone.exists():
            clone.parent.mkdir(exist_ok=True)
            run_git(self.folder, "clone", "--quiet", str(self.remote(name)), str(clone))
        run_git(clone, "fetch", "--quiet")
        run_git(clone, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
        write(clone / path, "theirs\n")
        run_git(clone, "add", "--all")
        run_git(clone, "commit", "--quiet", "-m", "somebody else's work")
        run_git(clone, "push", "--quiet", "origin", branch)
        return run_git(clone, "rev-parse", "HEAD")


def make_world(
    folder: Path,
    solver: Path,
    names: tuple[str, ...] = (LIBRARY, DEVELOPER, TEST),
    recorded: Mapping[str, float] | None = None,
    without: tuple[str, ...] = (),
    library: Callable[[Path], object] = make_library,
) -> World:
    """Make remotes from small repositories, check them out, vendor, and record a green run.

    The records all have the evidence `EVIDENCE`; so have the workspace's constants but those in `recorded`.
    A path in `without`, repository first, is taken out before anything is committed.
    """
    sources = folder / "sources"
    library(sources / LIBRARY)
    for pipeline in PIPELINES.values():
        value = (recorded or {}).get(pipeline.name, EVIDENCE)
        quantity = "LIKELIHOOD" if pipeline.source == "mge" else "EVIDENCE"
        line = f"EXPECTED_LOG_{quantity}_{pipeline.instrument.upper()} = {value!r}  # as recorded\n"
        write(sources / DEVELOPER / pipeline.script, f'"""A pipeline."""\n\n{line}')
    write(sources / DEVELOPER / ".gitignore", "*.png\n")
    write(sources / DEVELOPER / RESULTS / "README.md", "Results.\n")
    write(sources / TEST / ASSERTIONS, (STAND_INS / TEST / ASSERTIONS).read_text())
    pin = '[project]\nname = "autoconf"\n\n[project.optional-dependencies]\njax = ["jax", "jaxnnls==1.0.1"]\n'
    # The real one has Windows line ends.
    write(sources / CONFIG / "pyproject.toml", pin.replace("\n", "\r\n"))
    make_profiling(sources / PROFILING)
    for path in without:
        (sources / path).rename(folder / "taken-out")
    for name in names:
        run_git(sources / name, "init", "--quiet", "--initial-branch=main")
        run_git(sources / name, "add", "--all")
        run_git(sources / name, "commit", "--quiet", "-m", "as it is")
        run_git(
            folder, "clone", "--quiet", "--bare", str(sources / name), str(folder / "remotes" / f"{name}.git")
        )
    write_manifest(folder, {name: f"file://{folder / 'remotes' / name}.git" for name in names})
    return World(folder, solver, run_on(folder, solver))


def write_manifest(folder: Path, urls: Mapping[str, str], branch: str = BRANCH) -> None:
    """Write `repos.yaml` with these addresses."""
    repositories = [{"name": name, "role": ROLES[name], "url": url} for name, url in urls.items()]
    document = {
        "schema": 1,
        "task": "nnls",
        "branch": branch,
        "release": "2026.7.9.1",
        "source": "git",
        "repositories": repositories,
    }
    # JSON is YAML.
    (folder / "repos.yaml").write_text(json.dumps(document, indent=2))


def run_on(folder: Path, solver: Path) -> Plan:
    root = folder / "matrix"
    manifest = load_manifest(folder / "repos.yaml")
    checkouts = prepare(manifest, resolve_source(manifest), root)
    library = checkouts[LIBRARY]
    with candidate_of(library) as tree:
        vendor_library(tree.path, solver)
        candidate = commit_candidate(tree, manifest.branch, "Vendor the NNLS solver")
    workspace = checkouts[manifest.of_role(Role.DEVELOPER).name].path
    return run_on_disk(
        root / "runs" / "made-up",
        source="git",
        workspace=workspace,
        solver_tree=tree_hash(solver),
        constants={name: read_constant(workspace, name, "production") for name in PIPELINES},
        checkouts=tuple(
            CheckedOut(
                name=one.name, role=one.role, purpose=one.purpose, ref=one.ref, commit=one.commit, dirty=False
            )
            for one in (library, candidate, *(other for other in checkouts.values() if other is not library))
        ),
    )
