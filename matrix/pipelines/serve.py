"""One side of a pair: `python -m matrix.pipelines.serve` compiles a pipeline's programs, runs them when told.

It is told by a line on standard input, a program's name and how many calls, and answers by a line on standard
output, the seconds of each. Between the two it waits for the next line and computes nothing.
"""

import argparse
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from matrix.ground.errors import MatrixError
from matrix.ground.machine import cpu_model, peak_rss_bytes, usable_cores
from matrix.pipelines.cell import add_likelihood, prepare_library
from matrix.records.pair import BATCH, CONTROL, SINGLE, SOLVE

# Unknowns of the system whose factorisation is timed as the control, as large as those of the pipelines.
CONTROL_SIZE = 1000

Call = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, say so, and serve until standard input ends."""
    options = _parser().parse_args(arguments)
    answers = _answers()
    try:
        prepare_library()
        calls, facts = programs(options)
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for call in calls.values():
        call()
    serve(calls, facts, sys.stdin, answers)
    return 0


def programs(options: argparse.Namespace) -> tuple[dict[str, Call], dict[str, Any]]:
    """Make everything that is timed, compiled and ready; and the facts of this process."""
    # Late, since they import the library, which reads its environment then.
    import jax
    from autoarray.inversion.inversion import inversion_util

    from matrix.catalogue.pipelines import LANES, pipeline_named
    from matrix.pipelines.audit import need_vendored, solver_facts, tapped
    from matrix.pipelines.batches import lanes_from
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.programs import Program, compiled

    need_vendored(options.side)
    mixed = options.precision == "mp"
    pipeline = pipeline_named(options.pipeline)
    likelihood = likelihood_from(pipeline, options.scale, options.workspace.resolve(), mixed=mixed)
    medians = likelihood.parameters(likelihood.medians())
    units = lanes_from(options.seed, likelihood.model.prior_count)
    batch = likelihood.batch([likelihood.vector_from_unit(unit) for unit in units])
    single = compiled(likelihood.traced, medians)
    batched = compiled(jax.vmap(likelihood.traced), batch)
    function, seen = tapped(likelihood.traced, inversion_util)
    # The first lane's system, out of the program that the cell has compiled too.
    audited = compiled(jax.vmap(function), batch)(batch)
    system = (audited.Q[0], audited.q[0])
    solve = compiled(lambda given: seen[0].again(*given), system)
    matrix = _control_matrix()
    control = compiled(jax.numpy.linalg.cholesky, matrix)
    timed: dict[str, tuple[Program, Any]] = {
        SINGLE: (single, medians),
        BATCH: (batched, batch),
        SOLVE: (solve, system),
        CONTROL: (control, matrix),
    }
    del audited
    analyses = {name: program.memory() for name, (program, _) in timed.items()}
    facts = {
        "found": [name for name, (program, _) in timed.items() if program.found],
        "temporary_bytes": {name: found.temporary_bytes for name, found in analyses.items() if found},
        "solver": solver_facts(seen[0]).said,
        "device": jax.devices()[0].device_kind,
        "cpu": cpu_model(),
        "lanes": LANES,
    }
    calls: dict[str, Call] = {name: functools.partial(program, on) for name, (program, on) in timed.items()}
    if options.slower > 1.0:
        calls |= {name: slower(calls[name], options.slower) for name in (SINGLE, BATCH)}
    return calls, facts


def slower(call: Call, factor: float) -> Call:
    """The same call, which computes on until the processor has done `factor` times as much."""

    def slowed() -> None:
        started = time.process_time()
        call()
        end = started + factor * (time.process_time() - started)
        while time.process_time() < end:
            pass

    return slowed


def serve(calls: Mapping[str, Call], facts: Mapping[str, Any], asked: IO[str], answers: IO[str]) -> None:
    """Answer each line of `asked` by a line of seconds; say the facts at first, and what was used at last."""
    _say(answers, facts)
    for line in asked:
        name, count = line.split()
        _say(answers, [_seconds(calls[name]) for _ in range(int(count))])
    _say(answers, {"peak_rss_bytes": peak_rss_bytes(), "cores": list(usable_cores())})


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _control_matrix() -> Any:
    import jax.numpy as jnp
    import numpy as np

    factor = np.random.default_rng(0).standard_normal((CONTROL_SIZE, CONTROL_SIZE))
    return jnp.asarray(factor @ factor.T + CONTROL_SIZE * np.eye(CONTROL_SIZE))


def _answers() -> IO[str]:
    """The stream that answers go to; whatever else is printed goes to standard error."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


def _say(answers: IO[str], what: Any) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix.pipelines.serve", description=__doc__)
    add_likelihood(parser)
    parser.add_argument("--seed", type=int, required=True, help="of the batch's lanes")
    parser.add_argument("--slower", type=float, default=1.0, help="by what factor, to try the method")
    return parser


if __name__ == "__main__":
    sys.exit(main())
