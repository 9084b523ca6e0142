"""Sources and working trees: everything that knows Git, and nothing that knows JAX."""

from matrix.checkout.embedded import build_origins
from matrix.checkout.sources import Source, resolve_source
from matrix.checkout.worktrees import Checkout, candidate_of, commit_candidate, prepare

__all__ = [
    "Checkout",
    "Source",
    "build_origins",
    "candidate_of",
    "commit_candidate",
    "prepare",
    "resolve_source",
]
