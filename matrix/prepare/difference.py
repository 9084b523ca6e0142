"""How the sides come apart: each side's checkouts, the packages that move, all of it in a sentence."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.settings import packaged_value
from matrix.ground.suggestions import did_you_mean
from matrix.prepare.checkout import Checkout, Source, origin_of_release, prepare_folder, prepare_ref
from matrix.prepare.environments import Recipe, interpreter_of
from matrix.prepare.locks import versions_in
from matrix.prepare.manifest import Manifest, Repository, Role, SourceKind
from matrix.records.cell import SIDES, Side
from matrix.run.change import Change, is_folder

_RELEASE = re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}\.\d+")

# By side the checkouts that its packages are built from, the library's first.
Trees = Mapping[Side, Mapping[str, Checkout]]


def trees_of(manifest: Manifest, source: Source, library: Checkout, root: Path) -> Trees:
    """Check out what each side's packages are built from; nothing is vendored yet.

    Parameters
    ----------
    manifest
        With the change.
    source
        Where repositories come from, complete.
    library
        As the manifest has it: what a side has that is given no other ref.
    root
        Our folder, `.matrix`.

    Returns
    -------
    dict
        By side, by the repository's name. What is not there comes from the release.

    Raises
    ------
    UsageError
        There is no such ref, or the source cannot have it.
    NetworkError
        The source did not answer.
    """
    found: dict[Side, dict[str, Checkout]] = {}
    for side in SIDES:
        given = manifest.change.given(side).refs
        found[side] = {library.name: library} | {
            repository.name: _checkout(repository, given[repository.name], side, source, root)
            for repository in manifest.changed
            if repository.name in given
        }
        found[side] = {name: replace(tree, purpose=side) for name, tree in found[side].items()}
    return found


def _checkout(repository: Repository, ref: str, side: Side, source: Source, root: Path) -> Checkout:
    if is_folder(ref):
        _check_holds(repository, ref, side)
        return prepare_folder(repository, Path(ref), root)
    if source.kind is not SourceKind.EMBEDDED:
        dirty = repository.name in source.dirty
        return prepare_ref(repository, ref, source.locations[repository.name], dirty, root)
    if _RELEASE.fullmatch(ref) is None:
        raise UsageError(
            f"--{side} {repository.name}={ref}: the embedded source knows releases alone, and no branch or "
            "commit. Give a release as 2026.8.29.1, a folder as ./PyAutoArray, or --source git or mirror."
        )
    return prepare_ref(repository, ref, str(origin_of_release(repository, ref, root)), False, root)


def _check_holds(repository: Repository, folder: str, side: Side) -> None:
    """Refuse a folder that is not of the repository, as the one above it."""
    if not (Path(folder) / repository.package / "__init__.py").is_file():
        there = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
        raise UsageError(
            f"--{side} {repository.name}={folder}: there is no {repository.package}/__init__.py in it, so it "
            f"is no checkout of {repository.name}.{did_you_mean(repository.name, there)}"
        )


def need_one_stack(change: Change, library: str, where: str) -> None:
    """Refuse a change whose sides differ in more than the library, where they share one environment.

    Parameters
    ----------
    change
        What the sides differ in.
    library
        The repository that each side has a copy of there.
    where
        As messages call the place.

    Raises
    ------
    UsageError
        A side has packages, or another repository of the stack, of its own.
    """
    packages = [text for side in SIDES for text in change.given(side).packages]
    others = [name for name in change.repositories if name != library]
    if packages or others:
        raise UsageError(
            f"{where} both sides share one stack and differ in {library} and settings alone, so "
            f"{', '.join((*packages, *others))} cannot differ there. Run this change on this machine."
        )


def moved_packages(recipes: Mapping[Side, Recipe]) -> dict[str, dict[Side, str | None]]:
    """The packages of which the sides are given different versions, by name; None where a side has none."""
    held = {side: versions_in(one.lock, interpreter_of(one.release).minor) for side, one in recipes.items()}
    names = sorted({name for versions in held.values() for name in versions})
    versions = {name: {side: held[side].get(name) for side in SIDES} for name in names}
    return {name: found for name, found in versions.items() if len(set(found.values())) > 1}


def difference_of(
    change: Change, trees: Trees, moved: Mapping[str, Mapping[Side, str | None]], release: str
) -> str:
    """What the candidate has where the baseline has something else, in a sentence.

    Raises
    ------
    UsageError
        There is no difference.
    """
    baseline, candidate = (trees[side] for side in SIDES)
    library = next(tree for tree in baseline.values() if tree.role is Role.LIBRARY)
    parts = [f"the solver vendored into {library.name} against none"] if change.vendor else []
    for name in dict.fromkeys((*baseline, *candidate)):
        ours, theirs = (_said_of(tree.get(name), release) for tree in (candidate, baseline))
        if _commit(candidate.get(name)) != _commit(baseline.get(name)):
            parts.append(f"{name} {ours} against {theirs}")
    for name, versions in moved.items():
        parts.append(
            f"{name} {versions['candidate'] or 'not at all'} against {versions['baseline'] or 'none'}"
        )
    settings = {side: change.given(side).settings for side in SIDES}
    for name in dict.fromkeys((*settings["baseline"], *settings["candidate"])):
        ours, theirs = (
            settings[side].get(name) or f"{packaged_value(name, trees[side][library.name].path)} as packaged"
            for side in reversed(SIDES)
        )
        if ours != theirs:
            parts.append(f"{name} = {ours} against {theirs}")
    if not parts:
        raise UsageError(
            "both sides would be the same, so there is nothing to compare: give the candidate another ref, "
            "package or setting than the baseline. nox -s null times a side against itself."
        )
    return f"Candidate against baseline: {'; '.join(parts)}."


def _commit(tree: Checkout | None) -> str | None:
    return None if tree is None else tree.base


def _said_of(tree: Checkout | None, release: str) -> str:
    if tree is None:
        return f"as in release {release}"
    commit = tree.base[:12]
    return commit if tree.ref == tree.base else f"{tree.ref} ({commit})"
