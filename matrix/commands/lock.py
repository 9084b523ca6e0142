"""`nox -s lock`: the files of `locks/` anew."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.catalogue.releases import KNOWN
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.files import write_text
from matrix.ground.options import SessionParser
from matrix.ground.suggestions import known_names
from matrix.prepare.locking import locks_of_ours, locks_of_release
from matrix.prepare.locks import LOCKS

DESCRIPTION = "Lock the newest packages that our environments, or a known release's stack, may have."
OURS = "ours"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files of `locks/` anew; return the exit code (0 done, 2 wrong use, 3 machine or network)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _lock(options.what or [OURS, *KNOWN], options.folder))


def _lock(what: Sequence[str], folder: Path) -> int:
    unknown = sorted({*what} - {OURS, *KNOWN})
    if unknown:
        raise UsageError(f"there is no lock for {unknown[0]}.{known_names(unknown[0], (OURS, *KNOWN))}")
    console = open_console()
    for name in what:
        files = locks_of_ours() if name == OURS else locks_of_release(name)
        for path, text in files.items():
            write_text(folder / path, text)
        console.print(f"locked      {name}: {', '.join(map(str, files))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("lock", DESCRIPTION, "ours")
    add = parser.add_argument
    add("what", nargs="*", metavar="NAME", help=f"{OURS}, or a known release; all without it")
    add("--folder", type=Path, default=LOCKS, help="where to write (default: locks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
