"""The library solves positive-only systems where jaxnnls cannot be imported."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("jax")


def test__library__does_not_import_jaxnnls() -> None:
    code = "\n".join(
        [
            "import sys",
            "sys.modules['jaxnnls'] = None",
            "import autoarray as aa, numpy as np, jax.numpy as jnp",
            "x = aa.util.inversion.reconstruction_positive_only_from(",
            "    data_vector=np.ones(3), curvature_reg_matrix=np.eye(3), xp=jnp)",
            "assert abs(np.asarray(x) - 1.0).max() < 1e-6, x",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
