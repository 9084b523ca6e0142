"""The manifest `repos.yaml` as typed, validated objects."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from matrix.catalogue.pipelines import PIPELINES
from matrix.catalogue.releases import AUTO, STACK, STACK_FORMERLY, order_of, package_of
from matrix.ground.errors import ManifestError, UsageError
from matrix.ground.suggestions import known_names
from matrix.ground.yaml_text import load_yaml
from matrix.records.cell import SIDES
from matrix.run.change import VENDORING, Change, is_folder
from matrix.run.plan import Target

RELEASE_PLACEHOLDER = "{release}"


class SourceKind(StrEnum):
    """Where the repositories come from; `AUTO` decides by whether the network answers."""

    AUTO = "auto"
    GIT = "git"
    MIRROR = "mirror"
    EMBEDDED = "embedded"


class Role(StrEnum):
    """What a repository is to the change.

    One library, one of each workspace, at most one of `profiling`, any number of dependencies.
    """

    LIBRARY = "library"
    DEVELOPER = "developer"
    TEST = "test"
    PROFILING = "profiling"
    DEPENDENCY = "dependency"


def _release(text: str) -> str:
    match = re.fullmatch(r"(\d{4})\.([1-9]\d?)\.([1-9]\d?)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a release: write YYYY.M.D.N without leading zeros, as 2026.7.9.1")
    try:
        datetime.date(*(int(part) for part in match.groups()[:3]))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a release: {error}") from error
    return text


def _release_or_auto(text: str) -> str:
    return text if text == AUTO else _release(text)


def _ref_name(text: str) -> str:
    name = text.replace(RELEASE_PLACEHOLDER, "0")
    if "{" in name:
        raise ValueError(f"{text!r}: the only placeholder is {RELEASE_PLACEHOLDER}")
    parts = name.split("/")
    if (
        re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|^-", name)
        or name.endswith(".")
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    ):
        raise ValueError(f"{text!r} cannot be the name of a Git branch, tag or commit")
    return text


def _url(text: str) -> str:
    if not re.match(r"(https?|ssh|file|git)://|[\w.-]+@[\w.-]+:|/", text):
        raise ValueError(
            f"{text!r} is no address of a repository: https://…, ssh://…, user@host:path or /path"
        )
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(f"{text!r} has control characters: an address is one line")
    if re.match(r"https?://[^/]*@", text):
        raise ValueError(
            "a user name or password does not belong in the manifest: use a Git credential helper"
        )
    return text


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("this is a yes or no, and not a number")
    return value


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _not_empty(refs: tuple[str, ...]) -> tuple[str, ...]:
    if not refs:
        raise ValueError("the list is empty, name at least one")
    return refs


ReleaseName = Annotated[str, AfterValidator(_release)]
RefName = Annotated[str, AfterValidator(_ref_name)]
Refs = Annotated[tuple[RefName, ...], BeforeValidator(_listed), AfterValidator(_not_empty)]


# Strict: `true` is no number, and what stands in quotes is none either.
StrictTolerance = Annotated[float, Field(strict=True, gt=0.0, lt=1.0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ManifestTolerances(_Model):
    """Largest relative differences the gates accept."""

    fp64: StrictTolerance = Field(
        1e-4, description="evidence against its constant in float64, above 0 and below 1, as 1e-4"
    )
    mp: StrictTolerance = Field(
        1e-2, description="evidence against its constant in mixed precision, above 0 and below 1, as 1e-2"
    )
    parity: StrictTolerance = Field(
        1e-6, description="candidate's JAX paths against the NumPy path, above 0 and below 1, as 1e-6"
    )


def _known_pipelines(targets: Mapping[str, Target]) -> Mapping[str, Target]:
    unknown = [name for name in targets if name not in PIPELINES]
    if unknown:
        raise ValueError(
            f"there is no pipeline {unknown[0]}.{known_names(unknown[0], PIPELINES)}".rstrip(".")
        )
    return targets


class Repository(_Model):
    """One repository of the change."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the repository, as PyAutoArray"
    )
    role: Role = Field(description="library, developer, test, profiling or dependency")
    url: Annotated[str, AfterValidator(_url)] = Field(
        description="address Git can read, as https://github.com/PyAutoLabs/PyAutoArray"
    )
    ref: Refs = Field(
        ("main",), description="branch, tag or commit, or a list: the first that exists is taken"
    )
    since: Mapping[ReleaseName, Refs] = Field(
        {}, description="mapping of a release to the `ref` that replaces the one above from there on"
    )
    base: RefName = Field("main", description="branch the pull request goes to, as main")
    formerly: tuple[Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")], ...] = Field(
        (), description="list of former names, owner/name, under which a mirror may hold the repository"
    )

    @property
    def package(self) -> str:
        """The package that it is released as."""
        return package_of(self.name)


