"""A caller's shell: what of its variables may reach the programs that we start."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# How something is computed, imported, tested or submitted is ours to say, not the shell's.
_STEERING = (
    *("JAX_", "XLA_", "PYAUTO_", "NUMBA_", "MPL"),
    *("PYTHON", "VIRTUAL_ENV", "PYTEST_", "UV_", "PIP_"),
    *("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SCANCEL_"),
)
# Where packages come from, what proves who one is there, and where they are kept; and which cluster is meant.
_PLACES = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CACHE_DIR"),
    *("UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_KEYRING_PROVIDER"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CACHE_DIR"),
    *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_KEYRING_PROVIDER"),
    "SLURM_CONF",
)


def inherited() -> dict[str, str]:
    """The shell's variables without those that would steer what we start."""
    return {name: value for name, value in os.environ.items() if not _steers(name)}


@contextmanager
def without(*prefixes: str) -> Iterator[None]:
    """Hide what steers and begins so from libraries that look into our own environment."""
    names = [name for name in os.environ if name.startswith(prefixes) and _steers(name)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _steers(name: str) -> bool:
    return name.startswith(_STEERING) and not name.startswith(_PLACES)
