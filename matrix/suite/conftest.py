"""Gives the suite its plan, and a pipeline's two sides and gates to one worker, one after the other."""

import functools
from pathlib import Path

import pytest

from matrix.execute.local import CellFailure, run_cell
from matrix.gates import PAIR_GATES, SIDE_GATES
from matrix.plan import SIDES, Plan, read_plan
from matrix.record import Record


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
        metafunc.parametrize(
            "cell",
            [_param(cell.pipeline, cell.name, cell) for cell in plan.cells if cell.pipeline in plan.selected],
        )
        return
    judged = [
        *((gate, side) for gate in SIDE_GATES for side in SIDES),
        *((gate, None) for gate in PAIR_GATES),
    ]
    metafunc.parametrize(
        ("pipeline", "gate", "side"),
        [
            _param(
                pipeline, "-".join(filter(None, (pipeline, plan.precision, side, gate))), pipeline, gate, side
            )
            for pipeline in plan.selected
            for gate, side in judged
        ],
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pipeline by pipeline, so that a pipeline's gates speak as soon as its cells are done."""
    order: dict[str, int] = {}
    for item in items:
        order.setdefault(_group(item), len(order))
    items.sort(key=lambda item: order[_group(item)])


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""


def _param(group: str, name: str, *values: object) -> object:
    return pytest.param(*values, id=name, marks=pytest.mark.xdist_group(group))
