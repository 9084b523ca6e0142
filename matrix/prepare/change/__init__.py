"""Vendoring: putting `solver/` into a checkout of the library and switching the library over to it."""

from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.files import inside, write_text
from matrix.prepare.change import call_site
from matrix.prepare.change.dependencies import (
    ResidualDependency,
    declared_residuals,
    drop_dependency,
    packaging_files,
    residual_dependencies,
)
from matrix.prepare.change.package import PACKAGE, algorithm_names
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError
from matrix.prepare.change.series import PlannedStep, plan_steps
from matrix.prepare.change.shapes import PYPROJECT, chooses_solver, steps_for
from matrix.prepare.change.tree import Writes

__all__ = [
    "PlannedStep",
    "ResidualDependency",
    "UnrecognisedError",
    "VendoringReport",
    "algorithm_names",
    "chooses_solver",
    "drop_dependency",
    "packaging_files",
    "plan_vendoring",
    "residual_dependencies",
    "vendor_library",
    "write_step",
]


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

    These are all steps of the series. All edits are planned before the first file is written. A second run
    changes nothing; a changed `solver/` is copied anew.

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
    writes: Writes = {}
    for step in plan_vendoring(checkout, solver, algorithm):
        writes |= step.writes
    added = {name for name, text in writes.items() if text is not None and not (checkout / name).exists()}
    removed = {name for name, text in writes.items() if text is None}
    _write(checkout, writes)
    return VendoringReport(
        changed=tuple(sorted(set(writes) - added - removed)),
        added=tuple(sorted(added)),
        removed=tuple(sorted(removed)),
        residual=declared_residuals(inside(checkout, PYPROJECT).read_text(encoding="utf-8")),
    )


def plan_vendoring(checkout: Path, solver: Path, algorithm: str | None = None) -> tuple[PlannedStep, ...]:
    """Return the series of commits that vendoring is, oldest first; nothing is written.

    Each is a commit of the library's branch, after which the library imports and passes its tests.
    Parameters and errors are those of `vendor_library`.
    """
    if not (checkout / "autoarray" / "__init__.py").is_file():
        raise UsageError(f"{checkout} is not a checkout of PyAutoArray: it has no autoarray/__init__.py")
    planned = plan_steps(checkout, steps_for(checkout, solver, algorithm))
    stale = [name for step in planned for name, text in step.writes.items() if text is None]
    if stale and any(call_site.PATH in step.writes for step in planned):
        what = (
            f"files that are not the solver's ({', '.join(stale)}); remove them if an earlier run left them"
        )
        raise UnrecognisedError(Unrecognised(PACKAGE, what))
    return planned


def write_step(checkout: Path, step: PlannedStep) -> None:
    """Write what one step of the series plans; those before it must be written."""
    _write(checkout, step.writes)


def _write(checkout: Path, writes: Writes) -> None:
    for name, text in writes.items():
        if text is None:
            inside(checkout, name).unlink()
        else:
            write_text(inside(checkout, name), text)
