"""`python -m matrix`: what the nox sessions call."""

from collections.abc import Sequence

from matrix.ground.errors import exit_code_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix with these words, by default the command line's; return the exit code."""
    # Inside, since a package that is missing must not look like a gate that failed.
    from matrix.commands.matrix import main as run

    return run(arguments)


def console() -> int:
    """The script `nnls-matrix`: the same, with an exit code whatever happens."""
    return exit_code_of(main)


if __name__ == "__main__":
    raise SystemExit(console())
