"""The branches that belong together, built or brought up to date in merge order."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.hashing import tree_hash
from matrix.prepare.manifest import Manifest, Repository, Role, SourceKind
from matrix.refresh.branches.identity import Identity
from matrix.refresh.branches.push import check_branch
from matrix.refresh.branches.repository import BranchRepository, Edit, branch_repository
from matrix.refresh.branches.state import BranchState
from matrix.refresh.branches.steps import (
    Content,
    Notes,
    assertions_edit,
    dependency_edit,
    developer_edit,
    library_edit,
    profiling_edit,
)
from matrix.run.plan import Plan

# Names of commits, releases and refs that are no branches.
_IS_NO_BRANCH = re.compile(r"[0-9a-f]{4,64}$|refs/(?!heads/)|\d{4}(\.\d+){3}$|main$|master$")

MERGE_ORDER = (Role.LIBRARY, Role.DEVELOPER, Role.TEST, Role.PROFILING, Role.DEPENDENCY)


@dataclass(frozen=True)
class Branch:
    """One of the branches that belong together, as it stands."""

    repository: Repository
    at: BranchRepository


@dataclass(frozen=True)
class Tried:
    """Code that a change of refs is about, which has a branch of its own already."""

    repository: Repository
    ref: str
    commit: str


def tried_code(manifest: Manifest, plan: Plan) -> list[Tried]:
    """What a change of refs is about: the candidate's, or where it has none of its own the baseline's.

    Parameters
    ----------
    manifest
        Knows the repositories, of the rest of the stack too.
    plan
        Of the run; one that vendors tries no such code.
    """
    if plan.change.vendor:
        return []
    names = plan.change.candidate.refs or plan.change.baseline.refs
    known = {one.name: one for one in manifest.model_copy(update={"change": plan.change}).changed}
    return [
        Tried(known[one.name], one.ref, one.commit)
        for one in plan.checkouts
        if one.purpose == "candidate" and one.name in names
    ]


def build_branches(
    manifest: Manifest, content: Content, root: Path, trees: Path, identity: Identity, state: BranchState
) -> tuple[list[Branch], Mapping[Role, Notes]]:
    """Make every branch, or bring it up to date by commits on top; nothing leaves this machine.

    Parameters
    ----------
    manifest
        Names the repositories and the branch.
    content
        What goes in.
    root
        Our folder, `.matrix`.
    trees
        Folder of the working trees, one per repository.
    identity
        Author, committer and signer.
    state
        What was pushed before.

    Returns
    -------
    tuple
        The branches in merge order, and by role what their readers should know.

    Raises
    ------
    UsageError
        The solver is not the one that was validated, or a working tree has a person's changes in it.
    """
    plan = content.plan
    vendors = plan.change.vendor
    if vendors and tree_hash(content.solver) != plan.solver_tree:
        raise UsageError(
            f"{content.solver} has changed since run {content.plan.run}: run nox -s matrix-fp64 again"
        )
    notes = {role: Notes() for role in Role}
    name = branch_of(manifest, plan)
    library = trees / manifest.of_role(Role.LIBRARY).name
    edits: Mapping[Role, Edit] = {
        Role.LIBRARY: library_edit(content.solver),
        Role.DEVELOPER: developer_edit(content, notes[Role.DEVELOPER]),
        Role.TEST: assertions_edit(library),
        Role.PROFILING: profiling_edit(content, notes[Role.PROFILING]),
        Role.DEPENDENCY: dependency_edit,
    }
    branches = []
    concerned = _concerned(manifest, content.plan, notes)
    for repository in sorted(concerned, key=lambda one: MERGE_ORDER.index(one.role)):
        check_branch(name, repository.base)
        start = _validated_commit(plan, repository)
        at = branch_repository(root, repository.name, name, start, trees)
        at.open(pushed=state.pushed(repository.name, name) is not None)
        at.build(edits[repository.role], identity)
        branches.append(Branch(repository, at))
    if vendors:
        _check_library(plan, branches[0].at)
    return branches, notes


def branch_of(manifest: Manifest, plan: Plan) -> str:
    """The name of the branches: the manifest's, or that of the one branch which the candidate is.

    Upstream's coordinated branches have one name in all repositories. A candidate that has none, as a commit
    or a pull request's ref, gets one by its repository and commit.
    """
    if plan.change.vendor:
        return manifest.branch
    found = [one for one in plan.checkouts if one.purpose == "candidate"]
    named = [one for one in found if one.name in plan.change.candidate.refs] or found
    if len(named) == 1 and not _IS_NO_BRANCH.match(named[0].ref):
        return named[0].ref.removeprefix("refs/heads/")
    return f"refresh/{named[0].name}-{named[0].commit[:12]}"


def _concerned(manifest: Manifest, plan: Plan, notes: Mapping[Role, Notes]) -> Iterator[Repository]:
    """The repositories that get a branch; the embedded source has none for profiling, which is noted.

    A change of refs has its own branches of code: it owes the workspaces' numbers alone.
    """
    for repository in manifest.repositories:
        if not plan.change.vendor and repository.role not in (Role.DEVELOPER, Role.PROFILING):
            continue
        if repository.role is Role.PROFILING and plan.source == SourceKind.EMBEDDED:
            notes[Role.PROFILING].left_out.append(
                f"the branch of {repository.name}: the embedded source has no such repository"
            )
        else:
            yield repository


def _validated_commit(plan: Plan, repository: Repository) -> str:
    for checkout in plan.checkouts:
        if (checkout.name, checkout.purpose) == (repository.name, "baseline"):
            return checkout.commit
    raise UsageError(
        f"run {plan.run} did not check out {repository.name}, which the manifest lists: run the matrix again"
    )


def _check_library(plan: Plan, library: BranchRepository) -> None:
    """Refuse a branch whose content is not, to the byte, the candidate that was validated."""
    commits = [
        checkout.commit
        for checkout in plan.checkouts
        if (checkout.name, checkout.purpose) == (library.name, "candidate")
    ]
    if len(commits) != 1:
        raise UsageError(f"run {plan.run} names no candidate of {library.name}: run the matrix again")
    if library.tree(commits[0]) != library.tree(library.head):
        raise UsageError(
            f"{library.name}: the branch in {library.worktree} is not the candidate that run {plan.run} "
            f"validated ({commits[0][:12]}). It differs in:\n{library.difference(commits[0])}\n"
            "Take the difference out of the branch, or run nox -s matrix-fp64 again where vendoring changed."
        )
