"""The solver's answer mapped to the image and to the source plane, for the report's pictures."""

from dataclasses import dataclass
from typing import Any

import autolens as al
import numpy as np

from matrix.pipelines.kkt import at_bound
from matrix.records.arrays import Arrays

# Points on a side of the grid that is traced to the source plane.
_TRACED = 120

# The source plane of a source of Gaussians: a square of this half width in arcsec about its centre.
_HALF_WIDTH = 0.75
_SIDE = 120


@dataclass(frozen=True)
class SourcePlane:
    """Where the source is drawn.

    Attributes
    ----------
    points
        (n, 2) Delaunay vertices in arcsec, or empty.
    y_edges, x_edges
        Edges of rectangles in arcsec, y falling, or empty.
    basis
        Of a source of Gaussians: (rectangles, gaussians) surface brightness per unit intensity. None for a
        mesh, whose unknowns are themselves the brightness.
    """

    points: np.ndarray
    y_edges: np.ndarray
    x_edges: np.ndarray
    basis: np.ndarray | None


@dataclass(frozen=True)
class Frame:
    """What turns an answer into pictures, taken from an eager fit so that nothing is computed twice.

    Attributes
    ----------
    design
        (data points, unknowns): the model data of each unknown per unit, convolved or Fourier-transformed.
    solved
        (K,) indices of the unknowns that are solved for; the others are held at zero.
    diagonal
        (K,) of the linear system's matrix, in the unknowns' own units.
    light
        How many of the unknowns, counted from the first, are intensities of Gaussians.
    tracer
        The lens model, an autolens `Tracer`.
    """

    dataset: Any
    design: np.ndarray
    solved: np.ndarray
    diagonal: np.ndarray
    light: int
    source: SourcePlane
    tracer: Any


def frame_of(fit: Any) -> Frame:
    """Keep of an eager fit, already evaluated, what pictures need.

    Parameters
    ----------
    fit
        An autolens `FitImaging` or `FitInterferometer` whose source is its last galaxy.
    """
    inversion = fit.inversion
    design = np.asarray(inversion.operated_mapping_matrix)
    last = inversion.linear_obj_list[-1]
    meshed = hasattr(last, "mesh")
    solved = np.asarray(inversion.zeroed_ids_to_keep) if meshed else np.arange(design.shape[1])
    light = design.shape[1] - (last.params if meshed else 0)
    source = _mesh_plane(last) if meshed else _gaussian_plane(last)
    diagonal = np.diagonal(np.asarray(inversion.curvature_reg_matrix))[solved]
    return Frame(fit.dataset, design, solved, diagonal, light, source, fit.tracer)


def arrays_from(key: str, frame: Frame, Q: np.ndarray, x: np.ndarray) -> Arrays:
    """Map an answer to the image and the source plane.

    Parameters
    ----------
    key
        Content key of the cell's record.
    frame
        From the eager fit at the same parameters.
    Q, x
        (K, K) matrix and (K,) answer of the solve.
    """
    positive = ~at_bound(Q, x)
    unit = _units(frame, Q)
    answer = np.zeros(frame.design.shape[1])
    answer[frame.solved] = unit * x
    covariance = unit[:, None] * _inverse(Q) * unit
    source, source_noise, source_positive = _source(frame, answer, covariance, positive)
    data, noise, model, image = _image_plane(frame.dataset, frame.design @ answer)
    return Arrays(
        key=np.asarray(key),
        mask=np.asarray(image.mask.array, dtype=bool),
        extent=_extent(image),
        data=data,
        noise=noise,
        model=model,
        source_points=frame.source.points,
        source_y_edges=frame.source.y_edges,
        source_x_edges=frame.source.x_edges,
        source=source,
        source_noise=source_noise,
        light=np.asarray(frame.light),
        positive=positive,
        source_positive=source_positive,
        traced=_traced(frame.tracer, _extent(image)),
    )


def _mesh_plane(mapper: Any) -> SourcePlane:
    points = np.asarray(mapper.source_plane_mesh_grid.array)
    empty = np.zeros(0)
    if isinstance(mapper.mesh, al.mesh.Delaunay):
        return SourcePlane(points, empty, empty, None)
    if isinstance(mapper.mesh, al.mesh.RectangularUniform):
        y_edges, x_edges = _edges(np.unique(points[:, 0]))[::-1], _edges(np.unique(points[:, 1]))
    else:
        y_edges, x_edges = np.asarray(mapper.mesh_geometry.edges_transformed).T
    return SourcePlane(np.zeros((0, 2)), y_edges, x_edges, None)


