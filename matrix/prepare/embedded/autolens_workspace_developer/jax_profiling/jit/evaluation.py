"""What the six scripts share: evaluate a likelihood along every path, check it, leave a summary."""

import argparse
import json
import time
from pathlib import Path

import autofit as af
import autolens as al
import jax
import jax.numpy as jnp
import numpy as np
from autofit.jax import register_model

RESULTS = Path("jax_profiling") / "results" / "jit"
BATCH = 3
REPEATS = 10
RTOL = 1e-4


def scale_asked_for(description):
    """The scale named on the command line: production, or smoke for a small problem of the same kind."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=("production", "smoke"), default="production")
    return parser.parse_args().scale


def imaging_dataset(instrument, pixel_scale, mask_radius, sub_size_list, radial_list, **over_sampling):
    """The masked imaging dataset, over-sampled in rings about the lens's centre."""
    folder = Path("jax_profiling") / "dataset" / "imaging" / instrument
    dataset = al.Imaging.from_fits(
        data_path=folder / "data.fits",
        noise_map_path=folder / "noise_map.fits",
        psf_path=folder / "psf.fits",
        pixel_scales=pixel_scale,
    )
    mask = al.Mask2D.circular(shape_native=dataset.shape_native, pixel_scales=pixel_scale, radius=mask_radius)
    dataset = dataset.apply_mask(mask=mask)
    fine_centre = al.util.over_sample.over_sample_size_via_radial_bins_from(
        grid=dataset.grid, sub_size_list=sub_size_list, radial_list=radial_list, centre_list=[(0.0, 0.0)]
    )
    return dataset.apply_over_sampling(over_sample_size_lp=fine_centre, **over_sampling)


def interferometer_dataset(instrument, pixel_scale, shape, mask_radius):
    """The visibilities, with a circular real-space mask."""
    folder = Path("jax_profiling") / "dataset" / "interferometer" / instrument
    mask = al.Mask2D.circular(shape_native=shape, pixel_scales=pixel_scale, radius=mask_radius)
    return al.Interferometer.from_fits(
        data_path=folder / "data.fits",
        noise_map_path=folder / "noise_map.fits",
        uv_wavelengths_path=folder / "uv_wavelengths.fits",
        real_space_mask=mask,
        transformer_class=al.TransformerDFT,
    )


def free_mass():
    """The deflector with priors about the simulation's truth."""
    ellipticity = al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0)
    mass = af.Model(al.mp.Isothermal)
    mass.centre.centre_0 = af.GaussianPrior(mean=0.0, sigma=0.005)
    mass.centre.centre_1 = af.GaussianPrior(mean=0.0, sigma=0.005)
    mass.einstein_radius = af.GaussianPrior(mean=1.6, sigma=0.05)
    mass.ell_comps.ell_comps_0 = af.GaussianPrior(mean=ellipticity[0], sigma=0.01)
    mass.ell_comps.ell_comps_1 = af.GaussianPrior(mean=ellipticity[1], sigma=0.01)
    shear = af.Model(al.mp.ExternalShear)
    shear.gamma_1 = af.GaussianPrior(mean=0.05, sigma=0.005)
    shear.gamma_2 = af.GaussianPrior(mean=0.05, sigma=0.005)
    return {"mass": mass, "shear": shear}


def fixed_mass():
    """The deflector at the simulation's truth."""
    mass = af.Model(al.mp.Isothermal)
    mass.centre = (0.0, 0.0)
    mass.einstein_radius = 1.6
    mass.ell_comps = al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0)
    shear = af.Model(al.mp.ExternalShear)
    shear.gamma_1 = 0.05
    shear.gamma_2 = 0.05
    return {"mass": mass, "shear": shear}


def lens_model(lens, source):
    """Both galaxies as one model, from what each is made of."""
    return af.Collection(
        galaxies=af.Collection(
            lens=af.Model(al.Galaxy, redshift=0.5, **lens), source=af.Model(al.Galaxy, redshift=1.0, **source)
        )
    )


