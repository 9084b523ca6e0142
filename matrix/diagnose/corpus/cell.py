"""All solvers on one kind of systems, in the baseline's Python."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Make what systems are missing, judge every solver on each, time them in a batch; leave the record."""
    from matrix.diagnose.bench.release import solvers_of_release
    from matrix.diagnose.corpus.kinds import KINDS
    from matrix.diagnose.corpus.making import corpus_systems, what_release_lacks
    from matrix.diagnose.corpus.points import WantedPoints
    from matrix.diagnose.corpus.record import KindRecord
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.ground.errors import UsageError

    started, details, cell = now(), request.details, request.cell
    kind = KINDS[details["kind"]]
    wanted = WantedPoints(details["near"], details["whole"], request.seed, Path(details["systems"]))
    if not solvers_of_release():
        raise UsageError("this release has no solvers of its own to compare with: 2026.9.26.1 is the first.")
    left_out = what_release_lacks(kind)
    found = iter(()) if left_out else corpus_systems(kind, cell.scale, request.workspace, wanted, stage)
    # The first are held for the batch; large ones must not all be held at once.
    first = list(itertools.islice(found, details["lanes"]))
    lens_columns = kind.columns_of_lens(cell.scale)
    examined = tuple(_examined(itertools.chain(first, found), lens_columns, stage))
    batches = [*((system,) for system in first[: details["alone"]]), first]
    times = [row for lanes in filter(None, batches) for row in _times(lanes, details["repeats"], stage)]
    record = KindRecord(
        kind=kind.name,
        family=kind.family,
        cell=cell,
        key=details["key"],
        systems=examined,
        times=tuple(times),
        left_out=left_out,
        precision=precision_facts(cell),
        provenance=provenance_of(request, (), started, now()),
    )
    write_diagnosis(request.folder / "record.json", record)


def _times(systems: Sequence[Any], repeats: int, stage: Callable[[str], None]) -> Sequence[Any]:
    from matrix.diagnose.bench.measuring import time_contenders
    from matrix.diagnose.bench.release import against_release

    stage(f"time all solvers on {systems[0].name}, {len(systems)} lane(s)")
    return time_contenders("corpus", systems, repeats, against_release(systems))


def _examined(systems: Iterator[Any], lens_columns: int, stage: Callable[[str], None]) -> Iterator[Any]:
    import numpy as np

    from matrix.diagnose.corpus.metrics import metrics_of, reference_of
    from matrix.diagnose.corpus.record import REFERENCE, Examined, JudgedSolve

    def judged(name: str, x: Any, converged: Any, steps: Any, finite: Any) -> JudgedSolve:
        metrics = metrics_of(system.Q, system.q, np.asarray(x), reference, lens_columns)
        residual = system.residual(x)
        return JudgedSolve(
            name, bool(converged), int(steps), metrics, residual, None if finite is None else bool(finite)
        )

    for system in systems:
        stage(f"judge {system.name}, K = {system.K}")
        reference, outer = reference_of(system.Q, system.q)
        found = [judged(REFERENCE, reference, True, outer, None)]
        found += [judged(name, *solve(system.Q, system.q)) for name, solve in _solvers().items()]
        yield Examined(system.name, system.K, float(np.linalg.cond(system.Q)), tuple(found))


@cache
def _solvers() -> dict[str, Callable[[Any, Any], Any]]:
    """Compiled functions of Q and q: the answer, the solver's word for it, steps, if gradients are finite."""
    import jax

    from matrix.diagnose.bench.release import ONLY_TIMED, OURS, ours_differentiable, solvers_of_release

    judged = {name: solve for name, solve in solvers_of_release().items() if name not in ONLY_TIMED}
    return {
        name: jax.jit(_with_gradient(solve)) for name, solve in {**judged, OURS: ours_differentiable}.items()
    }


def _with_gradient(solve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    import jax
    import jax.numpy as jnp

    def answer(Q: Any, q: Any) -> Any:
        x, converged, steps = solve(Q, q)
        return x, (converged, steps)

    def both(Q: Any, q: Any) -> Any:
        x, pull_back, (converged, steps) = jax.vjp(answer, Q, q, has_aux=True)
        # Of the sum of the scaled unknowns, as elsewhere.
        parts = pull_back(jnp.sqrt(jnp.diagonal(Q)))
        finite = jnp.all(jnp.array([jnp.isfinite(part).all() for part in parts]))
        return x, converged, steps, finite

    return both
