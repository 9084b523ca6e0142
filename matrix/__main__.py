"""`python -m matrix`: what the nox sessions call."""

from matrix.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
