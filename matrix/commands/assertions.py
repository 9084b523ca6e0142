"""The assertion matrix on `solver/` as it lies here, without the library: `nox -s assertions`."""

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from matrix.checks.inside.systems import GRIDS
from matrix.gates.change import assertion_fault
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, exit_code_of
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import SOLVER
from matrix.ground.options import SessionParser
from matrix.records import typed_json
from matrix.records.check import CheckRecord, Item

COLUMNS = ("scaled_condition", "kkt_residual", "answer_error", "q_gradient_error", "Q_gradient_error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, judge and show every system; 0 if all are right, 1 if not."""
    parser = SessionParser(
        "assertions", "Try the solver as it lies here on systems with a known optimum.", "--scale smoke"
    )
    parser.add_argument("--scale", choices=tuple(GRIDS), default="production", help="which grid of systems")
    parser.add_argument("--output", type=Path, default=Path(".matrix/assertions.json"), help="the record")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _assert(options))


def _assert(options: argparse.Namespace) -> int:
    jax = importlib.import_module("jax")
    if not jax.config.jax_enable_x64:
        raise EnvironmentFailure("JAX is in float32; export JAX_ENABLE_X64=True before Python starts")
    # Late, since it imports JAX.
    from matrix.checks.inside.assertions import measure

    started = time.monotonic()
    items = measure(importlib.import_module("solver"), options.scale, lambda text: print(text, flush=True))
    facts = {
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }
    seconds = time.monotonic() - started
    record = CheckRecord("assertions", "candidate", tree_hash(SOLVER), items, facts, seconds)
    typed_json.write(options.output, record)
    return _show(items, seconds, options.output)


def _show(items: Sequence[Item], seconds: float, output: Path) -> int:
    console = open_console()
    table = Table("system", *(name.replace("_", " ") for name in COLUMNS), "verdict")
    wrong = 0
    for item in items:
        fault = assertion_fault(item)
        wrong += bool(fault)
        numbers = (f"{item.numbers[name]:.1e}" for name in COLUMNS)
        table.add_row(item.name, *numbers, Text(fault, "bold red") if fault else Text("pass", "green"))
    console.print(table)
    console.print(f"{len(items) - wrong} of {len(items)} systems pass ({seconds:.0f} s). Record: {output}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
