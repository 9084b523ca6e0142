"""What a run is going to do, written down before it starts: the cells, and what they are held against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from matrix.catalogue.pipelines import pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.files import LARGEST_DOCUMENT, inside, read_bytes, write_text
from matrix.ground.hashing import digest
from matrix.ground.settings import said
from matrix.records.cell import SIDES, Side
from matrix.records.typed_json import is_moment
from matrix.run.change import VENDORING, Change, Expected

ELSEWHERE = "elsewhere"
# The hash of the solver's tree in a run whose change vendors none.
NOTHING_VENDORED = ""


def _moment(text: str) -> str:
    if not is_moment(text):
        raise ValueError("a time in ISO form, with its zone")
    return text


# Of what becomes the name of a file: nothing that leads out of the run's folder.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
PipelineName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(@[A-Za-z0-9][A-Za-z0-9_-]*)?$")]
Moment = Annotated[str, AfterValidator(_moment)]
Tolerance = Annotated[float, Field(gt=0.0, lt=1.0)]


class PlanError(UsageError):
    """A folder holds no run that this version of the program can read."""


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
    production scale it is, and in our stand-in always: a constant that vanished must not turn its gate off.
    It is none on another instrument than the pipeline's own, with a person's data, and of a pipeline that our
    stand-in has no script of. `unheld` then says so.
    """

    name: str
    value: FiniteFloat | None
    script: str
    required: bool
    unheld: str = ""


class OwnDataset(_Frozen):
    """Data that the workspace has not: a person's in place of an instrument's, or simulated.

    Attributes
    ----------
    given
        The folder that a person named; of simulated data the script that made them.
    files
        SHA-256 of each file, by its path in the workspace.
    simulated
        Whether the workspace's own script made them.
    """

    given: str
    files: Mapping[str, str]
    simulated: bool = False

    @property
    def checksum(self) -> str:
        """The first digits of a SHA-256 of all files."""
        return digest(word for item in sorted(self.files.items()) for word in item)[:12]


class PlannedCell(_Frozen):
    """One unit of work, and the key that tells whether a kept record still answers for it."""

    pipeline: PipelineName
    precision: Word
    side: Side
    scale: Word
    key: str

    @property
    def name(self) -> str:
        """Folder and display name, for example ``imaging-mge-fp64-baseline``."""
        return f"{self.pipeline}-{self.precision}-{self.side}"


class PlannedCheck(_Frozen):
    """One check of the change on one side, and the key a kept record must have to answer for it."""

    check: Word
    side: Side
    scale: Word
    key: str

    @property
    def name(self) -> str:
        """Folder and display name, for example ``library-tests-baseline``."""
        return f"{self.check}-{self.side}"


class PlannedPair(_Frozen):
    """Both sides of a pipeline, to be timed in turn, and the key a kept record must have to answer for it.

    `seconds` are those that the rounds of each pair of processes are given.
    """

    pipeline: PipelineName
    precision: Word
    scale: Word
    key: str
    seconds: float = Field(gt=0.0, allow_inf_nan=False)

    @property
    def name(self) -> str:
        """Folder and display name, for example ``imaging-mge-fp64``."""
        return f"{self.pipeline}-{self.precision}"


def platform_of(accelerator: str) -> str:
    """What JAX calls the devices that a build of it is for: "cpu" or "gpu"."""
    return "cpu" if accelerator == "cpu" else "gpu"


