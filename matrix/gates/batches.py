"""What a batch of another size than the timed one comes to."""

from matrix.gates.distances import lanes_apart
from matrix.gates.verdict import Outcome
from matrix.ground.machine import GIB
from matrix.records.cell import Batch


def judged_batch(batch: Batch | None, size: int, tolerance: float) -> tuple[Outcome, str, dict[str, float]]:
    """The outcome, why, and the largest relative difference of a lane from itself alone and by NumPy."""
    if batch is None:
        return Outcome.FAIL, f"its record has no batch of {size}", {}
    if batch.vmap is None or batch.jit is None or batch.eager is None:
        needed, usable = (bytes / GIB for bytes in (batch.needed_bytes or 0, batch.usable_bytes))
        words = f"a batch of {size} needs {needed:.1f} GiB of {usable:.1f} GiB, so it was not run"
        return Outcome.NOT_RUN, words, {}
    apart = lanes_apart(batch.vmap.values, batch.jit.values, batch.eager.values)
    worst = max(range(size), key=apart.__getitem__)
    numbers = {f"{size} lanes": apart[worst]}
    wrong = sum(not one <= tolerance for one in apart)
    if not wrong:
        words = f"{size} lanes agree to {apart[worst]:.1e} (tolerance {tolerance:.0e})"
        return Outcome.PASS, words, numbers
    batched, alone, exact = (path.values[worst] for path in (batch.vmap, batch.jit, batch.eager))
    words = (
        f"{wrong} of {size} lanes are wrong, most lane {worst + 1}: {batched:.9f} in the batch, "
        f"{alone:.9f} alone, {exact:.9f} by NumPy (relative {apart[worst]:.1e}, tolerance {tolerance:.0e})"
    )
    return Outcome.FAIL, words, numbers
