"""The solver's settings in the library's packaged `general.yaml`."""

import re
from dataclasses import dataclass, replace

from matrix.ground.yaml_text import NotYamlError, parse_yaml
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError

PATH = "autoarray/config/general.yaml"
SECTION = "inversion"
ALGORITHM = "nnls_algorithm"


@dataclass(frozen=True)
class ConfigKey:
    """A key of the section `inversion`, its packaged value as YAML, and the comment that explains it."""

    key: str
    value: str
    comment: str


KEPT = (
    ConfigKey(
        "nnls_jacobi_preconditioning",
        "true",
        "If True (default), the positive-only solver of the JAX path (autoarray.inversion.nnls) scales "
        "the system to a unit diagonal before it solves it (D Q D y = D q, x = D y). The solution is "
        "the same; the scaling keeps gradients of ill-conditioned systems finite. False solves the "
        "system as it is.",
    ),
    ConfigKey(
        "nnls_target_kappa",
        "1.0e-11",
        "The value to which the complementarity of the KKT conditions is relaxed where "
        "autoarray.inversion.nnls differentiates a solution. It does not change the solution. Larger "
        "values smooth the gradient where pixels enter or leave the positive set, smaller ones are "
        "closer to the exact derivative.",
    ),
)
NEW = (
    ConfigKey(
        ALGORITHM,
        "auto",
        "The algorithm of autoarray.inversion.nnls: auto (default) chooses by the size of the system "
        "and by what is known about it; the names in autoarray.inversion.nnls.ALGORITHMS choose one.",
    ),
    ConfigKey(
        "nnls_max_iter",
        "null",
        "The most iterations the algorithm may take; null (default) is the algorithm's own limit.",
    ),
    ConfigKey(
        "nnls_solver_tol",
        "null",
        "The relative tolerance on the KKT conditions at which the algorithm stops; null (default) is "
        "the algorithm's own, close to the precision of the floating-point numbers.",
    ),
    ConfigKey(
        "nnls_forward_only",
        "false",
        "If True, the solve has no gradient and none of its cost. Searches which only evaluate "
        "likelihoods can use it; anything which differentiates a likelihood cannot.",
    ),
)
# The key by which later libraries choose the solver, and its third value, which is ours.
CHOICE = "positive_only_solver"
CHOSEN = "nnls"
_CHOICE_SAID = (
    '"nnls"{} is the solver of autoarray.inversion.nnls (exact, certified by the KKT conditions), for '
    "every JAX inversion, with or without a mapper and linear light profiles."
)
_SAID_OF_OTHERS = {
    "nnls_jacobi_preconditioning": 'positive_only_solver "nnls" scales the system in the same way.',
    "nnls_target_kappa": 'positive_only_solver "nnls" relaxes its gradient to the same value.',
}


def add_settings(text: str, algorithm: str | None = None) -> str:
    """Return `general.yaml` with the solver's settings; everything else stays byte for byte.

    The new keys follow the last of the two which exist; keys which are there already keep their values, and a
    comment which names jaxnnls is replaced by a true one.

    Parameters
    ----------
    text
        The file.
    algorithm
        The value `nnls_algorithm` gets, whether it is there or not; None for what is there, else the default.

    Raises
    ------
    UnrecognisedError
        The file is not YAML, or the section `inversion` lacks the keys that exist in every known release.
    """
    rows = _rows_of_section(text)
    lines = text.splitlines(keepends=True)
    for setting in KEPT:
        row = rows[setting.key]
        if "jaxnnls" in lines[row]:
            lines[row] = _with_comment(lines[row], setting.comment)
    asked_for = None if algorithm is None else replace(NEW[0], value=algorithm)
    if asked_for is not None and ALGORITHM in rows:
        row = rows[ALGORITHM]
        lines[row] = _with_comment(_like(lines[row], asked_for), asked_for.comment)
    anchor = max(rows[setting.key] for setting in KEPT)
    if not lines[anchor].endswith("\n"):
        lines[anchor] += "\n"
    new = [
        _with_comment(_like(lines[anchor], setting), setting.comment)
        for setting in (asked_for or NEW[0], *NEW[1:])
        if setting.key not in rows
    ]
    return "".join([*lines[: anchor + 1], *new, *lines[anchor + 1 :]])


