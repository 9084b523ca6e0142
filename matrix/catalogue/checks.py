"""Which checks there are, on which sides, and which gate of the change each is evidence for."""

from dataclasses import dataclass

from matrix.ground.machine import GIB
from matrix.records.cell import SIDES, Side

# To what complementarity the library's call site relaxes the gradient.
TARGET_KAPPA = 1e-11


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name, gate
        Its own name, and the gate that it is evidence for.
    sides
        Where it is made.
    memory
        What it needs at most, in bytes.
    of_vendoring
        Whether it asks something of the vendored solver, so that no other change has it.
    """

    name: str
    gate: str
    sides: tuple[Side, ...]
    memory: int
    of_vendoring: bool = False


CHECKS = {
    check.name: check
    for check in (
        Check("assertions", "3", ("candidate",), 3 * GIB, of_vendoring=True),
        Check("assertion-script", "3", SIDES, GIB, of_vendoring=True),
        Check("library-tests", "4", SIDES, 2 * GIB),
        Check("independence", "5", ("candidate",), GIB, of_vendoring=True),
        Check("gradients", "6", ("candidate",), GIB),
        Check("scripts", "done", SIDES, 6 * GIB),
    )
}
# Upstream's own scripts take as long as the whole matrix: they run when asked for.
ON_DEMAND = ("scripts",)
ALL_CHECKS = "all"


def checks_of(vendors: bool) -> dict[str, Check]:
    """The checks that a change has, which are all if it vendors the solver."""
    return {name: check for name, check in CHECKS.items() if vendors or not check.of_vendoring}


def is_of_vendoring(gate: str) -> bool:
    """Whether a gate of the change has evidence of the vendored solver alone."""
    checks = [check for check in CHECKS.values() if check.gate == gate]
    return bool(checks) and all(check.of_vendoring for check in checks)
