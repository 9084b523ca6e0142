"""A side's settings: read from the command line, held against the library, and in force in its processes."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from matrix.commands.matrix import matrix_options
from matrix.execute.local import software
from matrix.execute.variables import cell_variables
from matrix.gates import judge
from matrix.gates.judging import Run
from matrix.ground.errors import MatrixError, UsageError
from matrix.ground.settings import PACKAGED, check_settings, nested, said, settings_from
from matrix.pipelines.cell import SETTINGS_VARIABLE, put_in_force
from matrix.prepare.environments import SideEnvironment
from matrix.prepare.sides import _with_settings
from matrix.records.cell import Side, Solver
from matrix.refresh.artifacts.runs import _unfit
from matrix.report.html.problems import rerun_command
from matrix.run.change import Change, Given
from matrix.run.plan import Plan, read_plan
from tests.factory import make_plan, make_record

CERTIFIED = {"inversion.positive_only_solver": "certified"}


def plan_with(folder: Path, side: Side = "baseline", settings: dict[str, str] = CERTIFIED) -> Plan:
    plan = make_plan(folder)
    changed = plan.environments[side].model_copy(update={"settings": settings})
    change = Change(**{side: Given(settings=settings)})
    return plan.model_copy(update={"environments": {**plan.environments, side: changed}, "change": change})


def test_each_side_has_its_own_option_any_number_of_times() -> None:
    words = ["--baseline-setting", "inversion.positive_only_solver=certified"]
    more = ["--baseline-setting", "inversion.certified_pass_budget=40"]
    options = matrix_options(["fp64", *words, *more, "--candidate-setting", "a.b=1=2"])
    assert options.change == Change(
        vendor=False,
        baseline=Given(settings={**CERTIFIED, "inversion.certified_pass_budget": "40"}),
        candidate=Given(settings={"a.b": "1=2"}),
    )
    assert matrix_options(["fp64"]).change is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["positive_only_solver=pdip"], "write SECTION.KEY=VALUE"),
        (["inversion.positive_only_solver"], "write SECTION.KEY=VALUE"),
        (["inversion.positive_only_solver="], "write SECTION.KEY=VALUE"),
        (["a.b=1", "a.b=2"], "a.b is there twice"),
        (["a.b=[1"], "'\\[1' is no value"),
        (["a.b=2026-10-26"], "'2026-10-26' is no value"),
    ],
)
def test_words_without_meaning_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        settings_from("--baseline-setting", words)


def test_values_are_read_as_yaml() -> None:
    words = {"inversion.a": "1e-9", "inversion.b": "null", "inversion.c": "true", "other.d": "pdip"}
    assert nested(words) == {"inversion": {"a": 1e-9, "b": None, "c": True}, "other": {"d": "pdip"}}


def test_name_that_the_library_does_not_have_is_refused_with_what_is_near(tmp_path: Path) -> None:
    path = tmp_path / PACKAGED
    path.parent.mkdir(parents=True)
    path.write_text(
        "inversion:\n  positive_only_solver: pdip\n  nnls_target_kappa: 1.0e-11\nfits: {flip: 1}\n"
    )
    check_settings("--baseline-setting", CERTIFIED, tmp_path)
    with pytest.raises(UsageError, match=r"no such key\. Did you mean 'inversion\.positive_only_solver'"):
        check_settings("--baseline-setting", {"inversion.positive_only_sovler": "pdip"}, tmp_path)


def test_environment_with_settings_has_another_key() -> None:
    made = SideEnvironment(Path("python"), (), "key")
    console = Console(quiet=True)
    assert _with_settings(console, "baseline", made, {}) is made
    changed = [_with_settings(console, "baseline", made, {"a.b": text}).key for text in ("1", "2")]
    assert len({made.key, *changed}) == 3


def test_plan_record_heading_and_command_say_them(tmp_path: Path) -> None:
    plan = plan_with(tmp_path)
    plan.write()
    assert read_plan(tmp_path).environments["baseline"].settings == CERTIFIED
    assert plan.heading == "fp64, production scale, baseline with inversion.positive_only_solver = certified"
    assert "--baseline-setting inversion.positive_only_solver=certified" in rerun_command(plan)
    assert software(plan)["settings"] == {"baseline": CERTIFIED, "candidate": {}}
    given = {cell.side: json.loads(cell_variables(plan, cell)[SETTINGS_VARIABLE]) for cell in plan.cells}
    assert given == {"baseline": {"inversion": {"positive_only_solver": "certified"}}, "candidate": {}}


def test_run_with_settings_is_none_to_refresh_from(tmp_path: Path) -> None:
    records = {cell.name: make_record(side=cell.side) for cell in make_plan(tmp_path).cells}
    assert "baseline with inversion.positive_only_solver = certified" in _unfit(
        Run(plan_with(tmp_path), records, ())
    )
    assert _unfit(Run(make_plan(tmp_path), records, ())) == ""


class Configuration:
    """The library's: folders in order, the first that has a key answers."""

    def __init__(self, packaged: dict[str, Any], reads: bool) -> None:
        self.folders: list[dict[str, Any]] = [{"general": packaged}]
        self._reads = reads

    def push(self, folder: Path) -> None:
        import yaml

        if self._reads:
            self.folders.insert(0, {"general": yaml.safe_load((folder / "general.yaml").read_text())})

    def __getitem__(self, name: str) -> Any:
        merged: dict[str, Any] = {}
        for general in reversed(self.folders):
            for section, keys in general[name].items():
                merged[section] = {**merged.get(section, {}), **keys}
        return merged


