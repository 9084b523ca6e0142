"""What the records of the solves really made say: how good the answers are, and how they were reached."""

import math
from collections.abc import Iterator, Sequence

from matrix.records.cell import VENDORED, LaneSolve, Record

KKT_CERTIFIED = 1e-9
# The library's own solvers stop earlier: an interior point stops where the products of an unknown and its
# gradient are small (1e-9 at K = 1300), so the smaller of the two may be the square root of that.
# Answers that are none were seen from 4e-2 on.
KKT_ANSWERED = 1e-3
# A solve in float32 (unit roundoff 6e-8) ends below this unless its system is ill-conditioned.
LEFT_BY_FLOAT32 = 1e-5
# What the audited program's evidence may be away from the plain one's, relative.
AUDIT_AGREES = 1e-10


def residual_asked_of(record: Record) -> float:
    """The largest KKT residual that the solver which answered may leave."""
    return KKT_CERTIFIED if record.solver.name == VENDORED else KKT_ANSWERED


def worst_of(lanes: Sequence[LaneSolve]) -> LaneSolve:
    """The lane with the largest KKT residual."""
    return max(lanes, key=lambda lane: _nan_last(lane.kkt_residual))


def what_is_said(record: Record) -> Iterator[str]:
    """What is wrong about what the library says of its solves."""
    if record.solver.stated is not None and "solver" not in record.solver.stated:
        yield "the call site's stats do not name the solver"
    if any(lane.iterations is None for lane in record.nnls):
        yield "how many iterations were made is not stated"
    if any(lane.converged is None and lane.certified is None for lane in record.nnls):
        yield "whether the solves converged is not stated"
    stopped = [index for index, lane in enumerate(record.nnls) if lane.converged is False]
    if stopped:
        yield f"lanes {stopped} report that they did not converge"


def how_it_went(record: Record, worst: float, tolerance: float, asked: str | None) -> str:
    """How well which solver answered; `asked` is the solver that the settings name, if they name one."""
    fell_back = [index for index, lane in enumerate(record.nnls) if lane.converged is None]
    rest = f"; lanes {fell_back} were not certified, their answers are the fallback's" if fell_back else ""
    used = record.solver.options.get("solver", record.solver.name)
    if asked not in (None, used):
        rest += f"; {asked} was asked for, which the library does not use here"
    whose = "the vendored solver" if tolerance == KKT_CERTIFIED else "the library's own solver"
    return (
        f"K={record.nnls[0].size}, KKT residual {worst:.1e} (of {whose} at most {tolerance:.0e} is asked), "
        f"by {record.solver.said}{rest}"
    )


def _nan_last(residual: float) -> float:
    """A residual to order by: nan is the worst."""
    return math.inf if math.isnan(residual) else residual


def not_optimal(lane: LaneSolve) -> str:
    """Which optimality condition is violated most, and what leaves as much."""
    if math.isnan(lane.kkt_residual):
        return "the answer or its gradient is nan"
    conditions = {
        "unknowns are negative": lane.primal_infeasibility,
        "unknowns are too small, raising them would fit better": lane.dual_infeasibility,
        "unknowns are positive where the gradient is not zero": lane.complementarity,
    }
    violated = max(conditions, key=conditions.__getitem__)
    cause = (
        "float32 or a loose tolerance leaves as much"
        if lane.kkt_residual <= LEFT_BY_FLOAT32
        else "far more than rounding, as after an early stop, a clipped answer or a wrong sign"
    )
    return f"the answer is not the optimum, {violated} ({cause})"
