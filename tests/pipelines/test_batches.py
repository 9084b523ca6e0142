"""Batches of other sizes: a fault that only a large one has is caught, and what does not fit is said."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matrix.gates import Outcome, Verdict, judge, judged_in
from matrix.pipelines import batches
from matrix.pipelines.batches import batches_of, lanes_from
from matrix.pipelines.programs import compiled
from matrix.records.cell import SIDES, Batch, RecordError, from_json, to_json
from tests.factory import evaluation, make_plan, make_record

NAME = "imaging-pixelization"


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """A likelihood of two parameters with the members that are asked for, its batches spoilt or not."""

    spoil: Callable[[Any], Any] = lambda value: value

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
        return self.spoil(-1000.0 - jnp.sum(parameters**2))

    def eager(self, vector: Sequence[float]) -> Any:
        return SimpleNamespace(figure_of_merit=np.float64(-1000.0 - np.sum(np.asarray(vector) ** 2)))


def last_lane_from(size: int) -> Callable[[Any], Any]:
    """A planted fault of lanes: in a batch of at least `size` the last one is off by a hundredth."""

    @jax.custom_batching.custom_vmap
    def spoilt(value: Any) -> Any:
        return value

    @spoilt.def_vmap
    def _(lanes: int, batched: Any, values: Any) -> tuple[Any, Any]:
        return (values.at[-1].multiply(1.01) if lanes >= size else values), batched[0]

    return spoilt


def found(likelihood: MadeUp, sizes: Sequence[int]) -> tuple[Batch, ...]:
    given: Any = likelihood
    single = compiled(given.traced, given.parameters(given.medians()))
    return batches_of(given, single, 1, sizes, lambda _: None)


def verdict(
    folder: Path, made: tuple[Batch, ...], sizes: tuple[int, ...], precision: str = "fp64"
) -> Verdict:
    """What the gate says of a candidate with these batches; all else of it is green."""
    recorded = make_record(evaluations={"batches": made})
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
    monkeypatch.setattr(batches, "usable_bytes", lambda: 3 * 1024**3 + 500)
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
    ):
        with pytest.raises(RecordError, match="a batch of another size"):
            from_json(to_json(make_record(evaluations={"batches": (spoilt,)})))
