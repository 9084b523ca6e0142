"""YAML that a person wrote: read with PyYAML, and whatever is wrong with it said in a line with its place."""

import re
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from matrix.ground.errors import UsageError
from matrix.ground.suggestions import known_names

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[str | int]

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80

# What YAML 1.2 takes for a number or a yes and no, where PyYAML's 1.1 reads `1e-4` as text and `on` as true.
# A number with a leading zero is text: one reader takes it for octal, another does not.
_PLAIN = {
    "tag:yaml.org,2002:bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": ("[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class NotYamlError(ValueError):
    """The text is no YAML document; the message says why, and `place` where: ``:12``, or nothing."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class _Reader(yaml.SafeLoader):
    """PyYAML's safe reader. It takes plain values as YAML 1.2 does, and refuses a key that is there twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as PyYAML declares it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Before keys are merged in: those may be there again, with another value.
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise _TwiceError(None, None, f'found duplicate key "{key.value}"', key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


class _TwiceError(yaml.constructor.ConstructorError):
    """A key is there twice."""


for _tag, (_pattern, _first) in _PLAIN.items():
    _Reader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list(_first))


@dataclass(frozen=True)
class Document:
    """A document, what it says, and where in its text it says so."""

    text: str
    value: Any
    root: yaml.Node | None

    def line(self, location: Location) -> int:
        """Return the line, counted from 1, of the deepest part of `location` that the text has."""
        *_, (row, _) = self._way(location)
        return row + 1

    def comment(self, location: Location) -> str:
        """Return the comment behind the value at `location`; nothing where there is none."""
        *_, (_, node) = self._way(location)
        if node is None:
            return ""
        end = node.end_mark
        return self.text.splitlines()[end.line][end.column :].strip().lstrip("# ")

    def _way(self, location: Location) -> Iterable[tuple[int, yaml.Node | None]]:
        """Rows of the keys or entries on the way to `location`, each with the node that stands there."""
        node = self.root
        yield 0, node
        for part in location:
            found = next((pair for pair in _children(node) if pair[0] == str(part)), None)
            if found is None:
                return
            _, row, node = found
            yield row, node


def parse_yaml(text: str) -> Document:
    """Read a text.

    Raises
    ------
    NotYamlError
        It is no YAML, or more than one document.
    """
    try:
        reader = _Reader(text)
        node = reader.get_single_node()
        # An empty text has no node, and PyYAML no word for that.
        return Document(text, None if node is None else reader.construct_document(node), node)
    except _TwiceError as error:
        raise NotYamlError(f"{error.problem}. Keep one of the two.", _place(error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        # PyYAML gives the number of a character of a text, and the byte of bytes.
        number = error.character if isinstance(error.character, int) else ord(error.character)
        why = f"the character U+{number:04X} has no place in YAML"
        raise NotYamlError(why, f":{line}") from error
    except yaml.MarkedYAMLError as error:
        why = f"not YAML: {error.problem}. Look here and one line above."
        raise NotYamlError(why, _place(error)) from error
    except RecursionError as error:
        raise NotYamlError("it is nested too deeply") from error
    except Exception as error:
        # A tag that does not fit its value breaks its constructor in the constructor's own way.
        raise NotYamlError(f"not YAML: {' '.join(str(error).split())}") from error


def load_yaml(
    path: Path, model: type[Model], *, absent: str, failure: type[UsageError] = UsageError
) -> tuple[Model, Document]:
    """Read a file as a model.

    Parameters
    ----------
    path
        The file.
    model
        What it must be. The descriptions of its fields are part of the messages.
    absent
        What to do where the file cannot be read, as a sentence.
    failure
        Kind of the error.

    Returns
    -------
    tuple
        The model, and the document it comes from.

    Raises
    ------
    UsageError
        Unreadable, not YAML, or not valid; one line per fault, each with file, line, key and remedy.
    """
    try:
        document = parse_yaml(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise failure(f"{path}: cannot be read ({error.strerror}). {absent}") from error
    except UnicodeDecodeError as error:
        raise failure(f"{path}: cannot be read as UTF-8 text: {error}") from error
    except NotYamlError as error:
        raise failure(f"{path}{error.place}: {error}") from error
    if not isinstance(document.value, dict):
        first = next(iter(_keys(model)))
        raise failure(f"{path}:1: this must be a mapping that begins with `{first}: …`")
    try:
        return model.model_validate(document.value), document
    except ValidationError as error:
        faults = [_fault(path, document, model, dict(fault)) for fault in error.errors()]
        raise failure("\n".join(faults)) from error


def shortened(value: object) -> str:
    """A value as it stands, in a line at most: an alias can make one stand for a million others."""
    return _SHORT.repr(value)


def dotted(location: Location) -> str:
    """A location as a person writes it: `repositories[2].role`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _fault(path: Path, document: Document, model: type[BaseModel], fault: dict[str, Any]) -> str:
    """Return one validation error as `file:line: key: what. remedy`."""
    location: Location = fault["loc"]
    where = f"{path}:{document.line(location)}: {dotted(location)}"
    if fault["type"] == "extra_forbidden":
        _, around = _meant(model, location[:-1])
        return f"{where}: unknown key.{known_names(str(location[-1]), _keys(around))}"
    field, _ = _meant(model, location)
    remedy = f" Expected: {field.description}." if field and field.description else ""
    if fault["type"] == "missing":
        return f"{where}: this key is missing.{remedy}"
    if fault["type"] == "string_type":
        return f"{where}: {shortened(fault['input'])} is not text; put it in quotes.{remedy}"
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}.{remedy}"
    return f"{where}: {shortened(fault['input'])} will not do: {fault['msg']}.{remedy}"


def _meant(model: type[BaseModel], location: Location) -> tuple[FieldInfo | None, type[BaseModel]]:
    """Return the innermost field that a location names, and the innermost model it leads into."""
    found = None
    parts = iter(location)
    for part in parts:
        field = _keys(model).get(str(part))
        if field is None:
            break
        found = field
        inner = _model_in(field.annotation)
        if inner is not None and inner is not field.annotation:
            # A list or a mapping of models: its index or its key is no field.
            next(parts, None)
        model = inner or model
    return found, model


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _children(node: yaml.Node | None) -> Iterable[tuple[str, int, yaml.Node]]:
    """What a node holds: key or index, row, and the node there."""
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark.line, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(str(index), value.start_mark.line, value) for index, value in enumerate(node.value)]
    return []


def _place(error: yaml.MarkedYAMLError) -> str:
    return f":{error.problem_mark.line + 1}" if error.problem_mark else ""
