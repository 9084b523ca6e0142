"""The steps of a likelihood, told apart by name scopes around library functions while JAX traces it."""

import functools
import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from matrix.catalogue.pipelines import TRANSFORMER

RAY_TRACING = "ray_tracing"
LIGHT = "light"
MESH = "mesh"
MAPPING = "mapping"
OPERATOR = "operator"
DATA_VECTOR = "data_vector"
CURVATURE = "curvature"
REGULARIZATION = "regularization"
NNLS = "nnls"
DETERMINANTS = "determinants"
EVIDENCE = "evidence"

TITLES: dict[str, str] = {
    RAY_TRACING: "ray tracing",
    LIGHT: "images of the light profiles",
    MESH: "mesh and triangulation",
    MAPPING: "interpolation and mapping matrix",
    OPERATOR: "PSF convolution or Fourier transform",
    DATA_VECTOR: "data vector",
    CURVATURE: "curvature matrix",
    REGULARIZATION: "regularization matrix",
    NNLS: "NNLS",
    DETERMINANTS: "log determinants",
    EVIDENCE: "mapped reconstruction, log evidence",
}

_PREFIX = "probe_step_"
_IN_NAME = re.compile(rf"{_PREFIX}([a-z]+(?:_[a-z]+)*)")


@dataclass(frozen=True)
class Scope:
    """A library attribute whose operations belong to a step, wherever subclasses define it anew.

    What it calls that has a scope of its own belongs there: the innermost scope counts.
    """

    module: str
    owner: str
    name: str
    step: str

    @property
    def path(self) -> str:
        """The attribute as one would write it."""
        return f"{self.module}.{self.owner}.{self.name}"


_INVERSION = ("autoarray.inversion.inversion.abstract", "AbstractInversion")
_MESH = ("autoarray.inversion.mesh.mesh.abstract", "AbstractMesh")
_LINEAR_LIGHT = ("autogalaxy.profiles.light.linear.abstract", "LightProfileLinearObjFuncList")
_TRANSFORMER = ("autoarray.operators.transformer", TRANSFORMER)
_CONVOLVER = ("autoarray.operators.convolver", "Convolver")

SCOPES: tuple[Scope, ...] = (
    Scope("autolens.lens.tracer", "Tracer", "traced_grid_2d_list_from", RAY_TRACING),
    Scope("autolens.imaging.fit_imaging", "FitImaging", "blurred_image", LIGHT),
    Scope(*_LINEAR_LIGHT, "mapping_matrix", LIGHT),
    Scope(*_LINEAR_LIGHT, "operated_mapping_matrix_override", LIGHT),
    Scope(*_MESH, "interpolator_from", MESH),
    Scope("autoarray.inversion.mesh.interpolator.delaunay", "InterpolatorDelaunay", "delaunay", MESH),
    Scope(
        "autoarray.inversion.mesh.interpolator.abstract",
        "AbstractInterpolator",
        "_mappings_sizes_weights",
        MAPPING,
    ),
    Scope("autoarray.inversion.mappers.abstract", "Mapper", "mapping_matrix", MAPPING),
    Scope(*_CONVOLVER, "convolved_mapping_matrix_from", OPERATOR),
    Scope(*_CONVOLVER, "convolved_image_from", OPERATOR),
    Scope(*_TRANSFORMER, "transform_mapping_matrix", OPERATOR),
    Scope(*_TRANSFORMER, "visibilities_from", OPERATOR),
    Scope(*_INVERSION, "data_vector", DATA_VECTOR),
    Scope(*_INVERSION, "curvature_matrix", CURVATURE),
    Scope(*_INVERSION, "regularization_matrix", REGULARIZATION),
    Scope(*_INVERSION, "reconstruction", NNLS),
    Scope(*_INVERSION, "log_det_curvature_reg_matrix_term", DETERMINANTS),
    Scope(*_INVERSION, "log_det_regularization_matrix_term", DETERMINANTS),
    Scope("autoarray.fit.fit_dataset", "FitDataset", "figure_of_merit", EVIDENCE),
)


def step_of(name: str) -> str | None:
    """The step that a name stack, or an HLO instruction's `op_name`, lies in; None outside all steps."""
    found = _IN_NAME.findall(name)
    return found[-1] if found else None


def scoped(function: Callable[..., Any], step: str) -> Callable[..., Any]:
    """The same function, whose operations carry the name of `step` while JAX traces them."""
    # Here, since the driver reads this module's names, and has no JAX.
    import jax

    @functools.wraps(function)
    def within(*arguments: Any, **options: Any) -> Any:
        with jax.named_scope(f"{_PREFIX}{step}"):
            return function(*arguments, **options)

    return within


@contextmanager
def step_scopes(scopes: tuple[Scope, ...] = SCOPES) -> Iterator[list[str]]:
    """Put the scopes around the library's functions while the context lasts.

    Only names in the program change, not its operations.

    Yields
    ------
    list of str
        Attributes that this release of the library does not have.
    """
    absent: list[str] = []
    with ExitStack() as stack:
        for scope in scopes:
            owner = _owner(scope)
            if owner is None or not hasattr(owner, scope.name):
                absent.append(scope.path)
                continue
            for cls in (owner, *_subclasses(owner)):
                if scope.name in vars(cls):
                    stack.enter_context(_replaced(cls, scope.name, scope.step))
        yield absent


def _owner(scope: Scope) -> type | None:
    try:
        return getattr(importlib.import_module(scope.module), scope.owner, None)
    except ImportError:
        return None


def _subclasses(owner: type) -> set[type]:
    direct: set[type] = set(owner.__subclasses__())
    return direct.union(*(_subclasses(cls) for cls in direct))


@contextmanager
def _replaced(cls: type, name: str, step: str) -> Iterator[None]:
    attribute = vars(cls)[name]
    # Cached properties, the library's and Python's, keep their function in `func`.
    held = attribute.func if hasattr(attribute, "func") else None
    try:
        if held is not None:
            attribute.func = scoped(held, step)
        elif isinstance(attribute, property):
            setattr(cls, name, property(scoped(attribute.fget, step)))  # type: ignore[arg-type]
        else:
            setattr(cls, name, scoped(attribute, step))
        yield
    finally:
        if held is not None:
            attribute.func = held
        else:
            setattr(cls, name, attribute)
