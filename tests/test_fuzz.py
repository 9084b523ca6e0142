"""Whatever stands in a file that we read: it is read, or refused in a sentence. Never a traceback."""

import copy
import dataclasses
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from matrix.execute.slurm_status import read_statuses
from matrix.gates.judging import judge_run
from matrix.ground.errors import ManifestError, MatrixError, UsageError
from matrix.ground.layout import MANIFEST, REPOSITORY_ROOT
from matrix.ground.yaml_text import parse_yaml
from matrix.hpc.profile import Profile, load_profile
from matrix.prepare.manifest import Manifest, load_manifest
from matrix.records.arrays import arrays_path, read_arrays, write_arrays
from matrix.records.cell import RecordError, from_json, to_json
from matrix.report import write_report
from matrix.report.html.pictures import gallery
from matrix.report.junit import write_junit
from matrix.report.progress import Progress
from matrix.report.rows import ending, overall, table_rows
from matrix.run.kept import FAILURE, read_failure
from matrix.run.plan import Plan, PlanError, read_plan
from tests.factory import make_plan, make_record
from tests.report.made_up import make_arrays, write_run

PIPELINE = "imaging-pixelization"
# The same inputs every time, so that what is red is red for a change; another seed by hand:
# pytest --hypothesis-seed=N with derandomize off.
bounded = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    # What fails is reported as it was found: to make it small takes minutes, and a person can do that.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
few = settings(bounded, max_examples=15)

odd_text = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", "[/x]", "-x", "a\nb", "\x00", "\x1b[31m", "../../x", "/", "nan", "inf", "\ud800", "×"]
    ),
)
odd_number = st.one_of(
    st.integers(-(10**400), 10**400),
    st.integers(-3, 3),
    st.floats(allow_nan=True, allow_infinity=True),
)
# Each drawing makes its own: what is put into a document is changed there by the next mutation.
odd: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), odd_number, odd_text, st.builds(dict, nonfinite=st.none())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(odd_text, inner, max_size=2),
        st.builds(dict, nonfinite=st.just("nan")),
    ),
    max_leaves=4,
)
damage = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(0)),
    st.tuples(st.just("insert"), st.integers(0, 10**6), st.integers(0, 255)),
)


