# mypy: ignore-errors
"""What vendoring puts into an `inversion_util.py` that chooses between solvers: a config reader and a solve."""


def nnls_config_from(name: str, default):
    """
    Returns one setting of the positive-only solver `nnls`, read from `general.yaml` (section `inversion`).

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
    from autonerves import conf

    try:
        return conf.instance["general"]["inversion"][name]
    except KeyError:
        return default


def _nnls_positive_only_from(Q, q, settings, stats=None):
    """
    The positive-only solve of ``(Q, q)`` by :mod:`autoarray.inversion.nnls`, on the JAX path.

    Called by `reconstruction_positive_only_from` where its ``solver`` is ``"nnls"``. The solve scales the system to a
    unit diagonal itself, certifies the Karush-Kuhn-Tucker conditions of its solution and is differentiable.

    Parameters
    ----------
    Q
        The sum of the curvature and regularization matrices, as the inversion has it.
    q
        The data vector.
    settings
        Their `nnls_solver_tol` and `nnls_max_iter` are used where they are set. `None` is this solver's own tolerance
        and limit: the 50 iterations which the interior-point solver takes for `None` are not its unit.
    stats
        Optional out-dict. It receives ``solver`` ("nnls"), ``converged`` (1 if the solution is certified, else 0) and
        ``iterations`` (factorizations of the system), the last two as traced JAX scalars.

    Returns
    -------
    The non-negative solution, of the shape of ``q``.
    """
    from autoarray.inversion import nnls

    solver_tol = None if settings is None else settings.nnls_solver_tol
    max_iter = None if settings is None else settings.nnls_max_iter

    options = {
        "algorithm": nnls_config_from("nnls_algorithm", "auto"),
        "max_iter": None if max_iter is None else int(max_iter),
        "solver_tol": None if solver_tol is None else float(solver_tol),
        "jacobi": bool(nnls_config_from("nnls_jacobi_preconditioning", True)),
    }

    solution, converged, iterations = nnls.solve_nnls_primal_with_status(
        Q,
        q,
        target_kappa=float(nnls_config_from("nnls_target_kappa", 1.0e-11)),
        **options,
    )

    if stats is not None:
        stats["solver"] = "nnls"
        stats["converged"] = converged
        stats["iterations"] = iterations

    return solution


def reconstruction_positive_only_from(
    data_vector, curvature_reg_matrix, settings, solver, stats
):
    if solver == "nnls":
        return _nnls_positive_only_from(
            Q=curvature_reg_matrix, q=data_vector, settings=settings, stats=stats
        )

    raise NotImplementedError("the other solvers are the library's own")