@pytest.mark.parametrize("package", ["autonerves", "autoconf"])
@pytest.mark.parametrize("reads", [True, False])
def test_settings_come_first_and_the_rest_stays_the_packages(
    package: str, reads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("yaml")
    packaged = {"inversion": {"positive_only_solver": "pdip", "certified_tau_rel": 1e-9, "x": 1}}
    instance = Configuration(packaged, reads)
    monkeypatch.delitem(sys.modules, "autonerves", raising=False)
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, f"{package}.conf", SimpleNamespace(instance=instance))
    given = {"inversion": {"positive_only_solver": "certified", "certified_tau_rel": 1e-12}}
    if reads:
        put_in_force(given, tmp_path / "settings")
        assert instance["general"]["inversion"] == {**given["inversion"], "x": 1}
    else:
        with pytest.raises(MatrixError, match="positive_only_solver = 'pdip', not 'certified'"):
            put_in_force(given, tmp_path / "settings")


def solver_message(plan: Plan, side: Side, solver: Solver) -> tuple[str, str]:
    record = make_record(side=side, solver=solver)
    found = judge(plan, {plan.cell(record.cell.pipeline, side).name: record}, {})
    (verdict,) = (v for v in found if (v.gate, v.side) == ("solver", side))
    return verdict.outcome.value, verdict.message


def test_solver_that_the_library_did_not_use_is_said(tmp_path: Path) -> None:
    used = Solver("pdip", {"solver": "pdip", "preconditioning": "raw"}, ("solver",))
    outcome, message = solver_message(plan_with(tmp_path), "baseline", used)
    assert outcome == "pass"
    assert "by pdip, raw; certified was asked for, which the library does not use here" in message
    used = Solver("certified", {"solver": "certified"}, ("solver",))
    assert "asked for" not in solver_message(plan_with(tmp_path), "baseline", used)[1]


@pytest.mark.parametrize(("asked", "outcome"), [("certified", "pass"), ("nnls", "fail"), (None, "fail")])
def test_candidate_is_solved_by_what_was_vendored_unless_another_is_asked_for(
    asked: str | None, outcome: str, tmp_path: Path
) -> None:
    settings = {} if asked is None else {"inversion.positive_only_solver": asked}
    used = Solver("certified", {"solver": "certified"}, ("solver",))
    plan = plan_with(tmp_path, "candidate", settings)
    records = {
        plan.cell(record.cell.pipeline, record.cell.side).name: record
        for record in (make_record(side="baseline"), make_record(side="candidate", solver=used))
    }
    (verdict,) = (each for each in judge(plan, records, {}) if each.gate == "comparable" and each.numbers)
    assert ("not by autoarray.inversion.nnls" in verdict.message) == (outcome == "fail")
    assert outcome == "pass" or verdict.outcome.value == "fail"


def test_settings_in_a_few_words() -> None:
    assert said({"b.c": "2", "a.b": "1"}) == "a.b = 1, b.c = 2"