def _gaussian_plane(gaussians: Any) -> SourcePlane:
    profiles = gaussians.light_profile_list
    y_centre, x_centre = profiles[0].centre
    edges = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, _SIDE + 1)
    y_edges, x_edges = y_centre + edges[::-1], x_centre + edges
    y, x = np.meshgrid((y_edges[1:] + y_edges[:-1]) / 2, (x_edges[1:] + x_edges[:-1]) / 2, indexing="ij")
    grid = al.Grid2DIrregular(np.stack([y.ravel(), x.ravel()], axis=1))
    images = [np.asarray(profile.image_2d_from(grid=grid).array) for profile in profiles]
    return SourcePlane(np.zeros((0, 2)), y_edges, x_edges, np.stack(images, axis=1))


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges of evenly spaced intervals with these centres, rising."""
    half = (centres[1] - centres[0]) / 2
    return np.append(centres - half, centres[-1] + half)


def _source(
    frame: Frame, answer: np.ndarray, covariance: np.ndarray, positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source brightness, its standard deviation, and which pixels of a mesh are off the bound."""
    basis = frame.source.basis
    if basis is not None:
        last = basis.shape[1]
        variance = np.einsum("pi,ij,pj->p", basis, covariance[-last:, -last:], basis, optimize=True)
        return basis @ answer[-last:], _root(variance), np.zeros(0, dtype=bool)
    noise = np.zeros(len(answer))
    noise[frame.solved] = _root(np.diagonal(covariance))
    off_bound = np.zeros(len(answer), dtype=bool)
    off_bound[frame.solved] = positive
    return answer[frame.light :], noise[frame.light :], off_bound[frame.light :]


def _units(frame: Frame, Q: np.ndarray) -> np.ndarray:
    """(K,) the unit of each unknown: not 1 where the library scaled the system to a unit diagonal first."""
    if np.allclose(np.diagonal(Q), 1.0, rtol=1e-6):
        return np.asarray(1.0 / np.sqrt(frame.diagonal))
    return np.ones(len(Q))


def _inverse(Q: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(Q)
    except np.linalg.LinAlgError:
        return np.full_like(Q, np.nan)


def _root(variance: np.ndarray) -> np.ndarray:
    """Square root, nan where rounding left a variance of an ill-conditioned system negative."""
    return np.sqrt(np.where(variance >= 0.0, variance, np.nan))


def _image_plane(dataset: Any, model: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Data, noise and model per image pixel, and the library's own image they lie on."""
    if isinstance(dataset, al.Imaging):
        return np.asarray(dataset.data.array), np.asarray(dataset.noise_map.array), model, dataset.data
    image = dataset.transformer.image_from(visibilities=dataset.data)
    dirty = dataset.transformer.image_from(visibilities=al.Visibilities(model))
    data = np.asarray(image.array)
    # A dirty image is the sum over visibilities of Re V cos φ - Im V sin φ, so the errors of both parts add
    # in quadrature; exactly this, for every pixel, where the two are equal.
    sigma = np.sqrt(np.sum(np.abs(np.asarray(dataset.noise_map.array)) ** 2) / 2)
    return data, np.full_like(data, sigma), np.asarray(dirty.array), image


def _traced(tracer: Any, extent: np.ndarray) -> np.ndarray:
    """(rows, columns, 2) positions in the source plane of an even grid over the image."""
    left, right, bottom, top = extent
    middles = (np.arange(_TRACED) + 0.5) / _TRACED
    y, x = np.meshgrid(top - (top - bottom) * middles, left + (right - left) * middles, indexing="ij")
    grid = al.Grid2DIrregular(np.stack([y.ravel(), x.ravel()], axis=1))
    traced = tracer.traced_grid_2d_list_from(grid=grid)[-1]
    return np.asarray(traced.array, dtype=np.float64).reshape(_TRACED, _TRACED, 2)


def _extent(image: Any) -> np.ndarray:
    rows, columns = image.shape_native
    y_scale, x_scale = image.pixel_scales
    return np.array([-columns * x_scale, columns * x_scale, -rows * y_scale, rows * y_scale]) / 2
