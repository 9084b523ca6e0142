"""The systems of one kind, as the library's call site is handed them, each made once and kept as a file."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import autolens as al
import numpy as np
from autoarray.inversion.inversion import inversion_util

from matrix.diagnose.corpus.kinds import SystemKind
from matrix.diagnose.corpus.points import CHANGES, Factors, WantedPoints, slam_vectors
from matrix.diagnose.corpus.recipe import slam_likelihood
from matrix.diagnose.systems.stored import System, read_system, write_system
from matrix.pipelines.audit import tapped
from matrix.pipelines.likelihood import Likelihood, likelihood_from
from matrix.pipelines.programs import compiled
from matrix.records.cell import Scale


@dataclass(frozen=True)
class SystemSource:
    """A likelihood, made when it is needed, and its lens models: physical parameters by system's name."""

    names: Sequence[str]
    likelihood: Callable[[], Likelihood]
    vectors: Callable[[Likelihood], dict[str, tuple[float, ...]]]


def what_release_lacks(kind: SystemKind) -> str | None:
    """What the release lacks to make these systems; None where it lacks nothing."""
    holder, name = (al, "MassField") if kind.family == "slam" else (al.mesh, kind.mesh)
    if name is None or hasattr(holder, name):
        return None
    return f"autolens {al.__version__} has no {name}"


def corpus_systems(
    kind: SystemKind, scale: Scale, workspace: Path, wanted: WantedPoints, stage: Callable[[str], None]
) -> Iterator[System]:
    """Each system in turn, from its file where it was made before."""
    for source in _sources(kind, scale, workspace, wanted):
        files = [wanted.folder / f"{name}.npz" for name in source.names]
        if not all(file.exists() for file in files):
            _make(source, kind, scale, wanted.folder, stage)
        yield from map(read_system, files)


def _sources(kind: SystemKind, scale: Scale, workspace: Path, wanted: WantedPoints) -> Iterator[SystemSource]:
    if kind.family == "slam":
        yield from (_slam(workspace, change) for change in CHANGES)
        return

    def vectors(likelihood: Likelihood) -> dict[str, tuple[float, ...]]:
        units = wanted.units(likelihood.model.prior_count)
        return {name: likelihood.vector_from_unit(tuple(unit)) for name, unit in units.items()}

    pipeline = kind.applied(scale)
    yield SystemSource(
        tuple(wanted.units(1)), lambda: likelihood_from(pipeline, scale, workspace, mixed=False), vectors
    )


def _slam(workspace: Path, change: Factors) -> SystemSource:
    def name(number: int) -> str:
        return f"{change.label}_{number}"

    return SystemSource(
        tuple(map(name, change.points)),
        lambda: slam_likelihood(workspace, change),
        lambda made: {name(n): vector for n, vector in slam_vectors(made.medians(), change.points)},
    )


def _make(
    source: SystemSource, kind: SystemKind, scale: Scale, folder: Path, stage: Callable[[str], None]
) -> None:
    stage("load the data and build the model")
    likelihood = source.likelihood()
    stage("compile the likelihood up to its solver")
    program = compiled(_handed_over(likelihood), likelihood.parameters(likelihood.medians()))
    vectors = source.vectors(likelihood)
    for number, (name, vector) in enumerate(vectors.items(), 1):
        stage(f"make system {number} of {len(vectors)}: {name}")
        Q, q = map(np.asarray, program(likelihood.parameters(vector)))
        # Whole or not at all: a file that is there is taken for the system.
        begun = folder / f"{name}.begun.npz"
        write_system(begun, System(name, Q, q, kind.dense(scale, len(q))))
        os.replace(begun, folder / f"{name}.npz")


def _handed_over(likelihood: Likelihood) -> Callable[[Any], tuple[Any, Any]]:
    """Parameters to what the call site is handed: Q (K, K) and q (K,)."""
    audited, _ = tapped(likelihood.traced, inversion_util)

    def system(parameters: Any) -> tuple[Any, Any]:
        solved = audited(parameters)
        return solved.Q, solved.q

    return system
