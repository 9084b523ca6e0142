"""The stand-in's datasets: simulated where missing, and held against recorded statistics.

`python -m matrix.prepare.embedded.datasets --workspace DIR`, in an environment with the autolens stack.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from matrix.catalogue.pipelines import PIPELINES
from matrix.ground.errors import EnvironmentFailure, MatrixError
from matrix.ground.files import write_json
from matrix.ground.process import run

EXPECTED = Path(__file__).with_name("expected_datasets.json")
# Relative to the largest absolute value of the array: another machine's rounding passes, one redrawn noise
# value of the 141 x 141 image does not.
TOLERANCE = 1e-9
_SIMULATION_TIMEOUT = 600.0


class SimulatorDrift(EnvironmentFailure):
    """The simulator no longer makes the data that the stand-in's constants were recorded with."""


@dataclass(frozen=True)
class Statistics:
    """What is recorded of one FITS array; `sha256` is of the file, the rest of its values."""

    sha256: str
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float


def ensure_datasets(workspace: Path) -> None:
    """Simulate the datasets that `workspace` lacks, then check all of them.

    Parameters
    ----------
    workspace
        Root of the stand-in for the developer workspace.

    Raises
    ------
    EnvironmentFailure
        A simulation failed.
    SimulatorDrift
        The data are not those that the constants were recorded with.
    """
    simulate_missing(workspace)
    check_statistics(statistics_of(workspace), expected_statistics())


def simulate_missing(workspace: Path) -> None:
    """Simulate the datasets of which `workspace` lacks a file.

    Raises
    ------
    EnvironmentFailure
        A simulation failed.
    """
    for data, instrument in _datasets():
        if not all((workspace / file).is_file() for file in _files(data, instrument)):
            _simulate(workspace, data, instrument)


def statistics_of(workspace: Path) -> dict[str, Statistics]:
    """Statistics of every data file of `workspace`, by its path there."""
    files = [file for dataset in _datasets() for file in _files(*dataset)]
    return {file: _statistics(workspace / file) for file in files}


def expected_statistics() -> dict[str, Statistics]:
    """The recorded statistics, by path in the workspace."""
    recorded = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return {
        file: Statistics(**{**entry, "shape": tuple(entry["shape"])})
        for file, entry in recorded["files"].items()
    }


def check_statistics(found: Mapping[str, Statistics], expected: Mapping[str, Statistics]) -> None:
    """Refuse data that differ from the recorded ones by more than rounding.

    Raises
    ------
    SimulatorDrift
        Names every file that differs, and in what.
    """
    differences = [
        f"  {file}: {difference}"
        for file, recorded in expected.items()
        for difference in _differences(found[file], recorded)
    ]
    if differences:
        raise SimulatorDrift(
            "the simulated datasets are not those that the embedded constants were recorded with:\n"
            + "\n".join(differences)
            + "\nThis release of autolens or of NumPy simulates differently. Use the pinned release, or "
            "record statistics and constants anew "
            "(python -m matrix.prepare.embedded.record_constants --help)."
        )


def record_statistics(workspace: Path) -> None:
    """Make the data of `workspace` the recorded ones."""
    files = {file: asdict(statistics) for file, statistics in statistics_of(workspace).items()}
    write_json(EXPECTED, {"files": files})


def _datasets() -> list[tuple[str, str]]:
    return sorted({(pipeline.data, pipeline.instrument) for pipeline in PIPELINES.values()})


def _files(data: str, instrument: str) -> list[str]:
    names = {
        str(pipeline.dataset / name)
        for pipeline in PIPELINES.values()
        if (pipeline.data, pipeline.instrument) == (data, instrument)
        for name in pipeline.data_files
    }
    return sorted(names)


def _simulate(workspace: Path, data: str, instrument: str) -> None:
    script = workspace / "jax_profiling" / "dataset_setup" / f"{data}.py"
    print(f"simulating {data}/{instrument}", flush=True)
    # A person's PYAUTO_* settings would shrink the data; the workspace has no version to check.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYAUTO_")}
    environment["PYAUTO_SKIP_WORKSPACE_VERSION_CHECK"] = "1"
    # The workspace is about to be committed as it is then.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    run(
        [sys.executable, script, "--instrument", instrument],
        cwd=workspace,
        env=environment,
        timeout=_SIMULATION_TIMEOUT,
    )


def _statistics(path: Path) -> Statistics:
    # Only the environments of the autolens stack have it.
    from astropy.io import fits

    values = np.asarray(fits.getdata(path), dtype=np.float64)
    return Statistics(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        shape=tuple(values.shape),
        mean=float(values.mean()),
        std=float(values.std()),
        largest=float(np.abs(values).max()),
    )


def _differences(found: Statistics, recorded: Statistics) -> list[str]:
    if found.sha256 == recorded.sha256:
        return []
    if found.shape != recorded.shape:
        return [f"shape {found.shape}, recorded {recorded.shape}"]
    allowed = TOLERANCE * recorded.largest
    return [
        f"{name} {value!r}, recorded {reference!r}"
        for name, value, reference in (
            ("mean", found.mean, recorded.mean),
            ("standard deviation", found.std, recorded.std),
            ("largest value", found.largest, recorded.largest),
        )
        if not abs(value - reference) <= allowed
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and check, as the arguments say; 0 when the datasets are those recorded."""
    parser = argparse.ArgumentParser(prog="python -m matrix.prepare.embedded.datasets", description=__doc__)
    parser.add_argument("--workspace", required=True, type=Path, help="root of the developer workspace")
    workspace = parser.parse_args(arguments).workspace.resolve()
    try:
        ensure_datasets(workspace)
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("the embedded datasets are those that the constants were recorded with")
    return 0


if __name__ == "__main__":
    sys.exit(main())
