"""The lens model of a pipeline, built from autofit and autolens parts at the simulation's truth."""

from typing import Any

import autofit as af
import autolens as al

from matrix.catalogue.pipelines import Delaunay, Gaussians, Rectangular, Settings

EINSTEIN_RADIUS = 1.6
SHEAR = (0.05, 0.05)
LENS_REDSHIFT = 0.5
SOURCE_REDSHIFT = 1.0


def model_from(settings: Settings, mesh_grid: Any = None, mesh: str | None = None) -> Any:
    """Build the model whose prior medians are the simulation's truth.

    Parameters
    ----------
    settings
        The pipeline's settings.
    mesh_grid
        Delaunay only: the image-plane mesh, edge points last, (vertices, 2) in arcsec.
    mesh
        Rectangular only: the library's name of the mesh's class, if not that of the settings.

    Returns
    -------
    autofit.Collection
        With `galaxies.lens` and `galaxies.source`.
    """
    components: dict[str, Any] = {}
    if settings.lens_gaussians:
        components["bulge"] = al.model_util.mge_model_from(
            mask_radius=settings.mask_radius,
            total_gaussians=settings.lens_gaussians,
            centre_prior_is_uniform=True,
        )
    components["mass"], components["shear"] = _free_mass() if settings.free_mass else _true_mass()
    lens = af.Model(al.Galaxy, redshift=LENS_REDSHIFT, **components)
    source = af.Model(al.Galaxy, redshift=SOURCE_REDSHIFT, **_source(settings, mesh_grid, mesh))
    return af.Collection(galaxies=af.Collection(lens=lens, source=source))


def _true_ellipticity() -> tuple[float, float]:
    return al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0)


def _true_mass() -> tuple[Any, Any]:
    mass = af.Model(al.mp.Isothermal)
    mass.centre = (0.0, 0.0)
    mass.einstein_radius = EINSTEIN_RADIUS
    mass.ell_comps = _true_ellipticity()
    shear = af.Model(al.mp.ExternalShear)
    shear.gamma_1, shear.gamma_2 = SHEAR
    return mass, shear


def _free_mass() -> tuple[Any, Any]:
    ellipticity = _true_ellipticity()
    mass = af.Model(al.mp.Isothermal)
    mass.centre.centre_0 = af.GaussianPrior(mean=0.0, sigma=0.005)
    mass.centre.centre_1 = af.GaussianPrior(mean=0.0, sigma=0.005)
    mass.einstein_radius = af.GaussianPrior(mean=EINSTEIN_RADIUS, sigma=0.05)
    mass.ell_comps.ell_comps_0 = af.GaussianPrior(mean=ellipticity[0], sigma=0.01)
    mass.ell_comps.ell_comps_1 = af.GaussianPrior(mean=ellipticity[1], sigma=0.01)
    shear = af.Model(al.mp.ExternalShear)
    shear.gamma_1 = af.GaussianPrior(mean=SHEAR[0], sigma=0.005)
    shear.gamma_2 = af.GaussianPrior(mean=SHEAR[1], sigma=0.005)
    return mass, shear


def _source(settings: Settings, mesh_grid: Any, mesh_name: str | None) -> dict[str, Any]:
    source = settings.source
    if isinstance(source, Gaussians):
        bulge = al.model_util.mge_model_from(
            mask_radius=settings.mask_radius,
            total_gaussians=source.total,
            centre_prior_is_uniform=False,
            centre=source.centre,
            centre_sigma=source.centre_sigma,
        )
        return {"bulge": bulge}
    if isinstance(source, Rectangular):
        mesh = getattr(al.mesh, mesh_name or source.mesh)(shape=source.shape)
        regularization = al.reg.Constant(coefficient=source.coefficient)
    else:
        mesh = al.mesh.Delaunay(pixels=len(mesh_grid), zeroed_pixels=source.edge_points)
        regularization = al.reg.ConstantSplit(coefficient=source.coefficient)
    return {"pixelization": af.Model(al.Pixelization, mesh=mesh, regularization=regularization)}


def mesh_grid_from(source: Delaunay, mask: Any, mask_radius: float) -> Any:
    """Lay the Delaunay mesh in the image plane.

    Parameters
    ----------
    source
        Overlay shape and number of edge points.
    mask
        The image's or the real-space mask.
    mask_radius
        Radius of the circle of edge points, in arcsec.

    Returns
    -------
    autoarray.Grid2DIrregular
        (vertices, 2) in arcsec, the edge points last.
    """
    inner = al.image_mesh.Overlay(shape=source.overlay).image_plane_mesh_grid_from(mask=mask)
    return al.image_mesh.append_with_circle_edge_points(
        image_plane_mesh_grid=inner, centre=(0.0, 0.0), radius=mask_radius, n_points=source.edge_points
    )
