"""What the compiled programs contain, and that defects would be seen."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from solver._gradient import GRADIENT_SCOPE

from .devices import for_every_device
from .problems import rounding, with_known_optimum

K = 20


def _compiled(function: Callable[..., Any]) -> str:
    problem = with_known_optimum(np.random.default_rng(40), K)
    return str(jax.jit(function).lower(jnp.asarray(problem.Q), jnp.asarray(problem.q)).compile().as_text())


def test_the_forward_form_carries_no_gradient_machinery() -> None:
    forward = _compiled(solver.solve_nnls_forward)
    gradient = _compiled(jax.grad(lambda Q, q: jnp.sum(solver.solve_nnls_primal(Q, q)), argnums=(0, 1)))
    assert GRADIENT_SCOPE in gradient
    assert GRADIENT_SCOPE not in forward
    assert gradient.count("potrf") > forward.count("potrf") > 0


def test_on_cpu_a_batch_is_a_loop_over_lanes() -> None:
    Q, q, _ = with_known_optimum(np.random.default_rng(41), K)
    batch = jax.jit(jax.vmap(solver.solve_nnls_forward))
    text = str(batch.lower(jnp.stack([Q] * 3), jnp.stack([q] * 3)).compile().as_text())
    assert f"f64[{K},{K}]" in text
    assert all(f"f64[3,{K},{K}]" not in line for line in text.splitlines() if "potrf" in line)


FORMS = (*solver.ALGORITHMS, "gradient")


@cache
def _lowered(form: str, platform: str, dtype: str = "float64") -> str:
    """The program of three lanes as it goes to the platform's compiler; making it needs no GPU."""

    def answer(Q: jax.Array, q: jax.Array) -> object:
        return solver.solve_nnls_certified(Q, q, algorithm=form, dense_columns=range(60))

    def gradient(Q: jax.Array, q: jax.Array) -> object:
        return jax.grad(lambda Q, q: jnp.sum(solver.solve_nnls_primal(Q, q, 1e-11)), argnums=(0, 1))(Q, q)

    Q, q = jax.ShapeDtypeStruct((3, 400, 400), dtype), jax.ShapeDtypeStruct((3, 400), dtype)
    program = jax.jit(jax.vmap(gradient if form == "gradient" else answer))
    with for_every_device():
        return program.trace(Q, q).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "auto"])
def test_on_cpu_no_lapack_call_has_a_batch(form: str) -> None:
    """Several of these at once can wait for each other without end (docs/cpu-hang.md)."""
    calls = [line for line in _lowered(form, "cpu").splitlines() if "custom_call @lapack" in line]
    assert calls
    assert not any(re.search(r"tensor<\d+x\d+x\d+xf", line) for line in calls)


@pytest.mark.parametrize(("platform", "library"), [("cuda", "cusolver"), ("rocm", "hipsolver")])
@pytest.mark.parametrize("form", FORMS)
def test_on_a_gpu_lanes_are_factorised_together(form: str, platform: str, library: str) -> None:
    text = _lowered(form, platform)
    assert "lapack" not in text
    calls = [line for line in text.splitlines() if re.search(r"custom_call @\w*potrf", line)]
    assert calls
    assert all(f"@{library}_potrf_ffi" in line and "(tensor<3x" in line for line in calls)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", FORMS)
def test_on_a_gpu_products_keep_their_precision(form: str, dtype: str) -> None:
    """From the A100 on float32 products are rounded to ten bits unless the program asks for more."""
    products = [
        line for line in _lowered(form, "cuda", dtype).splitlines() if "stablehlo.dot_general" in line
    ]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def test_shared_matrix_with_many_right_hand_sides() -> None:
    Q, q, _ = with_known_optimum(np.random.default_rng(42), K)
    many = np.stack([q, 2 * q, -q])
    answers = jax.vmap(solver.solve_nnls_forward, in_axes=(None, 0))(Q, many)
    for lane in range(3):
        alone = np.asarray(solver.solve_nnls_forward(Q, many[lane]))
        np.testing.assert_allclose(answers[lane], alone, rtol=0, atol=rounding(K, 100) * alone.max())