def _one_of_each(repositories: tuple[Repository, ...]) -> tuple[Repository, ...]:
    for role in (Role.LIBRARY, Role.DEVELOPER, Role.TEST):
        names = [repository.name for repository in repositories if repository.role is role]
        if len(names) != 1:
            found = f"{len(names)} do ({', '.join(names)})" if names else "none does"
            raise ValueError(f"exactly one must have `role: {role.value}`, {found}")
    profiling = [repository.name for repository in repositories if repository.role is Role.PROFILING]
    if len(profiling) > 1:
        raise ValueError(f"at most one may have `role: profiling`, {', '.join(profiling)} do")
    names = [repository.name for repository in repositories]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the name {twice[0]!r} is used twice, give each its own")
    return repositories


VENDOR = "vendor"


def _change(value: object) -> object:
    """A word or a mapping as `Change` has it: what names its own change vendors nothing unless it says so."""
    if value == VENDOR:
        return {}
    if isinstance(value, str):
        raise ValueError(f"{value!r} is no kind of change: write {VENDOR}, or a mapping with candidate")
    if not isinstance(value, Mapping):
        return value
    return {"vendor": False, **{key: _given(part) for key, part in value.items()}}


def _given(part: object) -> object:
    """A side's part with its settings as text, which is what the command line has."""
    if not isinstance(part, Mapping) or not isinstance(part.get("settings"), Mapping):
        return part
    return {
        **part,
        "settings": {name: json.dumps(value, default=str) for name, value in part["settings"].items()},
    }


def _not_nothing(change: Change) -> Change:
    if not (change.vendor or change.baseline.anything or change.candidate.anything):
        raise ValueError("no side is given anything, so there is nothing to compare")
    return change


class Manifest(_Model):
    """What is validated: repositories, the release around them, tolerances.

    `docs/manifest.md` explains every key.
    """

    schema_version: Annotated[Literal[1], BeforeValidator(_number)] = Field(
        alias="schema", description="version of this format: 1"
    )
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name, as nnls-vmap-speedup")
    branch: RefName = Field(description="branch of the pull requests, as feature/nnls-vmap-speedup")
    release: Annotated[str, AfterValidator(_release_or_auto)] = Field(
        AUTO, description="PyAuto release of the rest of the stack, as 2026.7.9.1, or auto"
    )
    source: SourceKind = Field(SourceKind.AUTO, description="auto, git, mirror or embedded")
    mirror: Path | None = Field(None, description="folder that holds clones, or null")
    git_timeout: float = Field(
        5.0, strict=True, gt=0.0, le=86400.0, description="seconds the network has to answer, as 5"
    )
    change: Annotated[Change, BeforeValidator(_change), AfterValidator(_not_nothing)] = Field(
        VENDORING, description="vendor, or a mapping with baseline, candidate and vendor"
    )
    tolerances: ManifestTolerances = Field(
        ManifestTolerances.model_validate({}), description="mapping with fp64, mp, parity"
    )
    targets: Mapping[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")],
        Annotated[Mapping[str, Target], AfterValidator(_known_pipelines)],
    ] = Field(
        {}, description="mapping of a word of a GPU's name, as A100, to a mapping of pipelines to times in ms"
    )
    repositories: Annotated[tuple[Repository, ...], AfterValidator(_one_of_each)] = Field(
        description="list of repositories"
    )

    def of_role(self, role: Role) -> Repository:
        """Return the repository of a role that every manifest has: the library, a workspace."""
        return next(repository for repository in self.repositories if repository.role is role)

    @property
    def changed(self) -> tuple[Repository, ...]:
        """The repositories of which the change names a ref; those of the stack need not be listed."""
        listed = {repository.name: repository for repository in self.repositories}
        library = self.of_role(Role.LIBRARY)
        return tuple(
            listed[name] if name in listed else _of_stack(name, library) for name in self.change.repositories
        )

    def needs_clone(self, repository: Repository) -> bool:
        """Whether a side is given a ref of it that is no folder."""
        refs = (self.change.given(side).refs.get(repository.name) for side in SIDES)
        return any(ref is not None and not is_folder(ref) for ref in refs)

    def refs(self, repository: Repository) -> tuple[str, ...]:
        """Return the refs to try for a repository, in order, with the release filled in."""
        reached = [since for since in repository.since if order_of(since) <= order_of(self.release)]
        refs = repository.since[max(reached, key=order_of)] if reached else repository.ref
        return tuple(ref.replace(RELEASE_PLACEHOLDER, self.release) for ref in refs)


