"""Sources and working trees: everything that knows Git, and nothing that knows JAX."""

from matrix.prepare.checkout.embedded import build_origins, origin_of_release
from matrix.prepare.checkout.history import Bisection, Revision, commits_between, releases_between
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
    "Bisection",
    "Checkout",
    "Revision",
    "Source",
    "build_origins",
    "candidate_of",
    "commit_candidate",
    "commits_between",
    "origin_of_release",
    "prepare",
    "prepare_folder",
    "prepare_ref",
    "releases_between",
    "resolve_source",
]
