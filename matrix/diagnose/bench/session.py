"""Benchmark of the solver against others, by system, size and batch, and of what it consists of."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matrix.checks.inside.systems import system_from
from matrix.diagnose.bench import ablation, compiling, families
from matrix.diagnose.bench.contenders import Contender, others, ours_and_jaxnnls, with_gradient
from matrix.diagnose.bench.measuring import time_contenders
from matrix.diagnose.bench.record import BenchRow, Compiled, Measured, line, write_bench
from matrix.diagnose.clock import provenance
from matrix.diagnose.declaration import Diagnosis
from matrix.diagnose.systems.stored import System, lanes_of, leading, stored_systems, synthetic_system
from matrix.ground.options import add_record, one_of

SIZES = (20, 40, 70, 100, 150, 200, 300, 400, 800, 1285, 2000, 4000)
BATCHES = (1, 2, 4, 8, 16)
BATCH_SIZE = 1285
LARGE = 1500
CONDITION_SIZES = (20, 35, 50, 75, 100, 150, 250, 400)
CONDITIONS = (1e2, 1e6, 1e10, 1e13)
PARTS = ("systems", "gradient", "scaling", "batch", "conditions", "families", "factorisation", "compile")
# Takes an hour, so it has to be named.
ON_DEMAND = (ablation.PART,)


def on_systems(
    part: str,
    contenders: Callable[[Sequence[System]], dict[str, Contender]],
    systems: Sequence[System],
    lanes: int,
    repeats: int,
) -> Iterator[list[BenchRow]]:
    """Each system alone, then batches of different systems of one size."""
    for batch in [*((system,) for system in systems), *lanes_of(systems, lanes)]:
        yield time_contenders(part, batch, repeats, contenders(batch))


def scaling(repeats: int, sizes: Sequence[int], algorithms: Sequence[str]) -> Iterator[list[BenchRow]]:
    """Synthetic systems of growing size, against everything there is, our own other algorithms included."""
    for K in sizes:
        system = synthetic_system(K)
        rounds = min(repeats, 3) if K > LARGE else repeats
        yield time_contenders(
            "scaling", (system,), rounds, {**with_own((system,), algorithms), **others(system)}
        )


def with_own(systems: Sequence[System], algorithms: Sequence[str]) -> dict[str, Contender]:
    """Ours as it chooses, jaxnnls, and ours by other algorithms."""
    return {
        **ours_and_jaxnnls(systems),
        **{name: ours_and_jaxnnls(systems, name)["ours"] for name in algorithms},
    }


def synthetic_batches(repeats: int, counts: Sequence[int]) -> Iterator[list[BenchRow]]:
    """So many different synthetic lanes at production size."""
    for count in counts:
        systems = [synthetic_system(BATCH_SIZE, seed) for seed in range(count)]
        rounds = min(repeats, 3) if count > 2 else repeats
        yield time_contenders("batch", systems, rounds, ours_and_jaxnnls(systems))


def conditions(repeats: int, sizes: Sequence[int]) -> Iterator[list[BenchRow]]:
    """Systems of known condition number and no structure, also with half of the bounds undecided."""
    for K in sizes:
        for kind in ("ill", "degenerate"):
            for condition in CONDITIONS:
                made = system_from(kind, K, condition)
                system = System(f"{kind}, condition {condition:.0e}", made.Q, made.q, ())
                yield time_contenders(
                    "conditions", (system,), repeats, ours_and_jaxnnls((system,), block_named=False)
                )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--systems", type=Path, help="folder of *.npz systems from real likelihoods")
    parser.add_argument("--match", default="", help="only systems and families whose name contains this")
    parser.add_argument(
        "--columns", action="append", type=int, help="the first columns of the systems instead (repeatable)"
    )
    parser.add_argument(
        "--part",
        action="append",
        type=one_of("part", (*PARTS, *ON_DEMAND)),
        metavar="PART",
        help=f"only this part (repeatable): {', '.join(PARTS)}; or, an hour, {', '.join(ON_DEMAND)}",
    )
    parser.add_argument(
        "--size", action="append", type=int, help="only this K, but not in systems and batch (repeatable)"
    )
    parser.add_argument(
        "--batch", action="append", type=int, help="only this many lanes in the part batch (repeatable)"
    )
    parser.add_argument(
        "--also", action="append", help="one more of our algorithms, not with gradients (repeatable)"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--lanes", type=int, default=3)
    add_record(parser, "bench")


def _bench(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    where = provenance()
    rows: list[Measured] = []
    systems = _stored(options)
    # A folder that cannot be written shows before anything is measured; an older record stays until then.
    if not options.output.exists():
        write_bench(options.output, where, rows)
    for measured in _measurements(options, systems):
        rows += measured
        print(line(measured), flush=True)
        write_bench(options.output, where, rows)
    if rows:
        from matrix.diagnose.bench.plot import bench_plot

        bench_plot(rows, options.output.with_suffix(".png"))
        print(f"written: {options.output} and {options.output.with_suffix('.png')}")
    print(*_verdicts(rows), sep="\n")
    return 0


def _verdicts(rows: Sequence[Measured]) -> Iterator[str]:
    """What the parts with a bound say of it."""
    compiled_ones = [row for row in rows if isinstance(row, Compiled)]
    of_families = [row for row in rows if isinstance(row, BenchRow) and row.part == families.PART]
    if compiled_ones:
        yield compiling.slow_compilations(compiled_ones)
    if of_families:
        yield from families.family_findings(of_families)


def _stored(options: argparse.Namespace) -> list[System]:
    """The systems named on the command line, or their first columns."""
    if not options.systems:
        return []
    systems = [s for s in stored_systems(options.systems) if options.match in s.name]
    if not options.columns:
        return systems
    return [leading(s, columns) for s in systems for columns in options.columns if columns < s.K]


def _measurements(options: argparse.Namespace, systems: Sequence[System]) -> Iterator[Sequence[Measured]]:
    parts = options.part or PARTS
    also = options.also or ()
    on_real = {"systems": lambda systems: with_own(systems, also), "gradient": with_gradient}
    if options.systems:
        for part in filter(parts.__contains__, on_real):
            yield from on_systems(part, on_real[part], systems, options.lanes, options.repeats)
    elif on_real.keys() & parts:
        print("left out: real systems (name a folder with --systems)")
    if "scaling" in parts:
        yield from scaling(options.repeats, options.size or SIZES, also)
    if "batch" in parts:
        yield from synthetic_batches(options.repeats, options.batch or BATCHES)
    if "conditions" in parts:
        yield from conditions(options.repeats, options.size or CONDITION_SIZES)
    if families.PART in parts:
        yield from families.on_families(systems, options.repeats, options.size, options.match)
    if compiling.PART in parts:
        yield from compiling.compiling(options.repeats, options.size)
    if ablation.PART in parts:
        yield from ablation.ablation(systems, options.repeats, options.size, options.match)
    if "factorisation" in parts:
        from matrix.diagnose.bench.factorisations import SIZES as FACTORISED
        from matrix.diagnose.bench.factorisations import factorisation

        yield from factorisation(options.repeats, options.size or FACTORISED)


DIAGNOSIS = Diagnosis(
    name="bench",
    sentence="Time the solver against others, by system, size and batch, and what it consists of.",
    example="--part families",
    options=_options,
    run=_bench,
)
