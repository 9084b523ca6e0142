"""Simulate the imaging dataset of an instrument: a Sersic lens in front of a compact source."""

import argparse
import math

import autolens as al
from simulation import dataset_folder, lens_mass, write_truth

# Arcsec per pixel, and width of the Gaussian point-spread function in arcsec.
INSTRUMENTS = {"hst": (0.05, 0.05), "euclid": (0.1, 0.1), "jwst": (0.03, 0.03), "ao": (0.01, 0.01)}
# The pipelines' mask, in arcsec.
RADIUS = 3.5
PSF_SHAPE = (21, 21)
SEED = 1


def tracer():
    """The truth, that the pipelines' prior medians are set to."""
    light = al.lp.Sersic(
        centre=(0.0, 0.0),
        ell_comps=al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0),
        intensity=2.0,
        effective_radius=0.6,
        sersic_index=3.0,
    )
    source = al.lp.SersicCore(
        centre=(0.0, 0.0),
        ell_comps=al.convert.ell_comps_from(axis_ratio=0.8, angle=60.0),
        intensity=4.0,
        effective_radius=0.1,
        sersic_index=1.0,
    )
    galaxies = [al.Galaxy(redshift=0.5, bulge=light, **lens_mass()), al.Galaxy(redshift=1.0, bulge=source)]
    return al.Tracer(galaxies=galaxies)


def simulate(instrument):
    """Write data, noise map, point-spread function and truth of `instrument`."""
    pixel_scale, psf_sigma = INSTRUMENTS[instrument]
    # An odd number of pixels, of which one is the centre.
    side = math.ceil(2 * RADIUS / pixel_scale) | 1
    grid = al.Grid2D.uniform(shape_native=(side, side), pixel_scales=pixel_scale)
    fine_centre = al.util.over_sample.over_sample_size_via_radial_bins_from(
        grid=grid, sub_size_list=[32, 8, 2], radial_list=[0.3, 0.6], centre_list=[(0.0, 0.0)]
    )
    psf = al.Convolver.from_gaussian(
        shape_native=PSF_SHAPE, sigma=psf_sigma, pixel_scales=pixel_scale, normalize=True
    )
    simulator = al.SimulatorImaging(
        exposure_time=300.0,
        psf=psf,
        background_sky_level=0.1,
        add_poisson_noise_to_data=True,
        noise_seed=SEED,
    )
    truth = tracer()
    dataset = simulator.via_tracer_from(
        tracer=truth, grid=grid.apply_over_sampling(over_sample_size=fine_centre)
    )
    with dataset_folder("imaging", instrument) as folder:
        for name, array in (
            ("data", dataset.data.native),
            ("noise_map", dataset.noise_map.native),
            ("psf", psf.kernel.native),
        ):
            al.output_to_fits(values=array, file_path=folder / f"{name}.fits", overwrite=True)
        write_truth(truth, folder / "tracer.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instrument", choices=tuple(INSTRUMENTS), default="hst")
    simulate(parser.parse_args().instrument)
