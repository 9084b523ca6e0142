"""What one setting of the solver gives: times in turn, distances from the optimum, gradients."""

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from matrix.catalogue.checks import TARGET_KAPPA
from matrix.checks.inside.systems import CLASSES, system_from
from matrix.diagnose.bench.contenders import arguments_of, library_pdip, over_lanes
from matrix.diagnose.clock import interleaved_medians
from matrix.diagnose.survey.admm import solve_admm
from matrix.diagnose.survey.fista import solve_fista
from matrix.diagnose.survey.grid import FIRST_ORDER, LIBRARY, TYPICAL, Choice, by_falling_limit, curves
from matrix.diagnose.survey.record import ClassGradients, CurvePoint, SurveyRow
from matrix.diagnose.systems.stored import System

Lanes = tuple[System, ...]
Say = Callable[[str], None]

# Large enough for the elimination, which leaves 64 unknowns open beside a dense block of 64.
GRADIENT_SIZE = 140
COLLINEAR = GRADIENT_SIZE // 4
CONDITIONS = (1e1, 1e4, 1e7, 1e10, 1e12, 1e14)
FIRST_ORDER_SOLVERS: Mapping[str, Callable[..., tuple[Any, Any]]] = {"admm": solve_admm, "fista": solve_fista}


@dataclass(frozen=True)
class Answer:
    """A compiled setting, what it found, (lanes, K), and after how many iterations at most."""

    call: Callable[[], Any]
    x: np.ndarray
    iterations: int


def measure_settings(batch: Lanes, choices: Sequence[Choice], repeats: int, say: Say) -> list[SurveyRow]:
    """Every setting on one batch.

    A limit that a larger one did not reach is not run: it would take the same steps to the same answer.
    """
    answers, same_as = _answers(batch, choices, say)
    say(f"timing {len(answers)} settings in turn")
    factorise = _factorisation(batch[0])
    calls = {"cholesky": factorise, **{choice.label: answer.call for choice, answer in answers.items()}}
    seconds = interleaved_medians(calls, repeats, warm=True)
    say("judging")
    judged = _distances(batch, answers)
    typical = [choice for choice in TYPICAL if choice in choices and len(batch) == 1]
    finite = {choice: bool(_finite_lanes(batch, choice).all()) for choice in typical}
    rows = []
    for choice in choices:
        run = same_as.get(choice, choice)
        time = seconds[run.label]
        rows.append(
            SurveyRow(
                systems=tuple(system.name for system in batch),
                K=batch[0].K,
                choice=choice,
                same_as=None if run is choice else run.max_iter,
                milliseconds=1e3 * time / len(batch),
                cholesky_equivalents=time / len(batch) / seconds["cholesky"],
                times_today=seconds[LIBRARY.label] / time,
                iterations=answers[run].iterations,
                gradient_finite=finite.get(choice),
                **judged[run],
            )
        )
    return rows


def _answers(
    batch: Lanes, choices: Sequence[Choice], say: Say
) -> tuple[dict[Choice, Answer], dict[Choice, Choice]]:
    """What every setting finds, and which settings have their answers from a larger limit."""
    answers: dict[Choice, Answer] = {}
    same_as: dict[Choice, Choice] = {}
    larger: dict[Choice, Choice] = {}
    for place, choice in enumerate(by_falling_limit(choices), 1):
        before = larger.get(choice.series)
        if before is not None and answers[before].iterations < (choice.max_iter or math.inf):
            same_as[choice] = before
            continue
        say(f"{place} of {len(choices)}: {choice.label}")
        answers[choice] = _answer(batch, choice)
        larger[choice.series] = choice
    return answers, same_as


def _answer(batch: Lanes, choice: Choice) -> Answer:
    import jax

    Q, q = arguments_of(batch)
    program = jax.jit(over_lanes(_solve(choice, batch[0]), len(batch))).lower(Q, q).compile()

    def call() -> Any:
        return jax.block_until_ready(program(Q, q))

    x, iterations = call()
    return Answer(call, np.asarray(x).reshape(len(batch), -1), int(np.max(np.asarray(iterations))))


def _solve(choice: Choice, system: System) -> Callable[[Any, Any], tuple[Any, Any]]:
    """(Q, q) to the answer and its iterations; the certificate is not part of what is timed."""
    import solver

    if choice.algorithm == LIBRARY.algorithm:
        return library_pdip
    if choice.algorithm in FIRST_ORDER:
        given = {"limit": choice.max_iter, "penalty": choice.penalty}
        words = {name: value for name, value in given.items() if value is not None}
        return partial(FIRST_ORDER_SOLVERS[choice.algorithm], **words)
    options = choice.options(system)

    def ours(Q: Any, q: Any) -> tuple[Any, Any]:
        result = solver.solve_nnls_certified(Q, q, **options)
        return result.primal, result.iterations

    return ours


def _factorisation(system: System) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    # The ridge lets a semidefinite matrix be factorised; it costs no time.
    matrix = jnp.asarray(system.Q + 1e-8 * np.diag(np.diagonal(system.Q)))
    factorise = jax.jit(jnp.linalg.cholesky)

    def call() -> Any:
        return jax.block_until_ready(factorise(matrix))

    call()
    return call


