"""All lanes in one program, the form that runs on an accelerator: here on a CPU, which runs lane after lane.

On an accelerator `by_lane` leaves `vmap` to itself: every loop then goes on until the last lane is done, a
branch becomes a choice, and factors are inverted. No lane may notice.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import solver
from solver import ResultCode
from solver._api import _solve_lane
from solver._gradient import tangent_of_answer
from solver._options import checked
from tests.solver.devices import as_on_an_accelerator
from tests.solver.problems import kkt_violation, lens_like, with_known_optimum

# Collinear light alone, a system of middle size, one that "auto" eliminates.
SIZES = {"light": (40, 0), "middle": (20, 100), "large": (20, 300)}
EASY = (0, 4)


@pytest.fixture(autouse=True)
def accelerator() -> Iterator[None]:
    with as_on_an_accelerator():
        yield


def lanes(dense: int, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Easy, indefinite, ill-conditioned, not finite, easy."""
    rng = np.random.default_rng(17)
    K = dense + source
    easy = [lens_like(rng, dense, source) for _ in EASY]
    hard = with_known_optimum(rng, K, condition=1e10)
    Q = np.stack([easy[0].Q, easy[0].Q, hard.Q, easy[0].Q, easy[1].Q])
    q = np.stack([easy[0].q, easy[1].q, hard.q, easy[0].q, easy[1].q])
    Q[1] -= 0.5 * np.diag(np.diagonal(Q[1]))
    q[3, 5] = np.nan
    return Q, q


@pytest.mark.parametrize(("way", "algorithm"), [*((way, "auto") for way in SIZES), ("large", "pdip")])
def test_no_lane_notices_the_others(way: str, algorithm: str) -> None:
    dense, source = SIZES[way]
    Q, q = lanes(dense, source)
    choices: dict[str, Any] = {"algorithm": algorithm, "dense_columns": range(dense)}
    options, limits = checked(dense + source, q.dtype, solver.ALGORITHMS, **choices)
    solve = jax.jit(jax.vmap(partial(_solve_lane, options, *limits)))
    together = solve(Q, q)
    assert together.code[1] != ResultCode.CERTIFIED
    assert together.code[3] == ResultCode.NON_FINITE
    for lane in (0, 2, 4):
        assert together.code[lane] == ResultCode.CERTIFIED
        assert kkt_violation(Q[lane], q[lane], np.asarray(together.primal[lane])) <= 1e-9
    # Among easy lanes alone the same program does the same with each, to the last bit.
    Q[1:4], q[1:4] = Q[0], q[0]
    among_easy = solve(Q, q)
    for lane in EASY:
        for mixed, easy in zip(jax.tree.leaves(together), jax.tree.leaves(among_easy), strict=True):
            np.testing.assert_array_equal(mixed[lane], easy[lane])


def test_gradients_of_lanes_together_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(18)
    problems = [with_known_optimum(rng, 30, condition) for condition in (10.0, 1e4, 1e2)]
    Q, q, x = (np.stack(part) for part in zip(*problems, strict=True))
    kappa, weights = np.full(3, 1e-11), rng.uniform(0.5, 1.5, q.shape)

    def cotangents(Q: jax.Array, q: jax.Array, x: jax.Array, kappa: jax.Array, w: jax.Array) -> object:
        _, pull_back = jax.vjp(lambda dQ, dq: tangent_of_answer(Q, q, x, kappa, dQ, dq), 0 * Q, 0 * q)
        return pull_back(w)

    together = jax.jit(jax.vmap(cotangents))(Q, q, x, kappa, weights)
    for lane in range(3):
        alone = jax.jit(cotangents)(Q[lane], q[lane], x[lane], kappa[lane], weights[lane])
        for ours, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[lane], expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
