"""Probe one pipeline on one side, in the side's environment."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of

TRACED_CALLS = 2
KERNELS = 40
_ANNOTATION = "nnls-matrix probe call"


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Time a likelihood's steps inside the whole program and alone, single and batched; write the record."""
    import jax

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.probe.record import ProbeRecord
    from matrix.diagnose.probe.steps import step_scopes
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.batches import lanes_from
    from matrix.pipelines.likelihood import likelihood_from

    started = now()
    cell = request.cell
    lanes = int(request.details.get("lanes", 3))
    stage("load the data and build the model")
    pipeline = pipeline_named(cell.pipeline)
    likelihood = likelihood_from(pipeline, cell.scale, request.workspace, mixed=cell.precision == "mp")
    units = lanes_from(request.seed, likelihood.model.prior_count, lanes)
    vectors = [likelihood.medians(), *(likelihood.vector_from_unit(unit) for unit in units[1:])]
    with step_scopes() as absent:
        probes = []
        for name, function, parameters, size in (
            ("single", likelihood.traced, likelihood.parameters(vectors[0]), 1),
            ("batch", jax.vmap(likelihood.traced), likelihood.batch(vectors), lanes),
        ):

            def say(what: str, name: str = name) -> None:
                stage(f"{name}: {what}")

            probes.append(_probe_program(function, parameters, size, request.folder / name, request, say))
            # A batch may take long to compile: what is known stays if it is broken off.
            write_diagnosis(request.folder / name / "program.json", probes[-1])
    single, batch = probes
    write_diagnosis(
        request.folder / "record.json",
        ProbeRecord(
            cell=cell,
            single=single,
            batch=batch,
            absent=tuple(absent),
            traces=("single", "batch"),
            configuration=dict(likelihood.configuration),
            precision=precision_facts(cell),
            provenance=provenance_of(request, units, started, now()),
        ),
    )


def _probe_program(
    function: Callable[[Any], Any],
    parameters: Any,
    lanes: int,
    folder: Path,
    request: Request,
    stage: Callable[[str], None],
) -> Any:
    from matrix.diagnose.probe.callbacks import callback_meter
    from matrix.diagnose.probe.record import Kernel, ProgramProbe, StepTime
    from matrix.diagnose.probe.steps import TITLES, step_of
    from matrix.diagnose.probe.trace import instructions_of
    from matrix.pipelines.programs import compiled, timed

    repeats = int(request.details.get("repeats", 3))
    stage("compile")
    with callback_meter() as meter:
        program = compiled(lambda values: function(values), parameters)
        stage("time")
        _, timing = timed(program, parameters, repeats)
    stage("trace")
    meter.reset()
    hlo = program.executable.as_text()
    windows = _traced(program, parameters, folder, instructions := instructions_of(hlo))
    # Whatever else the machine does only adds.
    quickest = min(windows, key=lambda window: window.wall_s)
    seconds = quickest.instructions_s
    callbacks = meter.per_call(TRACED_CALLS)
    (folder / "program.hlo.txt").write_text(hlo, encoding="utf-8")
    steps = {name: step_of(instructions[name].op_name) for name in seconds}
    in_program = {
        step: sum(spent for name, spent in seconds.items() if steps[name] == step) for step in TITLES
    }
    memory = program.memory()
    del program
    alone = _alone(function, parameters, repeats, stage)
    return ProgramProbe(
        lanes=lanes,
        compile_s=timing.compile_s,
        steady_s=timing.steady_s,
        traced_s=quickest.wall_s,
        outside_steps_s=sum(spent for name, spent in seconds.items() if steps[name] is None),
        idle_s=quickest.idle_s,
        steps=tuple(
            StepTime(step, in_program[step], *alone.get(step, (None, None)))
            for step in TITLES
            if in_program[step] or step in alone
        ),
        kernels=tuple(
            Kernel(
                instruction=name,
                opcode=instructions[name].opcode,
                step=steps[name],
                origin=instructions[name].op_name,
                calls=quickest.calls[name],
                seconds=seconds[name],
            )
            for name in sorted(seconds, key=lambda name: -seconds[name])[:KERNELS]
        ),
        callbacks=callbacks,
        memory=memory,
    )


def _traced(program: Any, parameters: Any, folder: Path, instructions: Any) -> Any:
    """Call the program under the profiler, Python's own frames left out of the trace."""
    import jax

    from matrix.diagnose.probe.trace import read_windows

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    # At the default level some releases of JAX leave the CPU's instructions out.
    options.host_tracer_level = 3
    with jax.profiler.trace(str(folder), profiler_options=options):
        for _ in range(TRACED_CALLS):
            with jax.profiler.TraceAnnotation(_ANNOTATION):
                program(parameters)
    return read_windows(folder, _ANNOTATION, instructions)


def _alone(
    function: Callable[[Any], Any], parameters: Any, repeats: int, stage: Callable[[str], None]
) -> dict[str, tuple[float, int | None]]:
    """Seconds of the quickest call, and temporary bytes, of each step as a program of its own."""
    from matrix.diagnose.probe.slices import compiled_slice, sliced
    from matrix.diagnose.probe.steps import TITLES

    stage("cut into steps")
    cut = sliced(function, parameters)
    values = cut.values()
    found: dict[str, tuple[float, int | None]] = {}
    for each in cut.slices:
        stage(f"alone: {TITLES[each.step]}")
        program, inputs = compiled_slice(each, values)
        program(inputs)
        times = []
        for _ in range(repeats):
            clock = time.perf_counter()
            program(inputs)
            times.append(time.perf_counter() - clock)
        memory = program.memory()
        found[each.step] = (min(times), memory.temporary_bytes if memory else None)
    return found
