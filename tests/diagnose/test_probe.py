"""The probe's own parts on small programs: scopes, cut steps, traces, callbacks, batch curves."""

import argparse
import dataclasses
import functools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from matrix.diagnose.batch.record import BatchPoint, BatchRecord  # noqa: E402
from matrix.diagnose.probe.callbacks import callback_meter  # noqa: E402
from matrix.diagnose.probe.cell import _traced  # noqa: E402
from matrix.diagnose.probe.session import DIAGNOSIS  # noqa: E402
from matrix.diagnose.probe.slices import compiled_slice, sliced  # noqa: E402
from matrix.diagnose.probe.steps import Scope, scoped, step_of, step_scopes  # noqa: E402
from matrix.diagnose.probe.trace import HOST_CALLBACK, instructions_of, windows_of  # noqa: E402
from matrix.diagnose.sides.driver import newest_plan  # noqa: E402
from matrix.diagnose.sides.likelihood import of_likelihoods  # noqa: E402
from matrix.diagnose.sides.record import write_diagnosis  # noqa: E402
from matrix.ground.errors import UsageError  # noqa: E402
from matrix.ground.layout import REPOSITORY_ROOT  # noqa: E402
from matrix.pipelines.programs import compiled  # noqa: E402
from matrix.records import typed_json  # noqa: E402
from matrix.records.cell import RecordError  # noqa: E402
from tests.factory import make_record  # noqa: E402


class Base:
    """Stands for a library class: a property, a cached property, a method."""

    def __init__(self, x: Any) -> None:
        self.x = x

    @property
    def curvature(self) -> Any:
        return self.x @ self.x.T

    @functools.cached_property
    def solution(self) -> Any:
        return jnp.linalg.solve(self.curvature + jnp.eye(self.x.shape[0]), self.vector())

    def vector(self) -> Any:
        return self.x.sum(axis=1)


class Derived(Base):
    """Defines one of them anew."""

    @property
    def curvature(self) -> Any:
        return 2 * super().curvature


SCOPES = (
    Scope(__name__, "Base", "curvature", "curvature"),
    Scope(__name__, "Base", "solution", "nnls"),
    Scope(__name__, "Base", "vector", "data_vector"),
    Scope(__name__, "Base", "gone", "mesh"),
    Scope("no.such.module", "Base", "vector", "mesh"),
)


def likelihood(x: Any) -> Any:
    return jnp.sum(Derived(x).solution ** 2)


LINEAR_ALGEBRA = ("dot_general", "lu", "triangular_solve")
X = np.random.default_rng(0).normal(size=(40, 60)).astype(np.float32)


def test_scopes_change_names_only_and_are_taken_back() -> None:
    before = dict(vars(Base)), dict(vars(Derived)), vars(Base)["solution"].func
    with step_scopes(SCOPES) as absent:
        inside = likelihood(X)
    assert absent == [f"{__name__}.Base.gone", "no.such.module.Base.vector"]
    assert (dict(vars(Base)), dict(vars(Derived)), vars(Base)["solution"].func) == before
    assert inside == likelihood(X)


def test_innermost_scope_counts_also_under_vmap() -> None:
    assert step_of("jit(f)/vmap(probe_step_nnls)/probe_step_data_vector/dot") == "data_vector"
    assert step_of("jit(f)/vmap(probe_step_nnls)/while/body/mul") == "nnls"
    assert step_of("jit(f)/mul") is None


@pytest.mark.parametrize("lanes", [None, 3])
def test_steps_run_alone_give_what_they_give_in_the_program(lanes: int | None) -> None:
    function = likelihood if lanes is None else jax.vmap(likelihood)
    x = X if lanes is None else np.stack([X, 2 * X, 3 * X])
    with step_scopes(SCOPES):
        cut = sliced(function, jnp.asarray(x))
    by_step = {each.step: each for each in cut.slices}
    assert set(by_step) == {"curvature", "nnls", "data_vector"}
    values = cut.values()
    program, inputs = compiled_slice(by_step["curvature"], values)
    (result,) = program(inputs)
    np.testing.assert_allclose(result, 2 * x @ np.swapaxes(x, -1, -2), rtol=1e-5, atol=1e-3)


