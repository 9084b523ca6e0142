"""A pipeline's likelihood: eagerly in NumPy, and as the function JAX compiles."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import autolens as al
import jax
import jax.numpy as jnp
import numpy as np
from autofit.jax import register_model

from matrix.catalogue.pipelines import (
    TRANSFORMER,
    Delaunay,
    Gaussians,
    Pipeline,
    Rectangular,
    Settings,
    masked,
    pipeline_named,
)
from matrix.ground.errors import UsageError
from matrix.pipelines.conventions import Rings, instrument_from, mesh_name_from, rings_from
from matrix.pipelines.model import mesh_grid_from, model_from
from matrix.records.cell import Scale

_SOURCE_PATH = "('galaxies', 'source')"
_LIMIT = "raise_error_dft_visibilities_limit"


@dataclass(frozen=True)
class EagerValues:
    """What the NumPy fit returned, as it came, before any conversion."""

    log_likelihood: Any
    figure_of_merit: Any


@dataclass(frozen=True)
class Likelihood:
    """One pipeline on one dataset, ready to be evaluated.

    Attributes
    ----------
    model
        The autofit model.
    dataset
        The autolens dataset, masked and over-sampled.
    settings
        The library's inversion settings, given to the eager fit and to the analysis alike.
    mesh_grid
        Delaunay only: the image-plane mesh, (vertices, 2) in arcsec.
    structure
        The pytree structure of a model instance. Instances made later are laid into this one, since each
        light profile carries a token of its own, by which JAX would take them for different types.
    configuration
        Facts of this likelihood as the workspace's result files list them.
    """

    model: Any
    dataset: Any
    settings: Any
    mesh_grid: Any
    analysis: Any
    structure: Any
    configuration: Mapping[str, Any]

    def medians(self) -> tuple[float, ...]:
        """The prior medians in physical units, one per free parameter."""
        return tuple(float(value) for value in self.model.physical_values_from_prior_medians)

    def vector_from_unit(self, unit: Sequence[float]) -> tuple[float, ...]:
        """Map a point of the priors' unit cube to physical parameters."""
        return tuple(float(value) for value in self.model.vector_from_unit_vector(list(unit)))

    def eager(self, vector: Sequence[float]) -> EagerValues:
        """Evaluate the library's NumPy path, whose positive-only solve is an exact active-set method.

        Parameters
        ----------
        vector
            Physical parameters, one per free parameter of the model.
        """
        return values_of(self.eager_fit(vector))

    def eager_fit(self, vector: Sequence[float]) -> Any:
        """The library's NumPy fit, which computes each quantity when it is first asked for.

        Parameters
        ----------
        vector
            Physical parameters, one per free parameter of the model.
        """
        instance = self.model.instance_from_vector(vector=list(vector))
        fit_class = al.FitImaging if isinstance(self.dataset, al.Imaging) else al.FitInterferometer
        return fit_class(
            dataset=self.dataset,
            tracer=al.Tracer(galaxies=list(instance.galaxies)),
            settings=self.settings,
            xp=np,
            **_adapt_images(instance, self.mesh_grid),
        )

    def traced(self, parameters: Any) -> Any:
        """The figure of merit as a function JAX can trace.

        Parameters
        ----------
        parameters
            A model instance whose free parameters are JAX arrays, from `parameters`.
        """
        return self.analysis.log_likelihood_function(instance=parameters)

    def parameters(self, vector: Sequence[float]) -> Any:
        """The model instance at `vector`, a pytree whose leaves are JAX arrays."""
        instance = self.model.instance_from_vector(vector=list(vector))
        leaves = [jnp.asarray(leaf) for leaf in jax.tree_util.tree_leaves(instance)]
        return jax.tree_util.tree_unflatten(self.structure, leaves)

    def batch(self, vectors: Sequence[Sequence[float]]) -> Any:
        """The instances at `vectors` as one pytree, each leaf with a leading axis of lanes."""
        lanes = [self.parameters(vector) for vector in vectors]
        return jax.tree_util.tree_map(lambda *leaves: jnp.stack(leaves), *lanes)


def values_of(fit: Any) -> EagerValues:
    """Have an eager fit compute its two quantities."""
    return EagerValues(fit.log_likelihood, fit.figure_of_merit)


def likelihood_from(pipeline: Pipeline, scale: Scale, workspace: Path, mixed: bool) -> Likelihood:
    """Load the data and build the model and the analysis of one pipeline.

    Parameters
    ----------
    pipeline, scale
        Which likelihood.
    workspace
        Root of the developer workspace.
    mixed
        Whether the library computes in mixed precision, in the eager fit and in the analysis.

    Raises
    ------
    UsageError
        A data file is missing, the workspace's script is not understood, or the release lacks the mesh.
    """
    folder = _dataset_folder(pipeline, workspace)
    script = workspace / pipeline.script
    pipeline = _as_scripted(pipeline, script)
    settings = pipeline.settings[scale]
    if pipeline.data == "imaging":
        dataset = _imaging_dataset(pipeline, settings, folder, rings_from(script, al.__version__))
        mask = dataset.mask
        analysis_class = al.AnalysisImaging
    else:
        dataset = _interferometer_dataset(pipeline, settings, folder)
        mask = dataset.real_space_mask
        analysis_class = al.AnalysisInterferometer
    mesh_grid = None
    if isinstance(settings.source, Delaunay):
        mesh_grid = mesh_grid_from(settings.source, mask, settings.mask_radius)
    mesh = None
    if isinstance(settings.source, Rectangular):
        mesh = mesh_name_from(settings.source.mesh, script, al.__version__, dir(al.mesh))
    model = model_from(settings, mesh_grid, mesh)
    register_model(model)
    library_settings = al.Settings(use_mixed_precision=mixed)
    medians = model.instance_from_vector(vector=model.physical_values_from_prior_medians)
    analysis = analysis_class(
        dataset=dataset, settings=library_settings, use_jax=True, **_adapt_images(medians, mesh_grid)
    )
    return Likelihood(
        model=model,
        dataset=dataset,
        settings=library_settings,
        mesh_grid=mesh_grid,
        analysis=analysis,
        structure=jax.tree_util.tree_structure(medians),
        configuration=_configuration(pipeline, settings, dataset, mesh_grid),
    )


