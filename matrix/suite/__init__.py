"""The matrix as a pytest suite: one test per cell and one per gate, spread by pytest-xdist."""