def delaunay_source(mask, overlay, mask_radius, edge_points):
    """A Delaunay source whose vertices are an overlay of the image, ringed by zeroed points."""
    inside = al.image_mesh.Overlay(shape=overlay).image_plane_mesh_grid_from(mask=mask)
    vertices = al.image_mesh.append_with_circle_edge_points(
        image_plane_mesh_grid=inside, centre=(0.0, 0.0), radius=mask_radius, n_points=edge_points
    )
    pixelization = al.Pixelization(
        mesh=al.mesh.Delaunay(pixels=len(vertices), zeroed_pixels=edge_points),
        regularization=al.reg.ConstantSplit(coefficient=1.0),
    )
    return {"pixelization": pixelization}, vertices


def evaluate(script, instrument, dataset, model, expected, quantity, configuration, vertices=None):
    """Evaluate the likelihood at the prior medians, compare with the constant, write the summary.

    Every path is printed before anything is compared; `expected` None means that nothing was recorded.
    """
    kind, name = script
    instance = model.instance_from_vector(vector=model.physical_values_from_prior_medians)
    register_model(model)
    meshes = {}
    if vertices is not None:
        meshes["adapt_images"] = al.AdaptImages(
            galaxy_image_plane_mesh_grid_dict={instance.galaxies.source: vertices},
            galaxy_name_image_plane_mesh_grid_dict={"('galaxies', 'source')": vertices},
        )
    fit_class, analysis_class = {
        "imaging": (al.FitImaging, al.AnalysisImaging),
        "interferometer": (al.FitInterferometer, al.AnalysisInterferometer),
    }[kind]
    fit = fit_class(dataset=dataset, tracer=al.Tracer(galaxies=list(instance.galaxies)), xp=np, **meshes)
    eager = float(getattr(fit, quantity))
    print(f"eager {quantity}: {eager!r}")

    analysis = analysis_class(dataset=dataset, use_jax=True, **meshes)
    parameters = jax.tree_util.tree_map(jnp.asarray, instance)
    batch = jax.tree_util.tree_map(lambda leaf: jnp.broadcast_to(leaf, (BATCH, *leaf.shape)), parameters)

    def likelihood(parameters):
        return analysis.log_likelihood_function(instance=parameters)

    single, single_s = _timed(jax.jit(likelihood), parameters)
    print(f"jit: {float(single)!r} in {single_s:.4f} s ({single.dtype})")
    lanes, batch_s = _timed(jax.jit(jax.vmap(likelihood)), batch)
    print(f"vmap: {np.asarray(lanes).tolist()} in {batch_s:.4f} s")

    summary = {
        "autolens_version": al.__version__,
        "instrument": instrument,
        "configuration": configuration,
        "log_likelihood_eager": float(fit.log_likelihood),
        "figure_of_merit_eager": float(fit.figure_of_merit),
        ("log_likelihood_jit" if quantity == "log_likelihood" else "log_evidence_jit"): float(single),
        "full_pipeline_single_jit": single_s,
        "vmap": {
            "batch_size": BATCH,
            "batch_time": batch_s,
            "per_call": batch_s / BATCH,
            "speedup_vs_single_jit": round(single_s / (batch_s / BATCH), 1),
        },
    }
    path = RESULTS / kind / f"{name}_likelihood_summary_{instrument}_v{al.__version__}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=2))
    print(f"summary: {path}")

    if expected is None:
        print(f"{kind}/{name}[{instrument}]: no constant recorded, nothing compared")
        return
    for label, value in (("eager", eager), ("jit", single), ("vmap", lanes)):
        np.testing.assert_allclose(
            value, expected, rtol=RTOL, err_msg=f"{kind}/{name}[{instrument}]: {label}"
        )
    print(f"{kind}/{name}[{instrument}]: eager, jit and vmap match {expected}")


def _timed(function, parameters):
    result = jax.block_until_ready(function(parameters))
    started = time.perf_counter()
    for _ in range(REPEATS):
        jax.block_until_ready(function(parameters))
    return result, (time.perf_counter() - started) / REPEATS
