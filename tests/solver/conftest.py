"""Switches JAX to float64 before anything is traced; the float32 tests say so themselves."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

collect_ignore_glob: list[str] = []

try:
    import jax
except ImportError:
    collect_ignore_glob = ["test_*.py"]
else:
    jax.config.update("jax_enable_x64", True)
