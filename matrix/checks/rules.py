"""A workspace's own rules for automated runs: environment by script, scripts left out, the smoke list."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.ground.errors import UsageError
from matrix.ground.files import read_text
from matrix.ground.yaml_text import Document, NotYamlError, parse_yaml

ENVIRONMENT = Path("config/build/env_vars.yaml")
LEFT_OUT = Path("config/build/no_run.yaml")
SMOKE = Path("smoke_tests.txt")


@dataclass(frozen=True)
class Override:
    """What changes for the scripts that match a pattern."""

    pattern: str
    unset: tuple[str, ...]
    set: Mapping[str, str]


@dataclass(frozen=True)
class Rules:
    """The rules of one workspace; empty where it has none.

    Attributes
    ----------
    left_out
        Pattern to the reason its comment gives.
    smoke
        The listed scripts, relative to `scripts/`.
    """

    defaults: Mapping[str, str]
    overrides: tuple[Override, ...]
    left_out: Mapping[str, str]
    smoke: tuple[str, ...]

    def environment(self, script: Path, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of a script: defaults on top of the inherited one, then each matching override."""
        variables = {**inherited, **self.defaults}
        for override in self.overrides:
            if matches(override.pattern, script):
                for name in override.unset:
                    variables.pop(name, None)
                variables.update(override.set)
        return variables

    def reason_left_out(self, script: Path) -> str | None:
        """Why automated runs leave the script out; None if they do not."""
        return next((reason for pattern, reason in self.left_out.items() if matches(pattern, script)), None)


def matches(pattern: str, script: Path) -> bool:
    """With a slash: part of the script's path. Without: its name without suffix."""
    return pattern in script.as_posix() if "/" in pattern else pattern == script.stem


def read_rules(workspace: Path) -> Rules:
    """Read a workspace's rules.

    Raises
    ------
    UsageError
        A file is there but not as known.
    """
    environment = _document(workspace / ENVIRONMENT).value or {}
    listed = _document(workspace / LEFT_OUT)
    try:
        overrides = tuple(
            Override(str(one["pattern"]), tuple(one.get("unset") or ()), _texts(one.get("set")))
            for one in environment.get("overrides") or ()
        )
        defaults = _texts(environment.get("defaults"))
        left_out = {
            str(pattern): listed.comment((index,)) or "no reason given"
            for index, pattern in enumerate(listed.value or ())
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(
            f"the rules in {workspace / ENVIRONMENT.parent} are not as known: {error!r}"
        ) from error
    smoke = workspace / SMOKE
    lines = read_text(smoke).splitlines() if smoke.is_file() else []
    names = (line.strip() for line in lines)
    return Rules(defaults, overrides, left_out, tuple(name for name in names if name and name[0] != "#"))


def _document(path: Path) -> Document:
    try:
        return parse_yaml(read_text(path) if path.is_file() else "")
    except NotYamlError as error:
        raise UsageError(f"{path}{error.place}: {error}") from error


def _texts(mapping: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (mapping or {}).items()}
