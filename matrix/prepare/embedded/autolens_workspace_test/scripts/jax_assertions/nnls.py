"""The library's positive-only solve under JAX: right where it can be checked, else with finite gradients."""

import autoarray as aa
import jax
import jax.numpy as jnp
import jaxnnls
import numpy as np

RTOL = 1e-6
ATOL = 1e-8


def system(seed, eigenvalues):
    """A symmetric positive definite Q with the given spectrum, and a q, both drawn from `seed`."""
    generator = np.random.default_rng(seed)
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(generator.standard_normal((size, size)))
    Q = (basis * eigenvalues) @ basis.T
    return jnp.asarray((Q + Q.T) / 2), jnp.asarray(generator.standard_normal(size))


def reconstruction(Q, q):
    """The call that a positive-only inversion makes."""
    return aa.util.inversion.reconstruction_positive_only_from(data_vector=q, curvature_reg_matrix=Q, xp=jnp)


# Condition number 1e7: without the scaling by the diagonal the backward pass is not finite on such a matrix.
Q, q = system(seed=0, eigenvalues=np.logspace(-4, 3, 10))
total, gradient = jax.value_and_grad(lambda vector: jnp.sum(reconstruction(Q, vector)))(q)
assert np.isfinite(total), f"ill-conditioned: the sum of the solution is {total}"
assert np.all(np.isfinite(gradient)), f"ill-conditioned: the gradient is {gradient}"

# Condition number 10: the scaling is a change of variables and must not move the solution.
Q, q = system(seed=1, eigenvalues=np.linspace(0.5, 5.0, 8))
solution = reconstruction(Q, q)
reference = jaxnnls.solve_nnls_primal(Q, q)
np.testing.assert_allclose(
    solution, reference, rtol=RTOL, atol=ATOL, err_msg="well-conditioned: solutions differ"
)

print("nnls: all assertions passed")
