"""The lens models of PyAutoArray#571 made anew: a SLaM pipeline's first stage, and its 72 systems."""

from pathlib import Path
from typing import Any

import autofit as af
import autolens as al
import jax
from autofit.jax import register_model

from matrix.catalogue.pipelines import pipeline_named
from matrix.diagnose.corpus.kinds import SLAM_LENS_GAUSSIANS
from matrix.diagnose.corpus.points import Factors
from matrix.pipelines.likelihood import Likelihood
from matrix.pipelines.model import EINSTEIN_RADIUS, LENS_REDSHIFT, SHEAR, SOURCE_REDSHIFT

MASK_RADIUS = 3.5
SMALLEST_WIDTH = 0.005
PER_BASIS = SLAM_LENS_GAUSSIANS // 2
OVER_SAMPLING, RADII = (4, 2, 2), (0.3, 0.6)


def slam_likelihood(workspace: Path, change: Factors) -> Likelihood:
    """Lens and source of Gaussians, mass and shear free, on the dataset of `imaging-mge`."""
    model = _model(change)
    # Of one process's models only the first decides what of a galaxy is traced, so nothing else is made here.
    register_model(model)
    medians = model.instance_from_vector(vector=model.physical_values_from_prior_medians)
    dataset, settings = _dataset(workspace, change), al.Settings()
    return Likelihood(
        model=model,
        dataset=dataset,
        settings=settings,
        mesh_grid=None,
        analysis=al.AnalysisImaging(dataset=dataset, settings=settings, use_jax=True),
        structure=jax.tree_util.tree_structure(medians),
        configuration={},
    )


def _dataset(workspace: Path, change: Factors) -> Any:
    pipeline = pipeline_named("imaging-mge")
    files = {name: workspace / pipeline.dataset / f"{name}.fits" for name in ("data", "noise_map", "psf")}
    found = al.Imaging.from_fits(
        **{f"{name}_path": path for name, path in files.items()}, pixel_scales=pipeline.pixel_scale
    )
    noisier = al.Imaging(data=found.data, noise_map=found.noise_map * change.noise, psf=found.psf)
    mask = al.Mask2D.circular(
        shape_native=noisier.shape_native, pixel_scales=noisier.pixel_scales, radius=MASK_RADIUS
    )
    masked = noisier.apply_mask(mask=mask)
    bins = al.util.over_sample.over_sample_size_via_radial_bins_from(
        grid=masked.grid, sub_size_list=list(OVER_SAMPLING), radial_list=list(RADII), centre_list=[(0.0, 0.0)]
    )
    return masked.apply_over_sampling(over_sample_size_lp=bins)


def _model(change: Factors) -> Any:
    gaussians = al.model_util.mge_model_from
    bulge = gaussians(
        mask_radius=MASK_RADIUS,
        total_gaussians=PER_BASIS,
        gaussian_per_basis=2,
        centre_prior_is_uniform=True,
        sigma_min=SMALLEST_WIDTH * change.width,
    )
    mass = af.Model(al.mp.Isothermal)
    mass.centre.centre_0 = af.GaussianPrior(mean=0.0, sigma=0.05)
    mass.centre.centre_1 = af.GaussianPrior(mean=0.0, sigma=0.05)
    mass.einstein_radius = af.GaussianPrior(mean=EINSTEIN_RADIUS, sigma=0.1)
    ellipticity = al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0)
    mass.ell_comps.ell_comps_0 = af.GaussianPrior(mean=ellipticity[0], sigma=0.05)
    mass.ell_comps.ell_comps_1 = af.GaussianPrior(mean=ellipticity[1], sigma=0.05)
    shear = af.Model(al.mp.ExternalShear)
    shear.gamma_1 = af.GaussianPrior(mean=SHEAR[0], sigma=0.02)
    shear.gamma_2 = af.GaussianPrior(mean=SHEAR[1], sigma=0.02)
    # Last: the order in which priors are made is that of the parameters.
    source = gaussians(mask_radius=MASK_RADIUS, total_gaussians=PER_BASIS, centre_prior_is_uniform=False)
    return af.Collection(
        galaxies=af.Collection(
            lens=af.Model(al.Galaxy, redshift=LENS_REDSHIFT, bulge=bulge, mass=mass),
            source=af.Model(al.Galaxy, redshift=SOURCE_REDSHIFT, bulge=source),
        ),
        fields=af.Model(al.MassField, redshift=LENS_REDSHIFT, shear=shear),
    )
