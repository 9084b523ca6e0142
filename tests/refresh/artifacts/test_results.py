"""Result files have the workspace's form and hold the record's numbers."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.ground.errors import UsageError
from matrix.records.cell import Precision, Record
from matrix.refresh.artifacts.results import (
    RESULTS,
    config_document,
    config_name,
    summary_document,
    write_results,
)
from tests.factory import EVIDENCE, LANES, evaluation
from tests.real import ARTIFACTS
from tests.refresh.artifacts.made_up import complete_record

MIB = 1024**2


def device(platform: str, kind: str, precision: Precision = "fp64") -> Any:
    record = complete_record("imaging-mge")
    facts = dataclasses.replace(record.provenance, device_platform=platform, device_kind=kind)
    cell = dataclasses.replace(record.cell, precision=precision)
    return dataclasses.replace(record, provenance=facts, cell=cell)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (device("cpu", "cpu"), "local_cpu_fp64"),
        (device("cpu", "cpu", "mp"), "local_cpu_mp"),
        (device("gpu", "NVIDIA GeForce RTX 2060 with Max-Q Design"), "local_gpu_fp64"),
        (device("gpu", "NVIDIA A100 80GB PCIe", "mp"), "hpc_a100_mp"),
        (device("gpu", "NVIDIA H100 80GB HBM3"), "hpc_h100_fp64"),
    ],
)
def test_config_name(record: Any, name: str) -> None:
    assert config_name(record) == name


def test_gpu_is_named_as_nvidia_smi_does() -> None:
    record = device("gpu", "NVIDIA A100 80GB PCIe")
    found = {"name": "NVIDIA A100 80GB PCIe", "memory.used": "433 MiB", "memory.total": "81920 MiB"}
    facts = dataclasses.replace(record.provenance, accelerators=(found,))
    document = config_document(dataclasses.replace(record, provenance=facts), "hpc_a100_fp64")
    assert document["device"]["nvidia_smi"] == "NVIDIA A100 80GB PCIe, 433 MiB, 81920 MiB"


def written(tmp_path: Path, pipeline: str, config: str = "local_cpu_fp64") -> dict[str, Any]:
    result = write_results(tmp_path, {pipeline: {config: complete_record(pipeline)}}, {})
    return {
        path.relative_to(tmp_path / RESULTS).as_posix(): json.loads(path.read_text())
        for path in result.paths
        if path.suffix == ".json"
    }


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_files_and_names(tmp_path: Path, pipeline: str) -> None:
    data, source = pipeline.split("-")
    instrument = PIPELINES[pipeline].instrument
    files = written(tmp_path, pipeline)
    assert set(files) == {
        f"{data}/{source}/local_cpu_fp64.json",
        f"{data}/{source}/comparison.json",
        f"{data}/{source}_likelihood_summary_{instrument}_v2026.7.9.1.json",
    }
    for name in files:
        path = (tmp_path / RESULTS / name).with_suffix(".png")
        assert path.read_bytes().startswith(b"\x89PNG")
        assert not (tmp_path / RESULTS / name).read_bytes().endswith(b"\n")


def told_apart(pipeline: str, mixed: bool = False) -> Record:
    """A record no two numbers of which are alike: one in another's place is seen."""
    record = complete_record(pipeline)
    lanes = (EVIDENCE + 5e-4, *LANES[1:])
    found = dataclasses.replace(
        record.evaluations,
        jit=evaluation(EVIDENCE + 1e-4),
        vmap_equal=evaluation(*[EVIDENCE + 2e-4] * 3),
        vmap_lanes=evaluation(*lanes),
        lanes_jit=evaluation(*(lane + 1e-4 for lane in lanes)),
    )
    precision = dataclasses.replace(record.precision, mixed=mixed)
    cell = dataclasses.replace(record.cell, precision="mp" if mixed else "fp64")
    return dataclasses.replace(record, cell=cell, evaluations=found, precision=precision)


VMAP = {"batch_size": 3, "batch_time": 2.25, "per_call": 0.75}
MEMORY = {"output": 24 / MIB, "temp": 3 / MIB}


@pytest.mark.parametrize("pipeline", [name for name in PIPELINES if name.startswith("imaging")])
def test_numbers_of_imaging_are_the_records(pipeline: str) -> None:
    document = config_document(told_apart(pipeline), "local_cpu_fp64")
    evidence = {} if pipeline == "imaging-mge" else {"eager_log_evidence": EVIDENCE}
    assert document["log_likelihood"] == {
        "eager_numpy": EVIDENCE + 3.0,
        **evidence,
        "full_pipeline_jit": EVIDENCE + 1e-4,
        "vmap_first_element": EVIDENCE + 2e-4,
    }
    assert document["full_pipeline_per_call"] == 1.25
    assert document["vmap"] == {**VMAP, "speedup_vs_single_jit": 1.67}
    assert document["memory_mb"] == MEMORY
    assert document["device"] == {"backend": "cpu", "device": "cpu"}
    assert document["instrument"] == "hst"


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_numbers_of_flat_files_and_of_summaries_are_the_records(pipeline: str) -> None:
    record = told_apart(pipeline)
    documents = [summary_document(record)]
    if pipeline.startswith("interferometer"):
        documents.append(config_document(record, "local_cpu_fp64"))
    values = (
        {"log_likelihood_jit": EVIDENCE + 1e-4}
        if pipeline.endswith("mge")
        else {"figure_of_merit_eager": EVIDENCE, "log_evidence_jit": EVIDENCE + 1e-4}
    )
    for document in documents:
        said = {name: value for name, value in document.items() if "log_" in name or "figure_" in name}
        assert said == {"log_likelihood_eager": EVIDENCE + 3.0, **values}
        assert document["full_pipeline_single_jit"] == 1.25
        assert document["vmap"] == {**VMAP, "speedup_vs_single_jit": 1.7}
        assert document["memory_mb"] == MEMORY


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_files_say_which_precision_the_record_really_had(pipeline: str, mixed: bool) -> None:
    record = told_apart(pipeline, mixed)
    for document in (config_document(record, config_name(record)), summary_document(record)):
        assert document["use_mixed_precision"] is mixed


