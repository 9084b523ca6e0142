"""The positive-only solver of JAX inversions where nobody chooses one."""

from pathlib import Path

import autoarray as aa
import pytest
import yaml


def test__settings__positive_only_solver__packaged_value() -> None:
    packaged = Path(aa.__file__).parent / "config" / "general.yaml"

    section = yaml.safe_load(packaged.read_text())["inversion"]

    assert section["positive_only_solver"] == "nnls"


def test__settings__positive_only_solver__same_value_where_the_configuration_has_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        aa.Settings, "_inversion_config_value", lambda _self, _key, default: default
    )

    assert aa.Settings().positive_only_solver == "nnls"


def test__settings__positive_only_solver__others_can_be_chosen() -> None:
    for value in ("pdip", "certified"):
        assert aa.Settings(positive_only_solver=value).positive_only_solver == value
