"""Result files of the developer workspace: written from records, compared with those already there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import (
    TRANSFORMER,
    Data,
    Delaunay,
    Gaussians,
    Pipeline,
    Rectangular,
    SourceModel,
    pipeline_named,
)
from matrix.ground.errors import UsageError
from matrix.ground.files import inside, read_text, write_bytes, write_text
from matrix.records.cell import Record
from matrix.records.precision import is_float32
from matrix.refresh.artifacts import plots
from matrix.refresh.artifacts.steps import with_steps

RESULTS = Path("jax_profiling", "results", "jit")
COMPARISON = "comparison"

_MIB = 1024**2
_DATA_CENTRE_GPU = re.compile(r"\b(A30|A40|A100|GH200|H100|H200|B200|L4|L40S?|P100|T4|V100)\b")
_ORDER = ("local_cpu_fp64", "local_cpu_mp", "local_gpu_fp64", "local_gpu_mp")

# What the workspace's files say of each likelihood, in its order: (its key, the record's key).
_IMAGING = (
    *(("pixel_scale_arcsec",) * 2, ("mask_radius_arcsec",) * 2),
    *(("image_pixels_masked",) * 2, ("over_sampled_pixels",) * 2),
)
_INTERFEROMETER = (
    *(("pixel_scale_arcsec",) * 2, ("mask_radius_arcsec",) * 2),
    *(("real_space_shape",) * 2, ("visibilities",) * 2),
)
_COEFFICIENT = (("regularization_coefficient",) * 2,)
_VERTICES = (("delaunay_vertices", "n_mesh_vertices"), ("edge_zeroed_pixels", "edge_pixels_total"))
_GAUSSIANS = (("linear_gaussians",) * 2,)
_MESH = (("mesh_shape",) * 2, ("source_pixels",) * 2)
_OVERLAY = (("overlay_shape",) * 2, ("edge_n_points",) * 2)
_Keys = tuple[tuple[str, str], ...]
_BySource = Mapping[tuple[Data, type[SourceModel]], _Keys]
_CONFIGURATION: _BySource = {
    ("imaging", Gaussians): (*_IMAGING, *_GAUSSIANS),
    ("imaging", Rectangular): (*_IMAGING, *_MESH),
    ("imaging", Delaunay): (*_IMAGING, *_OVERLAY, ("n_mesh_vertices",) * 2, ("edge_pixels_total",) * 2),
    ("interferometer", Gaussians): (*_INTERFEROMETER, *_GAUSSIANS),
    ("interferometer", Rectangular): (*_INTERFEROMETER, *_MESH, *_COEFFICIENT),
    ("interferometer", Delaunay): (*_INTERFEROMETER, *_OVERLAY, *_VERTICES, *_COEFFICIENT),
}
# Imaging alone calls the same facts differently in its summaries.
_SUMMARY_CONFIGURATION: _BySource = {**_CONFIGURATION, ("imaging", Delaunay): (*_IMAGING, *_VERTICES)}


@dataclass(frozen=True)
class Written:
    """What was written below a repository, what readers of it should know, and what was left out and why."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def config_name(record: Record) -> str:
    """The workspace's name for a record's machine and precision, as `local_cpu_fp64` or `hpc_a100_mp`."""
    facts = record.provenance
    if facts.device_platform == "cpu":
        return f"local_cpu_{record.cell.precision}"
    data_centre = _DATA_CENTRE_GPU.search(facts.device_kind)
    machine = f"hpc_{data_centre[1].lower()}" if data_centre else "local_gpu"
    return f"{machine}_{record.cell.precision}"


def write_results(
    workspace: Path,
    results: Mapping[str, Mapping[str, Record]],
    steps: Mapping[tuple[str, str], Mapping[str, float]],
) -> Written:
    """Write result files, comparison and versioned summary of each pipeline.

    Every file is written anew, also where its content stays the same, so that its time tells of this run.

    Parameters
    ----------
    workspace
        Root of a working tree of the developer workspace.
    results
        Pipeline name to config name to the candidate's record. The first config of a pipeline is this run's
        own and gives the summary.
    steps
        Seconds by step label, of each pipeline and config that was probed.

    Raises
    ------
    UsageError
        A result file that is already there is not JSON, or a record lacks a fact that the files list.
    """
    paths: list[Path] = []
    notes: list[str] = []
    for name, by_config in results.items():
        pipeline = pipeline_named(name)
        folder = inside(workspace, RESULTS, pipeline.data, pipeline.source)
        for config, record in by_config.items():
            document = with_steps(config_document(record, config), steps.get((name, config), {}))
            paths += _write(folder, config, document, plots.draw_config(heading_of(record, config), document))
        present = _present(folder)
        config, record = next(iter(by_config.items()))
        float32 = {config: exact for config, found in present.items() if (exact := _float32_values(found))}
        notes += [f"{name}: {note}" for note in (*_said(float32), *_other_settings(present, config))]
        comparison = comparison_document(pipeline, present)
        picture = plots.draw_comparison(_title(pipeline), present, float32)
        paths += _write(folder, COMPARISON, comparison, picture)
        version = record.provenance.packages["autolens"]
        stem = f"{pipeline.source}_likelihood_summary_{pipeline.instrument}_v{version}"
        summary = with_steps(summary_document(record), steps.get((name, config), {}))
        paths += _write(folder.parent, stem, summary, plots.draw_config(heading_of(record, config), summary))
    return Written(tuple(paths), tuple(notes))


