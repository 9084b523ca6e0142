"""A library of ours in the shape that vendoring knows, small enough to run without an array package."""

from pathlib import Path

INVERSION_UTIL = '''\
from typing import List, Optional, Type

from autoarray import exc

numpy_like = type("numpy_like", (), {"__name__": "numpy"})


def before():
    """A neighbour   that must stay,  spaces and all."""
    return  ""


def reconstruction_positive_only_from(
    data_vector,
    curvature_reg_matrix,
    settings = None,
    xp=numpy_like,
):
    """
    Solves with the algorithm of Bro & Jong, whichever the backend.
    """
    if xp.__name__.startswith("jax"):

        import jaxnnls
        from autoconf import conf

        try:
            scale = conf.instance["general"]["inversion"]["nnls_jacobi_preconditioning"]
        except KeyError:
            # A comment in the branch.
            scale = True

        try:
            kappa = conf.instance["general"]["inversion"]["nnls_target_kappa"]
        except KeyError:
            kappa = 1.0e-11

        if scale:
            unit = 1.0 / xp.sqrt(xp.diag(curvature_reg_matrix))
            matrix = (curvature_reg_matrix * unit[:, None]) * unit[None, :]
            return jaxnnls.solve_nnls_primal(matrix, data_vector * unit, target_kappa=kappa) * unit

        return jaxnnls.solve_nnls_primal(curvature_reg_matrix, data_vector, target_kappa=kappa)

    # The   branch  of NumPy stays as it is.
    try:

        from autoarray.util.fnnls import fnnls_cholesky

        return fnnls_cholesky(curvature_reg_matrix, data_vector)
    except ValueError as e:
        raise exc.InversionException() from e


def after(): return 1
'''

ABSTRACT = '''\
from functools import cached_property
from typing import Dict, List

from autoarray.inversion.inversion import inversion_util
from autoarray.inversion.mappers.abstract import Mapper


class AbstractInversion:
    def __init__(self, linear_obj_list, settings, xp):
        self.linear_obj_list = linear_obj_list
        self.settings = settings
        self._xp = xp

    def has(self, cls):
        return len(self.cls_list_from(cls=cls)) > 0

    def cls_list_from(self, cls):
        return [obj for obj in self.linear_obj_list if isinstance(obj, cls)]

    @property
    def total_params(self):
        return sum(obj.params for obj in self.linear_obj_list)

    @property
    def no_regularization_index_list(self) -> List[int]:
        indexes, start = [], 0
        for obj in self.linear_obj_list:
            if obj.regularization is None:
                indexes += range(start, start + obj.params)
            start += obj.params
        return indexes

    @cached_property
    def zeroed_ids_to_keep(self):
        raise AssertionError("an array, which nothing may look into while JAX traces")

    data_vector = curvature_reg_matrix = type("Matrix", (), {"__getitem__": lambda self, key: self})()

    @cached_property
    def reconstruction(self):
        """
        We use fnnls (see elsewhere.com) for either backend. Two variables follow.
        """

        if self.settings.use_positive_only_solver:

            if self.settings.use_edge_zeroed_pixels and self.has(cls=Mapper):

                data_vector = self.data_vector[self.zeroed_ids_to_keep]
                curvature_reg_matrix = self.curvature_reg_matrix[self.zeroed_ids_to_keep]

                # Perform reconstruction via fnnls
                partial = (
                    inversion_util.reconstruction_positive_only_from(
                        data_vector=data_vector,
                        curvature_reg_matrix=curvature_reg_matrix,
                        settings=self.settings,
                        xp=self._xp,
                    )
                )
                return partial

            else:

                return inversion_util.reconstruction_positive_only_from(
                    data_vector=self.data_vector, curvature_reg_matrix=self.curvature_reg_matrix,
                    settings=self.settings, xp=self._xp)

        return None
'''

GENERAL_YAML = """\
psf:
  use_fft : true                      # A comment of another section.
inversion:
  check : true
  nnls_jacobi_preconditioning: true   # Scales what goes into jaxnnls.
  nnls_target_kappa: 1.0e-11          # jaxnnls has another default.
  vmax_factor: 0.5     # What follows them.
numba:
  use_numba: true
"""

SETTINGS = '''\
class Settings:
    """Kept in double precision: the reconstruction (jaxnnls / Cholesky)."""

    # jaxnnls is sensitive to rounding.
    precise = True
'''

PYPROJECT = """\
[project]
name = "autoarray"
dependencies = [
    "autoconf",
    "jaxnnls==1.0.1; python_version >= '3.11'",  # the solver
    "scipy",
]

[project.optional-dependencies]
jax = ["autoconf[jax]"]
old = ["jax", "jaxnnls>=1.0"]

[tool.setuptools]
include-package-data = true
"""

MANIFEST = """\
include README.md
recursive-include autoarray/config *

exclude docs"""

SOLVER = '''\
"""A stand-in for the solver, which returns what it was called with."""

from ._numbers import ANSWER as ANSWER


def solve_nnls_primal(Q, q, target_kappa=1e-3, **options):
    return ("primal", target_kappa, options)


def solve_nnls_primal_with_status(Q, q, target_kappa=1e-3, **options):
    return solve_nnls_primal(Q, q, target_kappa, **options), 1, 3


def solve_nnls_forward(Q, q, **options):
    return ("forward", options)
'''

MODULES = {
    "autoarray/__init__.py": "",
    "autoarray/exc.py": "class InversionException(Exception):\n    pass\n",
    "autoarray/settings.py": SETTINGS,
    "autoarray/config/general.yaml": GENERAL_YAML,
    "autoarray/inversion/__init__.py": "",
    "autoarray/inversion/inversion/__init__.py": "",
    "autoarray/inversion/inversion/inversion_util.py": INVERSION_UTIL,
    "autoarray/inversion/inversion/abstract.py": ABSTRACT,
    "autoarray/inversion/mappers/__init__.py": "",
    "autoarray/inversion/mappers/abstract.py": "class Mapper:\n    pass\n",
    "autoarray/util/__init__.py": "",
    "autoarray/util/fnnls.py": 'def fnnls_cholesky(Q, q):\n    return "fnnls"\n',
    "pyproject.toml": PYPROJECT,
    "MANIFEST.in": MANIFEST,
    "requirements.txt": "scipy\njaxnnls==1.0.1  # the solver\nnumpy\n",
}


def make_library(folder: Path, newline: str = "\n") -> Path:
    """Write the library with the given line ends."""
    for name, text in MODULES.items():
        write(folder / name, text.replace("\n", newline))
    return folder


def make_solver(folder: Path) -> Path:
    """Write a package as the solver is, with what must not be copied beside it."""
    write(folder / "__init__.py", SOLVER)
    write(folder / "_numbers.py", "ANSWER = 42\n")
    write(folder / "LICENSE.txt", "MIT, with attribution\n")
    for left_out in ("tests/test_it.py", "__pycache__/_numbers.pyc", ".cache/blob"):
        write(folder / left_out, "not to be copied\n")
    return folder


def write(path: Path, text: str) -> None:
    """Write exactly this text, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file of a tree with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
