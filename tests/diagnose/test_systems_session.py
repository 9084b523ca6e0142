"""Systems taken from likelihoods: what may be varied, what is refused, and files that the benchmark reads."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from matrix.catalogue.pipelines import PIPELINES, Delaunay, Rectangular
from matrix.diagnose.systems.session import DIAGNOSIS
from matrix.diagnose.systems.stored import System, stored_systems, write_system
from matrix.diagnose.systems.variation import Variation, variation_from
from matrix.ground.errors import UsageError


def test_words_become_a_variation() -> None:
    assert variation_from("mesh=30,gaussians=0,coefficient=1e-2,radius=2.5") == Variation(30, 0, 0.01, 2.5)
    assert variation_from("") == Variation()
    assert variation_from("mesh=30,coefficient=1e-2").label == "mesh30-coefficient0.01"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("pixels=3", "'pixels' is not known; choose from: mesh, gaussians, coefficient, radius"),
        ("mesh=3,mesh=4", "'mesh' is there twice"),
        ("mesh", "mesh needs a positive number, not ''"),
        ("mesh=2.5", "mesh needs a positive number"),
        ("mesh=0", "mesh needs a positive number"),
        ("radius=-1", "radius needs a positive number"),
        ("coefficient=nan", "coefficient needs a positive number"),
        ("coefficient=inf", "coefficient needs a positive number"),
    ],
)
def test_words_without_meaning_are_refused(words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        variation_from(words)


def test_a_variation_changes_what_it_names_and_nothing_else() -> None:
    rectangular = PIPELINES["imaging-pixelization"].settings["production"]
    varied = Variation(mesh=20, gaussians=80, coefficient=5.0, radius=2.5).applied(rectangular)
    assert isinstance(varied.source, Rectangular)
    assert (varied.source.shape, varied.source.coefficient) == ((20, 20), 5.0)
    assert (varied.lens_gaussians, varied.mask_radius) == (80, 2.5)
    assert (varied.free_mass, varied.source.mesh) == (rectangular.free_mass, "RectangularAdaptDensity")
    delaunay = PIPELINES["interferometer-delaunay"].settings["production"]
    assert isinstance(delaunay.source, Delaunay)
    assert Variation(mesh=20).applied(delaunay) == dataclasses.replace(
        delaunay, source=dataclasses.replace(delaunay.source, overlay=(20, 20))
    )
    assert Variation().applied(delaunay) == delaunay


def test_what_cannot_be_varied_is_refused_before_anything_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert DIAGNOSIS.main(["imaging-mge", "--vary", "mesh=20", "--root", str(tmp_path)]) == 2
    assert "no mesh" in capfd.readouterr().err
    assert DIAGNOSIS.main(["imaging-mge", "--draws", "0", "--root", str(tmp_path)]) == 2
    assert "at least one lens model" in capfd.readouterr().err
    assert DIAGNOSIS.main(["imaging-mge", "--root", str(tmp_path)]) == 2
    assert "nox -s matrix-fp64" in capfd.readouterr().err


def test_written_systems_are_read_back(tmp_path: Path) -> None:
    A = np.random.default_rng(0).normal(size=(9, 4))
    system = System("a", A.T @ A, A.sum(axis=0), (0, 1))
    write_system(tmp_path / "a.npz", system)
    (found,) = stored_systems(tmp_path)
    np.testing.assert_array_equal(found.Q, system.Q)
    np.testing.assert_array_equal(found.q, system.q)
    assert (found.name, found.dense) == ("a", (0, 1))