def config_document(record: Record, config: str) -> dict[str, Any]:
    """One config's result file, in the workspace's form for imaging or for interferometer data.

    Seconds and MiB throughout. The step timings that the workspace's own scripts add (`steps`,
    `total_step_by_step`) are not in records and are left out; `steps.with_steps` adds them from a probe.
    Their `step_by_step_jit*`, a likelihood put together from steps run one by one, has no counterpart here:
    a probe's steps are parts of the one program whose value is `full_pipeline_jit`.
    """
    pipeline = pipeline_named(record.cell.pipeline)
    if pipeline.data == "interferometer":
        more = {"transformer": TRANSFORMER} if pipeline.source_type is Gaussians else {}
        return {
            "autolens_version": record.provenance.packages["autolens"],
            "device": device_of(record),
            **_flat_facts(record, pipeline, _CONFIGURATION, **more),
        }
    return {
        "config_name": config,
        "use_mixed_precision": record.precision.mixed,
        "autolens_version": record.provenance.packages["autolens"],
        "instrument": pipeline.instrument,
        "configuration": configuration_of(record),
        "device": device_of(record),
        "log_likelihood": _imaging_values(record),
        "full_pipeline_per_call": record.timings.jit.median_s,
        "vmap": vmap_of(record, digits=2),
        **memory_of(record),
    }


def summary_document(record: Record) -> dict[str, Any]:
    """The versioned summary of a pipeline, one form for both kinds of data."""
    pipeline = pipeline_named(record.cell.pipeline)
    return {
        "autolens_version": record.provenance.packages["autolens"],
        **_flat_facts(record, pipeline, _SUMMARY_CONFIGURATION),
    }