def _distances(batch: Lanes, answers: dict[Choice, Answer]) -> dict[Choice, dict[str, float]]:
    """How far each setting's answers are from the optimum and from today's, the worst lane of each."""
    lanes = [
        _lane_distances(system, {choice: answer.x[lane] for choice, answer in answers.items()})
        for lane, system in enumerate(batch)
    ]
    return {
        choice: {name: _worst([lane[choice][name] for lane in lanes]) for name in lanes[0][choice]}
        for choice in answers
    }


def _lane_distances(system: System, found: dict[Choice, np.ndarray]) -> dict[Choice, dict[str, float]]:
    residuals = {choice: system.residual(x) for choice, x in found.items()}
    values = {choice: system.objective(x) for choice, x in found.items()}
    best = min(residuals, key=lambda choice: residuals[choice])
    units = np.sqrt(np.diagonal(system.Q))
    size = float(np.linalg.norm(units * found[best]))
    return {
        choice: {
            "residual": residuals[choice],
            "objective_excess": (values[choice] - values[best]) / abs(values[best]),
            "evidence_shift": values[choice] - values[best],
            "l2": float(np.linalg.norm(units * (x - found[best]))) / size,
            "l2_today": float(np.linalg.norm(units * (x - found[LIBRARY]))) / size,
            "evidence_today": abs(values[choice] - values[LIBRARY]),
        }
        for choice, x in found.items()
    }


def _worst(values: Sequence[float]) -> float:
    return max(values, key=lambda value: math.inf if math.isnan(value) else value)


def _primal(choice: Choice, system: System) -> Callable[[Any, Any], Any]:
    """(Q, q) to the sum of the Jacobi-scaled unknowns, differentiable as the library differentiates it."""
    import jax.numpy as jnp
    import jaxnnls

    import solver

    options = choice.options(system)

    def total(Q: Any, q: Any) -> Any:
        units = jnp.sqrt(jnp.diagonal(Q))
        if choice.algorithm == LIBRARY.algorithm:
            return jnp.sum(jaxnnls.solve_nnls_primal(Q / jnp.outer(units, units), q / units, TARGET_KAPPA))
        return jnp.sum(units * solver.solve_nnls_primal(Q, q, TARGET_KAPPA, **options))

    return total


def _finite_lanes(batch: Lanes, choice: Choice) -> np.ndarray:
    """Whether the gradient with respect to Q and q is finite, per lane."""
    import jax

    gradient = jax.grad(_primal(choice, batch[0]), argnums=(0, 1))
    found = over_lanes(gradient, len(batch))(*arguments_of(batch))
    parts = [np.asarray(part).reshape(len(batch), -1) for part in found]
    return np.all([np.isfinite(part).all(axis=1) for part in parts], axis=0)


def class_gradients(choices: Sequence[Choice], say: Say) -> Iterator[ClassGradients]:
    """Every setting on every class of systems, over all condition numbers."""
    made = [system_from(kind, GRADIENT_SIZE, condition) for kind in CLASSES for condition in CONDITIONS]
    # The block is named to all classes alike: where there is none, that must cost no correctness either.
    batch = tuple(System(one.name, one.Q, one.q, tuple(range(COLLINEAR))) for one in made)
    for place, choice in enumerate(choices, 1):
        say(f"{place} of {len(choices)}: gradient of {choice.label}")
        finite = _finite_lanes(batch, choice).reshape(len(CLASSES), -1)
        for kind, at in zip(CLASSES, finite, strict=True):
            bad = tuple(c for c, ok in zip(CONDITIONS, at, strict=True) if not ok)
            yield ClassGradients(choice, kind, GRADIENT_SIZE, CONDITIONS, bad)


def curve(system: System, repeats: int, say: Say) -> list[CurvePoint]:
    """Residual against cost of each algorithm on one system, by cutting it off early and later."""
    calls: dict[str, Callable[[], Any]] = {"cholesky": _factorisation(system)}
    found: dict[Choice, np.ndarray] = {}
    for place, choice in enumerate(curves(), 1):
        say(f"{place} of {len(curves())}: curve of {choice.label}")
        answer = _tuned_answer(system, choice)
        found[choice], calls[choice.label] = answer.x[0], answer.call
    seconds = interleaved_medians(calls, repeats, warm=True)
    return [
        CurvePoint(
            system=system.name,
            K=system.K,
            dense=len(system.dense),
            choice=choice,
            cholesky_equivalents=seconds[choice.label] / seconds["cholesky"],
            residual=system.residual(x),
        )
        for choice, x in found.items()
    ]


def _tuned_answer(system: System, choice: Choice) -> Answer:
    import jax

    if choice.algorithm != LIBRARY.algorithm:
        return _answer((system,), choice)
    pdip: Any = importlib.import_module("jaxnnls.pdip")
    limit = pdip.MAX_ITER if choice.max_iter is None else choice.max_iter
    # Its limit is a constant of the module, read when it is traced.
    jax.clear_caches()
    with patch.object(pdip, "MAX_ITER", limit):
        answer = _answer((system,), choice)
    jax.clear_caches()
    return answer
