"""Contenders timed in turn on the same systems, and their answers judged."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from matrix.diagnose.bench.contenders import Contender, program, repeated_solve, solves_of
from matrix.diagnose.bench.record import BenchRow, bytes_per_lane
from matrix.diagnose.clock import interleaved
from matrix.diagnose.systems.stored import System

# What an answer must reach to count as certified, by the bytes of a number.
CERTIFIED = {8: 1e-9, 4: 1e-4}


def time_contenders(
    part: str, systems: Sequence[System], repeats: int, against: Mapping[str, Contender]
) -> list[BenchRow]:
    """Time the contenders in turn on the same lanes."""
    import jax.numpy as jnp

    lanes, first = len(systems), systems[0]
    matrix = jnp.asarray(_definite(first.Q))
    solves = solves_of(first.K)
    factorise, _ = program(
        repeated_solve(lambda Q, _: jnp.linalg.cholesky(Q), solves), matrix, jnp.asarray(first.q)
    )
    # Several times in a row: the first after a large program takes longer, and would flatter batches.
    row = 3 * lanes
    calls: dict[str, Callable[[], Any]] = {"cholesky": lambda: [factorise() for _ in range(row)]}
    calls.update({name: contender.call for name, contender in against.items()})
    rounds = interleaved(calls, repeats)
    per_call = {name: median(times) for name, times in rounds.items()}
    seconds = {name: per_call[name] / contender.solves for name, contender in against.items()}
    quotients = {
        name: [
            theirs / contender.solves / (ours / against["ours"].solves)
            for theirs, ours in zip(rounds[name], rounds["ours"], strict=True)
        ]
        for name, contender in against.items()
    }
    factorisation = per_call["cholesky"] / solves / row
    outcomes = {name: contender.outcome(lanes) for name, contender in against.items()}
    answers = {name: x for name, (x, _) in outcomes.items()}
    residuals = {
        name: max(system.residual(x) for system, x in _with_optimum(systems, found))
        for name, found in answers.items()
    }
    return [
        BenchRow(
            part=part,
            system=first.name,
            K=first.K,
            lanes=lanes,
            solver=name,
            milliseconds=1e3 * seconds[name] / lanes,
            cholesky_equivalents=seconds[name] / lanes / factorisation,
            times_ours=median(quotients[name]),
            residual=residuals[name],
            objective_excess=_largest_excess(systems, answers[name], answers["ours"]),
            temporary_bytes=bytes_per_lane(contender.temporary_bytes, lanes),
            solved=outcomes[name][1],
            certified=residuals[name] <= CERTIFIED[first.q.dtype.itemsize],
            spread=spread_of(quotients[name]),
        )
        for name, contender in against.items()
    ]


def _definite(Q: np.ndarray) -> np.ndarray:
    """Q with a ridge, which lets it be factorised where it is only semidefinite, and costs no time."""
    diagonal = np.diagonal(Q)
    ridge = max(1e-8, 10 * len(Q) * float(np.finfo(Q.dtype).eps))
    return Q + np.diag(ridge * np.where(diagonal > 0, diagonal, 1).astype(Q.dtype))


def _with_optimum(systems: Sequence[System], *answers: np.ndarray) -> list[tuple[Any, ...]]:
    """Each system with its answers, but for those whose numbers are not finite."""
    lanes = zip(systems, *answers, strict=True)
    return [lane for lane in lanes if np.isfinite(lane[0].Q).all() and np.isfinite(lane[0].q).all()]


def _largest_excess(systems: Sequence[System], x: np.ndarray, ours: np.ndarray) -> float | None:
    excess = [_excess(*lane) for lane in _with_optimum(systems, x, ours)]
    return max(excess) if np.isfinite(excess).all() else None


def _excess(system: System, x: np.ndarray, ours: np.ndarray) -> float:
    return (system.objective(x) - system.objective(ours)) / abs(system.objective(ours))


def spread_of(quotients: Sequence[float]) -> tuple[float, float]:
    """What holds their median with a confidence of 90 %, whatever their distribution; of fewer than 5 all."""
    from scipy.stats import quantile_test

    if len(quotients) < 5:
        return min(quotients), max(quotients)
    low, high = quantile_test(quotients).confidence_interval(0.9)
    return float(low), float(high)
