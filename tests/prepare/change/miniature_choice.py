"""A library of ours in the later shape, in which callers choose the solver, with tests of its own."""

from pathlib import Path

from tests.prepare.change import miniature
from tests.prepare.change.miniature import write

INVERSION_UTIL = '''\
from typing import Optional

from autoarray import exc
from autoarray.settings import Settings

numpy_like = type("numpy_like", (), {"__name__": "numpy"})


def before():
    """A neighbour   that must stay,  spaces and all."""
    return  ""


def reconstruction_positive_only_from(
    data_vector,
    curvature_reg_matrix,
    settings = None,
    xp=numpy_like,
    fingerprint=None,
    factor: Optional[dict] = None,
    solver: str = "pdip",
    stats=None,
    preconditioning: str = "jacobi",
):
    """
    Solves with positive values only.

    Parameters
    ----------
    solver
        Which one.

        Two paragraphs of it.
    stats
        Receives what the solver says.

    Returns
    -------
    The solution.
    """
    if factor is not None:
        factor.clear()

    if solver not in ("pdip", "certified"):
        raise ValueError(f"solver={solver!r}; expected 'pdip' or 'certified'.")

    if preconditioning not in ("jacobi", "raw"):
        raise ValueError("preconditioning")

    if preconditioning == "raw" and solver != "pdip":
        raise ValueError("raw is of pdip; the certified solver always runs on the scaled system")

    if xp.__name__.startswith("jax"):

        from autonerves import conf

        from autoarray.util.jax_nnls import solve_nnls_primal_with_status

        max_iter = settings.nnls_max_iter if settings is not None else None
        if max_iter is None:
            max_iter = 50

        if solver == "certified":
            return ("certified", max_iter)

        # The   interior-point  solve stays as it is.
        answer = solve_nnls_primal_with_status(curvature_reg_matrix, data_vector, max_iter=max_iter)
        if stats is not None:
            stats["solver"] = solver
        return answer

    try:

        from autoarray.util.fnnls import fnnls_cholesky

        return fnnls_cholesky(curvature_reg_matrix, data_vector)
    except ValueError as e:
        raise exc.InversionException() from e


def after(): return 1
'''

ABSTRACT = '''\
from functools import cached_property

from autoarray.inversion.inversion import inversion_util
from autoarray.inversion.mappers.abstract import Mapper


class AbstractInversion:
    def __init__(self, linear_obj_list, settings, xp):
        self.linear_obj_list = linear_obj_list
        self.settings = settings
        self._xp = xp

    @property
    def use_jax(self):
        return self._xp.__name__.startswith("jax")

    def has(self, cls):
        return any(isinstance(obj, cls) for obj in self.linear_obj_list)

    @property
    def solve_ids_to_keep(self):
        return [0, 2] if self.settings.use_edge_zeroed_pixels and self.has(cls=Mapper) else None

    @property
    def positive_only_solver_used(self) -> str:
        """
        The solver that is used; the packaged default is ``"pdip"``.
        """
        if self.settings.positive_only_solver != "certified":
            return "pdip"

        if not self.use_jax:
            return "pdip"

        if not self.has(cls=Mapper):
            return "pdip"

        return "certified"

    @property
    def positive_only_preconditioning_used(self) -> str:
        if self.has(cls=Mapper):
            return "jacobi"

        if self.positive_only_solver_used != "pdip":
            return "jacobi"

        return "raw"

    data_vector = curvature_reg_matrix = type("Matrix", (), {"__getitem__": lambda self, key: self})()

    @cached_property
    def reconstruction(self):
        ids_to_keep = self.solve_ids_to_keep

        factor = {}

        solver = self.positive_only_solver_used

        if ids_to_keep is not None:

            data_vector = self.data_vector[ids_to_keep]
            curvature_reg_matrix = self.curvature_reg_matrix[ids_to_keep][:, ids_to_keep]

            return inversion_util.reconstruction_positive_only_from(
                data_vector=data_vector,
                curvature_reg_matrix=curvature_reg_matrix,
                settings=self.settings,
                xp=self._xp,
                fingerprint=self.fingerprint_of(ids_to_keep=ids_to_keep),
                factor=factor,
                solver=solver,
                preconditioning=self.positive_only_preconditioning_used,
            )

        return inversion_util.reconstruction_positive_only_from(
            data_vector=self.data_vector, curvature_reg_matrix=self.curvature_reg_matrix,
            settings=self.settings, xp=self._xp, fingerprint=self.fingerprint_of(), factor=factor,
            solver=solver, preconditioning=self.positive_only_preconditioning_used)

    def fingerprint_of(self, ids_to_keep=None):
        return None
'''

