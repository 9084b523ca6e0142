"""The solver on systems with a known optimum: answers and gradients, one by one and as lanes of a batch."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from matrix.catalogue.checks import TARGET_KAPPA
from matrix.checks.inside.systems import GRIDS, KnownSystem, known_systems
from matrix.pipelines.kkt import kkt_residuals
from matrix.records.check import Item


def measure(nnls: ModuleType, scale: str, say: Callable[[str], None]) -> tuple[Item, ...]:
    """Solve and differentiate every system of a grid.

    Parameters
    ----------
    nnls
        The solver's module.
    scale
        Which grid, a key of `GRIDS`.
    say
        Told what is being done.

    Returns
    -------
    tuple
        One item per system: how far answer and gradients are from the known ones, in the variables of the
        system with unit diagonal, relative to the largest; and how far lanes are from the same solve alone.
    """
    items: list[Item] = []
    for size, conditions in GRIDS[scale].items():
        systems = list(known_systems(size, conditions))
        say(f"size {size}: {len(systems)} systems")
        items += _measure_size(nnls, systems)
    return tuple(items)


def _measure_size(nnls: ModuleType, systems: list[KnownSystem]) -> list[Item]:
    def forward(Q: Any, q: Any) -> tuple[Any, Any]:
        x, _, _, converged, _ = nnls.solve_nnls(Q, q)
        return x, converged

    def backward(Q: Any, q: Any, weights: Any) -> tuple[Any, Any, Any]:
        x, pull_back = jax.vjp(lambda Q, q: nnls.solve_nnls_primal(Q, q, target_kappa=TARGET_KAPPA), Q, q)
        return x, *pull_back(weights)

    arguments = [(system.Q, system.q, system.weights) for system in systems]
    batch = [jnp.stack(arrays) for arrays in zip(*arguments, strict=True)]
    solve, differentiate = jax.jit(forward), jax.jit(backward)
    lanes = zip(*_on_host(jax.jit(jax.vmap(forward))(*batch[:2])), strict=True)
    lanes_back = zip(*_on_host(jax.jit(jax.vmap(backward))(*batch)), strict=True)
    items = []
    for system, each, lane, lane_back in zip(systems, arguments, lanes, lanes_back, strict=True):
        single = _on_host(solve(*each[:2]))
        single_back = _on_host(differentiate(*each))
        items.append(
            Item(system.name, "measured", "", _numbers(system, single, single_back, lane, lane_back))
        )
    return items


def _on_host(results: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(result) for result in jax.block_until_ready(results))


def _numbers(
    system: KnownSystem, single: Any, single_back: Any, lane: Any, lane_back: Any
) -> dict[str, float]:
    (x, converged), (primal, Q_gradient, q_gradient) = single, single_back
    (lane_x, lane_converged), (lane_primal, lane_Q_gradient, lane_q_gradient) = lane, lane_back
    answers = (x, primal, lane_x, lane_primal)
    gradients = (Q_gradient, q_gradient, lane_Q_gradient, lane_q_gradient)
    q_known, Q_known = system.gradients()
    per_q, per_Q = system.scale, np.outer(system.scale, system.scale)
    symmetric = [0.5 * (gradient + gradient.T) for gradient in (Q_gradient, lane_Q_gradient)]
    return {
        "size": float(len(system.q)),
        "condition": system.condition,
        "scaled_condition": system.scaled_condition,
        "strictly_complementary": float(system.strictly_complementary),
        "converged": float(bool(converged) and bool(lane_converged)),
        "finite": float(all(np.all(np.isfinite(array)) for array in (*answers, *gradients))),
        "kkt_residual": max(max(kkt_residuals(system.Q, system.q, answer)[:3]) for answer in answers),
        "answer_error": max(_apart(answer, system.x, system.scale) for answer in answers),
        "q_gradient_error": max(_apart(g, q_known, per_q) for g in (q_gradient, lane_q_gradient)),
        "Q_gradient_error": max(_apart(g, Q_known, per_Q) for g in symmetric),
        "lane_apart": _apart(lane_x, x, system.scale),
        "q_gradient_lane_apart": _apart(lane_q_gradient, q_gradient, per_q),
        "Q_gradient_lane_apart": _apart(symmetric[1], symmetric[0], per_Q),
    }


def _apart(value: np.ndarray, reference: np.ndarray, scale: np.ndarray) -> float:
    """Largest difference in scaled variables over the largest reference, in scaled variables too."""
    largest = np.max(np.abs(reference * scale))
    return float(np.max(np.abs((value - reference) * scale)) / (largest if largest > 0.0 else 1.0))
