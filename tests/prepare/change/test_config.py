"""The packaged settings: where they go, what stays, and that the code has the same defaults."""

import ast
from pathlib import Path

import pytest

import solver
from matrix.ground.errors import UsageError
from matrix.ground.layout import SOLVER
from matrix.ground.yaml_text import parse_yaml
from matrix.prepare.change import algorithm_names
from matrix.prepare.change.config import KEPT, NEW, add_settings
from matrix.prepare.change.templating import template_text
from tests.prepare.change.miniature import GENERAL_YAML


def test_the_code_has_the_packaged_values_as_defaults() -> None:
    calls = (
        node for node in ast.walk(ast.parse(template_text("inversion_util.py"))) if isinstance(node, ast.Call)
    )
    in_code = {
        ast.literal_eval(call.args[0]): ast.literal_eval(call.args[1])
        for call in calls
        if ast.unparse(call.func) == "nnls_config_from"
    }

    packaged = parse_yaml("\n".join(f"{setting.key}: {setting.value}" for setting in (*KEPT, *NEW))).value

    assert in_code == packaged


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_rest_stays_byte_for_byte(newline: str) -> None:
    before = GENERAL_YAML.replace("\n", newline)

    after = add_settings(before)

    ours = tuple(f"  {setting.key}" for setting in (*KEPT, *NEW))
    assert [line for line in after.splitlines(True) if not line.startswith(ours)] == [
        line for line in before.splitlines(True) if not line.startswith(ours)
    ]
    assert add_settings(after) == after
    assert "jaxnnls" not in after
    section = parse_yaml(after).value["inversion"]
    assert list(section) == ["check", *(setting.key for setting in (*KEPT, *NEW)), "vmax_factor"]
    columns = {line.index("#") for line in after.splitlines() if line.startswith(ours)}
    assert columns == {GENERAL_YAML.splitlines()[4].index("#")}


def test_values_that_a_person_chose_are_kept() -> None:
    chosen = GENERAL_YAML.replace("1.0e-11  ", "1.0e-6   ").replace(
        "  vmax", "  nnls_algorithm: schur\n  vmax"
    )

    section = parse_yaml(add_settings(chosen)).value["inversion"]

    assert section["nnls_target_kappa"] == 1.0e-6
    assert section["nnls_algorithm"] == "schur"
    assert section["nnls_forward_only"] is False


@pytest.mark.parametrize("there", [None, "schur"])
def test_an_algorithm_asked_for_is_named_whatever_was_there(there: str | None) -> None:
    before = GENERAL_YAML
    if there is not None:
        before = before.replace("  vmax", f"  nnls_algorithm: {there}  # mine\n  vmax")

    after = add_settings(before, "pdip")

    assert parse_yaml(after).value["inversion"]["nnls_algorithm"] == "pdip"
    assert after.count("nnls_algorithm:") == 1
    assert add_settings(after) == after


def test_the_names_are_the_solvers_own(tmp_path: Path) -> None:
    assert algorithm_names(SOLVER) == solver.ALGORITHMS
    with pytest.raises(UsageError, match="_BY_NAME"):
        algorithm_names(tmp_path)


def test_a_last_line_without_an_end_is_ended() -> None:
    short = GENERAL_YAML[: GENERAL_YAML.index("  vmax_factor")].rstrip("\n")

    section = parse_yaml(add_settings(short)).value["inversion"]

    assert list(section)[-1] == "nnls_forward_only"
