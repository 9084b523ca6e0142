# mypy: ignore-errors
"""What vendoring puts into `autoarray.util.jax_nnls`, which is built on jaxnnls."""


def require_jaxnnls():
    """
    Raises an exception which says what to install, if jaxnnls cannot be imported.

    The interior-point solver of this module is the only part of autoarray which needs it: `positive_only_solver`
    "pdip", and "certified" where it falls back to it.
    """
    try:
        import jaxnnls  # noqa: F401
    except ImportError as error:
        raise ModuleNotFoundError(
            "The interior-point solver is built on jaxnnls, which is not installed. Install it with "
            "`pip install jaxnnls==1.0.1`, or set `positive_only_solver` to nnls (aa.Settings, or section inversion "
            "of general.yaml), which needs nothing else.",
            name="jaxnnls",
        ) from error
