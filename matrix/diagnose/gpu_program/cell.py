"""Compile a likelihood for a GPU: `python -m matrix.diagnose.gpu_program.cell`, in a side's Python."""

import sys
import time
from collections.abc import Callable
from typing import Any

from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of, side_main


def compile_all(request: Request, stage: Callable[[str], None]) -> None:
    """Compile the single and the batched likelihood; write the record and the programs."""
    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.gpu_program.record import GpuProgramRecord
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.likelihood import likelihood_from

    started = now()
    cell, target = request.cell, str(request.details["target"])
    stage("load the data and build the model")
    likelihood = likelihood_from(
        pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=cell.precision == "mp"
    )
    programs = []
    for lanes in request.details["lanes"]:
        stage(f"compile for {lanes} lane(s)")
        programs.append(_compiled(request, target, likelihood, int(lanes)))
    record = GpuProgramRecord(
        cell=cell,
        target=target,
        programs=tuple(programs),
        precision=precision_facts(cell),
        provenance=provenance_of(request, (), started, now()),
    )
    write_diagnosis(request.folder / "record.json", record)


def _compiled(request: Request, target: str, likelihood: Any, lanes: int) -> Any:
    import jax

    from matrix.diagnose.gpu_program.compiler import compiled_for
    from matrix.diagnose.gpu_program.record import GpuProgram
    from matrix.diagnose.hlo_audit.levels import levels
    from matrix.ground.files import write_text

    medians = likelihood.medians()
    function, parameters = likelihood.traced, likelihood.parameters(medians)
    if lanes > 1:
        function, parameters = jax.vmap(function), likelihood.batch([medians] * lanes)
    begun = time.perf_counter()
    program = compiled_for(target, function, parameters)
    seconds = time.perf_counter() - begun
    text, name = program.as_text(), f"{lanes}.hlo.txt"
    write_text(request.folder / name, text)
    temporary = int(program.memory_analysis().temp_size_in_bytes)
    return GpuProgram(lanes, seconds, temporary, levels(text), name)


def main() -> int:
    """Compile; returns the exit code."""
    return side_main(__doc__, compile_all)


if __name__ == "__main__":
    sys.exit(main())