def offer_solver(text: str, algorithm: str | None = None) -> str:
    """Return `general.yaml` that says what our value of `positive_only_solver` is, and has its setting.

    Parameters
    ----------
    text
        The file.
    algorithm
        As for `add_settings`.

    Raises
    ------
    UnrecognisedError
        The file is not YAML, or the section `inversion` lacks one of the keys the edit is about.
    """
    rows, lines = _rows(text)
    said = _CHOICE_SAID.format(" (default)" if _value(lines[rows[CHOICE]]) == CHOSEN else "")
    for key, added in ((CHOICE, said), *_SAID_OF_OTHERS.items()):
        line = lines[rows[key]]
        if f'"{CHOSEN}"' not in line:
            lines[rows[key]] = _with_more_said(line, added)
    named = replace(NEW[0], value=algorithm or NEW[0].value)
    if ALGORITHM not in rows:
        lines.insert(rows[CHOICE] + 1, _with_comment(_like(lines[rows[CHOICE]], named), named.comment))
    elif algorithm is not None:
        lines[rows[ALGORITHM]] = _with_comment(_like(lines[rows[ALGORITHM]], named), named.comment)
    return "".join(lines)


def choose_solver(text: str) -> str:
    """Return `general.yaml` in which `positive_only_solver` is ours, and says that this is the default.

    Raises
    ------
    UnrecognisedError
        The file is not YAML, or the section `inversion` lacks the key.
    """
    rows, lines = _rows(text)
    line = lines[rows[CHOICE]]
    if _value(line) == CHOSEN:
        return text
    comment = line.partition("#")[2].strip().replace("(default) ", "")
    comment = comment.replace(f'"{CHOSEN}" is', f'"{CHOSEN}" (default) is')
    lines[rows[CHOICE]] = _with_comment(_like(line, ConfigKey(CHOICE, CHOSEN, "")), comment)
    return "".join(lines)


def _rows(text: str) -> tuple[dict[str, int], list[str]]:
    """Return where the keys of the section stand, and the lines of the file, each with its end."""
    rows = _rows_of_section(text)
    if CHOICE not in rows:
        raise UnrecognisedError(Unrecognised(PATH, f"`{SECTION}` has no key `{CHOICE}`"))
    lines = text.splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return rows, lines


def _value(line: str) -> str:
    return _parts(line)[1].partition(":")[2].strip()


def _with_more_said(line: str, added: str) -> str:
    said = line.partition("#")[2].strip()
    return _with_comment(line, f"{said} {added}" if said else added)


def _rows_of_section(text: str) -> dict[str, int]:
    """Return where the keys of the section stand, as rows counted from 0."""
    try:
        document = parse_yaml(text)
    except NotYamlError as error:
        raise UnrecognisedError(Unrecognised(PATH, f"not valid YAML ({error})")) from error
    section = document.value.get(SECTION) if isinstance(document.value, dict) else None
    if not isinstance(section, dict):
        raise UnrecognisedError(Unrecognised(PATH, f"there is no section `{SECTION}`"))
    missing = [setting.key for setting in KEPT if setting.key not in section]
    if missing:
        raise UnrecognisedError(*(Unrecognised(PATH, f"`{SECTION}` has no key `{key}`") for key in missing))
    return {str(key): document.line((SECTION, str(key))) - 1 for key in section}


def _like(line: str, setting: ConfigKey) -> str:
    """Write a setting in the layout of another line: its indent, comment column and line end."""
    indent, _, ending = _parts(line)
    width = len(line.split("#")[0]) if "#" in line else 0
    return f"{indent}{setting.key}: {setting.value}".ljust(width) + ending


def _with_comment(line: str, comment: str) -> str:
    indent, content, ending = _parts(line)
    body = f"{indent}{content}"
    width = len(line.split("#")[0]) if "#" in line else len(line) - len(ending)
    return f"{body:<{max(width, len(body) + 1)}}# {comment}{ending}"


def _parts(line: str) -> tuple[str, str, str]:
    """Split a line into its indent, its `key: value`, and its line end; a comment is left out."""
    match = re.fullmatch(r"([ \t]*)([^#\r\n]*?)[ \t]*(?:#[^\r\n]*)?(\r?\n|)", line)
    if match is None:
        raise UnrecognisedError(Unrecognised(PATH, f"the line {line.strip()!r} is not a plain `key: value`"))
    return match[1], match[2], match[3]
