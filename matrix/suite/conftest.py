"""Gives the suite its plan, and what belongs together (a pipeline, a gate's checks) to one worker."""

import functools
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from matrix.catalogue.checks import CHECKS
from matrix.checks.run import CheckFailure, run_check
from matrix.execute.local import CellFailure, run_cell
from matrix.execute.pairs import PairFailure, run_pair
from matrix.gates import judged_in
from matrix.records.cell import Record
from matrix.records.check import CheckRecord
from matrix.records.pair import PairRecord
from matrix.report.progress import PAIR_TEST, VERDICT
from matrix.run.plan import Plan, read_plan


class PipelineScheduling(LoadScopeScheduling):
    """Keeps a pipeline on one worker, all pairs on another, and a gate with its checks."""

    def _split_scope(self, nodeid: str) -> str:
        identifier = nodeid.partition("[")[2]
        if PAIR_TEST.search(nodeid):
            # One after the other, when cells are done: a pair has the machine for itself.
            return "pairs"
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


@functools.cache
def pair_outcome(folder: Path, pipeline: str) -> PairRecord | PairFailure:
    """The pair's record, made if need be; a pair that failed is not tried twice in one session."""
    plan = plan_of(folder)
    return run_pair(plan, next(pair for pair in plan.pairs if pair.pipeline == pipeline))


@functools.cache
def check_outcome(folder: Path, name: str) -> CheckRecord | CheckFailure:
    """The check's record, made if need be; a check that failed is not tried twice in one session."""
    plan = plan_of(folder)
    return run_check(plan, next(check for check in plan.checks if check.name == name))


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    """The run's plan."""
    return plan_of(request.config.getoption("--matrix-run"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per cell, per gate and side of a pipeline, per check, and per gate that checks are for."""
    plan = plan_of(metafunc.config.getoption("--matrix-run"))
    match metafunc.function.__name__:
        case "test_cell":
            cells = [cell for cell in plan.cells if cell.pipeline in plan.selected]
            metafunc.parametrize("cell", cells, ids=[cell.name for cell in cells])
        case "test_gate":
            judged = judged_in(plan.precision, plan.lanes)
            cases = [(name, gate, side) for name in plan.selected for gate, side in judged]
            names = ["-".join(filter(None, (name, plan.precision, side, gate))) for name, gate, side in cases]
            metafunc.parametrize(("pipeline", "gate", "side"), cases, ids=names)
        case "test_pair" | "test_time":
            pairs = [pair for pair in plan.pairs if pair.pipeline in plan.selected]
            metafunc.parametrize("pair", pairs, ids=[pair.name for pair in pairs])
        case "test_check":
            checks = [check for check in plan.checks if check.check in plan.selected_checks]
            names = [f"gate-{CHECKS[check.check].gate}-{check.name}" for check in checks]
            metafunc.parametrize("check", checks, ids=names)
        case "test_gate_of_the_change":
            # The others are judged after the suite: what they look at is spread over its workers.
            gates = list(dict.fromkeys(CHECKS[name].gate for name in plan.selected_checks))
            metafunc.parametrize("gate", gates, ids=[f"gate-{gate}-verdict" for gate in gates])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark a failure that a test gave as its verdict; any other is an error of ours or of the machine."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(pytest.fail.Exception):
        report.user_properties.append((VERDICT, "fail"))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what pytest makes of a test for which nothing was selected."""
    items[:] = [item for item in items if not item.nodeid.endswith("[NOTSET]")]
