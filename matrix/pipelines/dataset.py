"""Whether data fit their pipelines: `python -m matrix.pipelines.dataset`, in a side's environment.

It prints what does not fit, as a list in JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from matrix.catalogue.arguments import pipeline_argument
from matrix.catalogue.pipelines import Pipeline, pipeline_named
from matrix.records.cell import Scale

ArraysByName = Mapping[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at the data of the pipelines that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m matrix.pipelines.dataset", description=__doc__)
    parser.add_argument("pipelines", nargs="+", type=pipeline_argument, metavar="PIPELINE")
    parser.add_argument("--scale", required=True, choices=get_args(Scale))
    parser.add_argument("--workspace", required=True, type=Path, help="root of autolens_workspace_developer")
    options = parser.parse_args(arguments)
    found = [
        fault
        for name in options.pipelines
        for fault in faults_of(pipeline_named(name), options.scale, options.workspace)
    ]
    json.dump(list(dict.fromkeys(found)), sys.stdout)
    return 0


def faults_of(pipeline: Pipeline, scale: Scale, workspace: Path) -> list[str]:
    """What is wrong with the data of one pipeline; nothing where they fit.

    Parameters
    ----------
    pipeline, scale
        Which likelihood is to read them.
    workspace
        Root of the developer workspace, or of a folder that is laid out as it is.
    """
    arrays: dict[str, np.ndarray] = {}
    for name in pipeline.data_files:
        try:
            arrays[name.removesuffix(".fits")] = _array(workspace / pipeline.dataset / name)
        except (OSError, IndexError, TypeError, ValueError) as error:
            return [f"{pipeline.instrument}: {name} holds no array that can be read ({error})"]
    radius = pipeline.settings[scale].mask_radius
    found = _of_image(arrays, pipeline.pixel_scale, radius) if "psf" in arrays else _of_visibilities(arrays)
    return [f"{pipeline.instrument}: {fault}" for fault in found]


def _array(path: Path) -> np.ndarray:
    # Only the environments of the autolens stack have it.
    from astropy.io import fits

    return np.asarray(fits.getdata(path, ext=0), dtype=np.float64)


def _of_image(arrays: ArraysByName, pixel_scale: float, radius: float) -> Iterator[str]:
    data, noise, psf = (arrays[name] for name in ("data", "noise_map", "psf"))
    if data.ndim != 2 or noise.shape != data.shape:
        yield f"data.fits and noise_map.fits must be images of one shape, and are {data.shape}, {noise.shape}"
        return
    if psf.ndim != 2 or not all(side % 2 for side in psf.shape) or max(psf.shape) > min(data.shape):
        yield f"psf.fits must have odd sides, no longer than the image's, and is {psf.shape}"
    half = min(data.shape) * pixel_scale / 2
    if half < radius:
        yield (
            f"the mask has a radius of {radius} arcsec, and data.fits, {data.shape} pixels of {pixel_scale} "
            f"arcsec, reaches {half:.4g} from its centre"
        )
        return
    rows, columns = ((np.arange(side) - (side - 1) / 2) * pixel_scale for side in data.shape)
    used = np.hypot(rows[:, None], columns[None, :]) <= radius
    yield from _of_values({"data": data[used], "noise_map": noise[used], "psf": psf})


def _of_visibilities(arrays: ArraysByName) -> Iterator[str]:
    shapes = {name: found.shape for name, found in arrays.items()}
    alike = len(set(shapes.values())) == 1
    if not alike or any(len(shape) != 2 or shape[1] != 2 for shape in shapes.values()):
        said = ", ".join(f"{name}.fits {shape}" for name, shape in shapes.items())
        yield f"all three files must hold as many rows of two numbers, and hold {said}"
        return
    yield from _of_values(arrays)


def _of_values(arrays: ArraysByName) -> Iterator[str]:
    for name, found in arrays.items():
        if not np.isfinite(found).all():
            yield f"{name}.fits holds {np.count_nonzero(~np.isfinite(found))} values that are no numbers"
    if not (arrays["noise_map"] > 0).all():
        yield "noise_map.fits holds values that are not above zero"


if __name__ == "__main__":
    sys.exit(main())
