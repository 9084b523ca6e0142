"""Interferometer, with the source on a uniform rectangular mesh."""

import sys
from pathlib import Path

import autofit as af
import autolens as al

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from evaluation import evaluate, free_mass, interferometer_dataset, lens_model, scale_asked_for

# Log evidences of the eager NumPy path, whose positive-only solve is an exact active-set method.
EXPECTED_LOG_EVIDENCE_SMA = None
EXPECTED_LOG_EVIDENCE_SMA_SMOKE = None

SCALES = {
    "production": ("sma", 3.0, (256, 256), (28, 28), EXPECTED_LOG_EVIDENCE_SMA),
    "smoke": ("sma_smoke", 3.0, (64, 64), (10, 10), EXPECTED_LOG_EVIDENCE_SMA_SMOKE),
}

instrument, mask_radius, shape, mesh_shape, expected = SCALES[scale_asked_for(__doc__)]
dataset = interferometer_dataset("sma", 0.1, shape, mask_radius)
pixelization = af.Model(
    al.Pixelization,
    mesh=al.mesh.RectangularUniform(shape=mesh_shape),
    regularization=al.reg.Constant(coefficient=1.0),
)
evaluate(
    script=("interferometer", "pixelization"),
    instrument=instrument,
    dataset=dataset,
    model=lens_model(lens=free_mass(), source={"pixelization": pixelization}),
    expected=expected,
    quantity="figure_of_merit",
    configuration={
        "pixel_scale_arcsec": 0.1,
        "mask_radius_arcsec": mask_radius,
        "real_space_shape": list(shape),
        "visibilities": int(dataset.uv_wavelengths.shape[0]),
        "mesh_shape": list(mesh_shape),
        "source_pixels": mesh_shape[0] * mesh_shape[1],
        "regularization_coefficient": 1.0,
    },
)
