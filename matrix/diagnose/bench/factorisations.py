"""Ways to factorise a batch of matrices, of which the solvers mostly consist; the best depends on the device.

On a GPU the factorisation of a batch is the vendor library's batched routine, which is made for many small
matrices. The alternatives are its routine for one matrix on lane after lane, and a factorisation by blocks,
nearly all of whose work is batched matrix products.
"""

from collections.abc import Callable, Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from matrix.diagnose.bench.contenders import program, repeated_solve, solves_of
from matrix.diagnose.bench.record import BenchRow, bytes_per_lane
from matrix.diagnose.clock import interleaved_medians

SIZES = (32, 64, 128, 256, 512, 800, 1285, 2000)
LANES = (1, 3, 16)
# `schur` identifies in float32 and eliminates in float64.
DTYPES = ("float64", "float32")
PANEL = 128


def batched(A: Array) -> Array:
    """Lower factors (lanes, K, K) of A (lanes, K, K), by one call of the library."""
    return lax.linalg.cholesky(A, symmetrize_input=False)


def by_lane(A: Array) -> Array:
    """The same, one lane after another."""
    return lax.map(batched, A)


def by_blocks(A: Array) -> Array:
    """The same by panels of `PANEL` columns, right-looking: Golub, Van Loan, Matrix Computations (2013), 4.2.

    The library factorises only the diagonal block of a panel, (lanes, PANEL, PANEL). With its inverse the
    rest of the panel is a product, and so is the update of what lies to the right.
    """
    K = A.shape[-1]
    factor = jnp.zeros_like(A)
    for start in range(0, K, PANEL):
        end = min(start + PANEL, K)
        width = end - start
        diagonal = batched(A[:, :width, :width])
        identity = jnp.broadcast_to(jnp.eye(width, dtype=A.dtype), diagonal.shape)
        inverse = lax.linalg.triangular_solve(diagonal, identity, left_side=True, lower=True)
        panel = _product(A[:, width:, :width], inverse.mT)
        factor = factor.at[:, start:end, start:end].set(diagonal).at[:, end:, start:end].set(panel)
        A = A[:, width:, width:] - _product(panel, panel.mT)
    return factor


def _product(A: Array, B: Array) -> Array:
    """A B in the precision of its dtype: GPUs otherwise round float32 operands to ten bits."""
    return jnp.matmul(A, B, precision=lax.Precision.HIGHEST)


WAYS: dict[str, Callable[[Array], Array]] = {
    "batched": batched,
    "by lane": by_lane,
    "by blocks": by_blocks,
}


def matrices(lanes: int, K: int, dtype: str) -> Array:
    """Different well-conditioned positive definite matrices (lanes, K, K)."""
    made = np.random.default_rng(K).normal(size=(lanes, K, K))
    return jnp.asarray(made @ made.swapaxes(1, 2) / K + np.eye(K), dtype)


def backward_error(A: Array, factors: Array) -> float:
    """Largest entry of L Lᵀ - A, relative to the largest of A, of all lanes."""
    exact, given = np.asarray(factors, float), np.asarray(A, float)
    return float(np.abs(exact @ exact.swapaxes(1, 2) - given).max() / np.abs(given).max())


def factorisation(repeats: int, sizes: Sequence[int]) -> Iterator[list[BenchRow]]:
    """Time the ways in turn, for each precision, size and number of lanes."""
    for dtype in DTYPES:
        for K in sizes:
            for lanes in LANES:
                yield _measured(matrices(lanes, K, dtype), repeats)


def _measured(A: Array, repeats: int) -> list[BenchRow]:
    lanes, K, _ = A.shape
    solves = solves_of(K)

    def called(way: Callable[[Array], Array]) -> tuple[Callable[[], Array], int | None]:
        return program(repeated_solve(lambda A, _: way(A), solves), A, A[0, 0])

    programs = {name: called(way) for name, way in WAYS.items()}
    seconds = interleaved_medians({name: call for name, (call, _) in programs.items()}, repeats)
    return [
        BenchRow(
            part="factorisation",
            system=str(A.dtype),
            K=K,
            lanes=lanes,
            solver=name,
            milliseconds=1e3 * seconds[name] / solves / lanes,
            cholesky_equivalents=seconds[name] / seconds["batched"],
            times_ours=seconds[name] / seconds["batched"],
            residual=backward_error(A, call()),
            objective_excess=None,
            temporary_bytes=bytes_per_lane(size, lanes),
        )
        for name, (call, size) in programs.items()
    ]
