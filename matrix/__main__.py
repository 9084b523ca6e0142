"""`python -m matrix`: what the nox sessions call."""

from matrix.errors import exit_code_of


def _main() -> int:
    # Inside, since a package that is missing must not look like a gate that failed.
    from matrix.cli import main

    return main()


if __name__ == "__main__":
    raise SystemExit(exit_code_of(_main))
