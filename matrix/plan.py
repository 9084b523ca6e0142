"""What a run is going to do, written down before it starts: the cells, and what they are held against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from matrix.files import write_text

Side = Literal["baseline", "candidate"]
SIDES: tuple[Side, ...] = ("baseline", "candidate")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckedOut(_Frozen):
    """One repository as this run saw it."""

    name: str
    role: str
    purpose: str
    ref: str
    commit: str
    dirty: bool


class Constant(_Frozen):
    """A recorded log evidence (or log likelihood), as it stands in the developer workspace.

    `value` is None where the script holds none; `required` says whether that is a failure. At
    production scale it is: a constant that vanished must not turn its gate off.
    """

    name: str
    value: float | None
    script: str
    required: bool


class PlannedCell(_Frozen):
    """One unit of work, and the key that tells whether a kept record still answers for it."""

    pipeline: str
    precision: str
    side: Side
    scale: str
    key: str

    @property
    def name(self) -> str:
        """Folder and display name, for example ``imaging-mge-fp64-baseline``."""
        return f"{self.pipeline}-{self.precision}-{self.side}"


class PlannedEnvironment(_Frozen):
    """How to start Python for one side."""

    python: Path
    pythonpath: tuple[Path, ...]
    key: str


class Tolerances(_Frozen):
    """Relative tolerances of the gates."""

    evidence: float
    parity: float


class Plan(_Frozen):
    """Everything the suite needs to run a matrix and the gates need to judge it."""

    version: Literal[1] = 1
    run: str
    key: str
    folder: Path
    created: str
    release: str
    source: str
    source_meaning: str
    scale: str
    precision: str
    accelerator: str
    checkouts: tuple[CheckedOut, ...]
    solver_tree: str
    environments: Mapping[Side, PlannedEnvironment]
    workspace: Path
    constants: Mapping[str, Constant]
    tolerances: Tolerances
    residual_dependencies: tuple[str, ...]
    cells: tuple[PlannedCell, ...]
    float64_run: Path | None
    selected: tuple[str, ...]
    cell_timeout: float
    threads: int
    seed: int
    locks: Path
    cache: Path

    @property
    def platform(self) -> str:
        """What JAX calls the devices the cells must run on."""
        return "cpu" if self.accelerator == "cpu" else "gpu"

    @property
    def pipelines(self) -> tuple[str, ...]:
        """The pipelines in the order they are run."""
        return tuple(dict.fromkeys(cell.pipeline for cell in self.cells))

    def cell(self, pipeline: str, side: Side) -> PlannedCell:
        """The cell of `pipeline` on `side`."""
        return next(cell for cell in self.cells if (cell.pipeline, cell.side) == (pipeline, side))

    def cell_folder(self, cell: PlannedCell) -> Path:
        """Where the cell works: its log, its stage, its own caches."""
        return self.folder / "cells" / cell.name

    def record_path(self, cell: PlannedCell) -> Path:
        """Where the cell's record is, once it has finished."""
        return self.folder / "records" / f"{cell.name}.json"

    def write(self) -> None:
        """Write the plan into its run's folder."""
        write_text(plan_path(self.folder), self.model_dump_json(indent=2) + "\n")


def plan_path(folder: Path) -> Path:
    """Where a run's plan lies."""
    return folder / "plan.json"


def read_plan(folder: Path) -> Plan:
    """Read the plan of the run in `folder`."""
    return Plan.model_validate_json(plan_path(folder).read_text(encoding="utf-8"))
