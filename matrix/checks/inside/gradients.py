"""Gradients through the solver and through the library's call site, on the ill-conditioned 10 × 10 system."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from matrix.records.check import Item


def ill_conditioned_system() -> tuple[np.ndarray, np.ndarray]:
    """The test workspace's ill-conditioned case: Q (10, 10) of condition 1e7, q (10,), seven zeros.

    Eigenvalues 1e-4 to 1e3, logarithmically spaced; the basis, by QR, and then q from NumPy's generator 0.
    """
    generator = np.random.default_rng(0)
    basis, _ = np.linalg.qr(generator.standard_normal((10, 10)))
    Q = basis @ np.diag(np.logspace(-4.0, 3.0, 10)) @ basis.T
    return 0.5 * (Q + Q.T), generator.standard_normal(10)


def measure(nnls: ModuleType | None, reconstruction: Callable[..., Any]) -> tuple[Item, ...]:
    """Differentiate the sum of the solution, compiled, alone and in a batch.

    Parameters
    ----------
    nnls
        The vendored solver's module; None where the library has none.
    reconstruction
        The library's `reconstruction_positive_only_from`.
    """
    ways: dict[str, Callable[[Any, Any], Any]] = {
        **({} if nnls is None else {"solve_nnls_primal": nnls.solve_nnls_primal}),
        "reconstruction_positive_only_from": lambda Q, q: reconstruction(
            data_vector=q, curvature_reg_matrix=Q, xp=jnp
        ),
    }
    Q, q = map(jnp.asarray, ill_conditioned_system())
    exact = float(
        np.sum(reconstruction(data_vector=np.asarray(q), curvature_reg_matrix=np.asarray(Q), xp=np))
    )
    return tuple(_item(name, solve, Q, q, exact) for name, solve in ways.items())


def _item(name: str, solve: Callable[[Any, Any], Any], Q: Any, q: Any, exact: float) -> Item:
    derivative = jax.value_and_grad(lambda Q, q: jnp.sum(solve(Q, q)), argnums=(0, 1))
    value, gradients = jax.jit(derivative)(Q, q)
    batch = (jnp.stack([Q, Q]), jnp.stack([q, 2.0 * q]))
    lane_values, lane_gradients = jax.jit(jax.vmap(derivative))(*batch)
    arrays = [np.asarray(array) for array in (*gradients, *lane_gradients)]
    return Item(
        name,
        "measured",
        "",
        {
            "condition": float(np.linalg.cond(np.asarray(Q))),
            "value": float(value),
            "exact_value": exact,
            "not_finite": float(sum(np.count_nonzero(~np.isfinite(array)) for array in arrays)),
            "largest_q_gradient": float(np.max(np.abs(arrays[1]))),
            "largest_Q_gradient": float(np.max(np.abs(arrays[0]))),
            "lane_value": float(lane_values[0]),
        },
    )
