"""`python -m matrix.diagnose NAME`: what the nox sessions of all diagnoses call."""

import sys
from collections.abc import Sequence

from matrix.diagnose.declaration import declared
from matrix.ground.errors import exit_code_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Diagnose; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code_of(lambda: declared("".join(words[:1])).main(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