@pytest.mark.parametrize(
    ("pipeline", "theirs"),
    [
        ("imaging-mge", "imaging/mge/local_gpu_fp64.json"),
        ("imaging-pixelization", "imaging/pixelization/local_cpu_fp64.json"),
        ("imaging-delaunay", "imaging/delaunay/local_gpu_fp64.json"),
        ("interferometer-mge", "interferometer/mge/local_cpu_fp64.json"),
        ("interferometer-pixelization", "interferometer/pixelization/local_cpu_fp64.json"),
        ("interferometer-delaunay", "interferometer/delaunay_likelihood_summary_sma_v2026.4.13.6.json"),
    ],
)
def test_keys_and_their_order_are_upstreams(tmp_path: Path, pipeline: str, theirs: str) -> None:
    """Ours are a subset, in the same order: what the probe or a shell command adds is not in records."""
    not_in_records = {
        *("steps", "total_step_by_step", "step_by_step_jit", "step_by_step_jit_log_evidence"),
        "nvidia_smi",
    }
    data, source = pipeline.split("-")
    ours = written(tmp_path, pipeline)[f"{data}/{source}/local_cpu_fp64.json"]
    expected = json.loads((ARTIFACTS / theirs).read_text())
    assert next(iter(expected)) in ours
    for key in ("configuration", "log_likelihood", "vmap", "memory_mb"):
        if key in expected:
            assert list(ours[key]) == [name for name in expected[key] if name not in not_in_records]
    shared = [key for key in expected if key not in not_in_records]
    # The summary taken for the interferometer's Delaunay does not name its device and precision.
    assert [key for key in ours if key in expected] == shared
    assert set(ours) - set(expected) <= {"device", "use_mixed_precision"}


def test_comparison_holds_every_config_present_and_names_float32(tmp_path: Path) -> None:
    folder = tmp_path / RESULTS / "imaging" / "pixelization"
    folder.mkdir(parents=True)
    for path in (ARTIFACTS / "imaging" / "pixelization").glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    record = complete_record("imaging-pixelization")
    result = write_results(tmp_path, {"imaging-pixelization": {"local_cpu_fp64": record}}, {})
    comparison = json.loads((folder / "comparison.json").read_text())
    before = json.loads((ARTIFACTS / "imaging" / "pixelization" / "comparison.json").read_text())
    assert list(comparison["configs"]) == list(before["configs"])
    assert comparison["configs"]["local_gpu_mp"] == before["configs"]["local_gpu_mp"]
    assert comparison["headline"]["full_pipeline_per_call"]["local_cpu_fp64"] == 1.25
    assert comparison["headline"]["vmap_per_call"] == {
        **before["headline"]["vmap_per_call"],
        "local_cpu_fp64": 0.75,
    }
    assert {note.split()[1] for note in result.notes} == {"hpc_a100_fp64", "hpc_a100_mp"}
    assert all("float32" in note for note in result.notes)


def test_configs_of_another_likelihood_are_named(tmp_path: Path) -> None:
    folder = tmp_path / RESULTS / "interferometer" / "pixelization"
    folder.mkdir(parents=True)
    theirs = ARTIFACTS / "interferometer" / "pixelization" / "local_gpu_fp64.json"
    (folder / theirs.name).write_bytes(theirs.read_bytes())
    record = complete_record("interferometer-pixelization")
    record = dataclasses.replace(record, configuration={**record.configuration, "mesh_shape": [28, 28]})
    result = write_results(tmp_path, {"interferometer-pixelization": {"local_cpu_fp64": record}}, {})
    (note,) = result.notes
    assert "local_gpu_fp64: made with another" in note
    assert "mesh_shape" in note


def test_same_numbers_give_the_same_bytes_and_a_new_time(tmp_path: Path) -> None:
    written(tmp_path, "imaging-mge")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    written(tmp_path, "imaging-mge")
    for path, (content, time) in before.items():
        assert path.read_bytes() == content
        assert path.stat().st_mtime_ns > time


def test_damaged_neighbour_is_named(tmp_path: Path) -> None:
    folder = tmp_path / RESULTS / "imaging" / "mge"
    folder.mkdir(parents=True)
    (folder / "local_gpu_fp64.json").write_text("<<<<<<< HEAD")
    with pytest.raises(UsageError, match=r"local_gpu_fp64\.json is not JSON"):
        written(tmp_path, "imaging-mge")


def test_record_that_says_too_little(tmp_path: Path) -> None:
    record = dataclasses.replace(complete_record("imaging-mge"), configuration={"pixel_scale_arcsec": 0.05})
    with pytest.raises(UsageError, match="does not say mask_radius_arcsec"):
        write_results(tmp_path, {"imaging-mge": {"local_cpu_fp64": record}}, {})
