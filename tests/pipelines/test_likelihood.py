"""The likelihoods on the real data: the NumPy path gives the published constants."""

import importlib.metadata
import shutil
from pathlib import Path

import pytest

pytest.importorskip("autolens", reason="the autolens stack is not installed here")

from matrix.catalogue.pipelines import PIPELINES
from matrix.ground.errors import UsageError
from matrix.pipelines.likelihood import likelihood_from
from matrix.prepare.embedded.generations import generation_of
from tests.real import DATASETS

# What the library warns of is no error of ours.
pytestmark = pytest.mark.filterwarnings("default")

# NumPy values on the real data, by the first release that has the workspace's bins and mesh of its time.
CONSTANTS = {
    "2026.5.8.2": {
        "imaging-mge": 27379.38890685539,
        "imaging-pixelization": 24746.105672366088,
        "imaging-delaunay": 26288.321397232066,
        "interferometer-mge": -3153.8939746810656,
        "interferometer-pixelization": -3165.251161569041,
        "interferometer-delaunay": -3167.5258928840763,
    },
    "2026.8.29.1": {
        "imaging-mge": 27373.152646517727,
        "imaging-pixelization": 26927.739609889606,
        "imaging-delaunay": 26288.309505442972,
        "interferometer-mge": -3153.8939746810656,
        "interferometer-pixelization": -3165.2511615600397,
        "interferometer-delaunay": -3167.525892886398,
    },
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real datasets in the workspace's layout."""
    root = tmp_path_factory.mktemp("workspace")
    for pipeline in PIPELINES.values():
        shutil.copytree(DATASETS / pipeline.instrument, root / pipeline.dataset, dirs_exist_ok=True)
    return root


@pytest.mark.parametrize("name", CONSTANTS["2026.5.8.2"])
def test_published_constant_comes_out(name: str, workspace: Path) -> None:
    likelihood = likelihood_from(PIPELINES[name], "production", workspace, mixed=False)
    values = likelihood.eager(likelihood.medians())
    expected = CONSTANTS[generation_of(importlib.metadata.version("autolens")).since][name]
    assert float(getattr(values, PIPELINES[name].quantity)) == pytest.approx(expected, rel=1e-11)


def test_missing_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.fits is missing"):
        likelihood_from(PIPELINES["imaging-mge"], "smoke", tmp_path, mixed=False)
