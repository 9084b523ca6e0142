"""The branches that belong together, built or brought up to date in merge order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.branches.identity import Identity
from matrix.branches.repository import BranchRepository, Edit, branch_repository
from matrix.branches.state import State
from matrix.branches.steps import Content, assertions_edit, dependency_edit, developer_edit, library_edit
from matrix.errors import UsageError
from matrix.hashing import tree_hash
from matrix.manifest import Manifest, Repository, Role
from matrix.plan import Plan

MERGE_ORDER = (Role.LIBRARY, Role.DEVELOPER, Role.TEST, Role.DEPENDENCY)


@dataclass(frozen=True)
class Branch:
    """One branch of the trio as it stands."""

    repository: Repository
    at: BranchRepository


def build_branches(
    manifest: Manifest, content: Content, root: Path, trees: Path, identity: Identity, state: State
) -> tuple[list[Branch], list[str]]:
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
        The branches in merge order, and notes for readers of the result files.

    Raises
    ------
    UsageError
        The solver is not the one that was validated, or a working tree has a person's changes in it.
    """
    if tree_hash(content.solver) != content.plan.solver_tree:
        raise UsageError(
            f"{content.solver} has changed since run {content.plan.run}: run nox -s matrix-fp64 again"
        )
    notes: list[str] = []
    edits: Mapping[Role, Edit] = {
        Role.LIBRARY: library_edit(content.solver),
        Role.DEVELOPER: developer_edit(content, notes),
        Role.TEST: assertions_edit,
        Role.DEPENDENCY: dependency_edit,
    }
    branches = []
    for repository in sorted(manifest.repositories, key=lambda one: MERGE_ORDER.index(one.role)):
        start = _validated_commit(content.plan, repository)
        at = branch_repository(root, repository.name, manifest.branch, start, trees)
        at.open(pushed=state.pushed(repository.name, manifest.branch) is not None)
        at.build(edits[repository.role], identity)
        branches.append(Branch(repository, at))
    _check_library(content.plan, branches[0].at)
    return branches, notes


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
