"""Local origins that stand in for the repositories where no network is; none for role `profiling`."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matrix.ground.disk import disk_failures
from matrix.ground.errors import UsageError
from matrix.ground.file_locks import locked
from matrix.prepare.checkout.git import git
from matrix.prepare.checkout.sdist import fetch_sdist, unpack_sdist
from matrix.prepare.checkout.worktrees import fixed_identity
from matrix.prepare.manifest import Manifest, Repository, Role

_NOT_CONTENT = shutil.ignore_patterns("__pycache__", "*.pyc")


def build_origins(
    manifest: Manifest,
    root: Path,
    *,
    templates: Path,
    complete: Callable[[Path], None],
    recipe: str,
    hashes: Mapping[str, Sequence[str]],
) -> dict[str, Path]:
    """Make a bare repository for every repository in the manifest, once per content.

    The library (and any dependency) is its released source archive; the workspaces are our templates, the
    developer's with the datasets simulated into it. Each has one commit on `main`, the same whenever and
    wherever it is made from the same content, and the release as a tag.

    Parameters
    ----------
    manifest
        Repositories and release.
    root
        Our folder, `.matrix`; the origins are `root/embedded/RELEASE/KEY/NAME.git`.
    templates
        Holds a folder per workspace, by name.
    complete
        Puts constants and datasets into the working folder of the developer workspace.
    recipe
        Identifies what `complete` would write: another recipe, another origin.
    hashes
        SHA-256 that the archives may have, by distribution, where that is locked.

    Returns
    -------
    dict
        Repository name to the path of its origin, for `Source.at`.

    Raises
    ------
    NetworkError
        The package index did not answer.
    UsageError
        The manifest lists a workspace for which there is no template.
    """
    root = root.resolve()
    with disk_failures(root):
        return {
            repository.name: _from_index(repository, manifest.release, root, hashes)
            if repository.role in (Role.LIBRARY, Role.DEPENDENCY)
            else _from_template(repository, manifest.release, root, templates, complete, recipe)
            for repository in manifest.repositories
            if repository.role is not Role.PROFILING
        }


def origin_of_release(repository: Repository, release: str, root: Path) -> Path:
    """The origin that one release of a package is, whatever release the rest is of; its tag is the release.

    Raises
    ------
    NetworkError
        The package index did not answer.
    EnvironmentFailure
        It has no such release.
    """
    root = root.resolve()
    with disk_failures(root):
        return _from_index(repository, release, root, {})


def _from_index(
    repository: Repository, release: str, root: Path, hashes: Mapping[str, Sequence[str]]
) -> Path:
    distribution = repository.package
    cache = root / "cache" / "sdist"
    archive = fetch_sdist(distribution, release, cache, hashes=hashes.get(distribution, ()))
    key = hashlib.sha256(archive.read_bytes()).hexdigest()
    return _origin(repository.name, release, key, root, lambda folder: unpack_sdist(archive, folder))


def _from_template(
    repository: Repository,
    release: str,
    root: Path,
    templates: Path,
    complete: Callable[[Path], None],
    recipe: str,
) -> Path:
    template = templates / repository.name
    if not template.is_dir():
        raise UsageError(
            f"the embedded source has no stand-in for {repository.name}: choose another --source"
        )
    has_datasets = repository.role is Role.DEVELOPER

    def fill(folder: Path) -> None:
        shutil.copytree(template, folder, ignore=_NOT_CONTENT)
        if has_datasets:
            complete(folder)

    key = _tree_key(template, recipe if has_datasets else "")
    return _origin(repository.name, release, key, root, fill)


def _origin(name: str, release: str, key: str, root: Path, fill: Callable[[Path], None]) -> Path:
    """Return the bare repository for `key`, made aside and put in place whole if it is not there."""
    origin = root / "embedded" / release / key[:12] / f"{name}.git"
    with locked(root / "locks" / f"embedded-{name}.lock", f"the embedded {name}"):
        if not origin.is_dir():
            aside = origin.parent.with_suffix(f".{name}.new")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            fill(aside / name)
            _commit(aside / name, name, release)
            bare = aside / origin.name
            git("clone", "--quiet", "--bare", "--no-hardlinks", aside / name, bare)
            git("remote", "remove", "origin", at=bare)
            origin.parent.mkdir(parents=True, exist_ok=True)
            bare.rename(origin)
            shutil.rmtree(aside)
    return origin


def _commit(folder: Path, name: str, release: str) -> None:
    year, month, day = release.split(".")[:3]
    identity = fixed_identity(f"{year}-{int(month):02}-{int(day):02}T00:00:00+0000")
    git("init", "--quiet", "--template=", "--initial-branch=main", at=folder)
    # By force: what is in a release or a template belongs to it, whatever ignore files say.
    git("add", "--all", "--force", at=folder)
    git("commit", "--quiet", "--message", f"{name} as of release {release}", at=folder, env=identity)
    git("tag", "--no-sign", release, at=folder)


def _tree_key(folder: Path, recipe: str) -> str:
    """Return a hash of every path, executable bit and content below `folder`, and of `recipe`."""
    digest = hashlib.sha256(recipe.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"\0{path.relative_to(folder).as_posix()}\0{mode}\0{content}".encode())
    return digest.hexdigest()
