"""Count a compiled likelihood's operations, on a side."""

from collections.abc import Callable, Iterator
from typing import Any

from matrix.diagnose.hlo_audit.operations import instructions_from, kinds, operations
from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of

LANES = 3
# In the names of what relaxes the optimality conditions: a file of jaxnnls, a scope and functions of ours.
RELAXED = "relax"


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Compile the programs, each over three lanes; write the record, and the programs as text beside it."""
    import jax
    from autoarray.inversion.inversion import inversion_util

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.hlo_audit.record import HloRecord
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.audit import need_vendored, tapped
    from matrix.pipelines.likelihood import likelihood_from

    started = now()
    cell = request.cell
    need_vendored(cell.side)
    stage("load the data and build the model")
    likelihood = likelihood_from(pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=False)
    medians = likelihood.medians()
    stage("trace")
    function, seen = tapped(likelihood.traced, inversion_util)
    audited = jax.eval_shape(function, likelihood.parameters(medians))
    shapes = (audited.Q, audited.q)
    system = [jax.ShapeDtypeStruct((LANES, *shaped.shape), shaped.dtype) for shaped in shapes]
    programs = {}
    stage("compile the likelihood")
    programs["likelihood"] = _counted(
        request, "likelihood", likelihood.traced, likelihood.batch([medians] * LANES)
    )
    for name, solve in _solves(seen[0]):
        stage(f"compile: {name}")
        programs[name] = _counted(request, name, solve, *system)
    record = HloRecord(
        cell=cell,
        size=int(audited.q.shape[0]),
        programs=programs,
        precision=precision_facts(cell),
        provenance=provenance_of(request, (), started, now()),
    )
    write_diagnosis(request.folder / "record.json", record)


def _solves(solve: Any) -> Iterator[tuple[str, Callable[[Any, Any], Any]]]:
    """The call site as the likelihood calls it; without any gradient machinery; its gradient."""
    import jax
    import jax.numpy as jnp

    yield "solver", solve.again
    yield "forward-only", lambda Q, q: solve.asked(Q, q)[0]
    yield "gradient", jax.grad(lambda Q, q: jnp.sum(solve.again(Q, q)), argnums=(0, 1))


def _counted(request: Request, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    import jax

    from matrix.diagnose.hlo_audit.record import AuditedProgram
    from matrix.ground.files import write_text

    program: Any = jax.jit(jax.vmap(function)).lower(*arguments).compile()
    text = program.as_text()
    write_text(request.folder / f"{name}.txt", text)
    counted = operations(text)
    memory = program.memory_analysis()
    return AuditedProgram(
        kinds=kinds(counted),
        operations=dict(sorted(counted.items())),
        from_relaxed_code=instructions_from(text, RELAXED),
        temporary_bytes=memory.temp_size_in_bytes if memory else None,
        code_bytes=memory.generated_code_size_in_bytes if memory else None,
        text=f"{name}.txt",
    )
