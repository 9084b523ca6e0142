"""Imaging, with lens and source light as multi-Gaussian expansions (MGE): 20 + 20 linear Gaussians."""

import sys
from pathlib import Path

import autolens as al

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import evaluate, fixed_mass, imaging_dataset, lens_model, scale_asked_for

# Log likelihoods of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_LIKELIHOOD_HST = None
EXPECTED_LOG_LIKELIHOOD_HST_SMOKE = None

SCALES = {
    "production": ("hst", 3.5, 20, 20, EXPECTED_LOG_LIKELIHOOD_HST),
    "smoke": ("hst_smoke", 2.0, 10, 6, EXPECTED_LOG_LIKELIHOOD_HST_SMOKE),
}

instrument, mask_radius, lens_gaussians, source_gaussians, expected = SCALES[scale_asked_for(__doc__)]
dataset = imaging_dataset(
    "hst", 0.05, mask_radius, sub_size_list=[4, 2, 1], radial_list=[0.3, 0.6]
)
lens_light = al.model_util.mge_model_from(
    mask_radius=mask_radius, total_gaussians=lens_gaussians, centre_prior_is_uniform=True
)
source_light = al.model_util.mge_model_from(
    mask_radius=mask_radius, total_gaussians=source_gaussians, centre_prior_is_uniform=False
)
evaluate(
    script=("imaging", "mge"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens={"bulge": lens_light, **fixed_mass()}, source={"bulge": source_light}),
    expected=expected,
    quantity="log_likelihood",
    configuration={
        "pixel_scale_arcsec": 0.05,
        "mask_radius_arcsec": mask_radius,
        "image_pixels_masked": int(dataset.data.shape[0]),
        "over_sampled_pixels": int(dataset.grids.lp.over_sampled.shape[0]),
        "linear_gaussians": lens_gaussians + source_gaussians,
    },
)
