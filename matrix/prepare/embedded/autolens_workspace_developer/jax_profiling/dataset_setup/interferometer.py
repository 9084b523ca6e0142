"""Simulate the interferometer dataset of an instrument: a lensed source seen through few baselines."""

import argparse

import autolens as al
import numpy as np
from simulation import dataset_folder, lens_mass, write_truth

# Number of visibilities, longest baseline in wavelengths, noise of each visibility, arcsec per pixel.
INSTRUMENTS = {"sma": (190, 2.5e5, 1000.0, 0.1), "alma": (1000, 2.0e6, 100.0, 0.05)}
SHAPE = (256, 256)
SEED = 1


def uv_wavelengths(visibilities, longest):
    """Baselines that fill a disc evenly: (visibilities, 2), in wavelengths."""
    generator = np.random.default_rng(SEED)
    length = longest * np.sqrt(generator.uniform(size=visibilities))
    angle = generator.uniform(0.0, 2.0 * np.pi, size=visibilities)
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)


def tracer():
    """The truth, that the pipelines' prior medians are set to."""
    source = al.lp.SersicCore(
        centre=(0.1, 0.1),
        ell_comps=al.convert.ell_comps_from(axis_ratio=0.8, angle=60.0),
        intensity=0.3,
        effective_radius=1.0,
        sersic_index=2.5,
    )
    return al.Tracer(galaxies=[al.Galaxy(redshift=0.5, **lens_mass()), al.Galaxy(redshift=1.0, bulge=source)])


def simulate(instrument):
    """Write visibilities, noise map, baselines and truth of `instrument`."""
    visibilities, longest, noise_sigma, pixel_scale = INSTRUMENTS[instrument]
    simulator = al.SimulatorInterferometer(
        uv_wavelengths=uv_wavelengths(visibilities, longest),
        exposure_time=300.0,
        noise_sigma=noise_sigma,
        transformer_class=al.TransformerDFT,
        noise_seed=SEED,
    )
    truth = tracer()
    grid = al.Grid2D.uniform(shape_native=SHAPE, pixel_scales=pixel_scale)
    dataset = simulator.via_tracer_from(tracer=truth, grid=grid)
    with dataset_folder("interferometer", instrument) as folder:
        for name, array in (
            ("data", np.stack([dataset.data.real, dataset.data.imag], axis=-1)),
            ("noise_map", np.stack([dataset.noise_map.real, dataset.noise_map.imag], axis=-1)),
            ("uv_wavelengths", dataset.uv_wavelengths),
        ):
            al.output_to_fits(values=array, file_path=folder / f"{name}.fits", overwrite=True)
        write_truth(truth, folder / "tracer.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instrument", choices=tuple(INSTRUMENTS), default="sma")
    simulate(parser.parse_args().instrument)
