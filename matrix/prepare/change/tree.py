"""A checkout with the edits that are planned for it and not written yet."""

from collections.abc import Callable, Iterator
from pathlib import Path

from matrix.ground.files import inside
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError

Writes = dict[str, str | None]


class PlannedTree:
    """The files of a checkout as they will be; nothing is written.

    Parameters
    ----------
    checkout
        The working tree that the edits are planned for.
    """

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.problems: list[Unrecognised] = []
        self._planned: Writes = {}
        self._step: Writes = {}

    def read(self, name: str) -> str:
        """Return the text of a file.

        Raises
        ------
        UnrecognisedError
            There is no such file, or it is not UTF-8 text.
        """
        text = self._planned[name] if name in self._planned else self._on_disk(name)
        if text is None:
            raise UnrecognisedError(Unrecognised(name, "there is no such file"))
        return text

    def has(self, name: str) -> bool:
        """Whether the file is there once what is planned is done."""
        if name in self._planned:
            return self._planned[name] is not None
        return (self.checkout / name).is_file()

    def put(self, name: str, text: str) -> None:
        """Plan a file's text; a file that has it already is not touched."""
        if not self.has(name) or self.read(name) != text:
            self._planned[name] = self._step[name] = text

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Plan a file's edit; what is not recognised is kept in `problems`, so that all is said at once."""
        try:
            self.put(name, change(self.read(name)))
        except UnrecognisedError as error:
            self.problems.extend(error.problems)

    def remove(self, name: str) -> None:
        """Plan that a file goes."""
        self._planned[name] = self._step[name] = None

    def modules(self) -> Iterator[str]:
        """Yield the library's own Python files as they are on the disk, in order."""
        for path in sorted((self.checkout / "autoarray").rglob("*.py")):
            yield path.relative_to(self.checkout).as_posix()

    def take_step(self) -> Writes:
        """Return what was planned since the last call: path to text, None for a file that goes."""
        step, self._step = self._step, {}
        return step

    def _on_disk(self, name: str) -> str | None:
        path = inside(self.checkout, name)
        if not path.is_file():
            return None
        try:
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnrecognisedError(Unrecognised(name, f"it is not UTF-8 text ({error})")) from error
