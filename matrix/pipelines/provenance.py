"""Where a cell's numbers come from: machine, packages, data and environment."""

import hashlib
import importlib
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import autoarray
import jax

from matrix.catalogue.pipelines import Pipeline
from matrix.ground.installed import versions
from matrix.ground.machine import accelerators, cpu_model, numerical_variables, usable_cores
from matrix.records.cell import Provenance


def provenance_from(
    driver: Mapping[str, Any],
    *,
    pipeline: Pipeline,
    workspace: Path,
    seed: int,
    lanes_unit: Sequence[Sequence[float]],
    started: str,
    finished: str,
) -> Provenance:
    """Gather the provenance of this process, to which the driver's own notes are added as they are."""
    device = jax.devices()[0]
    return Provenance(
        driver=dict(driver),
        seed=seed,
        lanes_unit=tuple(tuple(lane) for lane in lanes_unit),
        datasets=_checksums(pipeline, workspace),
        packages=versions(),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        affinity=usable_cores(),
        device_platform=device.platform,
        device_kind=device.device_kind,
        variables=numerical_variables(),
        jaxnnls_importable=_importable("jaxnnls"),
        autoarray_path=str(Path(autoarray.__file__).parent),
        started=started,
        finished=finished,
        accelerators=accelerators(),
    )


def _checksums(pipeline: Pipeline, workspace: Path) -> dict[str, str]:
    files = [pipeline.dataset / name for name in pipeline.data_files]
    return {str(file): hashlib.sha256((workspace / file).read_bytes()).hexdigest() for file in files}


def _importable(name: str) -> bool:
    # Imported for real: the candidate's environment may hold a module that refuses to be imported.
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
