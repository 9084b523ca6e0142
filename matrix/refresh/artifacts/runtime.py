"""Run-time results of the profiling repository, in its form, for the one likelihood that both measure."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import pipeline_named
from matrix.gates import furthest, relative
from matrix.ground.errors import UsageError
from matrix.ground.files import inside, write_text
from matrix.prepare.constants import constant_in
from matrix.prepare.manifest import Role
from matrix.records.cell import Record
from matrix.refresh.artifacts.results import Written, configuration_of, device_of, memory_of, vmap_of

# The others differ in mesh, regularization or light: their pins are of other likelihoods.
PIPELINE = "imaging-mge"
RUNTIME = Path("results", "runtime", "imaging", "mge")

# Where the script of this likelihood is, since September 2026 and before.
_SCRIPTS = ("scripts/imaging/mge/likelihood_runtime.py", "scripts/imaging/likelihood_runtime/mge.py")
_PROVENANCE_SCHEMA = 1
_LIBRARIES = {
    "PyAutoNerves": "autonerves",
    "PyAutoFit": "autofit",
    "PyAutoArray": "autoarray",
    "PyAutoGalaxy": "autogalaxy",
    "PyAutoLens": "autolens",
}
_DEPENDENCIES = ("jax", "jaxlib", "numpy", "scipy", "numba")


def write_runtime(repository: Path, results: Mapping[str, Record]) -> Written:
    """Write a run-time result per config of `PIPELINE`, held against the value its script pins.

    Parameters
    ----------
    repository
        Root of a working tree of the profiling repository.
    results
        Config name to the candidate's record.

    Returns
    -------
    Written
        The files, with drifts from the pin and results of other releases that were replaced; or why there
        is none.

    Raises
    ------
    UsageError
        The script compares with its pin in a way that is not known, or a result file is no JSON.
    """
    folder = _folder(repository)
    scripts = [inside(repository, name) for name in _SCRIPTS]
    script = next((path for path in scripts if path.is_file()), None)
    if folder is None or script is None:
        missing = RUNTIME.as_posix() if folder is None else " or ".join(_SCRIPTS)
        return Written((), (), (f"run-time results: this ref has no {missing}",))
    paths, notes = [], []
    for config, record in results.items():
        path = inside(folder, f"mge_{config}.json")
        replaced = _version(path)
        document = runtime_document(record, script)
        write_text(path, json.dumps(document, indent=2))
        paths.append(path)
        name = path.relative_to(repository).as_posix()
        if replaced not in (None, document["autolens_version"]):
            notes.append(f"{name} replaces what was measured with release {replaced}")
        notes += [
            f"{name}: {drift['label']} is {drift['rel_diff']:.1e} off the value that {script.name} pins"
            for drift in document["pinned_drift"]
        ]
    return Written(tuple(paths), tuple(notes))


def runtime_document(record: Record, script: Path) -> dict[str, Any]:
    """One config's result: seconds and MiB, with the pinned value and the drifts beyond its tolerances.

    Parameters
    ----------
    record
        Of the candidate.
    script
        Of the repository; it pins the value and says how far each path may be off.
    """
    pipeline = pipeline_named(record.cell.pipeline)
    _, pinned = constant_in(script, pipeline.instrument)
    return {
        "autolens_version": record.provenance.packages["autolens"],
        "device": {**device_of(record), **_environment(record)},
        "instrument": pipeline.instrument,
        "configuration": {**configuration_of(record), "inversion_path": "dense"},
        "full_pipeline_single_jit": record.timings.jit.median_s,
        "full_pipeline_lower_s": record.timings.jit.lower_s,
        "full_pipeline_compile_s": record.timings.jit.compile_s,
        "full_pipeline_first_call_s": record.timings.jit.first_call_s,
        "vmap": vmap_of(record, digits=1),
        **memory_of(record),
        "pinned_expected": pinned,
        "pinned_drift": [] if pinned is None else list(_drifts(record, pinned, script)),
    }


def _drifts(record: Record, pinned: float, script: Path) -> Iterator[dict[str, Any]]:
    """The paths that are further from the pin than the script allows; nothing where all agree."""
    evaluations = record.evaluations
    found = {
        "eager": evaluations.eager.log_likelihood.values[0],
        "full": evaluations.jit.values[0],
        "vmap": furthest(evaluations.vmap_equal.values, pinned),
    }
    for label, tolerance in _tolerances(script).items():
        if label not in found:
            raise UsageError(f"{script} holds {label!r} against its pin; known are {', '.join(found)}")
        change = relative(found[label], pinned)
        if change > tolerance:
            yield {
                "label": label,
                "expected": pinned,
                "got": found[label],
                "rel_diff": change,
                "rtol": tolerance,
            }


def _tolerances(script: Path) -> dict[str, float]:
    """Relative tolerance by label, as the script's calls of `check_pinned` have them."""
    found = {}
    for node in ast.walk(ast.parse(script.read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check_pinned":
            given = {word.arg: word.value for word in node.keywords}
            label, tolerance = given.get("label"), given.get("rtol")
            if not (isinstance(label, ast.Constant) and isinstance(tolerance, ast.Constant)):
                raise UsageError(
                    f"{script}, line {node.lineno}: check_pinned(...) is not called with a label and an rtol "
                    "that can be read; give both as plain values"
                )
            found[str(label.value)] = float(tolerance.value)  # type: ignore[arg-type]
    if not found:
        raise UsageError(f"{script} holds no value against its pin by check_pinned(..., label=, rtol=)")
    return found


def _folder(repository: Path) -> Path | None:
    """Where the results of this likelihood are kept: by instrument, or side by side."""
    instrument = pipeline_named(PIPELINE).instrument
    places = (inside(repository, RUNTIME, instrument), inside(repository, RUNTIME))
    return next((place for place in places if place.is_dir()), None)


def _version(path: Path) -> str | None:
    """The release of a result that is there already."""
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("autolens_version"))
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no result file ({error}): put it right or remove it") from error


def _environment(record: Record) -> dict[str, Any]:
    """What the repository asks a result to say of its environment; null where a record does not know it."""
    facts = record.provenance
    library = [
        checkout["commit"]
        for checkout in facts.driver.get("checkouts", ())
        if (checkout["role"], checkout["purpose"]) == (Role.LIBRARY, "baseline")
    ]
    return {
        "xla_flags": facts.variables.get("XLA_FLAGS"),
        "omp_num_threads": facts.variables.get("OMP_NUM_THREADS"),
        "cpu_count": facts.cores,
        "provenance": {
            "provenance_schema": _PROVENANCE_SCHEMA,
            "captured_at": facts.finished.replace("+00:00", "Z"),
            "host": None,
            "slurm": {"job_id": None, "array_job_id": None, "array_task_id": None},
            "loadavg_at_import": None,
            "loadavg_at_write": None,
            # Not measured by one of the repository's scripts.
            "profiling_revision": None,
            "library_revisions": {"PyAutoArray": library[0]} if library else {},
            "library_versions": _versions(record, _LIBRARIES),
            "dependency_versions": _versions(record, dict(zip(_DEPENDENCIES, _DEPENDENCIES, strict=True))),
            "measured_by": "cells of the NNLS validation matrix, library with a solver of its own",
        },
    }


def _versions(record: Record, names: Mapping[str, str]) -> dict[str, str]:
    packages = record.provenance.packages
    return {name: packages[distribution] for name, distribution in names.items() if distribution in packages}
