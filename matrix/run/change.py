"""What the sides of a run differ in, as it was asked for: the vendored solver, refs, packages, settings."""

from collections.abc import Mapping
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from matrix.records.cell import SIDES, VENDORED, Side

LIBRARY_PACKAGE = VENDORED.partition(".")[0]

# How what is a folder, and no ref, begins.
_FOLDERS = ("/", "./", "../", "~")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def is_folder(ref: str) -> bool:
    """Whether it is a folder that is meant and no branch, tag or commit, by how it is written."""
    return ref.startswith(_FOLDERS) or ref in (".", "..")


def checked_package(text: str) -> str:
    """Return a package with its version, as ``jax==0.11.2``.

    Raises
    ------
    ValueError
        It is none, names no version, or is the library, which comes from a checkout.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or not requirement.specifier or requirement.url or requirement.marker:
        raise ValueError(f"{text!r} is no package with a version: write NAME==VERSION, as jax==0.11.2")
    if canonicalize_name(requirement.name) == LIBRARY_PACKAGE:
        raise ValueError(
            f"{text!r}: {LIBRARY_PACKAGE} is built from its repository, so name a ref of it instead, "
            "as --candidate PyAutoArray=main"
        )
    return text


class Given(_Frozen):
    """What one side is given besides what both have.

    Attributes
    ----------
    refs
        By repository a branch, tag or commit, or a folder, which may hold uncommitted work.
    packages
        Requirements that replace those of the stack, as ``jax==0.11.2``.
    settings
        Of the library's ``general.yaml`` by dotted name, values as YAML text.
    """

    refs: Mapping[str, str] = Field(default={}, description="mapping of repositories to refs or folders")
    packages: tuple[Annotated[str, AfterValidator(checked_package)], ...] = Field(
        default=(), description="list of packages, as jax==0.11.2"
    )
    settings: Mapping[str, str] = Field(default={}, description="mapping of SECTION.KEY to values")

    @property
    def anything(self) -> bool:
        """Whether it is more than nothing."""
        return bool(self.refs or self.packages or self.settings)


class Change(_Frozen):
    """What the sides differ in.

    Attributes
    ----------
    vendor
        Whether the candidate has the solver vendored into its library.
    baseline, candidate
        What each side is given.
    """

    vendor: bool = Field(default=True, description="whether the solver is vendored into the candidate")
    baseline: Given = Field(default=Given(), description="mapping with refs, packages, settings")
    candidate: Given = Field(default=Given(), description="mapping with refs, packages, settings")

    def given(self, side: Side) -> Given:
        """What a side is given."""
        return self.candidate if side == "candidate" else self.baseline

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories of which a side is given another ref."""
        return tuple(dict.fromkeys(name for side in SIDES for name in self.given(side).refs))

    @property
    def has_refs_alone(self) -> bool:
        """Whether it is one in code: other refs, the same packages and settings, and nothing vendored."""
        others = (given for side in SIDES if (given := self.given(side)).packages or given.settings)
        return bool(self.repositories) and not self.vendor and not any(others)

    @property
    def words(self) -> tuple[str, ...]:
        """The options of a session that ask for it."""
        said = []
        for side in SIDES:
            given = self.given(side)
            said += [word for name, ref in given.refs.items() for word in (f"--{side}", f"{name}={ref}")]
            said += [word for text in given.packages for word in (f"--{side}-package", text)]
            said += [
                word
                for name, text in given.settings.items()
                for word in (f"--{side}-setting", f"{name}={text}")
            ]
        return (*said, "--vendor") if said and self.vendor else tuple(said)


# What a run is about that is told nothing else.
VENDORING = Change()


class Expected(_Frozen):
    """The evidence that a change is meant to give, and a person's word on why."""

    value: FiniteFloat
    because: str = Field(min_length=1)
