"""Sources and working trees: everything that knows Git, and nothing that knows JAX."""

from matrix.prepare.checkout.embedded import build_origins, origin_of_release
from matrix.prepare.checkout.sources import Source, resolve_source
from matrix.prepare.checkout.worktrees import (
    Checkout,
    candidate_of,
    commit_candidate,
    prepare,
    prepare_folder,
    prepare_ref,
)

__all__ = [
    "Checkout",
    "Source",
    "build_origins",
    "candidate_of",
    "commit_candidate",
    "origin_of_release",
    "prepare",
    "prepare_folder",
    "prepare_ref",
    "resolve_source",
]