def _as_scripted(pipeline: Pipeline, script: Path) -> Pipeline:
    """On another instrument as the workspace's script has it, unless settings are varied on purpose."""
    if pipeline.is_on_its_own_instrument or pipeline != pipeline_named(pipeline.name):
        return pipeline
    instrument = instrument_from(script, pipeline.instrument)
    production = masked(pipeline.settings["production"], instrument)
    return replace(
        pipeline,
        pixel_scale=instrument.pixel_scale,
        settings={**pipeline.settings, "production": production},
    )


def _dataset_folder(pipeline: Pipeline, workspace: Path) -> Path:
    folder = workspace / pipeline.dataset
    for name in pipeline.data_files:
        if not (folder / name).is_file():
            raise UsageError(
                f"{pipeline.name}: {folder / name} is missing. Simulate it with {pipeline.simulator} "
                f"--instrument {pipeline.instrument}, run in the workspace's root. On another instrument, "
                "run the matrix on this pipeline first, which does."
            )
    return folder


def _imaging_dataset(pipeline: Pipeline, settings: Settings, folder: Path, rings: Rings) -> Any:
    dataset = al.Imaging.from_fits(
        data_path=folder / "data.fits",
        noise_map_path=folder / "noise_map.fits",
        psf_path=folder / "psf.fits",
        pixel_scales=pipeline.pixel_scale,
    )
    mask = al.Mask2D.circular(
        shape_native=dataset.shape_native, pixel_scales=dataset.pixel_scales, radius=settings.mask_radius
    )
    # MGE pipelines have no pixelization and keep the library's default for it, as upstream's script does.
    pixelization = {} if isinstance(settings.source, Gaussians) else {"over_sample_size_pixelization": 1}
    dataset = dataset.apply_mask(mask=mask).apply_over_sampling(over_sample_size_lp=4, **pixelization)
    radial = al.util.over_sample.over_sample_size_via_radial_bins_from(
        grid=dataset.grid,
        sub_size_list=list(rings.sizes),
        radial_list=list(rings.radii),
        centre_list=[(0.0, 0.0)],
    )
    return dataset.apply_over_sampling(over_sample_size_lp=radial, **pixelization)


def _interferometer_dataset(pipeline: Pipeline, settings: Settings, folder: Path) -> Any:
    mask = al.Mask2D.circular(
        shape_native=settings.real_space_shape, pixel_scales=pipeline.pixel_scale, radius=settings.mask_radius
    )
    # Releases since May 2026 refuse many visibilities with the exact transform, unless told not to.
    parameters = inspect.signature(al.Interferometer.from_fits).parameters
    unlimited = {_LIMIT: False} if _LIMIT in parameters else {}
    return al.Interferometer.from_fits(
        data_path=folder / "data.fits",
        noise_map_path=folder / "noise_map.fits",
        uv_wavelengths_path=folder / "uv_wavelengths.fits",
        real_space_mask=mask,
        transformer_class=getattr(al, TRANSFORMER),
        **unlimited,
    )


def _adapt_images(instance: Any, mesh_grid: Any) -> dict[str, Any]:
    """The keyword that tells a fit where the Delaunay vertices are; nothing for the other sources.

    By galaxy for the eager fit, by name for the traced one, in which the galaxy is another object.
    """
    if mesh_grid is None:
        return {}
    adapt_images = al.AdaptImages(
        galaxy_image_plane_mesh_grid_dict={instance.galaxies.source: mesh_grid},
        galaxy_name_image_plane_mesh_grid_dict={_SOURCE_PATH: mesh_grid},
    )
    return {"adapt_images": adapt_images}


def _configuration(pipeline: Pipeline, settings: Settings, dataset: Any, mesh_grid: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "pixel_scale_arcsec": pipeline.pixel_scale,
        "mask_radius_arcsec": settings.mask_radius,
    }
    if pipeline.data == "imaging":
        facts["image_pixels_masked"] = int(dataset.data.shape[0])
        facts["over_sampled_pixels"] = int(dataset.grids.lp.over_sampled.shape[0])
    else:
        facts["real_space_shape"] = list(settings.real_space_shape or ())
        facts["visibilities"] = int(dataset.uv_wavelengths.shape[0])
    source = settings.source
    gaussians = settings.lens_gaussians + (source.total if isinstance(source, Gaussians) else 0)
    if gaussians:
        facts["linear_gaussians"] = gaussians
    if isinstance(source, Rectangular):
        facts["mesh_shape"] = list(source.shape)
        facts["source_pixels"] = source.shape[0] * source.shape[1]
        facts["regularization_coefficient"] = source.coefficient
    elif isinstance(source, Delaunay):
        facts["overlay_shape"] = list(source.overlay)
        facts["edge_n_points"] = source.edge_points
        facts["n_mesh_vertices"] = len(mesh_grid)
        facts["edge_pixels_total"] = source.edge_points
        facts["regularization_coefficient"] = source.coefficient
    return facts