def places(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document of dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [here, *(place for key, item in items for place in places(item, (*here, key)))]


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A document with one or two places lost, doubled or replaced by something odd."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places(document)[1:] or [()]))
        if not place:
            return draw(odd)
        *way, key = place
        node = document
        for step in way:
            node = node[step]
        match draw(st.sampled_from(["replace", "replace", "lose", "add"])):
            case "replace":
                node[key] = draw(odd)
            case "lose":
                del node[key]
            case "add" if isinstance(node, dict):
                node[draw(odd_text)] = draw(odd)
            case _:
                node.append(copy.deepcopy(node[key]))
    return document


def damaged(whole: bytes, how: tuple[str, int, int]) -> bytes:
    kind, place, byte = how
    place %= len(whole)
    if kind == "cut":
        return whole[:place]
    middle = bytes([whole[place] ^ byte]) if kind == "flip" else bytes([byte, whole[place]])
    return whole[:place] + middle + whole[place + 1 :]


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def look_at(plan: Plan) -> None:
    """Judge a run and say it in a terminal."""
    run = judge_run(plan)
    ending(plan, run.records, run.verdicts)
    overall(plan, run.records, run.verdicts)
    table_rows(plan, run.records, run.verdicts)


RECORD = json.loads(to_json(make_record()))


def record_text(document: Any) -> str:
    # As Python writes it, non-standard tokens included.
    return json.dumps(document)


@bounded
@given(mutated(RECORD))
def test_a_record_is_judged_or_refused(document: Any) -> None:
    with folder() as place:
        plan = make_plan(place, (PIPELINE,))
        for side in ("baseline", "candidate"):
            path = plan.record_path(plan.cell(PIPELINE, side))
            path.parent.mkdir(exist_ok=True)
            path.write_text(record_text(document) if side == "candidate" else to_json(make_record(side=side)))
        try:
            from_json(record_text(document))
        except RecordError as error:
            assert str(error)
        look_at(plan)


@few
@given(mutated(RECORD), odd_text)
def test_a_report_is_written_whatever_a_record_and_a_reason_hold(document: Any, reason: str) -> None:
    with folder() as place:
        plan = make_plan(place, (PIPELINE,))
        path = plan.record_path(plan.cell(PIPELINE, "candidate"))
        path.parent.mkdir()
        path.write_text(record_text(document))
        note = plan.cell_folder(plan.cell(PIPELINE, "baseline")) / FAILURE
        note.parent.mkdir(parents=True)
        note.write_text(json.dumps({"reason": f"broke [/x] \x1b {reason} \ud800"}))
        run = judge_run(plan)
        write_report(Console(file=io.StringIO()), plan, run.records, run.verdicts)
        write_junit(plan, run.verdicts)


@bounded
@given(damage)
def test_a_damaged_record_is_refused_or_read(how: tuple[str, int, int]) -> None:
    text = damaged(to_json(make_record()).encode(), how)
    with folder() as place:
        plan = make_plan(place, (PIPELINE,))
        path = plan.record_path(plan.cell(PIPELINE, "candidate"))
        path.parent.mkdir()
        path.write_bytes(text)
        look_at(plan)


PLAN = json.loads(make_plan(Path("/run"), (PIPELINE,)).model_dump_json())


@bounded
@given(mutated(PLAN))
def test_a_plan_is_read_or_refused(document: Any) -> None:
    with folder() as place:
        (place / "plan.json").write_text(record_text(document))
        try:
            plan = read_plan(place)
        except PlanError as error:
            assert error.exit_code == 2
            return
        look_at(plan)
        assert all(place in plan.record_path(cell).resolve().parents for cell in plan.cells)


@bounded
@given(damage)
def test_a_damaged_plan_is_read_or_refused(how: tuple[str, int, int]) -> None:
    with folder() as place:
        (place / "plan.json").write_bytes(damaged(json.dumps(PLAN).encode(), how))
        try:
            look_at(read_plan(place))
        except PlanError as error:
            assert error.exit_code == 2


def drawn(place: Path, spoil: Callable[[Path], object]) -> None:
    plan = write_run(place / "run")
    for side in ("baseline", "candidate"):
        spoil(arrays_path(plan.record_path(plan.cell(PIPELINE, side))))
        records = judge_run(plan).records
        pictures = gallery(plan, [PIPELINE], records)[PIPELINE]
        assert pictures.groups or pictures.missing


@settings(bounded, max_examples=40)
@given(damage)
def test_a_damaged_picture_costs_the_picture(how: tuple[str, int, int]) -> None:
    with folder() as place:
        drawn(place, lambda path: path.write_bytes(damaged(path.read_bytes(), how)))


odd_array = st.one_of(
    st.sampled_from(
        [
            np.zeros(0),
            np.asarray(1.0),
            np.full((2, 3), np.nan),
            np.full(32, np.inf),
            np.zeros((0, 2)),
            np.ones((6, 6), dtype=bool),
            np.array(["text"]),
            np.zeros(3, dtype=complex),
            np.zeros(3, dtype=">f8"),
            np.zeros((1, 1, 1)),
        ]
    ),
    st.integers(0, 40).map(np.zeros),
)


@settings(bounded, max_examples=60)
@given(st.sampled_from(sorted(vars(make_arrays("k")))), odd_array)
def test_arrays_of_odd_shapes_cost_the_picture(name: str, value: np.ndarray) -> None:
    def spoil(path: Path) -> None:
        record = make_record(side="baseline" if "baseline" in path.name else "candidate")
        write_arrays(path, dataclasses.replace(make_arrays(record.key), **{name: value}))

    with folder() as place:
        drawn(place, spoil)


def test_a_file_that_unpacks_to_more_than_any_picture_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_arrays(tmp_path / "a.npz", make_arrays("k"))
    assert read_arrays(tmp_path / "a.npz", "k") is not None
    monkeypatch.setattr("matrix.records.arrays.LARGEST_BYTES", 1000)
    assert read_arrays(tmp_path / "a.npz", "k") is None


def as_plain(path: Path) -> Any:
    return json.loads(json.dumps(parse_yaml(path.read_text()).value))


@bounded
@given(mutated(as_plain(MANIFEST)))
def test_a_manifest_is_read_or_refused(document: Any) -> None:
    with folder() as place:
        path = place / "repos.yaml"
        # JSON is YAML, and holds what a person could write in the longer form.
        path.write_text(json.dumps(document, ensure_ascii=True))
        try:
            assert isinstance(load_manifest(path), Manifest)
        except ManifestError as error:
            assert str(error).startswith(str(path))


@bounded
@given(damage)
def test_a_damaged_manifest_is_read_or_refused(how: tuple[str, int, int]) -> None:
    with folder() as place:
        path = place / "repos.yaml"
        path.write_bytes(damaged(MANIFEST.read_bytes(), how))
        try:
            load_manifest(path)
        except ManifestError as error:
            assert str(error).startswith(str(path))


@bounded
@given(mutated(as_plain(REPOSITORY_ROOT / "hpc.yaml")))
def test_a_profile_is_read_or_refused(document: Any) -> None:
    with folder() as place:
        path = place / "hpc.yaml"
        path.write_text(json.dumps(document))
        try:
            _, profile = load_profile(path, "a100")
        except UsageError as error:
            assert str(error)
        else:
            assert isinstance(profile, Profile)
            values = [value for value in profile.model_dump().values() if isinstance(value, str)]
            assert not any(value.startswith("-") or "\n" in value for value in values)
            assert profile.root.strip("/")


@bounded
@given(damage)
def test_a_damaged_profile_is_read_or_refused(how: tuple[str, int, int]) -> None:
    with folder() as place:
        path = place / "hpc.yaml"
        path.write_bytes(damaged((REPOSITORY_ROOT / "hpc.yaml").read_bytes(), how))
        try:
            load_profile(path, "here")
        except UsageError as error:
            assert str(error)


@bounded
@given(st.one_of(st.binary(max_size=40), odd.map(lambda value: json.dumps({"reason": value}).encode())))
def test_small_notes_are_read_or_passed_over(text: bytes) -> None:
    with folder() as place:
        (place / FAILURE).write_bytes(text)
        assert isinstance(read_failure(place), str)
        plan = make_plan(place)
        (place / "durations.json").write_bytes(text)
        Progress(Console(file=io.StringIO()), plan)
        (place / "jobs.json").write_bytes(text)
        try:
            read_statuses(place / "jobs.json")
        except MatrixError as error:
            assert "jobs.json" in str(error)
