"""What the compiled programs contain, and that defects would be seen."""

import jax
import jax.numpy as jnp
import numpy as np

import solver
from solver._relaxed import GRADIENT_SCOPE

from .problems import with_known_optimum

K = 20


def _compiled(function) -> str:
    problem = with_known_optimum(np.random.default_rng(40), K)
    return jax.jit(function).lower(jnp.asarray(problem.Q), jnp.asarray(problem.q)).compile().as_text()


def test_the_forward_form_carries_no_gradient_machinery() -> None:
    forward = _compiled(solver.solve_nnls_forward)
    gradient = _compiled(jax.grad(lambda Q, q: jnp.sum(solver.solve_nnls_primal(Q, q)), argnums=(0, 1)))
    assert GRADIENT_SCOPE in gradient
    assert GRADIENT_SCOPE not in forward
    assert gradient.count("potrf") > forward.count("potrf") > 0


def test_on_cpu_a_batch_is_a_loop_over_lanes() -> None:
    Q, q, _ = with_known_optimum(np.random.default_rng(41), K)
    batch = jax.jit(jax.vmap(solver.solve_nnls_forward))
    text = batch.lower(jnp.stack([Q] * 3), jnp.stack([q] * 3)).compile().as_text()
    assert f"f64[{K},{K}]" in text
    assert all(f"f64[3,{K},{K}]" not in line for line in text.splitlines() if "potrf" in line)


def test_shared_matrix_with_many_right_hand_sides() -> None:
    Q, q, _ = with_known_optimum(np.random.default_rng(42), K)
    many = np.stack([q, 2 * q, -q])
    answers = jax.vmap(solver.solve_nnls_forward, in_axes=(None, 0))(Q, many)
    for lane in range(3):
        np.testing.assert_allclose(answers[lane], solver.solve_nnls_forward(Q, many[lane]), atol=1e-13)
