"""The order of the tests, and JAX as they need it before anything is traced: one process runs many files."""

import contextlib
import os
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the work, and a third of that goes into fast code. With XLA_FLAGS="" it is compiled as
# production does.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false")
# Each worker has a core, so threads of several workers would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

with contextlib.suppress(ImportError):
    import jax

    jax.config.update("jax_enable_x64", True)


@pytest.fixture
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of shares of this test's own: it waits for no run of this machine."""
    # Late, since the solver's tests run without the driver's packages.
    from matrix.execute import reservations

    folder = tmp_path / "machine"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(reservations, "machine_folder", lambda: folder)


# The longest first, so that two workers end together.
FIRST = ("test_end_to_end.py", "test_slurm.py")


# Beside JAX, which runs threads, processes are started by exec at once: nothing waits for a lost lock.
FORK = "ignore:os.fork\\(\\) was called:RuntimeWarning"


def pytest_configure(config: pytest.Config) -> None:
    """Make a warning an error: here, since the matrix's own pytest reads `pyproject.toml` too."""
    for line in ("error", FORK):
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take minutes in front; the rest keeps its order."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
