"""Where the repositories come from: their urls, a folder of clones, or what we carry ourselves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from matrix.ground.errors import NetworkError, UsageError
from matrix.ground.redaction import redact
from matrix.prepare.checkout.git import git, is_repository, list_refs
from matrix.prepare.checkout.reading import reading
from matrix.prepare.manifest import Manifest, Repository, Role, SourceKind


@dataclass(frozen=True)
class Source:
    """The source a run uses.

    Parameters
    ----------
    kind
        `git`, `mirror` or `embedded`; never `auto`.
    meaning
        One line for the head of the report: which source, why, and what that means for the results.
    locations
        Repository name to the address or absolute path that Git reads. Empty for `embedded` until its origins
        are built, see `at`.
    dirty
        Names of clones with uncommitted changes, which are not part of the checkout.
    """

    kind: SourceKind
    meaning: str
    locations: Mapping[str, str] = field(default_factory=dict)
    dirty: frozenset[str] = frozenset()

    def at(self, locations: Mapping[str, Path]) -> Self:
        """Return this source reading from `locations`."""
        paths = {name: str(path.resolve()) for name, path in locations.items()}
        return replace(self, locations=paths)


def resolve_source(manifest: Manifest) -> Source:
    """Decide where the repositories come from.

    `auto` asks the library's url once, for at most `git_timeout` seconds, and falls back to `embedded`; every
    other choice is kept or fails.

    Raises
    ------
    NetworkError
        `git` was asked for and the library's url does not answer.
    UsageError
        `mirror` was asked for and the folder, or a clone in it, is missing.
    """
    match manifest.source:
        case SourceKind.MIRROR:
            return _mirror(manifest)
        case SourceKind.EMBEDDED:
            return _embedded(manifest, "as asked")
    library = manifest.of_role(Role.LIBRARY)
    try:
        list_refs(library.url, timeout=manifest.git_timeout, attempts=1)
    except NetworkError as error:
        if manifest.source is SourceKind.AUTO:
            return _embedded(manifest, f"because {redact(library.url)} did not answer ({error})")
        raise NetworkError(
            f"{redact(library.url)} did not answer: {error}. --source git uses nothing else: check the "
            "network, the url in the manifest and your access, raise git_timeout, or take another --source."
        ) from error
    return Source(
        SourceKind.GIT,
        f"source: git. The repositories themselves, read from their urls ({redact(library.url)} answered).",
        {repository.name: repository.url for repository in (*manifest.changed, *manifest.repositories)},
    )


def _embedded(manifest: Manifest, why: str) -> Source:
    return Source(
        SourceKind.EMBEDDED,
        f"source: embedded, {why}. The library is PyAutoArray {manifest.release} as released on PyPI; the "
        "two workspaces are this project's own stand-ins, and nothing here says how the real ones stand.",
    )


def _mirror(manifest: Manifest) -> Source:
    folder = manifest.mirror
    if folder is None:
        raise UsageError(
            "source mirror needs a folder of clones: give --mirror PATH or `mirror:` in the manifest"
        )
    if not folder.is_dir():
        raise UsageError(
            f"the mirror {folder} is not a folder: correct --mirror or `mirror:` in the manifest"
        )
    wanted = (*manifest.repositories, *(one for one in manifest.changed if manifest.needs_clone(one)))
    clones = {repository.name: find_clone(folder, repository) for repository in wanted}
    dirty = frozenset(name for name, clone in clones.items() if _is_dirty(clone))
    note = f" Uncommitted changes in {', '.join(sorted(dirty))} are not part of it." if dirty else ""
    return Source(
        SourceKind.MIRROR,
        f"source: mirror {folder}. The repositories as these clones have them, which may be behind.{note}",
        {name: str(clone) for name, clone in clones.items()},
        dirty,
    )


def find_clone(folder: Path, repository: Repository) -> Path:
    """Return the clone of a repository in a mirror.

    Parameters
    ----------
    folder
        Holds clones, bare or not, as `owner+name/repo`, `owner/name`, `name` or `name.git`; the owner is the
        url's, or a former one.
    repository
        The one to find.

    Raises
    ------
    UsageError
        None is there; says what was looked for and what the folder holds.
    """
    names = _clone_names(repository)
    for name in names:
        if is_repository(folder / name):
            return (folder / name).resolve()
    there = sorted(entry.name for entry in folder.iterdir())
    raise UsageError(
        f"no clone of {repository.name} in the mirror {folder}. Looked for {', '.join(names)}. "
        f"It holds {', '.join(there[:20]) or 'nothing'}{' and more' if len(there) > 20 else ''}. "
        "Clone it there under one of these names, or list a former name under `formerly` in the manifest."
    )


def _clone_names(repository: Repository) -> list[str]:
    parts = re.split(r"[/:]", repository.url.rstrip("/").removesuffix(".git"))
    known_as = [former.split("/") for former in repository.formerly]
    if len(parts) > 1 and all(parts[-2:]):
        known_as.insert(0, parts[-2:])
    names = [f"{owner}+{name}/repo" for owner, name in known_as]
    names += [f"{owner}/{name}" for owner, name in known_as]
    for name in (repository.name, *(name for _, name in known_as)):
        names += [name, f"{name}.git"]
    return list(dict.fromkeys(names))


def _is_dirty(clone: Path) -> bool:
    # Untracked files count: they, too, are something the person may expect to be there. Whatever programs
    # the clone names for its files, or those of its submodules, are not started for a look at it.
    # Git says whether there are files to look at: GitPython takes a bare clone without a configuration for
    # one that has them.
    if git("rev-parse", "--is-bare-repository", at=clone).stdout.strip() == "true":
        return False
    with reading(clone) as repository:
        return repository.is_dirty(untracked_files=True, submodules=False)
