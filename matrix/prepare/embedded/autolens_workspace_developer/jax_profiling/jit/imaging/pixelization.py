"""Imaging, with an MGE lens and a source on a rectangular mesh that adapts to the density of image pixels."""

import sys
from pathlib import Path

import autolens as al

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import evaluate, free_mass, imaging_dataset, lens_model, scale_asked_for

# Log evidences of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_EVIDENCE_HST = None  # 35x35 source pixels, 60 lens Gaussians
EXPECTED_LOG_EVIDENCE_HST_SMOKE = None  # 10x10 source pixels, 10 lens Gaussians

SCALES = {
    "production": ("hst", 3.5, 60, (35, 35), EXPECTED_LOG_EVIDENCE_HST),
    "smoke": ("hst_smoke", 2.0, 10, (10, 10), EXPECTED_LOG_EVIDENCE_HST_SMOKE),
}

instrument, mask_radius, lens_gaussians, mesh_shape, expected = SCALES[scale_asked_for(__doc__)]
dataset = imaging_dataset(
    "hst",
    0.05,
    mask_radius,
    sub_size_list=[4, 2, 1],
    radial_list=[0.3, 0.6],
    over_sample_size_pixelization=1,
)
lens_light = al.model_util.mge_model_from(
    mask_radius=mask_radius, total_gaussians=lens_gaussians, centre_prior_is_uniform=True
)
pixelization = al.Pixelization(
    mesh=al.mesh.RectangularAdaptDensity(shape=mesh_shape), regularization=al.reg.Constant(coefficient=1.0)
)
evaluate(
    script=("imaging", "pixelization"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens={"bulge": lens_light, **free_mass()}, source={"pixelization": pixelization}),
    expected=expected,
    quantity="figure_of_merit",
    configuration={
        "pixel_scale_arcsec": 0.05,
        "mask_radius_arcsec": mask_radius,
        "image_pixels_masked": int(dataset.data.shape[0]),
        "over_sampled_pixels": int(dataset.grids.lp.over_sampled.shape[0]),
        "mesh_shape": list(mesh_shape),
        "source_pixels": mesh_shape[0] * mesh_shape[1],
    },
)
