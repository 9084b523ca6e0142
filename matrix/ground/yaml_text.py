"""YAML that a person wrote: whatever is wrong with it is said in a line, with its place."""

import reprlib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80


class NotYamlError(ValueError):
    """The text is no YAML document; the message says why, and `place` where: ``:12``, or nothing."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


def load_yaml(path: Path, *, lines: bool) -> Any:
    """The document in a file, as objects that know their lines or as plain ones.

    Raises
    ------
    OSError
        The file cannot be read.
    NotYamlError
        It is not UTF-8, or no YAML.
    """
    text = path.read_bytes()
    try:
        return YAML(typ="rt" if lines else "safe", pure=True).load(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotYamlError(f"cannot be read as UTF-8 text: {error}") from error
    except DuplicateKeyError as error:
        raise NotYamlError(
            f"{str(error.problem).splitlines()[0]}. Keep one of the two.", _place(error)
        ) from error
    except MarkedYAMLError as error:
        why = f"not YAML: {error.problem}. Look here and one line above."
        raise NotYamlError(why, _place(error)) from error
    except RecursionError as error:
        raise NotYamlError("it is nested too deeply") from error
    except Exception as error:
        # A tag that does not fit its value breaks its constructor in the constructor's own way.
        raise NotYamlError(f"not YAML: {' '.join(str(error).split())}") from error


def shortened(value: object) -> str:
    """A value as it stands, in a line at most: an alias can make one stand for a million others."""
    return _SHORT.repr(value)


def _place(error: MarkedYAMLError) -> str:
    return f":{error.problem_mark.line + 1}" if error.problem_mark else ""
