"""The dependency on jaxnnls: removed where a checkout declares it, reported where it comes back."""

import ast
import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from matrix.ground.process import run
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError, parse

DISTRIBUTION = "jaxnnls"
# The distribution whose `jax` extra declares jaxnnls, under its older and its newer name.
PROVIDERS = {"autoconf", "autonerves"}

_PACKAGING = (
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "*requirements*.txt",
    "requirements/*.txt",
    "docs/*requirements*.txt",
    "*/setup_colab.py",
)
_QUOTED = r"""(?:"jaxnnls\b(?:[^"\\\r\n]|\\.)*"|'jaxnnls\b(?:[^'\\\r\n]|\\.)*')"""
_WHOLE_LINE = re.compile(
    rf"^[ \t]*{_QUOTED}[ \t]*,?[ \t]*(?:\#[^\r\n]*)?(?:\r?\n|\Z)", re.MULTILINE | re.IGNORECASE
)
_FIRST_OR_MIDDLE = re.compile(rf"{_QUOTED}[ \t]*,[ \t]*", re.IGNORECASE)
_LAST = re.compile(rf"(?:,[ \t]*)?{_QUOTED}", re.IGNORECASE)
_QUERY = """
import importlib.metadata as metadata, json
found = []
for distribution in metadata.distributions():
    for requirement in distribution.requires or ():
        found.append([distribution.name, distribution.version, requirement])
print(json.dumps(found))
"""


@dataclass(frozen=True, order=True)
class ResidualDependency:
    """A requirement that still brings jaxnnls in: who declares it, its text, and where it stands."""

    distribution: str
    requirement: str
    where: str


def packaging_files(checkout: Path) -> list[str]:
    """Return the files of a checkout, relative to it, that may declare dependencies."""
    return sorted(
        path.relative_to(checkout).as_posix() for glob in _PACKAGING for path in checkout.glob(glob)
    )


def drop_dependency(name: str, text: str) -> str:
    """Return a packaging file of a checkout without its requirements on jaxnnls.

    Parameters
    ----------
    name
        The file's name, as `packaging_files` returns it.
    text
        Its contents. Everything but the requirements stays byte for byte.

    Raises
    ------
    UnrecognisedError
        A requirement on jaxnnls is written in a way that cannot be removed safely.
    """
    if DISTRIBUTION not in text.lower():
        return text
    lines = name.endswith((".txt", ".cfg"))
    return _checked(name, text, _without_lines(text) if lines else _without_quoted(text))


def declared_residuals(pyproject: str) -> tuple[ResidualDependency, ...]:
    """Return the requirements of a library's `pyproject.toml` through which jaxnnls comes back.

    They ask for the `jax` extra of the distribution which declares jaxnnls there (PyAutoConf).
    """
    project = tomllib.loads(pyproject).get("project", {})
    declared = [("project.dependencies", line) for line in project.get("dependencies", [])]
    for extra, lines in project.get("optional-dependencies", {}).items():
        declared += [(f"project.optional-dependencies.{extra}", line) for line in lines]
    return tuple(
        sorted(
            ResidualDependency(canonicalize_name(requirement.name), line, f"pyproject.toml, {where}")
            for where, line in declared
            if (requirement := _requirement(line)) is not None
            and canonicalize_name(requirement.name) in PROVIDERS
            and "jax" in requirement.extras
        )
    )


def residual_dependencies(python: Path) -> list[ResidualDependency]:
    """Ask an environment which of its installed distributions declare a requirement on jaxnnls.

    Parameters
    ----------
    python
        The environment's interpreter.

    Raises
    ------
    EnvironmentFailure
        The interpreter cannot be run.
    """
    found = json.loads(run([python, "-I", "-c", _QUERY]).stdout)
    return sorted(
        ResidualDependency(name, line, f"metadata of the installed {name} {version}")
        for name, version, line in found
        if _is_ours(line)
    )


def _requirement(line: str) -> Requirement | None:
    try:
        return Requirement(line.split(" #")[0].strip())
    except InvalidRequirement:
        return None


def _is_ours(line: str) -> bool:
    requirement = _requirement(line)
    return requirement is not None and canonicalize_name(requirement.name) == DISTRIBUTION


def _without_lines(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not _is_ours(line))


def _without_quoted(text: str) -> str:
    for pattern in (_WHOLE_LINE, _FIRST_OR_MIDDLE, _LAST):
        text = pattern.sub("", text)
    return text


def _checked(name: str, before: str, after: str) -> str:
    """Return `after` if it differs from `before` in nothing but requirements on jaxnnls."""
    try:
        kept = [word for word in _words(name, before) if not _is_ours(word)]
        left = list(_words(name, after))
    except (tomllib.TOMLDecodeError, configparser.Error) as error:
        raise UnrecognisedError(Unrecognised(name, f"it cannot be read ({error})")) from error
    if left != kept or any(word.lower().startswith(DISTRIBUTION) for word in left):
        raise UnrecognisedError(
            Unrecognised(name, f"its requirement on {DISTRIBUTION} is written in an unknown way")
        )
    return after


def _words(name: str, text: str) -> Iterator[str]:
    """Yield every key and value of a packaging file, in order."""
    if name.endswith(".txt"):
        yield from (line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip())
    elif name.endswith(".py"):
        for node in ast.walk(parse(name, text)):
            if isinstance(node, ast.Constant):
                yield str(node.value)
    elif name.endswith(".cfg"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        for section in parser.sections():
            for key, value in parser[section].items():
                yield from (f"[{section}]", key, *value.strip().splitlines())
    else:
        yield from _flat(tomllib.loads(text))


def _flat(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _flat(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    else:
        yield repr(value) if not isinstance(value, str) else value
