"""What a compiled program may not hold."""

from collections.abc import Mapping
from typing import Any


def in_sampling_path(programs: Mapping[str, Any]) -> bool:
    """Whether the likelihood, or the solver as it is called, holds more than what the solution needs."""
    more = programs["solver"]["kinds"]["Cholesky"] > programs["forward-only"]["kinds"]["Cholesky"]
    return more or programs["likelihood"]["from relaxed code"] > 0
