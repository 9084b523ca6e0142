"""A workspace's own rules for automated runs: environment by script, scripts left out, the smoke list."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from matrix.ground.errors import UsageError
from matrix.ground.files import read_text

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
    environment = _yaml(workspace / ENVIRONMENT) or {}
    listed = _yaml(workspace / LEFT_OUT) or []
    try:
        overrides = tuple(
            Override(str(one["pattern"]), tuple(one.get("unset") or ()), _texts(one.get("set")))
            for one in environment.get("overrides") or ()
        )
        defaults = _texts(environment.get("defaults"))
        left_out = {str(pattern): _comment(listed, index) for index, pattern in enumerate(listed)}
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(
            f"the rules in {workspace / ENVIRONMENT.parent} are not as known: {error!r}"
        ) from error
    smoke = workspace / SMOKE
    lines = read_text(smoke).splitlines() if smoke.is_file() else []
    names = (line.strip() for line in lines)
    return Rules(defaults, overrides, left_out, tuple(name for name in names if name and name[0] != "#"))


def _yaml(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return YAML(typ="rt").load(read_text(path))
    except YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error


def _texts(mapping: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (mapping or {}).items()}


def _comment(listed: Any, index: int) -> str:
    tokens = listed.ca.items.get(index)
    return tokens[0].value.splitlines()[0].lstrip("# ").strip() if tokens and tokens[0] else "no reason given"
