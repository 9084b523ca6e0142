"""A constant is rewritten where it stands, and nothing else in its file moves."""

from pathlib import Path

import pytest

from matrix.catalogue.pipelines import PIPELINES, Pipeline
from matrix.ground.errors import UsageError
from matrix.prepare.constants import read_constant, rewrite_constant
from matrix.prepare.embedded.generations import scripted
from matrix.prepare.sides import DEVELOPER, EMBEDDED

STAND_IN = EMBEDDED / DEVELOPER
VALUE = 25200.295438368128


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        (
            "EXPECTED_LOG_EVIDENCE_HST = 1.5\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            "EXPECTED_LOG_EVIDENCE_HST = {}\n",
        ),
        (
            "x = 1.5\r\nEXPECTED_LOG_EVIDENCE_HST  =  -1.5  # → why\r\nprint(1.5)\r\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            "x = 1.5\r\nEXPECTED_LOG_EVIDENCE_HST  =  {}  # → why\r\nprint(1.5)\r\n",
        ),
        (
            "EXPECTED_LOG_LIKELIHOOD_SMA = (\n    -1.5  # inside\n)\n",
            "EXPECTED_LOG_LIKELIHOOD_SMA",
            "EXPECTED_LOG_LIKELIHOOD_SMA = (\n    {}  # inside\n)\n",
        ),
        (
            '"""é"""; EXPECTED_LOG_EVIDENCE = {"sma": -1.5, "alma": None, "hannah": -2.5}\n',
            "EXPECTED_LOG_EVIDENCE['sma']",
            '"""é"""; EXPECTED_LOG_EVIDENCE = {{"sma": {}, "alma": None, "hannah": -2.5}}\n',
        ),
        (
            'EXPECTED_LOG_EVIDENCE = {\n    "hst": {"adapt": -1.5, "split": None},\n}\n',
            "EXPECTED_LOG_EVIDENCE['hst']['split']",
            'EXPECTED_LOG_EVIDENCE = {{\n    "hst": {{"adapt": -1.5, "split": {}}},\n}}\n',
        ),
        (
            "EXPECTED_LOG_EVIDENCE_HST: float = (\n    -1.5  # old\n)\nEXPECTED_LOG_EVIDENCE_HST_X = 2.5\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            "EXPECTED_LOG_EVIDENCE_HST: float = (\n    {}  # old\n)\nEXPECTED_LOG_EVIDENCE_HST_X = 2.5\n",
        ),
        (
            '\ufeffEXPECTED_LOG_EVIDENCE = {"sma": None}',
            "EXPECTED_LOG_EVIDENCE['sma']",
            '\ufeffEXPECTED_LOG_EVIDENCE = {{"sma": {}}}',
        ),
    ],
)
@pytest.mark.parametrize("value", [VALUE, -3165.251161569041])
def test_rewritten_in_every_form(tmp_path: Path, before: str, name: str, after: str, value: float) -> None:
    path = tmp_path / "script.py"
    path.write_bytes(before.encode())
    assert rewrite_constant(path, name, value) == after.format(repr(value)).encode()
    assert path.read_bytes() == before.encode()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("EXPECTED_LOG_EVIDENCE_SMA = 1.0\n", "0 times"),
        ("EXPECTED_LOG_EVIDENCE_HST = 1.0\nEXPECTED_LOG_EVIDENCE_HST = 2.0\n", "2 times"),
    ],
)
def test_ambiguous_constant_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        rewrite_constant(path, "EXPECTED_LOG_EVIDENCE_HST", VALUE)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_value_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "script.py"
    path.write_text("EXPECTED_LOG_EVIDENCE_HST = 1.0\n")
    with pytest.raises(UsageError, match="finite"):
        rewrite_constant(path, "EXPECTED_LOG_EVIDENCE_HST", value)


