"""A probe's steps get the workspace's labels and places."""

import pytest

from matrix.diagnose.probe.record import ProbeRecord, ProgramProbe, StepTime
from matrix.records.cell import Cell
from matrix.refresh.artifacts.plots import Heading, draw_config
from matrix.refresh.artifacts.results import config_document
from matrix.refresh.artifacts.steps import steps_from, with_steps
from tests.refresh.artifacts.made_up import complete_record

SECONDS = {"ray_tracing": 1.0, "light": 2.0, "mesh": 4.0, "mapping": 8.0, "operator": 16.0, "nnls": 32.0}


def probed(pipeline: str) -> ProbeRecord:
    steps = tuple(StepTime(step, seconds, None, None) for step, seconds in SECONDS.items())
    program = ProgramProbe(1, 1.0, (63.0,), 63.0, 0.0, 0.0, steps, (), (), None)
    record = complete_record(pipeline)
    cell = Cell(pipeline, "fp64", "candidate", "production")
    return ProbeRecord(cell, program, program, (), (), {}, record.precision, record.provenance)


def test_steps_the_workspace_takes_together_are_added_up() -> None:
    steps = steps_from(probed("imaging-delaunay"))
    assert steps == {
        "Ray-trace grids": 1.0,
        "Lens light images (pre-PSF)": 2.0,
        "Inversion setup (steps 5-8 combined)": 28.0,
        "Regularized reconstruction": 32.0,
    }


@pytest.mark.parametrize(
    ("pipeline", "after"),
    [
        ("imaging-pixelization", "full_pipeline_per_call"),
        ("interferometer-delaunay", "full_pipeline_single_jit"),
    ],
)
def test_steps_stand_before_the_full_pipeline_as_in_the_workspace(pipeline: str, after: str) -> None:
    record = complete_record(pipeline)
    document = with_steps(config_document(record, "local_cpu_fp64"), steps_from(probed(pipeline)))
    keys = list(document)
    place = keys.index("steps")
    assert keys[place : place + 3] == ["steps", "total_step_by_step", after]
    assert document["total_step_by_step"] == sum(SECONDS.values())
    plain = draw_config(Heading("t", "f"), config_document(record, "local_cpu_fp64"))
    assert draw_config(Heading("t", "f"), document) != plain
