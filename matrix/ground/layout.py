"""Where what we make lies: one folder, `.matrix/`. Outside it is only the ledger of running cells' shares."""

import os
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import EnvironmentFailure


@dataclass(frozen=True)
class Layout:
    """The folders under `.matrix/`.

    Parameters
    ----------
    root
        The `.matrix` folder itself; removing it removes all but the ledger of running cells' shares.
    """

    root: Path

    @property
    def environments(self) -> Path:
        """Virtual environments, one folder per content."""
        return self.root / "environments"

    @property
    def runs(self) -> Path:
        """One folder per run: plan, records, logs, report."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """Downloads and compiled numba functions that any run may use again."""
        return self.root / "cache"

    @property
    def locks(self) -> Path:
        """Lock files; an abandoned one is harmless, the operating system lets go of it."""
        return self.root / "locks"


REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
SOLVER = REPOSITORY_ROOT / "solver"
MANIFEST = REPOSITORY_ROOT / "repos.yaml"


def open_layout(root: Path) -> Layout:
    """Make `root` and see that we may write there.

    Raises
    ------
    EnvironmentFailure
        The folder cannot be made or written.
    """
    try:
        layout = Layout(root.resolve())
    except (OSError, RuntimeError) as error:
        raise EnvironmentFailure(
            f"cannot work in {root}: {error}. Choose another folder with --root."
        ) from error
    try:
        for folder in (layout.environments, layout.runs, layout.cache, layout.locks):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot write to {layout.root}: {error.strerror}. "
            "Choose another folder with --root PATH or the variable MATRIX_ROOT."
        ) from error
    if not os.access(layout.runs, os.W_OK):
        raise EnvironmentFailure(
            f"{layout.runs} is read-only. Choose another folder with --root PATH or MATRIX_ROOT."
        )
    return layout
