"""The float32 probe: products are really rounded while it says so, and its table tells lanes apart."""

import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from matrix.diagnose.probe_float32.cell import products  # noqa: E402
from matrix.diagnose.probe_float32.record import Float32Record  # noqa: E402
from matrix.diagnose.probe_float32.session import float32_table  # noqa: E402
from tests.factory import make_record  # noqa: E402

FINE = 1 + 2.0**-12


@pytest.mark.parametrize(("dtype", "expected"), [(jnp.float32, 1.0), (jnp.float64, FINE)])
def test_only_float32_operands_of_products_lose_bits(dtype: type, expected: float) -> None:
    fine, one = jnp.asarray([FINE], dtype), jnp.ones(1, dtype)

    def product(x: jax.Array) -> jax.Array:
        return jnp.dot(x, one)

    with products(rounded=True):
        assert jax.jit(product)(fine) == dtype(expected)
        with products(rounded=False):
            assert jax.jit(product)(fine) == dtype(FINE)
        assert jax.jit(product)(fine) == dtype(expected)
        assert jax.jit(lambda x: x * one)(fine)[0] == dtype(FINE)
    assert jax.jit(product)(fine) == dtype(FINE)


def test_table_says_what_each_lane_lost() -> None:
    made = make_record()
    solve = made.nnls[0]
    record = Float32Record(
        cell=made.cell,
        arithmetic="float32",
        tolerance=1e-2,
        alone=(10.5, None),
        batched=(10.25, 20.0),
        equal=(10.25, 10.25),
        solves_alone=(solve, solve),
        solves_batched=(solve, solve),
        single_s=(0.5,),
        batch_s=(3.0,),
        precision=made.precision,
        provenance=made.provenance,
    )
    exact = Float32Record(**{**vars(record), "arithmetic": "float64", "alone": (10.0, 20.0)})
    text = float32_table([exact, record])
    assert "Δ log evidence +0.5, not finite" in text
    assert "Δ log evidence +0.25, +0" in text
    assert "500.0 ms alone, 1500.0 ms per lane of 2, ratio 3.00" in text
