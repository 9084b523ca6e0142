"""The private bare repository of each name, filled from a source one commit at a time."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from matrix.ground.console import note
from matrix.ground.errors import NetworkError
from matrix.ground.file_locks import wait_for_orphans
from matrix.ground.files import write_text
from matrix.ground.redaction import redact
from matrix.prepare.checkout.git import (
    IncompleteRemoteError,
    UnknownObjectError,
    fetch_commit,
    git,
    is_repository,
    list_refs,
    local_clone,
)
from matrix.prepare.checkout.reading import has_commit, reading
from matrix.prepare.checkout.refs import ResolvedRef, find_abbreviated, find_named, is_full_sha, no_such_ref

# Names, once there is one, the objects that an incomplete clone could not give us.
_INCOMPLETE = Path("info") / "incomplete"
_EXCLUDED = "__pycache__/\n*.py[co]\n"


def store_path(root: Path, name: str) -> Path:
    """Return where the store of a repository lies under `root`."""
    return root / "store" / f"{name}.git"


def open_store(store: Path) -> None:
    """Make a store, or put one right that an interrupted run left behind. Call with its lock held."""
    wait_for_orphans(store)
    if not is_repository(store):
        discard_store(store)
        _create(store)
    locks = [*store.glob("*.lock"), *(store / "refs").rglob("*.lock")]
    for litter in (*locks, *(store / "objects").rglob("tmp_*")):
        litter.unlink(missing_ok=True)


def _create(store: Path) -> None:
    aside = store.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    git("init", "--quiet", "--bare", "--template=", at=aside)
    # What the store says about itself holds for every Git a person runs in its working trees, too.
    for key, value in {"gc.auto": "0", "core.excludesFile": "/dev/null", "core.autocrlf": "false"}.items():
        git("config", key, value, at=aside)
    (aside / "info").mkdir(exist_ok=True)
    (aside / "info" / "exclude").write_text(_EXCLUDED, encoding="utf-8")
    aside.rename(store)


def discard_store(store: Path) -> None:
    """Remove a store; all it held can be fetched or made again."""
    if not store.exists():
        return
    aside = store.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    store.rename(aside)
    shutil.rmtree(aside)


def is_damaged(store: Path) -> bool:
    """Return whether objects in the store are broken, or missing though the source had them."""
    return bool(_faults(store) - _inherited_faults(store))


def _faults(store: Path) -> frozenset[str]:
    done = git("fsck", "--no-dangling", "--no-progress", at=store, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return frozenset(line for line in lines if line.startswith(("missing", "error", "fatal", "bad")))


def _inherited_faults(store: Path) -> frozenset[str]:
    note = store / _INCOMPLETE
    return frozenset(note.read_text(encoding="utf-8").splitlines()) if note.is_file() else frozenset()


def absent_files(store: Path, commit: str) -> tuple[str, ...]:
    """Return the paths in `commit` whose content the clone it came from did not have."""
    if not (store / _INCOMPLETE).is_file():
        return ()
    listing = git("rev-list", "--objects", "--no-walk", "--missing=print", commit, at=store).stdout
    missing = {line[1:] for line in listing.splitlines() if line.startswith("?")}
    entries = git("ls-tree", "-r", "-z", commit, at=store).stdout.split("\0")
    files = (entry.partition("\t") for entry in entries if entry)
    return tuple(path for facts, _, path in files if facts.split()[2] in missing)


def fetch_first(store: Path, name: str, refs: Sequence[str], location: str) -> ResolvedRef:
    """Fetch the first of `refs` that exists in the source.

    A commit given in full that was fetched from the same place before needs no network.

    Parameters
    ----------
    store
        An open store, its lock held.
    name
        Of the repository, for messages.
    refs
        Branches, tags or commits, in order of preference.
    location
        Address or absolute path of the source.

    Returns
    -------
    ResolvedRef
        The ref that exists and its commit, now in the store.

    Raises
    ------
    UsageError
        None of the refs exists; lists near matches.
    NetworkError
        The source did not answer or broke off.
    """
    try:
        return _obtain(store, name, refs, location)
    except NetworkError as error:
        raise NetworkError(
            f"{name}: cannot read {redact(location)}: {error}. What arrived is kept: start the same command "
            "again to go on, or choose another source with --source."
        ) from error


def _obtain(store: Path, name: str, refs: Sequence[str], location: str) -> ResolvedRef:
    advertised: dict[str, str] | None = None
    for ref in refs:
        commit: str | None = ref
        if not is_full_sha(ref):
            advertised = list_refs(location) if advertised is None else advertised
            commit = find_named(ref, advertised) or find_abbreviated(ref, location, advertised)
        if commit is not None and _fetched(store, location, commit):
            return ResolvedRef(ref, commit)
    advertised = list_refs(location) if advertised is None else advertised
    raise no_such_ref(name, refs, redact(location), advertised)


def _fetched(store: Path, location: str, commit: str) -> bool:
    """Return whether the source has a commit, which then is in the store under a name of that source."""
    place = hashlib.sha256(location.encode()).hexdigest()[:12]
    ref = f"refs/sources/{place}/{commit}"
    with reading(store) as repository:
        if has_commit(repository, ref):
            return True
    try:
        fetch_commit(store, location, commit, ref)
    except UnknownObjectError:
        return False
    except IncompleteRemoteError:
        clone = local_clone(location)
        # Git says the same when it is our own store that lost something.
        if clone is None or is_damaged(store):
            raise
        _copy_incomplete(store, clone, commit, ref)
    return True


def _copy_incomplete(store: Path, clone: Path, commit: str, ref: str) -> None:
    """Take a commit from a clone that lacks some of its files, as partial clones and snapshots do.

    Git does not hand out such a commit, so its objects are copied: they are immutable and named by content.
    """
    note(f"{clone} lacks some files of {commit[:12]}; they will be absent from the checkout")
    with reading(clone) as repository:
        objects = Path(repository.common_dir) / "objects"
    # Loose objects lie in folders named by two digits. A pack's index comes last: it makes the pack visible.
    found = [*objects.glob("[0-9a-f][0-9a-f]/*"), *objects.glob("pack/*.pack"), *objects.glob("pack/*.idx")]
    for path in found:
        target = store / "objects" / path.relative_to(objects)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target.with_name(f"tmp_{target.name}"))
            target.with_name(f"tmp_{target.name}").rename(target)
    # As after a fetch without history: the store ends at this commit.
    shallow = store / "shallow"
    known = shallow.read_text(encoding="utf-8") if shallow.is_file() else ""
    write_text(shallow, f"{known}{commit}\n")
    git("update-ref", ref, commit, at=store)
    write_text(store / _INCOMPLETE, "\n".join(sorted(_faults(store))))
