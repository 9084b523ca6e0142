"""Batches of other sizes: a fault that only a large one has is caught, and what does not fit is said."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matrix.gates import Outcome, Verdict, judge, judged_in
from matrix.pipelines import batches
from matrix.pipelines.batches import batches_of, lanes_from
from matrix.pipelines.programs import compiled
from matrix.records.cell import SIDES, VENDORED, Batch, RecordError, Solver, from_json, to_json
from tests.factory import evaluation, make_plan, make_record
from tests.pipelines.call_sites import with_stats

NAME = "imaging-pixelization"
_MATRIX = ((2.0, 1.0), (1.0, 2.0))


def _same(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """A likelihood of two parameters and two unknowns, one at its bound, with the members that are asked for.

    `spoil` and `spoil_answer` are faults of the value, and of the solve that it comes from.
    """

    spoil: Callable[[Any], Any] = _same
    spoil_answer: Callable[[Any], Any] = _same
    converged: bool = True

    @functools.cached_property
    def call_site(self) -> ModuleType:
        def answer(Q: Any, q: Any, _: Any) -> tuple[Any, dict[str, Any]]:
            x = self.spoil_answer(jnp.stack([q[0] / Q[0, 0], 0.0 * q[1]]))
            return x, {"solver": "nnls", "converged": jnp.asarray(self.converged), "iterations": 3 + 0 * q[0]}

        return with_stats(answer)

    @property
    def model(self) -> Any:
        return SimpleNamespace(prior_count=2)

    def medians(self) -> tuple[float, ...]:
        return (0.5, 0.5)

    def vector_from_unit(self, unit: Sequence[float]) -> tuple[float, ...]:
        return tuple(unit)

    def parameters(self, vector: Sequence[float]) -> Any:
        return jnp.asarray(vector)

    def batch(self, vectors: Sequence[Sequence[float]]) -> Any:
        return jnp.asarray(vectors)

    def traced(self, parameters: Any) -> Any:
        Q, q = jnp.asarray(_MATRIX), jnp.stack([1.0 + parameters[0], -1.0 - parameters[1]])
        x = self.call_site.reconstruction_positive_only_from(q, Q, xp=jnp)
        # At its largest in x: an answer that is a little off moves it by the square of that.
        return self.spoil(-1001.0 + q @ x - 0.5 * x @ Q @ x)

    def eager(self, vector: Sequence[float]) -> Any:
        return SimpleNamespace(figure_of_merit=np.float64(-1001.0 + (1.0 + vector[0]) ** 2 / 4.0))


def last_lane_from(size: int, factor: float = 1.01) -> Callable[[Any], Any]:
    """A planted fault of lanes: in a batch of at least `size` the last one is multiplied."""

    @jax.custom_batching.custom_vmap
    def spoilt(value: Any) -> Any:
        return value

    @spoilt.def_vmap
    def _(lanes: int, batched: Any, values: Any) -> tuple[Any, Any]:
        return (values.at[-1].multiply(factor) if lanes >= size else values), batched[0]

    return spoilt


def found(likelihood: MadeUp, sizes: Sequence[int]) -> tuple[Batch, ...]:
    given: Any = likelihood
    single = compiled(given.traced, given.parameters(given.medians()))
    return batches_of(given, likelihood.call_site, single, 1, sizes, lambda _: None)


def verdict(
    folder: Path,
    made: tuple[Batch, ...],
    sizes: tuple[int, ...],
    precision: str = "fp64",
    solver: str = VENDORED,
) -> Verdict:
    """What the gate says of a candidate with these batches; all else of it is green."""
    recorded = make_record(evaluations={"batches": made}, solver=Solver(solver, {}))
    records = {one.cell.name: one for one in (make_record(side="baseline"), recorded)}
    plan = make_plan(folder, lanes=sizes, precision=precision)
    return next(one for one in judge(plan, records, {}) if (one.gate, one.side) == ("batches", "candidate"))


@pytest.mark.parametrize(("fault_from", "sees"), [(16, {16, 50}), (50, {50}), (51, set())])
def test_a_fault_of_lanes_is_seen_at_its_size_and_not_below(
    tmp_path: Path, fault_from: int, sees: set[int]
) -> None:
    likelihood = MadeUp(last_lane_from(fault_from))
    for size in (2, 3, 16, 50):
        said = verdict(tmp_path, found(likelihood, (size,)), (size,))
        assert said.outcome is (Outcome.FAIL if size in sees else Outcome.PASS), said
        if size in sees:
            assert f"1 of {size} lanes are wrong, most lane {size}: -1010." in said.message
            assert said.numbers[f"{size} lanes"] == pytest.approx(0.01)


def test_a_solve_that_is_wrong_in_a_large_batch_alone_is_seen_though_the_evidence_does_not_show_it(
    tmp_path: Path,
) -> None:
    likelihood = MadeUp(spoil_answer=last_lane_from(16, 1.0001))
    small, large = verdict(tmp_path, found(likelihood, (3,)), (3,)), found(likelihood, (3, 16))
    assert small.outcome is Outcome.PASS, small
    assert small.numbers["3 lanes, KKT residual"] < 1e-15
    said = verdict(tmp_path, large, (3, 16))
    assert said.outcome is Outcome.FAIL
    assert said.numbers["16 lanes"] < 1e-8
    assert said.numbers["16 lanes, KKT residual"] == pytest.approx(1e-4)
    assert "1 of 16 lanes were not solved, most lane 16: KKT residual 1.0e-04 > 1e-09" in said.message
    assert "3 lanes agree to" in said.message


def test_what_is_asked_of_a_solve_in_a_batch_depends_on_who_answered(tmp_path: Path) -> None:
    made = found(MadeUp(spoil_answer=last_lane_from(16, 1.0001)), (16,))
    assert verdict(tmp_path, made, (16,), solver="jaxnnls").outcome is Outcome.PASS
    coarse = found(MadeUp(spoil_answer=last_lane_from(16, 1.01)), (16,))
    assert "KKT residual 1.0e-02 > 1e-03" in verdict(tmp_path, coarse, (16,), solver="jaxnnls").message


def test_solves_that_report_no_convergence_fail(tmp_path: Path) -> None:
    said = verdict(tmp_path, found(MadeUp(converged=False), (4,)), (4,))
    assert said.outcome is Outcome.FAIL
    assert "of 4 lanes [1, 2, 3, 4] report that they did not converge" in said.message


def test_audited_batch_that_gives_something_else_than_the_plain_one_fails(tmp_path: Path) -> None:
    (made,) = found(MadeUp(), (4,))
    assert made.audit is not None
    off = evaluation(*made.audit.values[:3], made.audit.values[3] * (1.0 + 1e-9))
    said = verdict(tmp_path, (dataclasses.replace(made, audit=off),), (4,))
    assert said.outcome is Outcome.FAIL
    assert "the audited batch of 4 gives evidences 1.0e-09 away" in said.message


def test_one_wrong_size_among_right_ones_fails(tmp_path: Path) -> None:
    said = verdict(tmp_path, found(MadeUp(last_lane_from(16)), (2, 16)), (2, 16))
    assert said.outcome is Outcome.FAIL
    assert "1 of 16 lanes are wrong" in said.message
    assert "2 lanes agree" in said.message


def test_lanes_are_those_of_smaller_batches_and_more() -> None:
    small, large = found(MadeUp(), (4, 9))
    for path in ("vmap", "jit", "eager"):
        assert getattr(large, path).values[:4] == getattr(small, path).values
    assert len(set(large.vmap.values)) == 9  # type: ignore[union-attr]
    assert lanes_from(1, 2, 9)[:3] == lanes_from(1, 2)
    assert from_json(to_json(make_record(evaluations={"batches": (small, large)}))).evaluations.batches == (
        small,
        large,
    )


def test_lane_that_is_wrong_alone_too_is_held_against_numpy(tmp_path: Path) -> None:
    (made,) = found(MadeUp(), (4,))
    assert made.eager is not None
    off = evaluation(*made.eager.values[:2], made.eager.values[2] * 1.001, made.eager.values[3])
    said = verdict(tmp_path, (dataclasses.replace(made, vmap=off, jit=off),), (4,))
    assert said.outcome is Outcome.FAIL
    assert "1 of 4 lanes are wrong, most lane 3" in said.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_lane_that_is_not_finite_is_wrong(tmp_path: Path, value: float) -> None:
    (made,) = found(MadeUp(), (4,))
    spoilt = dataclasses.replace(made, vmap=evaluation(*[value] * 4), jit=evaluation(*[value] * 4))
    assert verdict(tmp_path, (spoilt,), (4,)).outcome is Outcome.FAIL


def test_batch_that_does_not_fit_is_not_run_and_the_figure_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    likelihood = MadeUp()
    # Of XLA's analysis: the larger batch has the larger arguments.
    monkeypatch.setattr(batches, "peak_rss_bytes", lambda: 3 * 1024**3)
    monkeypatch.setattr(batches, "usable_bytes", lambda: 3 * 1024**3 + 5000)
    small, large = found(likelihood, (4, 5000))
    assert small.vmap is not None
    assert large.vmap is large.jit is large.eager is None
    assert large.needed_bytes is not None
    assert large.needed_bytes > large.usable_bytes
    said = verdict(tmp_path, (small, large), (4, 5000))
    assert said.outcome is Outcome.NOT_RUN
    assert "a batch of 5000 needs 3.0 GiB of 3.0 GiB, so it was not run" in said.message
    assert "4 lanes agree" in said.message


def test_batch_that_the_record_lacks_fails(tmp_path: Path) -> None:
    assert "no batch of 16" in verdict(tmp_path, (), (16,)).message
    assert verdict(tmp_path, (), (16,)).outcome is Outcome.FAIL


def test_gate_is_there_where_batches_were_asked_for_in_either_precision(tmp_path: Path) -> None:
    for precision in ("fp64", "mp"):
        assert "batches" not in dict(judged_in(precision))
        assert [side for gate, side in judged_in(precision, (16,)) if gate == "batches"] == list(SIDES)
    (made,) = found(MadeUp(), (4,))
    assert made.eager is not None
    loose = dataclasses.replace(made, vmap=evaluation(*(value * 1.00001 for value in made.eager.values)))
    assert verdict(tmp_path, (loose,), (4,)).outcome is Outcome.FAIL


def test_record_whose_batch_lacks_a_lane_or_a_path_is_none() -> None:
    (made,) = found(MadeUp(), (4,))
    for spoilt in (
        dataclasses.replace(made, vmap=evaluation(1.0, 2.0)),
        dataclasses.replace(made, eager=None),
        dataclasses.replace(made, nnls=made.nnls[1:]),
    ):
        with pytest.raises(RecordError, match="a batch of another size"):
            from_json(to_json(make_record(evaluations={"batches": (spoilt,)})))
