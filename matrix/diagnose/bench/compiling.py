"""How long ours and jaxnnls take to compile, each in a fresh process, which is this module as a program."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from matrix.diagnose.bench.measuring import spread_of
from matrix.diagnose.bench.record import Compiled
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.process import run

PART = "compile"
SIZES = (40, 1261)
LANES = 3
GAUSSIANS = 60
SOLVERS = ("ours", "jaxnnls")
PROGRAMS = ("answer", "answer and gradient")
# The most that ours may take of jaxnnls' time, below this size and from it on.
LARGE, MOST_OF_SMALL, MOST_OF_LARGE = 300, 1.5, 2.0


def compiling(repeats: int, sizes: Sequence[int] | None) -> Iterator[list[Compiled]]:
    """Both solvers in turn, for each program and size."""
    for K in sizes or SIZES:
        for program in PROGRAMS:
            yield _measured(program, K, repeats)


def _measured(program: str, K: int, repeats: int) -> list[Compiled]:
    rounds = [{solver: _in_fresh_process(solver, program, K) for solver in SOLVERS} for _ in range(repeats)]
    totals = {solver: [sum(one[solver]) for one in rounds] for solver in SOLVERS}
    rows = []
    for solver in SOLVERS:
        lowering, compiling = (median(one[solver][step] for one in rounds) for step in (0, 1))
        quotients = [mine / ours for mine, ours in zip(totals[solver], totals["ours"], strict=True)]
        rows.append(
            Compiled(
                part=PART,
                system=program,
                K=K,
                lanes=LANES,
                solver=solver,
                lowering_s=lowering,
                compiling_s=compiling,
                times_ours=median(quotients),
                spread=spread_of(quotients),
            )
        )
    return rows


def _in_fresh_process(solver: str, program: str, K: int) -> tuple[float, float]:
    """Seconds of lowering and of compiling; no cache of compiled programs is asked."""
    command = [sys.executable, "-m", "matrix.diagnose.bench.compiling", solver, program, str(K)]
    here = {**os.environ, "JAX_ENABLE_X64": "True", "JAX_ENABLE_COMPILATION_CACHE": "False"}
    lowering, compiling = json.loads(run(command, cwd=REPOSITORY_ROOT, env=here).stdout.splitlines()[-1])
    return lowering, compiling


def slow_compilations(rows: Sequence[Compiled]) -> str:
    """Which programs take longer to compile than they may."""
    late = [
        f"{row.system}, K = {row.K} ({1 / row.times_ours:.2f}x)"
        for row in rows
        if row.solver == "jaxnnls"
        and row.times_ours * (MOST_OF_LARGE if row.K >= LARGE else MOST_OF_SMALL) < 1
    ]
    bounds = f"{MOST_OF_SMALL}x jaxnnls' time below K = {LARGE}, {MOST_OF_LARGE}x from there on"
    return f"compiled too slowly (over {bounds}): {'; '.join(late) or 'none'}"


def main(words: Sequence[str]) -> int:
    """Compile one program and print how long that took."""
    import jax
    import jax.numpy as jnp

    solver, program, K = words[0], words[1], int(words[2])
    function = jax.vmap(_program(solver, program, K))
    shapes = jax.ShapeDtypeStruct((LANES, K, K), float), jax.ShapeDtypeStruct((LANES, K), float)
    # What a process pays once, whatever it compiles.
    jax.block_until_ready(jax.jit(jnp.linalg.cholesky)(jnp.eye(2)))
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*shapes)
    middle = time.perf_counter()
    lowered.compile()
    print(json.dumps([middle - start, time.perf_counter() - middle]))
    return 0


def _program(solver: str, program: str, K: int) -> Callable[[Any, Any], Any]:
    from matrix.diagnose.bench.contenders import functions_of_both

    return functions_of_both(tuple(range(min(K, GAUSSIANS))))[solver][PROGRAMS.index(program)]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