def test_every_expensive_instruction_finds_its_step_in_the_trace(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        return likelihood(jnp.tile(x, (10, 10)))

    with step_scopes(SCOPES):
        program = compiled(function, jnp.asarray(X))
    program(jnp.asarray(X))
    instructions = instructions_of(program.executable.as_text())
    for window in _traced(program, jnp.asarray(X), tmp_path, instructions):
        spent = window.instructions_s
        assert 0 < sum(spent.values()) <= window.wall_s
        # By kind and not by their time, in which a neighbour's load has its part.
        expensive = [path for name in spent if (path := instructions[name].op_name).endswith(LINEAR_ALGEBRA)]
        assert {path.rpartition("/")[2] for path in expensive} == set(LINEAR_ALGEBRA)
        assert {step_of(path) for path in expensive} == {"curvature", "nnls"}


def event(name: str, ts: float, dur: float, pid: int = 1, tid: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"ph": "X", "name": name, "ts": ts, "dur": dur, "pid": pid, "tid": tid, "args": arguments}


def test_nested_time_belongs_to_the_innermost_and_overlap_is_shared() -> None:
    events = [
        event("call", 0, 100),
        event("while.1", 10, 50),
        event("dot.2", 20, 30),
        event("fusion.3", 40, 20, tid=2),
        event("unknown", 0, 100, tid=3),
    ]
    (window,) = windows_of(events, "call", {"while.1", "dot.2", "fusion.3"})
    assert window.instructions_s == pytest.approx({"while.1": 15e-6, "dot.2": 25e-6, "fusion.3": 10e-6})
    assert window.idle_s == pytest.approx(50e-6)
    assert window.calls == {"while.1": 1, "dot.2": 1, "fusion.3": 1}


def test_on_an_accelerator_its_own_rows_count_and_not_the_launches() -> None:
    events = [
        {"ph": "M", "name": "process_name", "pid": 7, "args": {"name": "/device:GPU:0"}},
        event("call", 0, 100),
        event("dot.2", 5, 1),
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": 3, "args": {"name": "Stream #13(Compute)"}},
        event("gemm", 20, 60, pid=7, tid=3, hlo_op="dot.2"),
        event("dot.2", 20, 70, pid=7, tid=4),
    ]
    (window,) = windows_of(events, "call", {"dot.2"})
    assert window.instructions_s == pytest.approx({"dot.2": 60e-6})
    assert window.calls == {"dot.2": 1}


def test_a_device_that_waits_for_the_host_s_python_spends_its_time_there() -> None:
    events = [
        {"ph": "M", "name": "process_name", "pid": 7, "args": {"name": "/device:GPU:0"}},
        event("call", 0, 100),
        event(HOST_CALLBACK, 15, 40),
        event("gemm", 10, 10, pid=7, hlo_op="dot.2"),
        event("add", 30, 5, pid=7, hlo_op="add.3"),
        event("gemm", 50, 20, pid=7, hlo_op="dot.2"),
    ]
    (window,) = windows_of(events, "call", {"dot.2", "add.3", HOST_CALLBACK})
    spent = {"dot.2": 30e-6, "add.3": 5e-6, HOST_CALLBACK: 25e-6}
    assert window.instructions_s == pytest.approx(spent)
    assert window.idle_s == pytest.approx(40e-6)


def test_the_wait_for_a_callback_belongs_to_the_step_that_calls_back(tmp_path: Path) -> None:
    def host(x: Any) -> Any:
        time.sleep(0.02)
        return np.asarray(x)

    def function(x: Any) -> Any:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(host, shape, x + 1)

    x = jnp.ones(5, jnp.float32)
    with callback_meter():
        program = compiled(lambda x: scoped(function, "mesh")(x) * 2, x)
    program(x)
    instructions = instructions_of(program.executable.as_text())
    assert step_of(instructions[HOST_CALLBACK].op_name) == "mesh"
    for window in _traced(program, x, tmp_path, instructions):
        spent = sum(
            seconds
            for name, seconds in window.instructions_s.items()
            if step_of(instructions[name].op_name) == "mesh"
        )
        assert 0.02 <= spent <= window.wall_s


def test_instruction_without_origin_takes_that_of_its_user() -> None:
    hlo = """ENTRY %main (p: f32[4]) -> f32[4] {
  %zeros.1 = f32[4]{0} broadcast(%c), dimensions={}
  %copy.2 = f32[4]{0} copy(%zeros.1)
  ROOT %add.3 = f32[4]{0} add(%copy.2, %p), metadata={op_name="jit(f)/probe_step_mapping/add"}
}
"""
    assert {step_of(found.op_name) for found in instructions_of(hlo).values()} == {"mapping"}


def test_callbacks_are_counted_per_lane_under_vmap() -> None:
    def host(x: Any) -> Any:
        return np.asarray(x) * 2

    def function(x: Any) -> Any:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(host, shape, x, vmap_method="sequential")

    with callback_meter() as meter:
        program = compiled(jax.vmap(function), jnp.ones((3, 5), jnp.float32))
    meter.reset()
    program(jnp.ones((3, 5), jnp.float32))
    (callback,) = meter.per_call(1)
    assert callback.calls == 3
    assert callback.bytes_to_host == callback.bytes_from_host == 3 * 5 * 4


def batch_record(*points: BatchPoint) -> BatchRecord:
    record = make_record()
    return BatchRecord(record.cell, points, 1, record.precision, record.provenance)


def test_batch_stops_gaining_where_more_lanes_save_less_than_five_per_cent() -> None:
    times = {1: 1.0, 3: 1.9, 8: 4.7, 16: 9.2}
    points = [BatchPoint(lanes, 1.0, (time,), 8, "") for lanes, time in times.items()]
    assert batch_record(*points).stops_gaining == 8
    assert batch_record(BatchPoint(16, 1.0, (), 8, "needs 9 GiB")).stops_gaining is None


def test_records_are_read_back_strictly(tmp_path: Path) -> None:
    record = batch_record(BatchPoint(1, 1.0, (0.5, 0.25), None, ""))
    write_diagnosis(tmp_path / "record.json", record)
    assert typed_json.read(tmp_path / "record.json", BatchRecord) == record
    other = dataclasses.replace(record)
    (tmp_path / "other.json").write_text('{"schema": "something else", "version": 1}')
    with pytest.raises(RecordError, match="batch-record"):
        typed_json.read(tmp_path / "other.json", type(other))


@pytest.mark.parametrize(
    "name",
    [
        "matrix.commands.profile import main",
        *(f"matrix.diagnose.{name.replace('-', '_')}.session import DIAGNOSIS" for name in of_likelihoods()),
    ],
)
def test_the_driver_s_own_environment_needs_no_jax(name: str) -> None:
    program = f"import sys; sys.modules['jax'] = None; from {name} as it; getattr(it, 'main', it)(['--help'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False
    )
    assert "usage" in done.stdout, done.stderr
    assert done.returncode == 0


