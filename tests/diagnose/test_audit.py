"""The precision audit: every verdict from a small file of ours, and the real artifacts of the workspace."""

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from matrix.diagnose.audit.session import DIAGNOSIS, FileAudit, audit, audit_file
from matrix.diagnose.audit.verdicts import Digits, TruePrecision
from matrix.records.cell import PrecisionFacts, XlaMemory, write_record
from matrix.records.precision import is_float32, significant_digits
from tests.factory import EVIDENCE, evaluation, make_record
from tests.real import ARTIFACTS

LANES = 3
MIB = 2**20


def single(value: float) -> float:
    """The float32 number nearest to `value`."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def result(**changes: Any) -> dict[str, Any]:
    """A float64 result in the layout of the imaging pipelines; `changes` replace its keys."""
    return {
        "config_name": "hpc_a100_fp64",
        "use_mixed_precision": False,
        "autolens_version": "2026.5.1.4",
        "log_likelihood": {"eager_numpy": EVIDENCE, "full_pipeline_jit": EVIDENCE + 1e-9},
        "steps": {"Mapped recon + log evidence": 0.25},
        "vmap": {"batch_size": LANES, "per_call": 0.5},
        "memory_mb": {"output": 8 * LANES / MIB},
        **changes,
    }


def audited(folder: Path, document: Any, name: str = "hpc_a100_fp64.json") -> FileAudit:
    """The audit of `document` written to a file."""
    path = folder / name
    path.write_text(json.dumps(document))
    return audit_file(path)


def sign_paths(file_audit: FileAudit) -> list[str]:
    return [sign.path for judgement in file_audit.judgements for sign in judgement.signs]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (26289.224609375, True),
        (26288.321397232066, False),
        (single(0.1), True),
        (0.1, False),
        (2.0**-149, True),
        (2.0**-150, False),
        (3.5e38, False),
        (float("inf"), False),
        (float("nan"), False),
    ],
)
def test_float32_numbers_are_known(value: float, expected: bool) -> None:
    assert is_float32(value) is expected


@pytest.mark.parametrize(("value", "digits"), [(26289.225, 8), (-1.5e-7, 2), (100.0, 1), (1 / 3, 16)])
def test_significant_digits(value: float, digits: int) -> None:
    assert significant_digits(value) == digits


def test_float64_result_with_float64_output(tmp_path: Path) -> None:
    found = audited(tmp_path, result())
    assert found.verdict is TruePrecision.FLOAT64
    assert "24 bytes for 3 lanes: float64" in found.reason
    assert found.judgements[0].label == "fp64"


def test_one_float32_value_decides(tmp_path: Path) -> None:
    values = {"eager_numpy": EVIDENCE, "full_pipeline_jit": EVIDENCE, "vmap_first_element": single(EVIDENCE)}
    found = audited(tmp_path, result(log_likelihood=values))
    assert found.verdict is TruePrecision.FLOAT32
    (sign,) = found.judgements[0].signs
    assert sign.path == "log_likelihood.vmap_first_element"
    assert float(sign.value) == single(EVIDENCE)
    assert sign.why == Digits.FLOAT32


def test_float32_output_decides_although_the_values_look_right(tmp_path: Path) -> None:
    found = audited(tmp_path, result(memory_mb={"output": 4 * LANES / MIB}))
    assert found.verdict is TruePrecision.FLOAT32
    assert sign_paths(found) == ["memory_mb.output"]
    assert "12 bytes for 3 lanes: float32" in found.reason


def test_float32_on_the_numpy_path_counts_too(tmp_path: Path) -> None:
    values = {"eager_numpy": single(EVIDENCE), "full_pipeline_jit": EVIDENCE}
    assert sign_paths(audited(tmp_path, result(log_likelihood=values))) == ["log_likelihood.eager_numpy"]


def test_mixed_precision_is_no_excuse(tmp_path: Path) -> None:
    found = audited(
        tmp_path,
        result(use_mixed_precision=True, log_likelihood={"full_pipeline_jit": single(EVIDENCE)}),
    )
    assert found.verdict is TruePrecision.FLOAT32
    assert found.judgements[0].label == "mp"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no values or memory recorded"),
        ({"full_pipeline_jit": None, "vmap_first_element": "SKIPPED"}, "no values or memory recorded"),
        ({"full_pipeline_jit": 26288.0}, "whole number"),
        ({"full_pipeline_jit": 0.0}, "whole number"),
        ({"full_pipeline_jit": -(10**400)}, "whole number"),
        ({"full_pipeline_jit": float("-inf")}, "not finite"),
        # What str() makes of the float32 number 26289.224609375.
        ({"full_pipeline_jit": 26289.225}, "printed short"),
        ({"eager_numpy": EVIDENCE}, "only values of the NumPy path"),
    ],
)
def test_without_evidence_there_is_no_verdict(tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    found = audited(tmp_path, result(log_likelihood=values, memory_mb=None))
    assert found.verdict is TruePrecision.UNDECIDABLE
    assert reason in found.reason


def test_float64_output_alone_is_evidence(tmp_path: Path) -> None:
    assert audited(tmp_path, result(log_likelihood={})).verdict is TruePrecision.FLOAT64


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_mb": {"output": 8 / MIB}},
        {"memory_mb": {}},
        {"memory_mb": {"output": None}},
        {"vmap": "SKIPPED"},
        {"vmap": {"batch_size": 0}},
    ],
)
def test_output_that_tells_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = audited(tmp_path, result(log_likelihood={}, **changes))
    assert found.verdict is TruePrecision.UNDECIDABLE


def test_times_constants_and_step_labels_are_no_likelihoods(tmp_path: Path) -> None:
    document = {
        "results": [{"name": "a", "log_likelihood_jit": EVIDENCE, "log_likelihood_jit_steady_ms": 1446.5}],
        "fit_full_likelihood_per_call": 0.5,
        "log_evidence_jax_expected": 26232.5,
        "steps": {"Mapped recon + log evidence": 0.25},
    }
    found = audited(tmp_path, document)
    assert found.verdict is TruePrecision.FLOAT64
    assert [number.path for number in found.judgements[0].numbers] == ["results[0].log_likelihood_jit"]


@pytest.mark.parametrize(
    "key",
    ["log_likelihood_jit", "log_evidence_jit", "log_evidence_jax", "figure_of_merit_jit", "log_evidence"],
)
def test_likelihoods_outside_the_likelihood_block(tmp_path: Path, key: str) -> None:
    assert sign_paths(audited(tmp_path, {key: single(EVIDENCE)})) == [key]


def test_numbers_in_lists_are_seen(tmp_path: Path) -> None:
    found = audited(tmp_path, {"sweep_log_L": [EVIDENCE, single(EVIDENCE)]})
    assert sign_paths(found) == ["sweep_log_L[1]"]


def test_each_config_of_a_comparison_is_judged(tmp_path: Path) -> None:
    configs = {
        "local_cpu_fp64": result(),
        "hpc_a100_mp": result(
            use_mixed_precision=True, log_likelihood={"full_pipeline_jit": single(EVIDENCE)}
        ),
        "local_gpu_fp64": {"autolens_version": "2026.5.1.4"},
    }
    found = audited(tmp_path, {"configs": configs, "headline": {"vmap_per_call": {"hpc_a100_mp": 0.5}}})
    assert found.verdict is TruePrecision.FLOAT32
    assert [(j.name, j.label, j.verdict) for j in found.judgements] == [
        ("local_cpu_fp64", "fp64", TruePrecision.FLOAT64),
        ("hpc_a100_mp", "mp", TruePrecision.FLOAT32),
        ("local_gpu_fp64", "fp64", TruePrecision.UNDECIDABLE),
    ]
    del configs["hpc_a100_mp"]
    assert audited(tmp_path, {"configs": configs}).verdict is TruePrecision.UNDECIDABLE


@pytest.mark.parametrize(
    ("name", "label"),
    [("local_gpu_mp_pre_fix", "mp"), ("hpc_a100_fp64", "fp64"), ("mge_likelihood_summary_hst", "none")],
)
def test_label_from_the_name(tmp_path: Path, name: str, label: str) -> None:
    found = audited(tmp_path, {"autolens_version": "2026.5.1.4"}, f"{name}.json")
    assert found.judgements[0].label == label


@pytest.mark.parametrize("text", ["[1.5]", '{"type": "instance"}', "null", "1e400"])
def test_other_files_are_named_as_such(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    found = audit_file(path)
    assert found.verdict is TruePrecision.FOREIGN
    assert "holds no log likelihood" in found.reason


FLOAT32 = json.dumps(
    {"autolens_version": "2026.5.1.4", "log_likelihood": {"full_pipeline_jit": 26288.3203125}}, indent=1
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (FLOAT32.encode()[:-20], "cannot be read as JSON"),
        (b"", "cannot be read as JSON"),
        (FLOAT32.replace("2026", "café").encode("latin-1"), "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (f"{FLOAT32}\n{FLOAT32}\n".encode(), "Extra data"),
        (f"<<<<<<< HEAD\n{FLOAT32}\n=======\n{FLOAT32}\n>>>>>>> x\n".encode(), "conflict markers"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 812\n", "git lfs pull"),
        (b'{"schema": "nnls-matrix/cell-record", "version": 999}', "version 999"),
    ],
)
def test_what_could_not_be_looked_at_is_not_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    audited(tmp_path, result())
    assert DIAGNOSIS.main([str(tmp_path)]) == 0
    path = tmp_path / "bad_fp64.json"
    path.write_bytes(content)
    found = audit_file(path)
    assert found.verdict is TruePrecision.UNREADABLE
    assert reason in found.reason
    assert DIAGNOSIS.main([str(tmp_path)]) == 2
    assert f"1 of 2 files could not be looked at, so nobody knows what they hold: {path}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["a_fp64.json", "a_fp64.JSON"])
def test_any_encoding_of_json_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    for text in (FLOAT32, FLOAT32.replace("\n", "\r\n"), FLOAT32.replace("2026", "\\ud800\\u0000")):
        (tmp_path / name).write_bytes(text.encode(encoding))
        (found,) = audit([tmp_path])
        assert found.verdict is TruePrecision.FLOAT32
        assert DIAGNOSIS.main([str(tmp_path)]) == 1


def test_a_loop_of_links_could_not_be_looked_at(tmp_path: Path) -> None:
    audited(tmp_path, result())
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    assert [found.verdict for found in audit([tmp_path])] == [TruePrecision.FLOAT64, TruePrecision.UNREADABLE]


def test_record_of_ours(tmp_path: Path) -> None:
    write_record(tmp_path / "cell.json", make_record())
    found = audit_file(tmp_path / "cell.json")
    assert found.verdict is TruePrecision.FLOAT64
    assert found.judgements[0].name == "imaging-pixelization-fp64-candidate"
    assert found.judgements[0].label == "fp64"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        # The record's own claim, float32_exact, is not believed.
        ({"evaluations": {"vmap_equal": evaluation(single(EVIDENCE))}}, "evaluations.vmap_equal.values[0]"),
        ({"evaluations": {"jit": evaluation(EVIDENCE, dtype="float32")}}, "evaluations.jit.dtype"),
        ({"precision": PrecisionFacts(False, "True", False, "float64")}, "precision.x64_enabled"),
        ({"precision": PrecisionFacts(True, "True", False, "float32")}, "precision.solver_dtype"),
    ],
)
def test_spoilt_record_of_ours(tmp_path: Path, changes: dict[str, Any], path: str) -> None:
    write_record(tmp_path / "cell.json", make_record(**changes))
    found = audit_file(tmp_path / "cell.json")
    assert found.verdict is TruePrecision.FLOAT32
    assert sign_paths(found) == [path]


@pytest.mark.parametrize(("program", "size"), [("jit", 4), ("vmap", 4 * LANES)])
def test_record_of_a_program_with_float32_output(tmp_path: Path, program: str, size: int) -> None:
    record = make_record()
    changes: dict[str, Any] = {program: XlaMemory(1, size, 3, 0)}
    memory = dataclasses.replace(record.memory, **changes)
    write_record(tmp_path / "cell.json", dataclasses.replace(record, memory=memory))
    assert sign_paths(audit_file(tmp_path / "cell.json")) == [f"memory.{program}.output_bytes"]


def test_every_file_is_judged_once(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    audited(tmp_path / "deep" / "er", result())
    (tmp_path / "notes.txt").write_text("not JSON, not asked for")
    assert len(audit([tmp_path, tmp_path / "deep" / "er" / "hpc_a100_fp64.json"])) == 1


def test_command_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audited(tmp_path, result())
    audited(tmp_path, {"type": "instance"}, "tracer.json")
    assert DIAGNOSIS.main([str(tmp_path)]) == 0
    assert (
        "0 float32 in truth, 0 undecidable, 1 float64, 0 could not be looked at, 1 not a result file"
        in capsys.readouterr().out
    )


def test_command_finds_float32(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = single(EVIDENCE)
    audited(tmp_path, result(log_likelihood={"full_pipeline_jit": value, "step_by_step_jit": float("-inf")}))
    report = tmp_path / "reports" / "audit.json"
    assert DIAGNOSIS.main([str(tmp_path), "--json", str(report)]) == 1
    shown = capsys.readouterr().out
    assert f"log_likelihood.full_pipeline_jit = {value!r}: exactly a float32 number" in shown
    document = json.loads(report.read_text(), parse_constant=pytest.fail)
    assert (document["schema"], document["version"]) == ("nnls-matrix/precision-audit", 1)
    (file,) = document["files"]
    assert (file["path"], file["verdict"]) == (str(tmp_path / "hpc_a100_fp64.json"), "float32 in truth")
    (judgement,) = file["judgements"]
    assert [number["value"] for number in judgement["numbers"]] == [value, "-inf"]
    assert judgement["signs"][0]["path"] == "log_likelihood.full_pipeline_jit"


@pytest.mark.parametrize(
    ("files", "target", "message"),
    [
        ({}, "absent", "there is no"),
        ({}, ".", "no JSON file in"),
        ({"tracer.json": "{}", "more.json": "[]"}, ".", "none of the 2 JSON files is a result file"),
    ],
)
def test_command_with_nothing_to_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], target: str, message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert DIAGNOSIS.main([str(tmp_path / target)]) == 2
    assert message in capsys.readouterr().err


def test_command_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audited(tmp_path, result())
    in_the_way = tmp_path / "hpc_a100_fp64.json" / "audit.json"
    assert DIAGNOSIS.main([str(tmp_path), "--json", str(in_the_way)]) == 3
    assert "cannot write" in capsys.readouterr().err


@pytest.fixture(scope="module")
def artifacts() -> dict[str, FileAudit]:
    return {file.path.relative_to(ARTIFACTS).as_posix(): file for file in audit([ARTIFACTS])}


def test_real_artifacts_hold_six_float32_results_and_their_copies(artifacts: dict[str, FileAudit]) -> None:
    kinds = ("mge", "pixelization", "delaunay")
    configs = ("hpc_a100_fp64", "hpc_a100_mp")
    expected = {f"imaging/{kind}/{name}.json" for kind in kinds for name in (*configs, "comparison")}
    assert {name for name, file in artifacts.items() if file.verdict is TruePrecision.FLOAT32} == expected
    for name in expected:
        spoilt = [j.name for j in artifacts[name].judgements if j.verdict is TruePrecision.FLOAT32]
        assert spoilt == (list(configs) if name.endswith("comparison.json") else [Path(name).stem])


def test_real_float32_artifacts_show_it_in_every_jax_value_and_in_memory(
    artifacts: dict[str, FileAudit],
) -> None:
    for file in artifacts.values():
        for judgement in file.judgements:
            if judgement.verdict is TruePrecision.FLOAT32:
                telling = [n for n in judgement.numbers if n.finding is not Digits.NOT_FINITE]
                assert all(n.compiled == (n.finding is Digits.FLOAT32) for n in telling)
                assert [size.output_bytes for size in judgement.sizes] == [12]


def test_real_artifacts_that_record_nothing_are_undecidable(artifacts: dict[str, FileAudit]) -> None:
    per_instrument = [
        file for name, file in artifacts.items() if name.startswith("imaging/") and name.count("/") == 3
    ]
    assert len(per_instrument) == 36
    assert {file.verdict for file in per_instrument} == {TruePrecision.UNDECIDABLE}


def test_real_local_and_interferometer_results_are_float64(artifacts: dict[str, FileAudit]) -> None:
    others = [
        file
        for name, file in artifacts.items()
        if Path(name).stem.startswith("local_") or name.startswith("interferometer/")
    ]
    assert {file.verdict for file in others} == {TruePrecision.FLOAT64}


def test_an_error_of_ours_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(tmp_path, result())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("matrix.diagnose.audit.session.print_audit", lambda *_: 1 / 0)
    assert DIAGNOSIS.main([str(tmp_path)]) == 3
