"""Compile a pipeline's batched likelihood and its solver in one side's environment; count operations."""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matrix.cell import prepare_library
from matrix.diagnose.hlo.operations import instructions_from, kinds, operations
from matrix.files import write_json, write_text

LANES = 3
# In the names of the files and functions that relax the optimality conditions, in jaxnnls as in ours.
RELAXED = "relax"


def main() -> int:
    """Write the counts of one side as JSON, and the programs as text beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pipeline", "side", "scale"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args()
    prepare_library()
    programs, size = compiled_programs(options.pipeline, options.side, options.scale, options.workspace)
    facts = {
        name: _facts(program, options.output.with_suffix(f".{name}.txt"))
        for name, program in programs.items()
    }
    versions = {name: importlib.import_module(name).__version__ for name in ("jax", "autolens")}
    write_json(options.output, {"side": options.side, "size": size, "programs": facts, "versions": versions})
    print(json.dumps({name: fact["kinds"] for name, fact in facts.items()}))
    return 0


def compiled_programs(pipeline: str, side: Any, scale: Any, workspace: Path) -> tuple[dict[str, Any], int]:
    """Compile the four programs, each over three lanes.

    Returns
    -------
    tuple
        By name: the whole likelihood; the solver as the call site calls it; the same without any gradient
        machinery; its gradient. And K, the size of the system the likelihood solves.
    """
    import jax
    import jax.numpy as jnp
    from autoarray.inversion.inversion import inversion_util

    from matrix.pipelines.audit import solver_module, tapped
    from matrix.pipelines.catalogue import pipeline_named
    from matrix.pipelines.likelihood import likelihood_from

    solver = solver_module(side)
    likelihood = likelihood_from(pipeline_named(pipeline), scale, workspace, mixed=False)
    medians = likelihood.medians()
    function, seen = tapped(likelihood.traced, solver, inversion_util)
    _, Q, q, _ = jax.eval_shape(function, likelihood.parameters(medians))
    options = dict(seen[0].options)
    forward = {name: value for name, value in options.items() if name != "target_kappa"}

    def called(Q: Any, q: Any) -> Any:
        return getattr(solver, seen[0].entry_point)(Q, q, **options)

    def solution_alone(Q: Any, q: Any) -> Any:
        return solver.solve_nnls(Q, q, **forward)[0]

    def gradient(Q: Any, q: Any) -> Any:
        return jax.grad(lambda Q, q: jnp.sum(called(Q, q)), argnums=(0, 1))(Q, q)

    system = [jax.ShapeDtypeStruct((LANES, *shaped.shape), shaped.dtype) for shaped in (Q, q)]
    programs = {"likelihood": _compile(likelihood.traced, likelihood.batch([medians] * LANES))}
    for name, one in (("solver", called), ("forward-only", solution_alone), ("gradient", gradient)):
        programs[name] = _compile(one, *system)
    return programs, int(q.shape[0])


def _compile(function: Callable[..., Any], *arguments: Any) -> Any:
    import jax

    return jax.jit(jax.vmap(function)).lower(*arguments).compile()


def _facts(program: Any, path: Path) -> dict[str, Any]:
    text = program.as_text()
    write_text(path, text)
    counted = operations(text)
    memory = program.memory_analysis()
    return {
        "kinds": kinds(counted),
        "operations": dict(sorted(counted.items())),
        "from relaxed code": instructions_from(text, RELAXED),
        "temporary MiB": memory.temp_size_in_bytes / 2**20 if memory else None,
        "code MiB": memory.generated_code_size_in_bytes / 2**20 if memory else None,
        "text": path.name,
    }


if __name__ == "__main__":
    sys.exit(main())
