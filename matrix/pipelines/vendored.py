"""Whether the candidate that a process belongs to has the solver vendored: the driver says so."""

import os

# "no" where the change of the run vendors no solver.
VENDORS_VARIABLE = "NNLS_MATRIX_VENDORS"


def vendors() -> bool:
    """Whether the change of this run vendors the solver into the candidate."""
    return os.environ.get(VENDORS_VARIABLE) != "no"
