"""A complete run of all six pipelines with made-up numbers, as records on disk."""

import dataclasses
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import PIPELINES
from matrix.records.cell import Record, write_record
from matrix.run.plan import Plan
from tests.factory import make_plan, make_record

FACTS = {
    "pixel_scale_arcsec": 0.05,
    "mask_radius_arcsec": 3.5,
    "image_pixels_masked": 15361,
    "over_sampled_pixels": 17980,
    "real_space_shape": [256, 256],
    "visibilities": 190,
    "linear_gaussians": 40,
    "mesh_shape": [35, 35],
    "source_pixels": 1225,
    "overlay_shape": [39, 39],
    "edge_n_points": 30,
    "n_mesh_vertices": 1231,
    "edge_pixels_total": 30,
    "regularization_coefficient": 1.0,
}


def complete_record(pipeline: str, side: str = "candidate", **changes: Any) -> Record:
    """A record that says everything a result file lists."""
    record = make_record(pipeline, side, configuration=FACTS, **changes)
    packages = {**record.provenance.packages, "autolens": "2026.7.9.1"}
    return dataclasses.replace(record, provenance=dataclasses.replace(record.provenance, packages=packages))


def run_on_disk(folder: Path, **changes: Any) -> Plan:
    """Write a complete green run into `folder` and return its plan."""
    pipelines = changes.pop("pipelines", tuple(PIPELINES))
    plan = make_plan(folder, pipelines, run=folder.name, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    plan.write()
    for cell in plan.cells:
        write_record(plan.record_path(cell), complete_record(cell.pipeline, cell.side))
    return plan
