"""Shards: every pipeline and every check in exactly one of them, and mistyped ones refused."""

import json

import pytest

from matrix.catalogue.checks import CHECKS
from matrix.catalogue.pipelines import PIPELINES, planned_pipelines
from matrix.commands.matrix import main, matrix_options
from matrix.commands.shards import Selection, shard_listing, shard_of
from matrix.ground.errors import UsageError
from matrix.prepare.planning import selected_checks

ONE_TOO_MANY = len(PIPELINES) + 1
WHOLE = Selection(tuple(PIPELINES), selected_checks((), (), True))


@pytest.mark.parametrize("count", range(1, len(PIPELINES) + 1))
def test_all_shards_together_are_the_whole_session(count: int) -> None:
    listed = json.loads(shard_listing(WHOLE, count))["include"]
    parts = [shard_of(WHOLE, entry["shard"]) for entry in listed]
    assert len(parts) == count
    assert all(part.pipelines for part in parts)
    assert sorted(name for part in parts for name in part.pipelines) == sorted(WHOLE.pipelines)
    assert sorted(name for part in parts for name in part.checks) == sorted(WHOLE.checks)
    assert [entry["name"] for entry in listed] == [
        ", ".join((*part.pipelines, *part.checks)) for part in parts
    ]


def test_longest_pipelines_are_in_different_shards() -> None:
    assert [shard_of(WHOLE, f"{i}/3").pipelines[0] for i in (1, 2, 3)] == list(PIPELINES)[:3]


def test_checks_of_one_gate_stay_together_beside_the_shortest_pipelines() -> None:
    longest, *_, shortest = PIPELINES
    count = len(PIPELINES)
    assert shard_of(WHOLE, f"{count}/{count}") == Selection((shortest,), ("assertions", "assertion-script"))
    assert shard_of(WHOLE, f"1/{count}") == Selection((longest,), ())


@pytest.mark.parametrize("text", ["0/3", "4/3", f"1/{ONE_TOO_MANY}", "1/0", "1", "a/b", "-1/3", "1/3/2"])
def test_impossible_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        shard_of(WHOLE, text)


def test_shard_divides_what_only_selects() -> None:
    words = ("--only", "imaging-mge", "--only", "interferometer-mge", "--shard", "2/2")
    options = matrix_options(("fp64", *words))
    assert (options.only, options.checks) == (("interferometer-mge",), ())


def test_shards_of_a_session_make_its_checks_once() -> None:
    options = [matrix_options(("fp64", "--with-scripts", "--shard", f"{i}/3")) for i in (1, 2, 3)]
    asked = [selected_checks(part.only, part.checks, part.with_scripts) for part in options]
    assert sorted(name for part in asked for name in part) == sorted(CHECKS)


def test_checks_alone_are_not_divided() -> None:
    with pytest.raises(UsageError, match="divides pipelines"):
        matrix_options(("fp64", "--check", "gradients", "--shard", "1/2"))


def test_listing_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fp64", "--list-shards", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert [entry["shard"] for entry in json.loads(out)["include"]] == ["1/2", "2/2"]
    assert main(["fp64", "--list-shards", "0"]) == 2


@pytest.mark.parametrize("selected", [("imaging-mge",), ("imaging-mge", "interferometer-mge"), ()])
def test_listing_has_no_shard_without_a_pipeline(
    selected: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """As the workflow asks for six, whatever the person who started it selected."""
    only = [word for name in selected for word in ("--only", name)]
    assert main(["fp64", "--list-shards", "6", *only]) == 0
    shards = [entry["shard"] for entry in json.loads(capsys.readouterr().out)["include"]]
    parts = [matrix_options(["fp64", *only, "--shard", shard]) for shard in shards]
    assert sorted(name for part in parts for name in part.only) == sorted(selected or PIPELINES)
    assert len(parts) == min(6, len(selected or PIPELINES))
    assert all(part.only for part in parts)


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "soon"])
def test_a_time_limit_that_is_no_time_is_refused(seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        matrix_options(["fp64", f"--cell-timeout={seconds}"])
    assert ended.value.code == 2


def test_a_shard_knows_its_whole() -> None:
    options = matrix_options(["fp64", "--shard", "2/3"])
    assert set(options.only) < set(options.whole) == set(PIPELINES)
    assert set(options.checks) <= set(options.whole_checks)
    assert matrix_options(["fp64", "--only", "imaging-mge"]).whole == ()


def test_shards_of_other_instruments_plan_the_same_cells() -> None:
    words = ["fp64", "--only", "imaging-mge@euclid", "--only", "imaging-mge@jwst"]
    parts = [matrix_options([*words, "--dataset", "jwst=lens", "--shard", f"{i}/2"]) for i in (1, 2)]
    assert [part.only for part in parts] == [("imaging-mge@euclid",), ("imaging-mge@jwst",)]
    assert {planned_pipelines(part.pipelines) for part in parts} == {
        planned_pipelines(("imaging-mge@euclid", "imaging-mge@jwst"))
    }


def test_own_instrument_is_selected_once_by_whichever_name() -> None:
    words = ["--only", "imaging-mge@hst", "--only", "imaging-mge", "--only", "interferometer-mge@alma"]
    assert matrix_options(["fp64", *words]).only == ("imaging-mge", "interferometer-mge@alma")


@pytest.mark.parametrize("words", [["hst"], ["=lens"], ["hst="], ["hst=a", "hst=b"]])
def test_dataset_of_another_form_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--dataset"):
        matrix_options(["fp64", *(word for each in words for word in ("--dataset", each))])


def test_an_evidence_is_expected_of_what_is_run() -> None:
    words = ["fp64", "--expect-drift", "imaging-mge@euclid=1.5", "--because", "so"]
    with pytest.raises(UsageError, match="--only imaging-mge@euclid"):
        matrix_options(words)
    assert set(matrix_options([*words, "--only", "imaging-mge@euclid"]).expected) == {"imaging-mge@euclid"}
