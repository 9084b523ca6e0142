"""Constants are found in every form the developer workspace writes them in."""

from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.prepare.constants import of_other_data, read_constant


def workspace(tmp_path: Path, script: str, text: str) -> Path:
    path = tmp_path / "jax_profiling" / "jit" / script
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("pipeline", "scale", "text", "name", "value"),
    [
        (
            "imaging-mge",
            "production",
            "EXPECTED_LOG_LIKELIHOOD_HST = 2.5\n",
            "EXPECTED_LOG_LIKELIHOOD_HST",
            2.5,
        ),
        (
            "imaging-mge",
            "production",
            "EXPECTED_LOG_EVIDENCE_HST = 2.5  # why\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            2.5,
        ),
        (
            "interferometer-mge",
            "production",
            "EXPECTED_LOG_EVIDENCE_SMA = -3.5\n",
            "EXPECTED_LOG_EVIDENCE_SMA",
            -3.5,
        ),
        (
            "interferometer-mge",
            "production",
            "EXPECTED_LOG_EVIDENCE_SMA = (\n    -3.5\n)\n",
            "EXPECTED_LOG_EVIDENCE_SMA",
            -3.5,
        ),
        (
            "interferometer-delaunay",
            "production",
            'EXPECTED_LOG_EVIDENCE = {"sma": -3.5, "alma": None}\n',
            "EXPECTED_LOG_EVIDENCE['sma']",
            -3.5,
        ),
        (
            "imaging-mge",
            "smoke",
            "EXPECTED_LOG_EVIDENCE_HST = 1.0\nEXPECTED_LOG_EVIDENCE_HST_SMOKE = 2.0\n",
            "EXPECTED_LOG_EVIDENCE_HST_SMOKE",
            2.0,
        ),
        (
            "imaging-mge",
            "production",
            "EXPECTED_LOG_EVIDENCE_HST = None\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            None,
        ),
        ("imaging-mge", "production", "x = 1\n", "EXPECTED_LOG_EVIDENCE_HST", None),
    ],
)
def test_forms(tmp_path: Path, pipeline: str, scale: str, text: str, name: str, value: float | None) -> None:
    script = pipeline.replace("-", "/") + ".py"
    constant = read_constant(workspace(tmp_path, script, text), pipeline, scale)
    assert (constant.name, constant.value) == (name, value)
    assert constant.required == (scale == "production")


def test_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the checkout's ref one that holds this script"):
        read_constant(tmp_path, "imaging-mge", "production")


def test_script_that_is_not_python(tmp_path: Path) -> None:
    broken = workspace(tmp_path, "imaging/mge.py", "<<<<<<< HEAD\n")
    with pytest.raises(UsageError, match="line 1"):
        read_constant(broken, "imaging-mge", "production")


DELAUNAY = 'EXPECTED_LOG_EVIDENCE = {"sma": -3.5, "alma": None, "hannah": -2.5}\n'


@pytest.mark.parametrize(
    ("name", "value"),
    [("interferometer-delaunay@hannah", -2.5), ("interferometer-delaunay@alma", None)],
)
def test_another_instrument_has_its_own_constant_or_none_and_none_is_no_failure(
    tmp_path: Path, name: str, value: float | None
) -> None:
    found = read_constant(
        workspace(tmp_path, "interferometer/delaunay.py", DELAUNAY), name, "production", stand_in=True
    )
    assert (found.value, found.required) == (value, False)
    assert found.unheld.startswith("none is recorded for ")


def test_constant_says_nothing_of_a_persons_data(tmp_path: Path) -> None:
    theirs = workspace(tmp_path, "interferometer/delaunay.py", DELAUNAY)
    recorded = read_constant(theirs, "interferometer-delaunay", "production")
    assert recorded.required
    found = of_other_data(recorded, "~/lens")
    assert (found.value, found.required) == (None, False)
    assert "~/lens" in found.unheld
