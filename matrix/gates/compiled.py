"""What a compiled program may not hold."""


def in_sampling_path(called: int, needed: int, relaxed: int) -> bool:
    """Whether a sampler's likelihood holds more than the solution needs.

    Parameters
    ----------
    called, needed
        Cholesky instructions of the solver as the call site calls it, and without any gradient machinery.
    relaxed
        Instructions of the likelihood that the relaxed backward pass gave rise to.
    """
    return called > needed or relaxed > 0