@pytest.mark.parametrize("text", ["1.001 * -3153.9", "recorded()", "'-3153.9 or so'", "[1.0]"])
def test_constant_that_is_no_number_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    script = tmp_path / PIPELINES["interferometer-mge"].script
    script.parent.mkdir(parents=True)
    script.write_text(f"\nEXPECTED_LOG_LIKELIHOOD_SMA = {text}\n")
    with pytest.raises(
        UsageError, match=r"mge\.py, line 2: EXPECTED_LOG_LIKELIHOOD_SMA = .* neither a number"
    ):
        read_constant(tmp_path, "interferometer-mge", "production")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (
            "EXPECTED_LOG_EVIDENCE_HST = (\n    26927.5\n)\nEXPECTED_LOG_EVIDENCE_HST_STEP_BY_STEP = 1.0\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            26927.5,
        ),
        (
            "EXPECTED_LOG_EVIDENCE_STEP_BY_STEP_HST = 1.0\nEXPECTED_LOG_EVIDENCE_HST = 2.0\n",
            "EXPECTED_LOG_EVIDENCE_HST",
            2.0,
        ),
        (
            'EXPECTED_LOG_EVIDENCE_STEPS = {"hst": 1.0}\nEXPECTED_LOG_EVIDENCE = {"hst": 2.0, "ao": None}\n',
            "EXPECTED_LOG_EVIDENCE['hst']",
            2.0,
        ),
        ("EXPECTED_LOG_EVIDENCE_HST: float | None = None\n", "EXPECTED_LOG_EVIDENCE_HST", None),
        (
            'EXPECTED_LOG_EVIDENCE = {"hst": {"split": 2.0}, "jwst": {"split": 3.0}}\n',
            "EXPECTED_LOG_EVIDENCE['hst']['split']",
            2.0,
        ),
        ("EXPECTED_LOG_EVIDENCE_HST: float\n", "EXPECTED_LOG_EVIDENCE_HST", None),
    ],
)
def test_the_evidence_is_told_from_what_is_pinned_beside_it(
    tmp_path: Path, text: str, name: str, value: float | None
) -> None:
    script = tmp_path / PIPELINES["imaging-pixelization"].script
    script.parent.mkdir(parents=True)
    script.write_text(text)
    constant = read_constant(tmp_path, "imaging-pixelization", "production")
    assert (constant.name, constant.value) == (name, value)


@pytest.mark.parametrize(
    "text",
    [
        "EXPECTED_LOG_EVIDENCE_SMA = -1.0\n" * 2,
        'EXPECTED_LOG_EVIDENCE = {"sma": -1.0, "sma": -2.0}\n',
        'EXPECTED_LOG_EVIDENCE = {"sma": {"adapt": -1.0, "split": -2.0}}\n',
    ],
)
def test_constant_that_is_there_twice_is_refused(tmp_path: Path, text: str) -> None:
    script = tmp_path / PIPELINES["interferometer-mge"].script
    script.parent.mkdir(parents=True)
    script.write_text(text)
    with pytest.raises(UsageError, match=r"more than one constant of sma.*\(line 1\)"):
        read_constant(tmp_path, "interferometer-mge", "production")


@pytest.mark.parametrize(("stand_in", "required"), [(False, False), (True, True)])
def test_our_stand_in_must_have_its_constants_at_smoke_scale_too(
    tmp_path: Path, stand_in: bool, required: bool
) -> None:
    script = tmp_path / PIPELINES["interferometer-delaunay"].script
    script.parent.mkdir(parents=True)
    script.write_text('EXPECTED_LOG_EVIDENCE = {"sma": -1.0, "sma_small": -2.0}\n')
    constant = read_constant(tmp_path, "interferometer-delaunay", "smoke", stand_in=stand_in)
    assert (constant.value, constant.required) == (None, required)


@pytest.mark.parametrize("pipeline", scripted(STAND_IN), ids=lambda pipeline: pipeline.name)
@pytest.mark.parametrize("scale", ["production", "smoke"])
def test_stand_in_scripts(pipeline: Pipeline, scale: str) -> None:
    script = STAND_IN / pipeline.script
    constant = read_constant(STAND_IN, pipeline.name, scale)
    after = rewrite_constant(script, constant.name, VALUE + 1)
    assert after.replace(repr(VALUE + 1).encode(), repr(constant.value).encode()) == script.read_bytes()
