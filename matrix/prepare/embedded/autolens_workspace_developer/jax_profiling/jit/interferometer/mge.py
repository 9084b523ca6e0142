"""Interferometer, with the source light as a multi-Gaussian expansion (MGE) of 20 linear Gaussians."""

import sys
from pathlib import Path

import autolens as al

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import evaluate, free_mass, interferometer_dataset, lens_model, scale_asked_for

# Log likelihoods of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_LIKELIHOOD_SMA = None
EXPECTED_LOG_LIKELIHOOD_SMA_SMOKE = None

SCALES = {
    "production": ("sma", 3.0, (256, 256), 20, EXPECTED_LOG_LIKELIHOOD_SMA),
    "smoke": ("sma_smoke", 3.0, (64, 64), 6, EXPECTED_LOG_LIKELIHOOD_SMA_SMOKE),
}

instrument, mask_radius, shape, gaussians, expected = SCALES[scale_asked_for(__doc__)]
dataset = interferometer_dataset("sma", 0.1, shape, mask_radius)
source_light = al.model_util.mge_model_from(
    mask_radius=mask_radius,
    total_gaussians=gaussians,
    centre_prior_is_uniform=False,
    centre=(0.1, 0.1),
    centre_sigma=0.005,
)
evaluate(
    script=("interferometer", "mge"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens=free_mass(), source={"bulge": source_light}),
    expected=expected,
    quantity="log_likelihood",
    configuration={
        "pixel_scale_arcsec": 0.1,
        "mask_radius_arcsec": mask_radius,
        "real_space_shape": list(shape),
        "visibilities": int(dataset.uv_wavelengths.shape[0]),
        "linear_gaussians": gaussians,
    },
)