def test_a_record_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "batches" / "one" / "record.json"
    path.parent.mkdir(parents=True)
    said = f"{path.parent}/log.txt, {tmp_path}/environments/a, {REPOSITORY_ROOT}/matrix, {Path.home()}/x"
    write_diagnosis(path, batch_record(BatchPoint(1, 1.0, (), None, said)))
    (point,) = typed_json.read(path, BatchRecord).points
    assert point == BatchPoint(1, 1.0, (), None, "./log.txt, .matrix/environments/a, ./matrix, ~/x")


def test_without_a_run_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="matrix-fp64"):
        newest_plan(tmp_path, None)


def test_scoped_function_keeps_its_name() -> None:
    assert scoped(likelihood, "nnls").__name__ == "likelihood"


def test_pipelines_of_one_call_do_not_overwrite_each_other(tmp_path: Path) -> None:
    named = argparse.Namespace(output_dir=tmp_path / "chosen", root=tmp_path)
    folders = {DIAGNOSIS.folder(named, pipeline) for pipeline in ("imaging-mge", "imaging-delaunay")}
    assert folders == {tmp_path / "chosen" / "imaging-mge", tmp_path / "chosen" / "imaging-delaunay"}
    ours = argparse.Namespace(output_dir=None, root=tmp_path, precision="mp", scale="smoke")
    own = DIAGNOSIS.folder(ours, "imaging-mge")
    assert own.parent == tmp_path / "probe"
    assert own.name.startswith("imaging-mge-mp-smoke-")
