"""Exchange (block principal pivoting): the free set of a well-behaved system in a few factorisations.

Problem
    The scaled problem. On the right free set F the optimum is x_F = A_FF⁻¹ q_F, zero elsewhere.

Steps
    1. Start with a guess F.
    2. Solve on F: x_F = A_FF⁻¹ q_F, and the gradient Ax - q elsewhere.
    3. Move every variable that is on the wrong side at once: negative ones leave F, those with a negative
       gradient enter. If there is none, x is the optimum; where the solve was not at rounding level it is
       refined once.
    4. Give up when the number of wrong variables has not come down by a quarter in `SPARE` + 1 exchanges (in
       one, while more than a quarter of all are wrong), or when entries of x above `CANCELLING` show, twice,
       that almost collinear columns cancel each other.

Cost per step
    One Cholesky factorisation (K³/3 flops), two triangular solves and one product (4 K² flops).

Convergence
    Not guaranteed: x is infeasible on the way and F may come back, so progress is asked for, which there can
    only be a few times log K times. Well-conditioned systems take a few steps. Where many columns are almost
    collinear, or the matrix is ill conditioned and the guess far off, it gives up early; the caller has
    another way then.

References
    J. Júdice and F. Pires, Comput. Oper. Res. 21 (1994) 587; L. Portugal, J. Júdice, L. Vicente, Math. Comp.
    63 (1994) 625, whose last resort, one variable at a time, is left out here. J. Kim and H. Park, SIAM J.
    Sci. Comput. 33 (2011) 3261.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._linalg import cholesky_solution, rounding_ridge
from ._problem import Scaled

SPARE = 3
# A of unit diagonal and q of at most one leave entries of order one, unless columns cancel.
CANCELLING = 100.0


class Exchange(NamedTuple):
    """State of the search.

    Attributes
    ----------
    x, gradient
        (K,) where the next solve starts from, and Ax - q there: zero, or the optimum to be refined.
    free
        (K,) bool, the set to solve on next.
    steps
        () int32, factorisations so far.
    fewest
        () int32, the number of wrong variables when it last came down by a quarter.
    spare
        () int32, exchanges still allowed until it does so again.
    optimal
        () bool, no variable was wrong.
    ended
        () bool, optimal at rounding level, or given up.
    """

    x: Array
    gradient: Array
    free: Array
    steps: Array
    fewest: Array
    spare: Array
    optimal: Array
    ended: Array

    @property
    def settled(self) -> Array:
        """Whether the optimum was reached."""
        return self.optimal & self.ended


def exchange(
    problem: Scaled,
    free: Array,
    limit: int | Array,
    enabled: Array | bool = True,
    close: bool = False,
) -> Exchange:
    """Exchange until nothing is wrong or nothing gets better.

    Parameters
    ----------
    problem
        The scaled problem.
    free
        (K,) bool, the variables believed positive.
    limit
        Most factorisations.
    enabled
        Where false, nothing is done.
    close
        Whether `free` is believed close: if the first solve finds more than a quarter wrong, it is not.
    """
    zero, none, no = jnp.zeros_like(problem.q), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    usable, ended = free & (problem.scale > 0), ~jnp.asarray(enabled)
    many = none + (zero.shape[0] // 3 if close else 2 * zero.shape[0])
    begin = Exchange(zero, -problem.q, usable, none, many, none, no, ended)

    def unfinished(state: Exchange) -> Array:
        return (state.steps < limit) & ~state.ended

    def step(state: Exchange) -> Exchange:
        return _step(problem, state)

    return lax.while_loop(unfinished, step, begin)


def _step(problem: Scaled, state: Exchange) -> Exchange:
    matrix = problem.masked(state.free, rounding_ridge(problem.q))
    x = state.x + cholesky_solution(matrix, jnp.where(state.free, -state.gradient, 0))
    gradient = problem.gradient(x)
    broken = ~jnp.isfinite(jnp.vdot(x, gradient))
    rounding = 64 * jnp.finfo(x.dtype).eps * (1 + jnp.max(jnp.abs(x)))
    wrong = jnp.where(state.free, x, gradient) < -rounding
    count = jnp.sum(wrong, dtype=jnp.int32)
    fewer = 4 * count <= 3 * state.fewest
    spare = jnp.where(4 * count <= x.shape[0], state.spare, 0)
    cancelling = (state.steps > 0) & (jnp.max(jnp.abs(x)) > CANCELLING)
    hopeless = (~fewer & (spare == 0)) | cancelling | broken
    optimal = (count == 0) & ~broken
    # A refinement that makes something wrong moved a variable within rounding: what was there is as good.
    found = optimal | state.optimal
    precise = (jnp.max(jnp.where(state.free, jnp.abs(gradient), 0)) <= rounding) & jnp.all(x >= 0)
    return Exchange(
        jnp.where(optimal, jnp.maximum(x, 0), state.x),
        jnp.where(optimal, gradient, state.gradient),
        state.free ^ wrong,
        state.steps + 1,
        jnp.where(fewer, count, state.fewest),
        jnp.where(fewer, SPARE, spare - 1),
        found,
        jnp.where(found, state.optimal | precise, hopeless),
    )
