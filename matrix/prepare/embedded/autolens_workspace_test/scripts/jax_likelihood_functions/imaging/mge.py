"""A small imaging likelihood with linear Gaussians: compiled, it gives what the eager one gives."""

import autofit as af
import autolens as al
import jax
import jax.numpy as jnp
import numpy as np
from autofit.jax import register_model

SHAPE = (61, 61)
PIXEL_SCALE = 0.1
MASK_RADIUS = 2.5


def dataset():
    """A lensed source and its lens's light, simulated with a fixed seed."""
    mass = al.mp.Isothermal(centre=(0.0, 0.0), einstein_radius=1.2, ell_comps=(0.05, 0.0))
    lens = al.Galaxy(redshift=0.5, light=al.lp.Gaussian(intensity=2.0, sigma=0.4), mass=mass)
    source = al.Galaxy(redshift=1.0, light=al.lp.Gaussian(centre=(0.1, 0.0), intensity=4.0, sigma=0.15))
    psf = al.Convolver.from_gaussian(
        shape_native=(11, 11), sigma=0.1, pixel_scales=PIXEL_SCALE, normalize=True
    )
    simulator = al.SimulatorImaging(
        exposure_time=300.0, psf=psf, background_sky_level=0.1, add_poisson_noise_to_data=True, noise_seed=1
    )
    grid = al.Grid2D.uniform(shape_native=SHAPE, pixel_scales=PIXEL_SCALE)
    simulated = simulator.via_tracer_from(tracer=al.Tracer(galaxies=[lens, source]), grid=grid)
    mask = al.Mask2D.circular(shape_native=SHAPE, pixel_scales=PIXEL_SCALE, radius=MASK_RADIUS)
    return simulated.apply_mask(mask=mask)


def model():
    """Lens and source light as linear Gaussians, the mass at its truth."""
    light = al.model_util.mge_model_from(mask_radius=MASK_RADIUS, total_gaussians=6)
    mass = af.Model(al.mp.Isothermal)
    mass.centre = (0.0, 0.0)
    mass.einstein_radius = 1.2
    mass.ell_comps = (0.05, 0.0)
    source = al.model_util.mge_model_from(
        mask_radius=MASK_RADIUS, total_gaussians=4, centre_prior_is_uniform=False
    )
    return af.Collection(
        galaxies=af.Collection(
            lens=af.Model(al.Galaxy, redshift=0.5, light=light, mass=mass),
            source=af.Model(al.Galaxy, redshift=1.0, light=source),
        )
    )


data, parts = dataset(), model()
instance = parts.instance_from_vector(vector=parts.physical_values_from_prior_medians)
register_model(parts)
eager = al.FitImaging(dataset=data, tracer=al.Tracer(galaxies=list(instance.galaxies))).figure_of_merit
analysis = al.AnalysisImaging(dataset=data, use_jax=True)
compiled = jax.jit(lambda parameters: analysis.log_likelihood_function(instance=parameters))
value = compiled(jax.tree_util.tree_map(jnp.asarray, instance))
np.testing.assert_allclose(value, eager, rtol=1e-4)
print(f"jax_likelihood_functions/imaging/mge: {float(value)} compiled, {float(eager)} eager")
