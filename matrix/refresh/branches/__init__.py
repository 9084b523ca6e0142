"""The coordinated branches: their working trees and commits, their texts, and how they are pushed."""

from matrix.refresh.branches.identity import Identity, read_identity
from matrix.refresh.branches.trio import Branch, build_branches

__all__ = ["Branch", "Identity", "build_branches", "read_identity"]
