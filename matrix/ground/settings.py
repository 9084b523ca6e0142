"""Settings of the library that a side is given besides what its packages say: `SECTION.KEY` and a value."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix.ground.errors import UsageError
from matrix.ground.files import inside, read_text
from matrix.ground.suggestions import did_you_mean
from matrix.ground.yaml_text import NotYamlError, parse_yaml

# Where the library keeps them, in its checkout.
PACKAGED = Path("autoarray", "config", "general.yaml")

_NEAR = 3


def settings_from(option: str, words: Sequence[str]) -> dict[str, str]:
    """What an option says, by dotted name; values stay the text they are.

    Parameters
    ----------
    option
        As messages call it.
    words
        Each `SECTION.KEY=VALUE`, the value in YAML.

    Raises
    ------
    UsageError
        One has another form, or a name is there twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or "." not in name.strip(".") or not text.strip():
            raise UsageError(
                f"{option} {word}: write SECTION.KEY=VALUE, "
                "for example inversion.positive_only_solver=certified."
            )
        if name in found:
            raise UsageError(f"{option}: {name} is there twice.")
        _value(option, name, text)
        found[name] = text
    return found


def check_settings(option: str, settings: Mapping[str, str], library: Path) -> None:
    """Refuse names that the library's own `general.yaml` does not have.

    Parameters
    ----------
    library
        The side's checkout.

    Raises
    ------
    UsageError
        A name is not known; says which are near.
    """
    known = sorted(_names(_packaged(library)))
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known, _NEAR)
            raise UsageError(f"{option} {name}: the library's {PACKAGED} has no such key.{hint}")


def packaged_value(name: str, library: Path) -> str:
    """What the library's own `general.yaml` says of a setting, in a word; "nothing" where it does not."""
    node = _packaged(library)
    for key in name.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    if node is None:
        return "nothing"
    return node if isinstance(node, str) else json.dumps(node)


def nested(settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings as a configuration file holds them, sections within sections, values read as YAML."""
    found: dict[str, Any] = {}
    for name, text in settings.items():
        *sections, key = name.split(".")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = _value("a setting", name, text)
    return found


def said(settings: Mapping[str, str]) -> str:
    """The settings in a few words."""
    return ", ".join(f"{name} = {text}" for name, text in sorted(settings.items()))


def _packaged(library: Path) -> Any:
    path = inside(library, PACKAGED)
    try:
        return parse_yaml(read_text(path)).value
    except NotYamlError as error:
        raise UsageError(f"{path}{error.place}: {error}") from error


def _value(option: str, name: str, text: str) -> Any:
    try:
        value = parse_yaml(text).value
        json.dumps(value)
    except (NotYamlError, TypeError, ValueError) as error:
        raise UsageError(f"{option} {name}: {text!r} is no value that YAML has a plain form for.") from error
    return value


def _names(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, Mapping):
        return [prefix]
    return [name for key, below in node.items() for name in _names(below, f"{prefix}.{key}".lstrip("."))]
