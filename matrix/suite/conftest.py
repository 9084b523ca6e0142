"""Gives the suite its plan, and a pipeline's two sides and its gates to one worker, one after the other."""

import functools
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from matrix.execute.local import CellFailure, run_cell
from matrix.gates import judged_in
from matrix.plan import Plan, read_plan
from matrix.record import Record


class PipelineScheduling(LoadScopeScheduling):
    """Keeps a pipeline on one worker: its two sides are timed under the same conditions."""

    def _split_scope(self, nodeid: str) -> str:
        identifier = nodeid.partition("[")[2]
        return "-".join(identifier.split("-")[:2])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PipelineScheduling:
    """Let xdist use our scheduling."""
    return PipelineScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the caller say which run this is."""
    parser.addoption("--matrix-run", type=Path, required=True, help="folder of the run, holding plan.json")


@functools.cache
def plan_of(folder: Path) -> Plan:
    """The run's plan, read once per worker."""
    return read_plan(folder)


@functools.cache
def outcome(folder: Path, cell_name: str) -> Record | CellFailure:
    """The cell's record, made if need be; a cell that failed is not tried twice in one session."""
    plan = plan_of(folder)
    return run_cell(plan, next(cell for cell in plan.cells if cell.name == cell_name))


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    """The run's plan."""
    return plan_of(request.config.getoption("--matrix-run"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One `test_cell` per cell, one `test_gate` per gate and side of each pipeline."""
    plan = plan_of(metafunc.config.getoption("--matrix-run"))
    if metafunc.function.__name__ == "test_cell":
        cells = [cell for cell in plan.cells if cell.pipeline in plan.selected]
        metafunc.parametrize("cell", cells, ids=[cell.name for cell in cells])
        return
    cases = [(pipeline, gate, side) for pipeline in plan.selected for gate, side in judged_in(plan.precision)]
    names = ["-".join(filter(None, (pipeline, plan.precision, side, gate))) for pipeline, gate, side in cases]
    metafunc.parametrize(("pipeline", "gate", "side"), cases, ids=names)
