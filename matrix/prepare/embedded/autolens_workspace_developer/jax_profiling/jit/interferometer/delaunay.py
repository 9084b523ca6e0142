"""Interferometer, with the source on a Delaunay mesh; dense transform, without the sparse operator."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import (
    delaunay_source,
    evaluate,
    free_mass,
    interferometer_dataset,
    lens_model,
    scale_asked_for,
)

# Log evidences of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_EVIDENCE = {
    "sma": None,
    "sma_smoke": None,
    "alma": None,
}

SCALES = {
    "production": ("sma", 3.0, (256, 256), (26, 26), 30),
    "smoke": ("sma_smoke", 3.0, (64, 64), (10, 10), 10),
}

instrument, mask_radius, shape, overlay, edge_points = SCALES[scale_asked_for(__doc__)]
dataset = interferometer_dataset("sma", 0.1, shape, mask_radius)
source, vertices = delaunay_source(dataset.real_space_mask, overlay, mask_radius, edge_points)
evaluate(
    script=("interferometer", "delaunay"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens=free_mass(), source=source),
    expected=EXPECTED_LOG_EVIDENCE.get(instrument),
    quantity="figure_of_merit",
    configuration={
        "pixel_scale_arcsec": 0.1,
        "mask_radius_arcsec": mask_radius,
        "real_space_shape": list(shape),
        "visibilities": int(dataset.uv_wavelengths.shape[0]),
        "overlay_shape": list(overlay),
        "delaunay_vertices": len(vertices),
        "edge_zeroed_pixels": edge_points,
        "regularization_coefficient": 1.0,
    },
    vertices=vertices,
)
