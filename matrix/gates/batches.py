"""What a batch of another size than the timed one comes to."""

from collections.abc import Iterator

from matrix.gates.distances import lanes_apart, relative
from matrix.gates.solves import AUDIT_AGREES, not_optimal, residual_asked_of, worst_of
from matrix.gates.verdict import Outcome
from matrix.ground.machine import GIB
from matrix.records.cell import Batch, Evaluation, Record


def judged_batch(
    record: Record, batch: Batch | None, size: int, tolerance: float
) -> tuple[Outcome, str, dict[str, float]]:
    """The outcome, why, and the figures: how far a lane is from itself elsewhere, and from an optimum."""
    if batch is None:
        return Outcome.FAIL, f"its record has no batch of {size}", {}
    if batch.vmap is None or batch.jit is None or batch.eager is None:
        needed, usable = (bytes / GIB for bytes in (batch.needed_bytes or 0, batch.usable_bytes))
        words = f"a batch of {size} needs {needed:.1f} GiB of {usable:.1f} GiB, so it was not run"
        return Outcome.NOT_RUN, words, {}
    apart = lanes_apart(batch.vmap.values, batch.jit.values, batch.eager.values)
    numbers = {f"{size} lanes": max(apart)}
    words = f"{size} lanes agree to {max(apart):.1e} (tolerance {tolerance:.0e})"
    if batch.nnls:
        residual, asked = worst_of(batch.nnls).kkt_residual, residual_asked_of(record)
        numbers[f"{size} lanes, KKT residual"] = residual
        words += f" with KKT residuals to {residual:.1e} (at most {asked:.0e})"
    complaints = [
        *_wrong_lanes((batch.vmap, batch.jit, batch.eager), apart, tolerance),
        *_wrong_solves(batch, batch.vmap, residual_asked_of(record)),
    ]
    return (Outcome.FAIL, "; ".join(complaints), numbers) if complaints else (Outcome.PASS, words, numbers)


def _wrong_lanes(
    paths: tuple[Evaluation, Evaluation, Evaluation], apart: list[float], tolerance: float
) -> Iterator[str]:
    wrong = sum(not one <= tolerance for one in apart)
    if wrong:
        worst = max(range(len(apart)), key=apart.__getitem__)
        batched, alone, exact = (path.values[worst] for path in paths)
        yield (
            f"{wrong} of {len(apart)} lanes are wrong, most lane {worst + 1}: {batched:.9f} in the batch, "
            f"{alone:.9f} alone, {exact:.9f} by NumPy "
            f"(relative {apart[worst]:.1e}, tolerance {tolerance:.0e})"
        )


def _wrong_solves(batch: Batch, vmap: Evaluation, asked: float) -> Iterator[str]:
    """What is wrong about the solves in a batch; their evidence may be right all the same."""
    wrong = [lane for lane in batch.nnls if not lane.kkt_residual <= asked]
    if wrong:
        worst = worst_of(wrong)
        yield (
            f"{len(wrong)} of {batch.lanes} lanes were not solved, most lane {batch.nnls.index(worst) + 1}: "
            f"KKT residual {worst.kkt_residual:.1e} > {asked:.0e}, {not_optimal(worst)}"
        )
    stopped = [number for number, lane in enumerate(batch.nnls, 1) if lane.converged is False]
    if stopped:
        yield f"of {batch.lanes} lanes {stopped} report that they did not converge"
    audited = max(map(relative, batch.audit.values, vmap.values)) if batch.audit is not None else 0.0
    if audited > AUDIT_AGREES:
        yield f"the audited batch of {batch.lanes} gives evidences {audited:.1e} away from the plain one's"
