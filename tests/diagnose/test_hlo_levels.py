"""Programs whose loops and launches are known are taken apart right."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from matrix.diagnose.hlo_audit.levels import levels

K = 8


def text_of(function: Callable[[jax.Array], jax.Array]) -> str:
    return str(jax.jit(function).lower(jax.ShapeDtypeStruct((K, K), jnp.float64)).compile().as_text())


def test_loops_are_told_apart_by_their_trips() -> None:
    def program(A: jax.Array) -> jax.Array:
        counted = lax.fori_loop(0, 7, lambda _, L: jnp.linalg.cholesky(L @ A), A)
        return lax.while_loop(lambda L: jnp.sum(L) < 5, lambda L: jnp.sin(L) + jnp.sort(L), counted)

    whole, *loops = levels(text_of(program))
    assert (whole.depth, whole.trips) == (0, 1)
    factorising = [loop for loop in loops if "lapack_dpotrf_ffi" in loop.launches]
    assert [(loop.depth, loop.trips) for loop in factorising] == [(1, 7)]
    assert factorising[0].launches["lapack_dpotrf_ffi"] == 1
    assert any(loop.trips is None and loop.depth == 1 for loop in loops)
    assert "lapack_dpotrf_ffi" not in whole.launches


def test_a_loop_in_a_loop_lies_deeper() -> None:
    def inner(_: int, L: jax.Array) -> jax.Array:
        return lax.fori_loop(0, 5, lambda _, M: jnp.linalg.cholesky(M @ A), L)

    A = jnp.eye(K)
    _, outer, innermost, *_ = levels(text_of(lambda L: lax.fori_loop(0, 3, inner, L)))
    assert [(loop.depth, loop.trips) for loop in (outer, innermost)] == [(1, 3), (2, 5)]


def test_branches_are_levels_of_their_own() -> None:
    def program(A: jax.Array) -> jax.Array:
        return lax.cond(A[0, 0] > 0, jnp.linalg.cholesky, lambda A: jnp.fft.fft(A).real, A)

    _, *branches = levels(text_of(program))
    holding = [[name for name in ("fft", "lapack_dpotrf_ffi") if name in b.launches] for b in branches]
    assert ["fft"] in holding
    assert ["lapack_dpotrf_ffi"] in holding


def test_results_are_counted_in_bytes_and_scatters_told() -> None:
    text = """HloModule made_up

%inside (a: f64[9], b: s32[3,1], c: f64[3]) -> f64[9] {
  ROOT %scatter.1 = f64[9]{0} scatter(%a, %b, %c), to_apply=%add
}

ENTRY %main (p: f64[9], q: s32[3,1], r: f64[3]) -> (f64[9], pred[5]) {
  %p = f64[9]{0} parameter(0)
  %fusion.1 = f64[9]{0} fusion(%p, %q, %r), kind=kInput, calls=%inside
  %call.2 = (c128[2]{0}, /*index=1*/s8[4]{0}) custom-call(%p), custom_call_target="vendor_fft"
  ROOT %done = (f64[9]{0}, pred[5]{0}) tuple(%fusion.1, %x)
}
"""
    (whole,) = levels(text)
    assert whole.launches == {"kernel with scatter": 1, "vendor_fft": 1}
    assert whole.result_bytes == 9 * 8 + 2 * 16 + 4


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ValueError, match="ENTRY"):
        levels("module @jit_f {}")
