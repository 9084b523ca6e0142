"""Imaging, with an MGE lens and a source on a Delaunay mesh."""

import sys
from pathlib import Path

import autolens as al

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import delaunay_source, evaluate, free_mass, imaging_dataset, lens_model, scale_asked_for

# Log evidences of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_EVIDENCE_HST = None  # overlay 39x39, 30 edge points, 60 lens Gaussians
EXPECTED_LOG_EVIDENCE_HST_SMOKE = None  # overlay 10x10, 10 edge points, 10 lens Gaussians

SCALES = {
    "production": ("hst", 3.5, 60, (39, 39), 30, EXPECTED_LOG_EVIDENCE_HST),
    "smoke": ("hst_smoke", 2.0, 10, (10, 10), 10, EXPECTED_LOG_EVIDENCE_HST_SMOKE),
}

instrument, mask_radius, lens_gaussians, overlay, edge_points, expected = SCALES[scale_asked_for(__doc__)]
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
source, vertices = delaunay_source(dataset.mask, overlay, mask_radius, edge_points)
evaluate(
    script=("imaging", "delaunay"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens={"bulge": lens_light, **free_mass()}, source=source),
    expected=expected,
    quantity="figure_of_merit",
    configuration={
        "pixel_scale_arcsec": 0.05,
        "mask_radius_arcsec": mask_radius,
        "image_pixels_masked": int(dataset.data.shape[0]),
        "over_sampled_pixels": int(dataset.grids.lp.over_sampled.shape[0]),
        "overlay_shape": list(overlay),
        "edge_n_points": edge_points,
        "n_mesh_vertices": len(vertices),
        "edge_pixels_total": edge_points,
    },
    vertices=vertices,
)
