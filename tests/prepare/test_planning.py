"""Which of the kept runs a new one goes on with, and which it is held against."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from matrix.catalogue import pipelines as catalogue
from matrix.catalogue.pipelines import PIPELINES, Pipeline
from matrix.ground.layout import open_layout
from matrix.prepare import planning
from matrix.prepare.datasets import LikelihoodData
from matrix.prepare.planning import fullest_run, kept_run, run_key
from matrix.records.cell import SIDES
from matrix.run.plan import OwnDataset
from tests.factory import make_plan
from tests.report.made_up import write_run


def test_a_run_goes_on_with_the_newest_and_is_held_against_the_fullest(tmp_path: Path) -> None:
    layout = open_layout(tmp_path)
    cells = make_plan(tmp_path).cells
    assert kept_run(layout, cells) is fullest_run(layout, cells) is None
    for name in ("1-full", "2-full"):
        write_run(layout.runs / name, arrays=False, key=run_key(cells))
    write_run(layout.runs / "3-broken-off", records=(), key=run_key(cells))
    write_run(layout.runs / "4-of-other-cells", arrays=False, key="other")
    newest, fullest = kept_run(layout, cells), fullest_run(layout, cells)
    assert newest and newest.name == "3-broken-off"
    assert fullest and fullest.name == "2-full"


def keys(
    monkeypatch: pytest.MonkeyPatch,
    pipelines: Mapping[str, Pipeline],
    only: tuple[str, ...] = (),
    own: Mapping[str, OwnDataset] = MappingProxyType({}),
) -> dict[str, str]:
    for module in (planning, catalogue):
        monkeypatch.setattr(module, "PIPELINES", pipelines)
    environment = SimpleNamespace(key="e")
    prepared: Any = SimpleNamespace(
        workspace=SimpleNamespace(commit="0" * 40),
        environments=dict.fromkeys(SIDES, environment),
        data=LikelihoodData(own, None),
    )
    options: Any = SimpleNamespace(scale="smoke", lanes=(), pipelines=only)
    return {cell.name: cell.key for cell in planning._cells(prepared, options, "fp64")}


def test_a_new_or_changed_pipeline_leaves_the_others_records_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = keys(monkeypatch, PIPELINES)
    assert len(set(before.values())) == len(before) == len(SIDES) * len(PIPELINES)
    changed = dataclasses.replace(PIPELINES["imaging-mge"], pixel_scale=0.1)
    new = dataclasses.replace(changed, name="imaging-new", source="new")
    after = keys(monkeypatch, {**PIPELINES, "imaging-mge": changed, "imaging-new": new})
    differing = {name for name in after if after[name] != before.get(name)}
    assert differing == {f"{name}-fp64-{side}" for name in ("imaging-mge", "imaging-new") for side in SIDES}


def test_another_instrument_has_cells_and_keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(monkeypatch, PIPELINES)
    after = keys(monkeypatch, PIPELINES, only=("imaging-mge@euclid", "imaging-mge@jwst", "imaging-mge"))
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after) == len(before) + 2 * len(SIDES)


def test_own_data_change_the_keys_of_their_instrument_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    only = ("imaging-mge@euclid",)
    before = keys(monkeypatch, PIPELINES, only)
    datasets = [OwnDataset(given=given, files={"data.fits": text}) for given, text in ("aa", "ba", "ab")]
    first, moved, edited = (keys(monkeypatch, PIPELINES, only, {"euclid": one}) for one in datasets)
    on_euclid = {f"imaging-mge@euclid-fp64-{side}" for side in SIDES}
    assert {name for name in before if first[name] != before[name]} == on_euclid
    # It is what lies in the folder that counts, and not where that is.
    assert moved == first
    assert {name for name in before if edited[name] != first[name]} == on_euclid
