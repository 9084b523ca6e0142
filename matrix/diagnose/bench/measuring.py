"""Contenders timed in turn on the same systems, and their answers judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from matrix.diagnose.bench.contenders import Contender, program, repeated, solves_of
from matrix.diagnose.bench.record import Row, per_lane
from matrix.diagnose.clock import interleaved_medians
from matrix.diagnose.systems import System


def measure(
    part: str, systems: Sequence[System], repeats: int, against: Mapping[str, Contender]
) -> list[Row]:
    """Time the contenders in turn on the same lanes."""
    import jax.numpy as jnp

    lanes, first = len(systems), systems[0]
    # The ridge lets a semidefinite matrix be factorised; it costs no time.
    matrix = jnp.asarray(first.Q + 1e-8 * np.diag(np.diagonal(first.Q)))
    solves = solves_of(first.K)
    factorise, _ = program(
        repeated(lambda Q, _: jnp.linalg.cholesky(Q), solves), matrix, jnp.asarray(first.q)
    )
    # Several times in a row: the first after a large program takes longer, and would flatter batches.
    row = 3 * lanes
    calls: dict[str, Callable[[], Any]] = {"cholesky": lambda: [factorise() for _ in range(row)]}
    calls.update({name: contender.call for name, contender in against.items()})
    per_call = interleaved_medians(calls, repeats)
    seconds = {name: per_call[name] / contender.solves for name, contender in against.items()}
    factorisation = per_call["cholesky"] / solves / row
    outcomes = {name: contender.outcome(lanes) for name, contender in against.items()}
    answers = {name: x for name, (x, _) in outcomes.items()}
    return [
        Row(
            part=part,
            system=first.name,
            K=first.K,
            lanes=lanes,
            solver=name,
            milliseconds=1e3 * seconds[name] / lanes,
            cholesky_equivalents=seconds[name] / lanes / factorisation,
            times_ours=seconds[name] / seconds["ours"],
            residual=max(map(System.residual, systems, answers[name])),
            objective_excess=max(map(_excess, systems, answers[name], answers["ours"])),
            temporary_bytes=per_lane(contender.temporary_bytes, lanes),
            solved=outcomes[name][1],
        )
        for name, contender in against.items()
    ]


def _excess(system: System, x: np.ndarray, ours: np.ndarray) -> float:
    return (system.objective(x) - system.objective(ours)) / abs(system.objective(ours))
