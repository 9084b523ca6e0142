"""Constants are found in every form the developer workspace writes them in."""

from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.prepare.constants import read_constant


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
