"""What one cell reconstructed, as arrays beside its record: the raw material of the pictures."""

import os
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from matrix.ground.files import inside

# More than any likelihood's pictures need; a small file can unpack to whatever it likes.
LARGEST_BYTES = 2**30


@dataclass(frozen=True)
class Arrays:
    """One cell's reconstruction, in float64, from the answer of the batched program's first lane.

    For imaging data `data` and `model` are surface brightness; for an interferometer they are the dirty
    images of the measured and of the model visibilities.

    Attributes
    ----------
    key
        Content key of the record that the arrays belong to.
    mask
        (ny, nx) bool, True where the image is masked out; row 0 is the top.
    extent
        (4,) left, right, bottom, top of the image in arcsec.
    data, noise, model
        (pixels,) of the unmasked pixels, row by row; `noise` is one standard deviation.
    source_points
        (n, 2) y and x in arcsec of the vertices of a Delaunay mesh; empty for a source on rectangles.
    source_y_edges, source_x_edges
        (rows + 1,) and (columns + 1,) edges of the rectangles in arcsec, y falling; else empty.
    source, source_noise
        (n,) source plane brightness at the vertices, or of the rectangles row by row, and its standard
        deviation were the positivity not imposed: from the inverse of the linear system's matrix.
    light
        How many of the unknowns are intensities of Gaussians; the rest are pixels of the source mesh.
    positive
        (K,) bool in the order of the unknowns that were solved for: off the bound.
    source_positive
        (n,) bool of a mesh's pixels; empty for a source of Gaussians.
    traced
        (rows, columns, 2) y and x in arcsec where the lens model takes points of the image plane to: the
        middles of an even grid over `extent`, row 0 on top. Empty in arrays written before it was kept.
    """

    key: np.ndarray
    mask: np.ndarray
    extent: np.ndarray
    data: np.ndarray
    noise: np.ndarray
    model: np.ndarray
    source_points: np.ndarray
    source_y_edges: np.ndarray
    source_x_edges: np.ndarray
    source: np.ndarray
    source_noise: np.ndarray
    light: np.ndarray
    positive: np.ndarray
    source_positive: np.ndarray
    traced: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 2)))


def arrays_path(record: Path) -> Path:
    """Where the arrays of the cell lie whose record is, or will be, at `record`."""
    return inside(record.parent.parent, "arrays", f"{record.stem}.npz")


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write `arrays` to `path` as compressed npz, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, **asdict(arrays))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_arrays(path: Path, key: str) -> Arrays | None:
    """Read the arrays at `path`; None where there are none, or not those of the record with that `key`."""
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > LARGEST_BYTES:
                return None
        with np.load(path, allow_pickle=False) as stored:
            arrays = Arrays(
                **{one.name: stored[one.name] for one in fields(Arrays) if one.name in stored.files}
            )
        return arrays if _fit_together(arrays) and str(arrays.key) == key else None
    except Exception:
        # Damaged files fail in as many ways as there are layers: zip, deflate, header, array, shape.
        return None


def _fit_together(arrays: Arrays) -> bool:
    """Whether kinds and shapes are those that `Arrays` describes."""
    flags = (arrays.mask, arrays.positive, arrays.source_positive)
    numbers = (
        *(arrays.extent, arrays.data, arrays.noise, arrays.model),
        *(arrays.source_points, arrays.source_y_edges, arrays.source_x_edges),
        *(arrays.source, arrays.source_noise, arrays.traced),
    )
    pixels = int(np.count_nonzero(~arrays.mask))
    on_mesh = len(arrays.source_points)
    sources = on_mesh or (len(arrays.source_y_edges) - 1) * (len(arrays.source_x_edges) - 1)
    return (
        all(part.dtype == bool for part in flags)
        and all(part.dtype.kind == "f" for part in numbers)
        and arrays.light.dtype.kind in "iu"
        and pixels > 0
        and arrays.mask.ndim == 2
        and arrays.extent.shape == (4,)
        and bool(np.all(np.isfinite(arrays.extent)))
        and arrays.data.shape == arrays.noise.shape == arrays.model.shape == (pixels,)
        and arrays.source_points.shape == (on_mesh, 2)
        and arrays.source_y_edges.ndim == arrays.source_x_edges.ndim == 1
        and arrays.source.shape == arrays.source_noise.shape == (sources,)
        and arrays.source_positive.shape in ((0,), (sources,))
        and arrays.positive.ndim == 1
        and arrays.light.shape == ()
        and arrays.traced.ndim == 3
        and arrays.traced.shape[2] == 2
    )