class PlannedEnvironment(_Frozen):
    """How to start Python for one side.

    `settings` are of the library, by dotted name, other than its packages say; values as YAML text.
    `launch` is what is put before the interpreter, as a container's program.
    """

    python: Path
    pythonpath: tuple[Path, ...]
    key: str
    settings: Mapping[str, str] = {}
    launch: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The words that start Python."""
        return (*self.launch, str(self.python))


class Tolerances(_Frozen):
    """Relative tolerances of the gates."""

    evidence: Tolerance
    parity: Tolerance


class Target(_Frozen):
    """Milliseconds per call of a batched likelihood on one class of device."""

    limit: float = Field(gt=0.0, allow_inf_nan=False, description="milliseconds per call at most, as 200")
    headline: float | None = Field(
        None, gt=0.0, allow_inf_nan=False, description="milliseconds per call that are hoped for, or null"
    )


class Plan(_Frozen):
    """Everything the suite needs to run a matrix and the gates need to judge it.

    Attributes
    ----------
    algorithm
        What the candidate's configuration was made to name; None where nothing was asked for.
    change, difference
        What the sides were asked to differ in, and in words what that came out as.
    moved
        Of packages that the change moves the version that each side has; None where it has none.
    expected
        By pipeline the evidence that the change is meant to give in place of the recorded one.
    lanes
        Sizes of batches that are evaluated beside the one that is timed.
    datasets, own_workspace
        By instrument the data that are not the workspace's, and the folder in which they are beside the rest.
    libraries
        A copy of each side's whole library checkout, with its tests.
    pairs
        One per pipeline where times are wanted, else none.
    selected, selected_checks
        The pipelines and the checks that this call runs; the others stay planned.
    stack
        Commit of each package of the stack that is a working tree and not installed; or that it has none.
    urls
        By repository its address as the manifest had it; none in plans written before it was noted.
    whole, whole_checks
        Of a shard what all shards together run; empty where this is no shard.
    """

    version: Literal[1] = 1
    run: Word
    key: str
    folder: Path
    created: Moment
    release: str
    source: str
    source_meaning: str
    scale: str
    precision: str
    accelerator: str
    algorithm: str | None = None
    change: Change = VENDORING
    difference: str = ""
    moved: Mapping[str, Mapping[Side, str | None]] = {}
    expected: Mapping[str, Expected] = {}
    lanes: tuple[PositiveInt, ...] = ()
    checkouts: tuple[CheckedOut, ...]
    urls: Mapping[str, str] = {}
    solver_tree: str
    # Digest of this program's part in the numbers; empty in plans written before it was noted.
    code: str = ""
    environments: Mapping[Side, PlannedEnvironment]
    stack: Mapping[str, str] = {}
    workspace: Path
    datasets: Mapping[str, OwnDataset] = {}
    own_workspace: Path | None = None
    constants: Mapping[str, Constant]
    tolerances: Tolerances
    # By class of device, which is a word of its name, and by pipeline.
    targets: Mapping[str, Mapping[str, Target]] = {}
    residual_dependencies: tuple[str, ...]
    cells: tuple[PlannedCell, ...]
    pairs: tuple[PlannedPair, ...] = ()
    checks: tuple[PlannedCheck, ...] = ()
    libraries: Mapping[Side, Path] = {}
    test_workspace: Path | None = None
    float64_run: Path | None
    selected: tuple[str, ...]
    selected_checks: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    whole_checks: tuple[str, ...] = ()
    cell_timeout: float = Field(gt=0.0, allow_inf_nan=False)
    threads: PositiveInt
    seed: int
    locks: Path
    cache: Path

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """See that whatever a part names is there, and there once."""
        cells = [(cell.pipeline, cell.side) for cell in self.cells]
        checks = [(check.check, check.side) for check in self.checks]
        if not cells or sorted(cells) != sorted({(name, side) for name, _ in cells for side in SIDES}):
            raise ValueError("it does not plan each pipeline once per side")
        if len({pair.pipeline for pair in self.pairs} & {name for name, _ in cells}) != len(self.pairs):
            raise ValueError("it plans a pair twice, or one of a pipeline that it does not plan")
        if len(set(checks)) != len(checks):
            raise ValueError("it plans a check twice")
        if not {name for name, _ in cells} <= self.constants.keys():
            raise ValueError("a pipeline has no word on its constant")
        if set(SIDES) != self.environments.keys():
            raise ValueError("a side has no environment")
        if not {*self.selected, *self.whole, *self.expected} <= {name for name, _ in cells}:
            raise ValueError("it selects a pipeline that it does not plan")
        if not {*self.selected_checks, *self.whole_checks} <= {name for name, _ in checks}:
            raise ValueError("it selects a check that it does not plan")
        return self

    @property
    def heading(self) -> str:
        """What was run, in a few words."""
        asked = "" if self.algorithm is None else f", algorithm {self.algorithm}"
        given = "".join(f", {words}" for words in self.settings)
        own = "".join(f", {words}" for words in self.own_data)
        return f"{self.precision}, {self.scale} scale{asked}{given}{own}"

    @property
    def own_data(self) -> tuple[str, ...]:
        """Each instrument's data that are not the workspace's, in a few words."""
        return tuple(
            f"{name} {'simulated by' if own.simulated else 'from'} {own.given} ({own.checksum})"
            for name, own in self.datasets.items()
        )

    @property
    def has_persons_data(self) -> bool:
        """Whether any data are a person's own."""
        return any(not own.simulated for own in self.datasets.values())

    def own_files(self, pipeline: str) -> Mapping[str, str]:
        """SHA-256 of each file that a pipeline reads and that is not the workspace's, by its path there."""
        own = self.datasets.get(pipeline_named(pipeline).instrument)
        return own.files if own else {}

    @property
    def data_workspace(self) -> Path:
        """Where likelihoods find their data and their pipeline's script."""
        return self.own_workspace or self.workspace

    @property
    def settings(self) -> tuple[str, ...]:
        """Each side's settings other than its packages', in a few words."""
        return tuple(
            f"{side} with {said(environment.settings)}"
            for side, environment in self.environments.items()
            if environment.settings
        )

    @property
    def platform(self) -> str:
        """What JAX calls the devices the cells must run on."""
        return platform_of(self.accelerator)

    @property
    def pipelines(self) -> tuple[str, ...]:
        """The pipelines in the order they are run."""
        return tuple(dict.fromkeys(cell.pipeline for cell in self.cells))

    def cell(self, pipeline: str, side: Side) -> PlannedCell:
        """The cell of `pipeline` on `side`."""
        return next(cell for cell in self.cells if (cell.pipeline, cell.side) == (pipeline, side))

    def cell_folder(self, cell: PlannedCell) -> Path:
        """Where the cell works: its log, its stage, its own caches."""
        return inside(self.folder, "cells", cell.name)

    def record_path(self, cell: PlannedCell) -> Path:
        """Where the cell's record is, once it has finished."""
        return inside(self.folder, "records", f"{cell.name}.json")

    def pair(self, pipeline: str) -> PlannedPair | None:
        """The pair of `pipeline`; None where no times are wanted."""
        return next((pair for pair in self.pairs if pair.pipeline == pipeline), None)

    def pair_folder(self, pair: PlannedPair) -> Path:
        """Where the pair's processes work and leave their logs."""
        return inside(self.folder, "pairs", pair.name)

    def pair_stage(self, pair: PlannedPair) -> Path:
        """Where a pair writes what it is doing."""
        return self.pair_folder(pair) / "stage"

    def pair_path(self, pair: PlannedPair) -> Path:
        """Where the pair's record is, once it has been timed."""
        return inside(self.folder, "pairs", f"{pair.name}.json")

    def check_folder(self, check: PlannedCheck) -> Path:
        """Where the check works and leaves its log."""
        return inside(self.folder, "checks", check.name)

    def check_stage(self, check: PlannedCheck) -> Path:
        """Where a running check writes what it is doing, if it takes long."""
        return self.check_folder(check) / "stage"

    def check_path(self, check: PlannedCheck) -> Path:
        """Where the check's record is, once it has finished."""
        return inside(self.folder, "checks", f"{check.name}.json")

    @property
    def timed_elsewhere(self) -> Path:
        """Where a run of another machine lies, if this one has its times from there."""
        return inside(self.folder, ELSEWHERE)

    def write(self) -> None:
        """Write the plan into its run's folder."""
        write_text(plan_path(self.folder), self.model_dump_json(indent=2) + "\n")


def plan_path(folder: Path) -> Path:
    """Where a run's plan lies."""
    return folder / "plan.json"


def run_folders(runs: Path) -> list[Path]:
    """Every folder in `runs` that holds a run, oldest first."""
    if not runs.is_dir():
        return []
    return sorted(folder for folder in runs.iterdir() if plan_path(folder).is_file())


def read_plan(folder: Path) -> Plan:
    """Read the plan of the run in `folder`, which may have come from another place or machine.

    Raises
    ------
    PlanError
        There is no run, or it is of another version of this program.
    """
    path = plan_path(folder)
    if not path.is_file():
        raise PlanError(f"{folder} holds no run: there is no {path.name} in it.")
    try:
        plan = Plan.model_validate_json(read_bytes(path, LARGEST_DOCUMENT))
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        found = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise PlanError(
            f"{folder.name} was made by another version of this program, or is damaged ({found}). "
            "Check out that version to read it, or remove it."
        ) from error
    return plan.model_copy(update={"folder": folder})
