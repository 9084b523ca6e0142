"""The terminal as every command writes to it: text stands as it is, whoever wrote it."""

import sys

from rich.console import Console

from matrix.ground.redaction import redact


def open_console(*, quiet: bool = False) -> Console:
    """A console on which brackets are no markup and words between colons no pictures.

    A word that is to be coloured is a piece of `rich.text.Text`, which stands as it is on any console.
    """
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False, quiet=quiet)


def note(text: str) -> None:
    """Say on standard error what a person should know although nothing failed, without secrets."""
    print(f"note: {redact(text)}", file=sys.stderr, flush=True)
