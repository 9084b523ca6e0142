"""Result files and recorded constants, read and written in the developer workspace's own format."""

from matrix.artifacts.constants import read_constant, rewrite_constant

__all__ = ["read_constant", "rewrite_constant"]
