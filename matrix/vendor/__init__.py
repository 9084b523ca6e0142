"""Vendoring: putting `solver/` into a checkout of the library and switching the library over to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matrix.errors import UsageError
from matrix.files import inside, write_text
from matrix.vendor import call_site, callers, config
from matrix.vendor.dependencies import (
    ResidualDependency,
    declared_residuals,
    drop_dependency,
    packaging_files,
    residual_dependencies,
)
from matrix.vendor.mentions import without_mentions
from matrix.vendor.package import (
    MANIFEST,
    PACKAGE,
    algorithm_names,
    declare_data,
    solver_files,
    stale_files,
    test_files,
)
from matrix.vendor.recognition import Problem, UnrecognisedError

__all__ = [
    "ResidualDependency",
    "UnrecognisedError",
    "VendoringReport",
    "algorithm_names",
    "drop_dependency",
    "packaging_files",
    "residual_dependencies",
    "vendor_library",
]

PYPROJECT = "pyproject.toml"
_EDITED = (call_site.PATH, callers.PATH, config.PATH)


@dataclass(frozen=True)
class VendoringReport:
    """What vendoring did to a checkout; paths are relative to it.

    Attributes
    ----------
    changed, added, removed
        The files written anew, created and deleted.
    residual
        Requirements of the library through which jaxnnls is still installed, though nothing of it is used.
    already_vendored
        Whether the checkout was as vendoring leaves it, so that nothing was written.
    """

    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    residual: tuple[ResidualDependency, ...]

    @property
    def already_vendored(self) -> bool:
        return not (self.changed or self.added or self.removed)


def vendor_library(checkout: Path, solver: Path, algorithm: str | None = None) -> VendoringReport:
    """Put the solver into a checkout of PyAutoArray and switch the library over to it.

    Copies the package, switches the call site with its docstring, lets the callers pass the columns without
    regularization, adds the config keys, drops the dependency, makes comments true and adds the library's
    tests. All edits are planned before the first file is written. A second run changes nothing; a changed
    `solver/` is copied anew.

    Parameters
    ----------
    checkout
        The working tree of the library.
    solver
        The folder of the solver.
    algorithm
        The algorithm the library's configuration names; None for the default, or what it names already.

    Raises
    ------
    UsageError
        The checkout or the solver is not what it should be.
    UnrecognisedError
        The library's code is not as known (a `UsageError`); nothing was changed.
    """
    if not (checkout / "autoarray" / "__init__.py").is_file():
        raise UsageError(f"{checkout} is not a checkout of PyAutoArray: it has no autoarray/__init__.py")
    package = solver_files(solver)
    stale = stale_files(checkout, package)
    texts = {**package, **test_files(checkout), **_plan_edits(checkout, package, algorithm)}
    if stale and call_site.PATH in _changes(checkout, texts):
        what = (
            f"files that are not the solver's ({', '.join(stale)}); remove them if an earlier run left them"
        )
        raise UnrecognisedError(Problem(PACKAGE, what))
    return _write(checkout, _changes(checkout, texts), stale)


def _plan_edits(checkout: Path, package: dict[str, str], algorithm: str | None) -> dict[str, str]:
    """Return the new text of every file that may need an edit, or say all that is not recognised."""
    texts: dict[str, str] = {}
    problems: list[Problem] = []

    def plan(name: str, edit: Callable[[str], str]) -> None:
        try:
            texts[name] = edit(texts[name] if name in texts else _read(checkout, name))
        except UnrecognisedError as error:
            problems.extend(error.problems)

    plan(call_site.PATH, call_site.switch_call_site)
    plan(callers.PATH, callers.pass_columns)
    plan(config.PATH, partial(config.add_settings, algorithm=algorithm))
    for path in sorted((checkout / "autoarray").rglob("*.py")):
        name = path.relative_to(checkout).as_posix()
        if name not in _EDITED and not name.startswith(f"{PACKAGE}/"):
            plan(name, partial(without_mentions, name))
    for name in packaging_files(checkout):
        plan(name, partial(drop_dependency, name))
    plan(MANIFEST, lambda text: declare_data(text, _read(checkout, PYPROJECT), package))
    if problems:
        raise UnrecognisedError(*problems)
    return texts


def _read(checkout: Path, name: str) -> str:
    try:
        return inside(checkout, name).read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UnrecognisedError(Problem(name, "there is no such file")) from error
    except UnicodeDecodeError as error:
        raise UnrecognisedError(Problem(name, f"it is not UTF-8 text ({error})")) from error


def _changes(checkout: Path, texts: dict[str, str]) -> dict[str, str]:
    """Return the planned files whose text differs from what the checkout has."""
    return {
        name: text
        for name, text in texts.items()
        if not (path := inside(checkout, name)).is_file() or path.read_bytes() != text.encode("utf-8")
    }


def _write(checkout: Path, changes: dict[str, str], stale: list[str]) -> VendoringReport:
    added = tuple(sorted(name for name in changes if not (checkout / name).exists()))
    for name, text in changes.items():
        write_text(inside(checkout, name), text)
    for name in stale:
        inside(checkout, name).unlink()
    return VendoringReport(
        changed=tuple(sorted(set(changes) - set(added))),
        added=added,
        removed=tuple(stale),
        residual=declared_residuals(_read(checkout, PYPROJECT)),
    )
