"""How far the log evidences moved from their recorded constants, and what may happen to a constant."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from matrix.gates import furthest, relative
from matrix.records.cell import Record
from matrix.run.plan import Constant, Plan

# The same likelihood on another number of BLAS threads or another release of the stack moves by 1e-13 to
# 3e-10 relative: below this a new number is rounding, not news.
ROUNDING = 1e-9


class DriftRuling(enum.StrEnum):
    """What happens to a constant."""

    UNCHANGED = "unchanged"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True)
class Drift:
    """One pipeline's constant against this run.

    Attributes
    ----------
    constant
        As it stands in the workspace.
    new
        The candidate's eager NumPy value of the quantity that the constant records.
    relative_change
        |new - old| / |old|.
    baseline
        The baseline's eager value of the same quantity.
    eager, jit, vmap
        The candidate's figure of merit at the prior medians along each path (of the vmap the lane that is
        furthest from `eager`). For a likelihood of linear light alone, `new` is the log likelihood and these
        three are the log evidence.
    agree
        The independent paths whose value is that of the NumPy path within the parity tolerance.
    because
        The reason a person gave for a drift beyond the tolerance; empty without one.
    """

    pipeline: str
    constant: Constant
    new: float
    relative_change: float
    baseline: float
    eager: float
    jit: float
    vmap: float
    agree: tuple[str, ...]
    ruling: DriftRuling
    reason: str
    because: str = ""

    @property
    def rewrites(self) -> bool:
        """Whether the constant is to be written anew."""
        return self.ruling in (DriftRuling.PROPOSED, DriftRuling.ACCEPTED)


def measure_drift(
    plan: Plan, pipeline: str, records: Mapping[str, Record], accepted: Mapping[str, str]
) -> Drift:
    """Hold one pipeline's records against its constant and rule what becomes of it.

    Parameters
    ----------
    plan
        Of the run; names the constants and the tolerances.
    pipeline
        Which one.
    records
        By cell name; both sides' must be there.
    accepted
        Pipeline name to the reason why a drift beyond the tolerance is right.
    """
    candidate = records[plan.cell(pipeline, "candidate").name].evaluations
    baseline = records[plan.cell(pipeline, "baseline").name].evaluations
    constant = plan.constants[pipeline]
    new = candidate.eager_recorded.values[0]
    eager = candidate.eager.figure_of_merit.values[0]
    jit = candidate.jit.values[0]
    vmap = furthest(candidate.vmap_equal.values, eager)
    agree = tuple(
        path
        for path, value in (("jit", jit), ("vmap", vmap))
        if relative(value, eager) <= plan.tolerances.parity
    )
    change = relative(new, constant.value) if constant.value is not None else float("inf")
    because = accepted.get(pipeline, "")
    ruling, reason = constant_ruling(change, plan.tolerances.evidence, agree, because)
    return Drift(
        pipeline=pipeline,
        constant=constant,
        new=new,
        relative_change=change,
        baseline=baseline.eager_recorded.values[0],
        eager=eager,
        jit=jit,
        vmap=vmap,
        agree=agree,
        ruling=ruling,
        reason=reason,
        because=because if ruling is DriftRuling.ACCEPTED else "",
    )


def constant_ruling(
    change: float, tolerance: float, agree: tuple[str, ...], because: str
) -> tuple[DriftRuling, str]:
    """Decide what becomes of a constant.

    Parameters
    ----------
    change
        Relative drift of the NumPy path from the constant.
    tolerance
        Beyond it a constant changes on a person's word alone.
    agree
        Which of `jit` and `vmap` give the NumPy path's value.
    because
        That person's reason, empty when nobody spoke.
    """
    if change <= ROUNDING:
        return DriftRuling.UNCHANGED, f"drift {change:.1e} is rounding"
    missing = [path for path in ("jit", "vmap") if path not in agree]
    if missing:
        return (
            DriftRuling.REFUSED,
            f"{' and '.join(missing)} do not give the NumPy path's value: no reason helps",
        )
    if change <= tolerance:
        return (
            DriftRuling.PROPOSED,
            f"drift {change:.1e} is within the tolerance {tolerance:.0e}, all paths agree",
        )
    if because:
        return DriftRuling.ACCEPTED, f"drift {change:.1e} is beyond {tolerance:.0e}, accepted: {because}"
    return (
        DriftRuling.REFUSED,
        f"drift {change:.1e} is beyond the tolerance {tolerance:.0e} and nobody accepted it",
    )