def load_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Parameters
    ----------
    path
        The YAML file. A relative `mirror` in it is relative to its folder.

    Returns
    -------
    Manifest
        With `mirror` absolute.

    Raises
    ------
    ManifestError
        Unreadable, not YAML, or not valid; one line per fault, each with file, line, key and remedy.
    """
    absent = "Give the path of a manifest with --manifest, or restore repos.yaml."
    manifest, document = load_yaml(path, Manifest, absent=absent, failure=ManifestError)
    where = f"{path}:{document.line(('change',))}: change"
    manifest = manifest.model_copy(
        update={"change": _checked_change(manifest, path.parent, where, ManifestError)}
    )
    if manifest.mirror is None:
        return manifest
    where = f"{path}:{document.line(('mirror',))}: mirror"
    mirror = _checked(where, lambda text: _folder(path.parent, text), str(manifest.mirror), ManifestError)
    return manifest.model_copy(update={"mirror": Path(mirror)})


def override(
    manifest: Manifest,
    *,
    release: str | None = None,
    source: str | None = None,
    mirror: Path | None = None,
    refs: Mapping[str, str] | None = None,
    change: Change | None = None,
) -> Manifest:
    """Apply what was given on the command line.

    Parameters
    ----------
    manifest
        As loaded.
    release, source, mirror
        Replace the manifest's values when given. A `mirror` without a `source` chooses the mirror.
    refs
        Repository name to the one ref that replaces its list.
    change
        Replaces the manifest's as a whole.

    Raises
    ------
    UsageError
        A repository, source, release or ref that cannot be; says which are known.
    """
    changes: dict[str, Any] = {}
    if release is not None:
        changes["release"] = _checked("--release", _release, release)
    if mirror is not None:
        changes["mirror"] = Path(_checked("--mirror", lambda text: _folder(Path(), text), str(mirror)))
        changes["source"] = SourceKind.MIRROR
    if source is not None:
        kinds = [kind.value for kind in SourceKind]
        if source not in kinds:
            raise UsageError(f"--source {source}: no such source.{known_names(source, kinds)}")
        changes["source"] = SourceKind(source)
    if refs:
        changes["repositories"] = _with_refs(manifest.repositories, refs)
    if change is not None:
        asked = manifest.model_copy(update={"change": change})
        changes["change"] = _checked_change(asked, Path(), "--{side}", UsageError)
    return manifest.model_copy(update=changes)


def _checked_change(manifest: Manifest, beside: Path, where: str, kind: type[UsageError]) -> Change:
    """The change with its folders absolute, and its repositories such that can differ between the sides."""
    update: dict[str, Any] = {}
    for side in SIDES:
        given = manifest.change.given(side)
        option = where.format(side=side)
        refs = {name: _ref_of(manifest, name, ref, beside, option, kind) for name, ref in given.refs.items()}
        update[side] = given.model_copy(update={"refs": refs})
    return manifest.change.model_copy(update=update)


def _ref_of(manifest: Manifest, name: str, ref: str, beside: Path, where: str, kind: type[UsageError]) -> str:
    """A repository's ref, or the absolute path of its folder."""
    roles = {repository.name: repository.role for repository in manifest.repositories}
    packages = [known for known, role in roles.items() if role in (Role.LIBRARY, Role.DEPENDENCY)]
    if name not in (*packages, *STACK):
        if name in roles:
            raise kind(
                f"{where} {name}={ref}: both sides are held against the same {name}, so it cannot differ "
                f"between them. --ref {name}=REF chooses it for both."
            )
        raise kind(f"{where} {name}={ref}: no such repository.{known_names(name, (*packages, *STACK))}")
    if not is_folder(ref):
        return _checked(f"{where} {name}", _ref_name, ref, kind)
    folder = Path(_checked(f"{where} {name}", lambda text: _folder(beside, text), ref, kind))
    if not folder.is_dir():
        raise kind(f"{where} {name}={ref}: {folder} is not a folder.")
    return str(folder)


def _of_stack(name: str, library: Repository) -> Repository:
    """A repository that lies beside the library's, where the manifest does not say otherwise."""
    url = f"{library.url.removesuffix('/').rpartition('/')[0]}/{name}"
    formerly = tuple(f"{owner}/{name}" for owner in STACK_FORMERLY)
    found = {"name": name, "role": Role.DEPENDENCY, "url": url, "formerly": formerly}
    return Repository.model_validate(found)


def _with_refs(repositories: Sequence[Repository], refs: Mapping[str, str]) -> tuple[Repository, ...]:
    names = [repository.name for repository in repositories]
    for name, ref in refs.items():
        if name not in names:
            raise UsageError(f"--ref {name}={ref}: no such repository.{known_names(name, names)}")
        _checked(f"--ref {name}", _ref_name, ref)
    return tuple(
        repository.model_copy(update={"ref": (refs[repository.name],), "since": {}})
        if repository.name in refs
        else repository
        for repository in repositories
    )


def _folder(beside: Path, text: str) -> Path:
    try:
        return (beside / Path(text).expanduser()).resolve()
    except (OSError, RuntimeError) as error:
        # Links in a loop, or the home of somebody who is not known here.
        raise ValueError(f"{text!r} leads nowhere: {error}") from error


def _checked(option: str, check: Any, text: str, kind: type[UsageError] = UsageError) -> str:
    try:
        return str(check(text))
    except ValueError as error:
        raise kind(f"{option}: {error}") from error