def comparison_document(pipeline: Pipeline, present: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """All configs side by side: with a headline for imaging, each extended by two keys for interferometer."""
    if pipeline.data == "interferometer":
        extended = {
            config: {**found, "full_pipeline_per_call": plots.seconds_per_call(found), "config_name": config}
            for config, found in present.items()
        }
        return {"configs": extended}
    single = {config: time for config, found in present.items() if (time := plots.seconds_per_call(found))}
    batched = {config: time for config, found in present.items() if (time := plots.seconds_per_lane(found))}
    headline = {"full_pipeline_per_call": single, "vmap_per_call": batched}
    return {"configs": dict(present), "headline": headline}


def _present(folder: Path) -> dict[str, dict[str, Any]]:
    """Every result file of a pipeline's folder by config, this machine's first as the workspace does."""
    found: dict[str, dict[str, Any]] = {}
    for path in folder.glob("*.json"):
        if path.stem == COMPARISON:
            continue
        try:
            document = json.loads(read_text(path))
        except ValueError as error:
            raise UsageError(f"{path} is not JSON ({error}): put it right or remove it") from error
        if not isinstance(document, dict):
            raise UsageError(f"{path} is no result file: it holds no JSON object. Remove it")
        found[path.stem] = document
    rank = {config: place for place, config in enumerate(_ORDER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (rank.get(name, len(rank)), name))}


def _float32_values(document: dict[str, Any]) -> list[str]:
    """The values of a result file that are exactly float32 numbers, which float64 results are not."""
    nested = document.get("log_likelihood")
    values = {**document, **(nested if isinstance(nested, dict) else {})}
    names = ("full_pipeline_jit", "vmap_first_element", "log_evidence_jit", "log_likelihood_jit")
    return [name for name in names if isinstance(value := values.get(name), float) and is_float32(value)]


def _said(float32: Mapping[str, list[str]]) -> list[str]:
    return [
        f"{config} holds exact float32 numbers ({', '.join(exact)}): JAX ran without x64 when it was made"
        for config, exact in float32.items()
    ]


def _other_settings(present: Mapping[str, dict[str, Any]], ours: str) -> list[str]:
    """Which configs were measured on another likelihood than ours, so that times do not compare."""
    settings = present[ours]["configuration"]
    by_keys: dict[str, list[str]] = {}
    for config, document in present.items():
        theirs = document.get("configuration", {})
        keys = [key for key in settings if key in theirs and theirs[key] != settings[key]]
        if keys:
            by_keys.setdefault(", ".join(keys), []).append(config)
    return [f"{', '.join(configs)}: made with another {keys}" for keys, configs in by_keys.items()]


def _write(folder: Path, name: str, document: dict[str, Any], image: bytes) -> list[Path]:
    # Result files of the workspace end without a line break.
    text, picture = inside(folder, f"{name}.json"), inside(folder, f"{name}.png")
    write_text(text, json.dumps(document, indent=2))
    write_bytes(picture, image)
    return [text, picture]


def _flat_facts(record: Record, pipeline: Pipeline, keys: _BySource, **more: str) -> dict[str, Any]:
    """Instrument, values and times side by side, as in summaries and in files of interferometer data.

    `more` comes after the model.
    """
    eager = record.evaluations.eager
    facts: dict[str, Any] = {
        "instrument": pipeline.instrument,
        "model": pipeline.source,
        **more,
        "use_mixed_precision": record.precision.mixed,
        "configuration": configuration_of(record, keys),
        "log_likelihood_eager": eager.log_likelihood.values[0],
    }
    if pipeline.source_type is Gaussians:
        facts["log_likelihood_jit"] = record.evaluations.jit.values[0]
    else:
        facts["figure_of_merit_eager"] = eager.figure_of_merit.values[0]
        facts["log_evidence_jit"] = record.evaluations.jit.values[0]
    facts["full_pipeline_single_jit"] = record.timings.jit.median_s
    return {**facts, "vmap": vmap_of(record, digits=1), **memory_of(record)}


def _imaging_values(record: Record) -> dict[str, float]:
    evaluations = record.evaluations
    values = {"eager_numpy": evaluations.eager.log_likelihood.values[0]}
    if pipeline_named(record.cell.pipeline).source_type is not Gaussians:
        values["eager_log_evidence"] = evaluations.eager.figure_of_merit.values[0]
    values["full_pipeline_jit"] = evaluations.jit.values[0]
    values["vmap_first_element"] = evaluations.vmap_equal.values[0]
    return values


def configuration_of(record: Record, keys: _BySource = _CONFIGURATION) -> dict[str, Any]:
    """What sets the size of a record's likelihood, under the workspace's names.

    Raises
    ------
    UsageError
        The record lacks one of the facts.
    """
    facts = record.configuration
    pipeline = pipeline_named(record.cell.pipeline)
    wanted = keys[pipeline.data, pipeline.source_type]
    missing = [key for _, key in wanted if key not in facts]
    if missing:
        raise UsageError(f"the record of {record.cell.name} does not say {', '.join(missing)}: run it again")
    return {name: facts[key] for name, key in wanted}


def device_of(record: Record) -> dict[str, str]:
    """The device a record was measured on, as the workspace's files name it."""
    facts = record.provenance
    device = {"backend": facts.device_platform, "device": facts.device_kind}
    if facts.device_platform == "gpu" and facts.accelerators:
        first = facts.accelerators[0]
        device["nvidia_smi"] = ", ".join(first[name] for name in ("name", "memory.used", "memory.total"))
    return device


def vmap_of(record: Record, digits: int) -> dict[str, Any]:
    """The batched likelihood's times in seconds, and its gain over the single one to `digits` digits."""
    timings = record.timings
    return {
        "batch_size": timings.batch,
        "batch_time": timings.vmap.median_s,
        "per_call": timings.vmap_lane_s,
        "speedup_vs_single_jit": round(timings.jit.median_s / timings.vmap_lane_s, digits),
    }


def memory_of(record: Record) -> dict[str, Any]:
    """What XLA says of the vmapped program, in MiB; nothing where it said nothing."""
    memory = record.memory.vmap
    if memory is None:
        return {}
    sizes = {"output": memory.output_bytes / _MIB, "temp": memory.temporary_bytes / _MIB}
    return {"memory_mb": sizes}


def _title(pipeline: Pipeline) -> str:
    source = "MGE" if pipeline.source_type is Gaussians else pipeline.source.capitalize()
    return f"{source} {pipeline.data.capitalize()}"


def heading_of(record: Record, config: str) -> plots.Heading:
    """What stands above the picture of one config."""
    pipeline = pipeline_named(record.cell.pipeline)
    facts = record.configuration
    details = [f"v{record.provenance.packages['autolens']}", f'{pipeline.pixel_scale}"/px']
    if pipeline.data == "imaging":
        details += [f"{facts['image_pixels_masked']} pixels", f"{facts['over_sampled_pixels']} over-sampled"]
    else:
        details.append(f"{facts['visibilities']} visibilities")
    details.append(f"K = {record.nnls[0].size}")
    return plots.Heading(f"{_title(pipeline)} - {config}", " | ".join(details))
