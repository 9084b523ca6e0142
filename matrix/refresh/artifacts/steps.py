"""The step timings of the workspace's result files, filled in from a probe's record."""

from collections.abc import Mapping
from typing import Any

from matrix.catalogue.pipelines import Data, Delaunay, Gaussians, Rectangular, SourceModel, pipeline_named
from matrix.diagnose.probe import steps as step
from matrix.diagnose.probe.record import ProbeRecord

_LATER = ("full_pipeline_per_call", "full_pipeline_single_jit")

_Labels = tuple[tuple[str, tuple[str, ...]], ...]

_INVERSION: _Labels = (
    ("Data vector (D)", (step.DATA_VECTOR,)),
    ("Curvature matrix (F)", (step.CURVATURE,)),
    ("Regularization matrix (H)", (step.REGULARIZATION,)),
    ("Regularized reconstruction", (step.NNLS,)),
    ("Mapped recon + log evidence", (step.DETERMINANTS, step.EVIDENCE)),
)
_MGE: _Labels = (
    ("Ray-trace grids", (step.RAY_TRACING,)),
    ("Mapping matrix", (step.LIGHT,)),
    ("Blurred mapping matrix", (step.OPERATOR,)),
    ("Data vector (D)", (step.DATA_VECTOR,)),
    ("Curvature matrix (F)", (step.CURVATURE,)),
    ("Reconstruction (NNLS)", (step.NNLS,)),
    ("Chi-squared & log likelihood", (step.EVIDENCE, step.DETERMINANTS)),
)
_SETUP: Mapping[tuple[Data, type[SourceModel]], str] = {
    ("imaging", Rectangular): "Inversion setup (steps 4-8 combined)",
    ("imaging", Delaunay): "Inversion setup (steps 5-8 combined)",
    ("interferometer", Rectangular): "Inversion setup (steps 4-8 combined)",
    ("interferometer", Delaunay): "Inversion setup (steps 5-8 combined, incl. NUFFT)",
}


def steps_from(record: ProbeRecord) -> dict[str, float]:
    """Seconds per call of the single program by the workspace's step labels.

    As the whole program runs them. The workspace's scripts time each step alone, and some of their steps (the
    blurred image of a lens whose light is linear, the overlay grid) are no work of the compiled likelihood:
    these labels are left out. Both ray-tracings of a Delaunay mesh are one step here.
    """
    seconds = {each.step: each.in_program_s for each in record.single.steps}
    pipeline = pipeline_named(record.cell.pipeline)
    labels: _Labels = _MGE
    if pipeline.source_type is not Gaussians:
        setup = (_SETUP[pipeline.data, pipeline.source_type], (step.MESH, step.MAPPING, step.OPERATOR))
        light = ("Lens light images (pre-PSF)", (step.LIGHT,))
        labels = (("Ray-trace grids", (step.RAY_TRACING,)), light, setup, *_INVERSION)
    found = {label: [seconds[name] for name in names if name in seconds] for label, names in labels}
    return {label: sum(times) for label, times in found.items() if times}


def with_steps(document: Mapping[str, Any], steps: Mapping[str, float]) -> dict[str, Any]:
    """A result file's content with `steps` and their total, where the workspace's own files have them.

    Without steps the content is as it was: a total of nothing would be an invented number.
    """
    if not steps:
        return dict(document)
    filled: dict[str, Any] = {}
    for key, value in document.items():
        if key in _LATER:
            filled["steps"] = dict(steps)
            filled["total_step_by_step"] = sum(steps.values())
        filled[key] = value
    return filled
