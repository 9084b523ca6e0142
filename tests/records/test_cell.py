"""The record: what is written can be read, and what is not a record is refused with its place."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.records.cell import (
    Cell,
    EagerEvaluation,
    Evaluation,
    Evaluations,
    LaneSolve,
    Memory,
    PrecisionFacts,
    Provenance,
    Record,
    RecordError,
    Solver,
    Timing,
    Timings,
    XlaMemory,
    from_json,
    read_record,
    to_json,
    write_record,
)


def make_record(**changes: Any) -> Record:
    """A small record with a value that is not finite in it."""
    lane = Evaluation((27379.388906855384, -math.inf, math.nan), "float64", (False, True, True))
    one = Evaluation((27379.388906855384,), "float64", (False,))
    timing = Timing(0.5, 9.9, 0.06, (0.05, 0.07, 0.06))
    record = Record(
        cell=Cell("imaging-mge", "fp64", "candidate", "smoke"),
        key="3f2a",
        configuration={"pixel_scale_arcsec": 0.05, "overlay_shape": [39, 39]},
        evaluations=Evaluations(
            "log_likelihood", EagerEvaluation(one, one), one, lane, lane, lane, lane, lane
        ),
        timings=Timings(1.9, timing, timing, 3),
        memory=Memory(740_000_000, None, XlaMemory(1, 24, 3, 0)),
        solver=Solver("autoarray.inversion.nnls", {"algorithm": "auto"}),
        nnls=(LaneSolve(40, 14, True, 0.0, 1e-16, math.inf, 15, 50.0, 7.0),),
        precision=PrecisionFacts(True, "True", False, "float64"),
        provenance=Provenance(
            driver={"commit": "f9efa14"},
            seed=1,
            lanes_unit=((0.5, 0.5),),
            datasets={"data.fits": "00"},
            packages={"jax": "0.10.2"},
            python="3.11.9",
            platform="Linux",
            cpu="some",
            cores=2,
            affinity=(0, 1),
            device_platform="cpu",
            device_kind="cpu",
            variables={"XLA_FLAGS": ""},
            jaxnnls_importable=False,
            autoarray_path="/x/autoarray",
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:01:00+00:00",
        ),
    )
    return dataclasses.replace(record, **changes)


def test_record_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records" / "cell.json"
    write_record(path, make_record())
    text = path.read_text()
    back = read_record(path)
    assert to_json(back) == text
    assert back.evaluations.jit.values == (27379.388906855384,)
    assert back.evaluations.vmap_lanes.values[1] == -math.inf
    assert math.isnan(back.evaluations.vmap_lanes.values[2])
    assert isinstance(back.nnls, tuple)


def test_file_holds_standard_json_only() -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    json.loads(to_json(make_record()), parse_constant=refuse)


def test_derived_figures() -> None:
    record = make_record()
    assert record.cell.name == "imaging-mge-fp64-candidate"
    assert record.timings.jit.median_s == 0.06
    assert record.timings.vmap_lane_s == pytest.approx(0.02)
    assert record.nnls[0].kkt_residual == math.inf
    assert math.isnan(dataclasses.replace(record.nnls[0], dual_infeasibility=math.nan).kkt_residual)
    other = dataclasses.replace(record.evaluations.jit, values=(1.5,))
    eager = EagerEvaluation(log_likelihood=other, figure_of_merit=record.evaluations.jit)
    assert dataclasses.replace(record.evaluations, eager=eager).eager_recorded.values == (1.5,)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(version=3), "record version 3"),
        (lambda d: d.update(schema="other"), "not a cell record"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d["cell"].update(surprise=1), r"cell\.surprise"),
        (lambda d: d["cell"].update(side="third"), r"cell\.side"),
        (lambda d: d["timings"]["jit"].update(lower_s="0.5"), r"timings\.jit\.lower_s"),
        (lambda d: d["nnls"][0].update(converged=1), r"nnls\.0\.converged"),
        (lambda d: d.pop("precision"), "precision"),
        (lambda d: d["evaluations"]["jit"].update(values=[]), "a path has no value"),
        (lambda d: d["evaluations"]["jit"].update(values=[1.0, 2.0]), "has another number of values"),
        (lambda d: d["evaluations"]["audit"].update(values=[1.0]), "unequal numbers of lanes"),
        (lambda d: d["evaluations"]["audit"].update(float32_exact=[]), "float32 mark"),
        (lambda d: d.update(nnls=[]), "holds no solve"),
        (lambda d: d["timings"]["vmap"].update(steady_s=[]), "was not timed"),
        (lambda d: d["timings"]["jit"].update(steady_s=[0.0]), "not a positive number"),
        (lambda d: d["timings"].update(batch=0), "has no lane"),
    ],
)
def test_what_is_not_a_record_is_refused(edit: Callable[[dict[str, Any]], Any], message: str) -> None:
    document = json.loads(to_json(make_record()))
    edit(document)
    with pytest.raises(RecordError, match=message):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"schema": NaN}',
        '{"nonfinite": null}',
        '{"a": {"nonfinite": "1"}}',
        "[" * 100000,
        "9" * 5000,
    ],
)
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="not valid JSON"):
        from_json(text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nothing\.json"):
        read_record(tmp_path / "nothing.json")


def test_time_per_lane_is_the_batch_s_and_the_median_of_the_repeats() -> None:
    jit, vmap = Timing(0.1, 0.2, 9.0, (1.0, 5.0, 2.0)), Timing(0.3, 0.4, 90.0, (60.0, 30.0, 33.0))
    timings = Timings(1.9, jit, vmap, 3)
    assert (timings.jit.median_s, timings.vmap.median_s, timings.vmap_lane_s) == (2.0, 33.0, 11.0)