SETTINGS = '''\
class Settings:
    def __init__(self, positive_only_solver=None, nnls_solver_tol=None, nnls_max_iter=None):
        """
        Parameters
        ----------
        positive_only_solver
            Which solver. `None` (default) reads the packaged
            value ``"pdip"``.

            - ``"pdip"`` (default) - the interior-point solve (jaxnnls).
            - ``"certified"`` - active sets.
        nnls_max_iter
            Another.
        """
        self._positive_only_solver = positive_only_solver
        self.nnls_solver_tol = nnls_solver_tol
        self.nnls_max_iter = nnls_max_iter

    def _inversion_config_value(self, key, default):
        from autonerves import conf

        return conf.instance["general"]["inversion"].get(key, default)

    @property
    def positive_only_solver(self) -> str:
        """
        Which solver.
        """
        value = self._positive_only_solver
        if value is None:
            value = self._inversion_config_value("positive_only_solver", "pdip")

        if value not in ("pdip", "certified"):
            raise ValueError(
                f"positive_only_solver={value!r} is invalid; expected 'pdip' or 'certified'."
            )

        return value
'''

GENERAL_YAML = """\
psf:
  use_fft : true                      # A comment of another section.
inversion:
  nnls_jacobi_preconditioning: true   # Scales what goes into jaxnnls.
  nnls_target_kappa: 1.0e-11          # jaxnnls has another default.
  positive_only_solver: pdip          # "pdip" (default) is the jaxnnls solve (#566); "certified" another.
  certified_pass_budget: 16           # What follows it.
numba:
  use_numba: true
"""

JAX_NNLS = '''\
"""The driver of jaxnnls."""

LIMIT = 50


def solve_nnls_primal_with_status(Q, q, max_iter=LIMIT):
    """The interior-point solve."""
    import math
    from jaxnnls.pdip import solve

    return solve(Q, q, max_iter)


def nested(Q):
    def inner():
        from jaxnnls import other

        return other

    return inner()
'''

CONFTEST = """\
import os

here = os.path.dirname(__file__)
"""

PDIP_TEST = """\
import pytest

from autoarray.util.jax_nnls import nested, solve_nnls_primal_with_status


@pytest.fixture(scope="module")
def epsilon():
    from jaxnnls.pdip import EPSILON

    return EPSILON


def test__pdip():
    assert solve_nnls_primal_with_status(1, 2) == ("pdip", 1, 2, 50)


def test__pdip_by_fixture(epsilon):
    assert epsilon == 1.0


def test__pdip_by_fixture_again(epsilon):
    assert epsilon == 1.0


def test__nested():
    assert nested(1) == "other"


def test__nothing_of_it():
    assert 1 + 1 == 2
"""

DISPATCH_TEST = """\
from types import SimpleNamespace

from autoarray.settings import Settings


def test__positive_only_solver_used__default_is_pdip():
    inversion = SimpleNamespace(settings=Settings())

    assert inversion.settings.positive_only_solver == "pdip"
"""

# The distributions that the miniature stands on: its configuration, and the solver that is a choice.
AUTONERVES = """\
import pathlib

import yaml

text = (pathlib.Path(__file__).parent.parent / "autoarray/config/general.yaml").read_text()
conf = type("conf", (), {"instance": {"general": yaml.safe_load(text)}})
"""
JAXNNLS = """\
other = "other"
"""
JAXNNLS_PDIP = """\
EPSILON = 1.0


def solve(Q, q, max_iter):
    return ("pdip", Q, q, max_iter)
"""

TESTS = "test_autoarray/inversion/inversion"
MODULES = {
    **miniature.MODULES,
    "autoarray/settings.py": SETTINGS,
    "autoarray/config/general.yaml": GENERAL_YAML,
    "autoarray/inversion/inversion/inversion_util.py": INVERSION_UTIL,
    "autoarray/inversion/inversion/abstract.py": ABSTRACT,
    "autoarray/util/jax_nnls.py": JAX_NNLS,
    "pyproject.toml": miniature.PYPROJECT.replace("autoconf", "autonerves"),
    "test_autoarray/__init__.py": "",
    "test_autoarray/conftest.py": CONFTEST,
    "test_autoarray/inversion/__init__.py": "",
    f"{TESTS}/__init__.py": "",
    f"{TESTS}/test_pdip.py": PDIP_TEST,
    f"{TESTS}/test_positive_only_dispatch.py": DISPATCH_TEST,
}


def make_choice(folder: Path, newline: str = "\n") -> Path:
    """Write the library with the given line ends, beside it what it imports."""
    for name, text in MODULES.items():
        write(folder / name, text.replace("\n", newline))
    return folder


def make_stack(folder: Path) -> Path:
    """Write the configuration package and jaxnnls into the library's folder, where it finds them."""
    write(folder / "autonerves/__init__.py", AUTONERVES)
    write(folder / "jaxnnls/__init__.py", JAXNNLS)
    write(folder / "jaxnnls/pdip.py", JAXNNLS_PDIP)
    return folder
