"""Every attempt to import a package, seen while it is made; nothing of the library is imported here."""

import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class ImportWatch:
    """Stands first among the finders and finds nothing; it writes down who asked for the package.

    Attributes
    ----------
    seen
        The lines of code from which it was asked for, as FILE:LINE.
    """

    def __init__(self, package: str) -> None:
        self.seen: list[str] = []
        self._package = package

    def start(self) -> None:
        """Watch from now on, to the end of the process."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Note an import of the package or of a part of it, and leave it to the others to find it."""
        if name.split(".")[0] == self._package:
            frames = [frame for frame in traceback.extract_stack()[:-1] if "importlib" not in frame.filename]
            self.seen.append(f"{frames[-1].filename}:{frames[-1].lineno}")
        return None
