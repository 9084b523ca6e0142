"""Which checks there are, on which sides, and which gate of the change each is evidence for."""

from dataclasses import dataclass

from matrix.ground.machine import GIB
from matrix.records.cell import SIDES, Side

# To what complementarity the library's call site relaxes the gradient.
TARGET_KAPPA = 1e-11


@dataclass(frozen=True)
class Check:
    """One check: its sides, the gate it is evidence for, and the memory it needs at most, in bytes."""

    name: str
    gate: str
    sides: tuple[Side, ...]
    memory: int


CHECKS = {
    check.name: check
    for check in (
        Check("assertions", "3", ("candidate",), 3 * GIB),
        Check("assertion-script", "3", SIDES, GIB),
        Check("library-tests", "4", SIDES, 2 * GIB),
        Check("independence", "5", ("candidate",), GIB),
        Check("gradients", "6", ("candidate",), GIB),
        Check("scripts", "done", SIDES, 6 * GIB),
    )
}
# Upstream's own scripts take as long as the whole matrix: they run when asked for.
ON_DEMAND = ("scripts",)
ALL_CHECKS = "all"
