"""What works where jaxnnls cannot be imported, and what the rest says there."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("jax")

SYSTEM = """
import sys
sys.modules["jaxnnls"] = None
import autoarray as aa, jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
from autoarray.inversion.inversion.inversion_util import reconstruction_positive_only_from
Q, q = jnp.eye(3), jnp.array([1.0, 2.0, -3.0])

def solve(q, Q=Q, **options):
    return reconstruction_positive_only_from(
        data_vector=q, curvature_reg_matrix=Q, settings=aa.Settings(**options),
        solver=aa.Settings(**options).positive_only_solver, xp=jnp)
"""


def run(code: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", SYSTEM + code], check=True, env=environment)


def test__default__runs_compiles_and_differentiates() -> None:
    run(
        """
expected = [1.0, 2.0, 0.0]
assert np.allclose(solve(q), expected, atol=1e-8)
assert np.allclose(jax.jit(solve)(q, Q), expected, atol=1e-8)
gradient = jax.jit(jax.grad(lambda q, Q: jnp.sum(solve(q, Q))))(q, Q)
assert np.allclose(gradient, [1.0, 1.0, 0.0], atol=1e-8)
assert sys.modules["jaxnnls"] is None
"""
    )


def test__numpy__runs() -> None:
    run(
        """
x = reconstruction_positive_only_from(data_vector=np.asarray(q), curvature_reg_matrix=np.asarray(Q))
assert np.allclose(x, [1.0, 2.0, 0.0])
"""
    )


@pytest.mark.parametrize(
    "options",
    [
        "positive_only_solver='pdip'",
        "positive_only_solver='certified', certified_fallback='pdip'",
    ],
)
def test__interior_point_solver__says_what_to_install(options: str) -> None:
    run(
        f"""
try:
    solve(q, {options})
except ModuleNotFoundError as error:
    assert "pip install jaxnnls" in str(error), error
    assert "nnls" in str(error).replace("jaxnnls", ""), error
else:
    raise AssertionError("it did not ask for jaxnnls")
"""
    )


def test__certified_without_fallback__runs() -> None:
    run(
        """
x = solve(q, positive_only_solver="certified", certified_fallback="none")
assert np.allclose(x, [1.0, 2.0, 0.0])
"""
    )
