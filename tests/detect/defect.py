"""What a planted defect is: edits of a copy of this repository, and the gate that must catch them."""

from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.releases import KNOWN

API = "solver/_api.py"
CALL_SITE = "matrix/prepare/change/templates/inversion_util.py"
CALLERS = "matrix/prepare/change/templates/abstract_inversion.py"
CONFIG = "matrix/prepare/change/config.py"
CHOICE = "matrix/prepare/change/templates/choice/inversion_util.py"
USED = "matrix/prepare/change/templates/choice/abstract_inversion.py"
SHAPES = "matrix/prepare/change/shapes.py"
# What is vendored only where the call site called jaxnnls itself: the last release of that shape shows it.
OF_THE_OLDER_SHAPE = (CALL_SITE, CALLERS, CONFIG)
OLDER, NEWEST = "2026.7.9.1", KNOWN[0]
MEASURE = "matrix/pipelines/measure.py"
CELL = "matrix/pipelines/cell.py"
CONSTANTS = "matrix/prepare/embedded/generations.py"
ENVIRONMENTS = "matrix/prepare/environments.py"
GATES = "matrix/gates/pipelines.py"
RESULTS = "matrix/refresh/artifacts/results.py"
PIPELINE = ("--only", "interferometer-mge")


@dataclass(frozen=True)
class Edit:
    """Replace `old`, which occurs once in the file, by `new`; without `old`, append `new`."""

    file: str
    new: str
    old: str = ""

    def plant(self, repository: Path) -> None:
        """Make the edit in the copy.

        Raises
        ------
        ValueError
            The file no longer holds what is to be replaced: the catalogue must follow the code.
        """
        path = repository / self.file
        text = path.read_text(encoding="utf-8")
        if not self.old:
            path.write_text(text + self.new, encoding="utf-8")
            return
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} holds {self.old!r} {text.count(self.old)} times, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


MOVED_CONSTANTS = Edit(CONSTANTS, "scale, 1.001 * value)\n", "scale, value)\n")


@dataclass(frozen=True)
class Defect:
    """One planted defect.

    Attributes
    ----------
    area
        solver, call site, config, dependency, precision, constants, artifacts, harness, audit, gates, report,
        merge or hpc.
    gate
        What must catch it: a gate of a pipeline, the first words of a gate of the change, or "tests".
    run
        What to run: options of the matrix, or the path of the tests.
    release
        On which release; empty for the newest that has what is planted.
    """

    name: str
    area: str
    gate: str
    edits: tuple[Edit, ...]
    run: tuple[str, ...] = PIPELINE
    release: str = ""

    @property
    def on(self) -> str:
        """The release that the defect is shown on."""
        older = any(edit.file in OF_THE_OLDER_SHAPE for edit in self.edits)
        return self.release or (OLDER if older else NEWEST)


def solve_with(body: str) -> tuple[Edit, ...]:
    """Wrap the one place where every form of the solver gets its answer."""
    return (Edit(API, f"\n\n_right_solve = _solve\n\n\ndef _solve(options, limits, Q, q):\n    {body}\n"),)


def check(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--check", name))
