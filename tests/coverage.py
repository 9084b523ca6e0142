"""`nox -s coverage`: which lines the tests leave out, by room; what other processes run does not count."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matrix.ground.console import open_console
from matrix.ground.errors import exit_code_of
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.options import SessionParser
from matrix.report.markdown import markdown_table

if TYPE_CHECKING:
    from coverage import Coverage


class FileGaps(NamedTuple):
    """A file's lines of code, and those that no test ran as text, `3-5, 9`."""

    path: Path
    lines: int
    missing: int
    where: str

    @property
    def room(self) -> str:
        """The folder of `matrix/` that it is in; the solver is one by itself."""
        return "/".join(self.path.parts[:-1][:2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run tests and show what they leave out; return the exit code (1 where a test failed)."""
    parser = SessionParser(
        "coverage", "Run tests, and show by room which lines none of them ran.", "tests/gates tests/records"
    )
    _, words = parser.parse_known_args(arguments)
    return exit_code_of(lambda: _covered(words))


def _covered(words: Sequence[str]) -> int:
    # Inside, since no other command needs it.
    from coverage import Coverage

    measured = Coverage(config_file=str(REPOSITORY_ROOT / "pyproject.toml"))
    Path(measured.config.data_file).parent.mkdir(parents=True, exist_ok=True)
    tests = subprocess.run([sys.executable, "-m", "pytest", "--cov", "--cov-report=", *words], check=False)
    measured.load()
    open_console().print("\n".join(shown(list(gaps(measured)))), markup=False, soft_wrap=True)
    return int(tests.returncode)


def gaps(measured: "Coverage") -> Iterator[FileGaps]:
    """Every file of ours."""
    for name in sorted(measured.get_data().measured_files()):
        _, lines, _, missing, where = measured.analysis2(name)
        yield FileGaps(Path(name).relative_to(REPOSITORY_ROOT), len(lines), len(missing), where)


def shown(files: Sequence[FileGaps]) -> Iterator[str]:
    """A table of rooms; under it, of rooms that ran at all, the files with what is missing."""
    rooms: dict[str, list[FileGaps]] = {}
    for file in files:
        rooms.setdefault(file.room, []).append(file)
    yield markdown_table(("room", "lines", "not run", "run"), [_row(*room) for room in rooms.items()])
    for room in rooms.values():
        if any(file.missing < file.lines for file in room):
            yield from (f"{file.path}: {file.where}" for file in room if file.missing)


def _row(room: str, files: Sequence[FileGaps]) -> tuple[str, ...]:
    lines, missing = (sum(getattr(file, what) for file in files) for what in ("lines", "missing"))
    return room, str(lines), str(missing), f"{1 - missing / max(lines, 1):.0%}"


if __name__ == "__main__":
    sys.exit(main())
