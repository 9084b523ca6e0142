# mypy: ignore-errors
"""What vendoring puts into the library's `inversion_util.py`: a config reader, the docstring and the JAX branch."""

from typing import List, Optional

import numpy as np
from autoarray.settings import Settings


def nnls_config_from(name: str, default):
    """
    Returns one setting of the positive-only solver of the JAX path, read from `general.yaml` (section `inversion`).

    A workspace's own `general.yaml` hides the one packaged with autoarray, so a setting which is absent is no error
    and takes the same value the packaged file declares.

    Parameters
    ----------
    name
        The key of the setting, for example `nnls_algorithm`.
    default
        The value used where the configuration in force does not have the key.

    Returns
    -------
    The value of the setting.
    """
    from autoconf import conf

    try:
        return conf.instance["general"]["inversion"][name]
    except KeyError:
        return default


def reconstruction_positive_only_from(
    data_vector: np.ndarray,
    curvature_reg_matrix: np.ndarray,
    settings: Settings = None,
    xp=np,
    dense_columns: Optional[List[int]] = None,
):
    """
    Returns the reconstruction S >= 0 which minimizes the quadratic form of Eq. (2) of
    https://arxiv.org/pdf/astro-ph/0302587.pdf, a non-negative least squares (NNLS) problem.

    Written with the data vector D and the matrix [F + H] the problem reads:

        minimize 1/2 S^T [F + H] S - D^T S subject to S >= 0

    D and [F + H] are the normal equations of the fit (in the notation of the NNLS literature Z^T x and Z^T Z), so
    neither of the solvers below needs the operated mapping matrix or the data themselves. Negative fluxes are
    unphysical in many inference problems, which is why this solve is preferred to the faster positive-negative one.

    The two array backends use different algorithms, which converge on the same solution:

    - NumPy (`xp=np`): the active-set method of Bro & Jong (1997, Journal of Chemometrics 11, 393-401,
      "A fast non-negativity-constrained least squares algorithm"), in the form of
      `autoarray.util.fnnls.fnnls_cholesky`, which updates one Cholesky factorization as parameters enter and leave
      the set of positive values. It starts from the signs of the unconstrained solution.

    - JAX (`xp=jnp`): the solvers of `autoarray.inversion.nnls`, which is part of autoarray, work inside `jax.jit`
      and `jax.vmap`, and certify the Karush-Kuhn-Tucker conditions of their solution. The gradient is that of the
      KKT conditions relaxed to `nnls_target_kappa`, which is finite for ill-conditioned matrices too. The keys
      `nnls_*` of `general.yaml` (section `inversion`) choose the algorithm, its tolerance and its iteration limit,
      switch the Jacobi (unit diagonal) scaling, and leave out the gradient.

    Parameters
    ----------
    data_vector
        The data vector D, of shape [total_parameters].
    curvature_reg_matrix
        The sum of the curvature and regularization matrices [F + H], of shape [total_parameters, total_parameters].
    settings
        Settings of the inversion, accepted so that every reconstruction function is called in the same way.
    xp
        The array module to use (`numpy` by default; pass `jax.numpy` for JAX support).
    dense_columns
        The columns of `curvature_reg_matrix` whose parameters have no regularization (e.g. linear light profiles).
        They are nearly collinear, and the JAX solvers are faster if they can treat them separately. Where `None` the
        solvers look for such columns themselves; the solution is the same. The NumPy path does not use it.

    Returns
    -------
    The non-negative reconstruction S, of shape [total_parameters].

    Raises
    ------
    exc.InversionException
        If the NumPy solver fails, for example because the matrix is singular.
    ValueError
        If the JAX solvers are given values which are not finite (outside `jax.jit`), or settings they do not know.
    """
    if xp.__name__.startswith("jax"):
        from autoarray.inversion import nnls

        max_iter = nnls_config_from("nnls_max_iter", None)
        solver_tol = nnls_config_from("nnls_solver_tol", None)

        options = {
            "algorithm": nnls_config_from("nnls_algorithm", "auto"),
            "max_iter": None if max_iter is None else int(max_iter),
            "solver_tol": None if solver_tol is None else float(solver_tol),
            "dense_columns": None if dense_columns is None else tuple(dense_columns),
            "jacobi": bool(nnls_config_from("nnls_jacobi_preconditioning", True)),
        }

        if nnls_config_from("nnls_forward_only", False):
            return nnls.solve_nnls_forward(curvature_reg_matrix, data_vector, **options)

        return nnls.solve_nnls_primal(
            curvature_reg_matrix,
            data_vector,
            target_kappa=float(nnls_config_from("nnls_target_kappa", 1.0e-11)),
            **options,
        )

    raise NotImplementedError("the NumPy branch is the library's own")
