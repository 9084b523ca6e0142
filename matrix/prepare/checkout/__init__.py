"""Sources and working trees: everything that knows Git, and nothing that knows JAX."""

from matrix.prepare.checkout.embedded import build_origins
from matrix.prepare.checkout.sources import Source, resolve_source
from matrix.prepare.checkout.worktrees import Checkout, candidate_of, commit_candidate, prepare

__all__ = [
    "Checkout",
    "Source",
    "build_origins",
    "candidate_of",
    "commit_candidate",
    "prepare",
    "resolve_source",
]
