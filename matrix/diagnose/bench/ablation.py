"""What each part of the solver is worth: the solver without it, timed in turn with the whole one."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import module_from_spec, spec_from_file_location
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple

from matrix.catalogue.checks import TARGET_KAPPA
from matrix.diagnose.bench.contenders import contender, pulled_back
from matrix.diagnose.bench.measuring import time_contenders
from matrix.diagnose.bench.record import Ablated
from matrix.diagnose.families import Case, families, production
from matrix.diagnose.systems.stored import System

PART = "ablation"
SIZES = (40, 300, 1261)
# From this size on all families would take an hour; production systems say what users feel.
PRODUCTION_FROM = 1000
WEAK = 1e-3
LANES = 3
GAUSSIANS = 60


@dataclass(frozen=True)
class Ablation:
    """A part of the solver that can be left out.

    Attributes
    ----------
    part
        What is left out, in words.
    stand_ins
        What stands in its place, by "module.name" of the solver.
    gradient
        Whether the part belongs to the gradient, so that answers do not show what it is worth.
    """

    part: str
    stand_ins: Mapping[str, Any]
    gradient: bool = False

    def solver(self) -> ModuleType:
        """A copy of the solver, under a name of its own, without this part.

        Raises
        ------
        AttributeError
            If the solver has no such part any more.
        """
        name = "solver_without_" + self.part.replace(" ", "_").replace("'", "")
        copy = _copy_of_solver(name)
        for place, stand_in in self.stand_ins.items():
            module, attribute = place.split(".")
            owner = importlib.import_module(f"{name}.{module}")
            getattr(owner, attribute)
            setattr(owner, attribute, stand_in)
        return copy


def _copy_of_solver(name: str) -> ModuleType:
    """The package `solver`, imported once more under another name."""
    import solver

    folder = list(solver.__path__)
    spec = spec_from_file_location(name, solver.__file__, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise ImportError(f"{solver.__file__} cannot be imported under another name")
    for loaded in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[loaded]
    copy = module_from_spec(spec)
    sys.modules[name] = copy
    spec.loader.exec_module(copy)
    return copy


def _plain_while(unfinished: Callable[[Any], Any], step: Callable[[Any], Any], begin: Any) -> Any:
    import jax

    return jax.lax.while_loop(unfinished, step, begin)


def _reductions_apart(maxima: Sequence[Any] = (), sums: Sequence[Any] = (), axis: int = 0) -> tuple[Any, ...]:
    return (*(one.max(axis) for one in maxima), *(one.sum(axis) for one in sums))


class _Scores(NamedTuple):
    source: Any
    penalty: Any


def _scores_by_q(parts: Any) -> _Scores:
    """Free is what wants to grow from zero."""
    import jax.numpy as jnp

    score = jnp.where(parts.is_source, parts.linear_source, -jnp.inf)
    return _Scores(score, jnp.ones((), score.dtype))


def _solved_anew(Q: Any, weight: Any, freedom: Any, _form: Any, b: Any) -> Any:
    """The system of the conjugate gradients, factorised."""
    import jax
    import jax.numpy as jnp

    matrix = weight[:, None] * Q * weight + jnp.diag(1 - freedom)
    return jax.scipy.linalg.solve(matrix, b, assume_a="pos")


# For told columns the function of Q and q.
ToldSolve = Callable[[tuple[int, ...] | None], Callable[[Any, Any], Any]]


# In the order in which a solve comes to them.
ABLATIONS = (
    Ablation("elimination", {"_algorithms.SCHUR_FROM": sys.maxsize}),
    Ablation("finding the dense block", {"_blocks.FOUND_BLOCK": 0}),
    Ablation("identification", {"_schur.identify": _scores_by_q}),
    Ablation(
        "penalty by eigenvalues", {"_identify._usual_eigenvalue": lambda parts: 1 + 0 * parts.problem.q[0]}
    ),
    Ablation("over-relaxation", {"_identify.RELAXATION": 1.0, "_sweeps.RELAXATION": 1.0}),
    Ablation("sweeps of the dense block", {"_identify.DENSE_SWEEPS": 0}),
    Ablation("block rows", {"_linalg.BLOCKS": 1}),
    Ablation("open variables", {"_eliminate.CANDIDATES": 1}),
    Ablation("further rounds", {"_schur.MAX_ROUNDS": 1}),
    Ablation("interior points after the rounds", {"_schur.solve_interior": lambda *given: given[-1]}),
    Ablation("guess of the free set", {"_interior.GUESS_UP_TO": 0}),
    Ablation("pivots from interior points", {"_interior.READY_AT": -1.0}),
    Ablation("exchanges after a pivot", {"_interior._few": lambda q: -1 + 0 * q[0]}),
    Ablation("ridge", {"_interior.rounding_ridge": lambda _: 0.0, "_gradient.rounding_ridge": lambda _: 0.0}),
    Ablation("packed loops", dict.fromkeys(("_schur.packed_while", "_interior.packed_while"), _plain_while)),
    Ablation(
        "reductions in one pass",
        dict.fromkeys(("_interior.in_one_pass", "_certificate.in_one_pass"), _reductions_apart),
    ),
    Ablation("lanes one by one", {"_api.by_lane": lambda function: function}),
    Ablation("one form traced", {"_linalg.only_cpu": lambda: False}),
    Ablation("chord steps", {"_gradient.MAX_CHORD_STEPS": 2}, gradient=True),
    Ablation("conjugate gradients", {"_gradient._conjugate_gradients": _solved_anew}, gradient=True),
    Ablation("packed loops of the gradient", {"_gradient.packed_while": _plain_while}, gradient=True),
)


def ablation(
    systems: Sequence[System], repeats: int, sizes: Sequence[int] | None, match: str
) -> Iterator[list[Ablated]]:
    """Each part whose name contains `match`, at each size at which it has a place in the program.

    Of real systems those are taken that have such a size.
    """
    import solver

    wholes = {gradient: _program(solver, gradient) for gradient in (False, True)}
    chosen = [left_out for left_out in ABLATIONS if match in left_out.part]
    for K in sizes or SIZES:
        real = (Case((system,), system.dense) for system in systems if system.K == K)
        cases = [*real, *_cases(K)]
        for left_out in chosen:
            whole, rest = wholes[left_out.gradient], _program(left_out.solver(), left_out.gradient)
            if _differ(whole, rest, K):
                yield [_measured(left_out, K, cases, repeats, {"ours": whole, "without": rest})]


def _differ(one: ToldSolve, other: ToldSolve, K: int) -> bool:
    """Whether they compute anything in another way at this size."""
    return any(
        _lowered(one, K, told).as_text() != _lowered(other, K, told).as_text() for told in (_first(K), None)
    )


def _cases(K: int) -> Iterator[Case]:
    if K < PRODUCTION_FROM:
        yield from families([K])
        return
    lanes = tuple(production(K, 1.0, seed) for seed in range(LANES))
    weak = production(K, WEAK)
    yield from (Case((lanes[0],), lanes[0].dense), Case((weak,), weak.dense), Case((lanes[0],), None))
    yield Case(lanes, lanes[0].dense)


def _measured(
    left_out: Ablation, K: int, cases: Sequence[Case], repeats: int, programs: Mapping[str, ToldSolve]
) -> Ablated:
    quotients, certified = [], dict.fromkeys(programs, 0)
    for case in cases:
        contenders = {name: contender(program(case.told), case.systems) for name, program in programs.items()}
        for row in time_contenders(PART, case.systems, repeats, contenders):
            certified[row.solver] += bool(row.certified)
            if row.solver == "without":
                quotients.append(row.times_ours)
    # In turn, so that a machine that slows down weighs on both.
    seconds = dict.fromkeys(programs, 0.0)
    for name in (*programs, *reversed([*programs])):
        seconds[name] += _seconds_to_compile(programs[name], K)
    return Ablated(
        part=PART,
        left_out=left_out.part,
        K=K,
        systems=len(cases),
        times_ours=median(quotients),
        spread=(min(quotients), max(quotients)),
        certified=certified["without"],
        certified_ours=certified["ours"],
        compiling=seconds["without"] / seconds["ours"],
    )


def _program(module: Any, gradient: bool) -> ToldSolve:
    """Each function is made once, so that it is compiled once for a size."""

    @cache
    def told(dense: tuple[int, ...] | None) -> Callable[[Any, Any], Any]:
        if gradient:
            return pulled_back(
                partial(module.solve_nnls_primal, target_kappa=TARGET_KAPPA, dense_columns=dense)
            )
        return partial(module.solve_nnls_forward, dense_columns=dense)

    return told


def _first(K: int) -> tuple[int, ...]:
    """The columns of the Gaussians, as `production` has them."""
    return tuple(range(min(K // 3, GAUSSIANS)))


def _lowered(program: ToldSolve, K: int, told: tuple[int, ...] | None) -> Any:
    """The program for a batch, in XLA's language."""
    import jax

    shapes = jax.ShapeDtypeStruct((LANES, K, K), float), jax.ShapeDtypeStruct((LANES, K), float)
    return jax.jit(jax.vmap(program(told))).lower(*shapes)


def _seconds_to_compile(program: ToldSolve, K: int) -> float:
    """Processor time from a function to a program, in this process: other processes do not count."""
    import jax

    jax.clear_caches()
    start = time.process_time()
    _lowered(program, K, _first(K)).compile()
    return time.process_time() - start
