"""What the survey tries: the solver's algorithms, jaxnnls, ADMM and FISTA, and the synthetic systems."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from matrix.diagnose.sweep.record import Setting
from matrix.diagnose.systems.stored import System, lanes_of, synthetic_system

PDIP_LIMITS = (10, 15, 20, 30, 50)
PDIP_TOLERANCES = (None, 1e-6, 1e-3)
ADMM_PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
ADMM_LIMITS = (30, 50, 100, 200)
FISTA_LIMITS = (100, 200, 500, 1000)

# The survey's own: approximate, and without gradient.
FIRST_ORDER = ("admm", "fista")
# Of the elimination: the factorisation that identifies, and that of the first round.
ONE_ROUND = 2

SYNTHETIC = 1285

# For the picture: limits that cut one and the same iteration off, from its beginning.
_CURVES = {
    "pdip": (2, 4, 6, 8, 10, 12, 15, 20),
    "jaxnnls": (4, 8, 12, 16, 20),
    "admm": (3, 10, 30, 100, 300, 1000),
    "fista": (10, 30, 100, 300, 1000, 3000),
}


@dataclasses.dataclass(frozen=True)
class Choice(Setting):
    """One setting of an algorithm called by itself.

    Attributes
    ----------
    penalty
        ρ of ADMM.
    block
        Whether the columns of the dense block are given to the solver, or left for it to find; None for
        algorithms that do not ask.
    """

    penalty: float | None = None
    block: Literal["given", "found"] | None = None

    @property
    def label(self) -> str:
        """The setting in a few words."""
        words = [super().label]
        if self.penalty is not None:
            words.append(f"rho {self.penalty:g}")
        if self.block is not None:
            words.append(f"block {self.block}")
        return " ".join(words)

    @property
    def series(self) -> "Choice":
        """What differs from it by the limit alone."""
        return dataclasses.replace(self, max_iter=None)

    @property
    def has_gradient(self) -> bool:
        """Whether its answer can be differentiated."""
        return self.algorithm not in FIRST_ORDER

    def options(self, system: System) -> dict[str, Any]:
        """As keyword arguments of the solver's public functions."""
        chosen = {
            "max_iter": self.max_iter,
            "solver_tol": self.solver_tol,
            "dense_columns": system.dense if self.block == "given" else None,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        return {"algorithm": self.algorithm, **given}


LIBRARY = Choice("jaxnnls")
DEFAULT = Choice("auto", block="given")
# One of each that has a gradient, near its own defaults: it is taken on every system measured alone.
TYPICAL = (
    LIBRARY,
    Choice("schur", block="given"),
    Choice("pdip", max_iter=50),
)


def grid() -> tuple[Choice, ...]:
    """Every setting, the library's PDIP of today first."""
    return (
        LIBRARY,
        DEFAULT,
        Choice("schur", block="given"),
        Choice("schur", max_iter=ONE_ROUND, block="given"),
        Choice("schur", block="found"),
        *(Choice("pdip", limit, tol) for tol in PDIP_TOLERANCES for limit in PDIP_LIMITS),
        *(Choice("admm", limit, penalty=rho) for rho in ADMM_PENALTIES for limit in ADMM_LIMITS),
        *(Choice("fista", limit) for limit in FISTA_LIMITS),
    )


def curves() -> tuple[Choice, ...]:
    """The settings of the picture, by algorithm and rising limit."""
    schur = tuple(
        Choice("schur", limit, block=block) for block in ("given", "found") for limit in (ONE_ROUND, None)
    )
    cut_off = tuple(
        Choice(name, limit, penalty=0.1 if name == "admm" else None)
        for name, limits in _CURVES.items()
        for limit in limits
    )
    return (*cut_off, *schur)


def system_batches(stored: Sequence[System], lanes: int) -> list[tuple[System, ...]]:
    """Systems as they are measured, each once: batches of one family where there are enough, else alone.

    Parameters
    ----------
    stored
        Real systems; synthetic ones are added.
    lanes
        Of a batch.
    """
    synthetic = tuple(_synthetic(seed) for seed in range(lanes + 1))
    together = lanes_of(stored, lanes) if lanes > 1 else []
    used = {system.name for batch in together for system in batch}
    alone = [(system,) for system in stored if system.name not in used]
    return [*alone, synthetic[:1], *together, *([synthetic[1:]] if lanes > 1 else [])]


def _synthetic(seed: int) -> System:
    return synthetic_system(SYNTHETIC, seed)._replace(name=f"synthetic-{SYNTHETIC}-seed{seed}")


def by_falling_limit(choices: Iterable[Choice]) -> list[Choice]:
    """The largest limit of each series first, no limit before all."""
    return sorted(choices, key=lambda choice: -(choice.max_iter or 10**9))
