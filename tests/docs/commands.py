"""Every command that README and docs show: found in the Markdown, and handed to the parser it would meet."""

import argparse
import importlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from markdown_it import MarkdownIt
from markdown_it.token import Token

from matrix.ground.layout import REPOSITORY_ROOT

PAGES = (*sorted(REPOSITORY_ROOT.glob("*.md")), *sorted((REPOSITORY_ROOT / "docs").rglob("[!_]*.md")))
SHELL = "sh"
# Words that stand for a reader's own, where not every text will do.
PLACEHOLDERS = {"PIPELINE": "interferometer-pixelization", "SESSION": "doctor", "K": "100"}


@dataclass(frozen=True)
class Command:
    """One command as the page shows it, and where."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, with all that the page shows as optional, and a reader's own words filled in."""
        text = re.sub(r"…|\.\.\.|[\[\]]", "", self.text)
        return [PLACEHOLDERS.get(word, word) for word in shlex.split(text)]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def _each(text: str) -> list[str]:
    """Usage to examples: `check|push` to `check` and `push`."""
    choice = re.search(r"(?<![\w|-])[\w-]+(\|[\w-]+)+", text)
    if choice is None:
        return [text]
    return [text.replace(choice[0], word) for word in choice[0].split("|")]


def shell_blocks(page: Path) -> list[str]:
    """The fenced blocks of a page that are for a shell."""
    return [token.content for token in _tokens(page) if token.type == "fence" and token.info == SHELL]


def other_blocks(page: Path) -> list[tuple[str, str]]:
    """All other blocks of code, language and content; indented ones have none."""
    kinds = ("fence", "code_block")
    return [(t.info, t.content) for t in _tokens(page) if t.type in kinds and t.info != SHELL]


def spans(page: Path) -> list[str]:
    """Everything in backticks within the text."""
    return [token.content for token in _tokens(page) if token.type == "code_inline"]


def _tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def commands(page: Path, sessions: Sequence[str]) -> list[Command]:
    """Every command of a page: the lines of its shell blocks, and what stands in backticks and is one."""
    lines = [line for block in shell_blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    shown = [part for line in lines for part in _parts(line)]
    for span in spans(page):
        if re.match(r"nox -s \w|python3? (-m|run\.py) \w", span):
            shown.append(span)
        elif span.split(" ")[0] in sessions and " -- " in span:
            shown.append(f"nox -s {span}")
    return list(dict.fromkeys(Command(page.name, text) for usage in shown for text in _each(usage)))


def _parts(line: str) -> list[str]:
    """The commands of one line, without its comment."""
    words = shlex.split(line, comments=True)
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";", "|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [shlex.join(part) for part in parts if part]


@cache
def load_noxfile() -> tuple[ModuleType, dict[str, Any]]:
    """The noxfile, and its sessions by name."""
    spec = importlib.util.spec_from_file_location("noxfile", REPOSITORY_ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    noxfile = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(noxfile)
    registry = importlib.import_module("nox.registry").get()
    return noxfile, dict(registry)


def handed_over(noxfile: ModuleType, session: Any, words: Sequence[str]) -> list[list[str]]:
    """The `python -m` calls, without those two words, that a session makes when given `words`."""
    calls: list[list[str]] = []

    def seen(*command: Any, **_: Any) -> int:
        parts = list(command[0]) if isinstance(command[0], list) else list(command)
        if len(parts) > 2 and Path(parts[0]).name == "python" and parts[1] == "-m":
            calls.append(parts[2:])
        return 0

    nothing = mock.Mock(return_value="")
    fake = SimpleNamespace(
        install=nothing, run_install=nothing, run=seen, bin="bin", posargs=list(words), error=None
    )
    with mock.patch.object(noxfile.subprocess, "call", seen):
        session.func(fake)
    return calls


class Accepted(BaseException):
    """A parser took all the words; what it made of them, and what it leaves to others.

    No `Exception`: a command catches each of these and ends with an exit code.
    """

    def __init__(self, options: argparse.Namespace, rest: list[str]) -> None:
        super().__init__(options)
        self.options, self.rest = options, rest


def parsed(module: str, words: Sequence[str]) -> Accepted:
    """Start a module's `main` with `words` and stop it as soon as its own parser has taken them.

    Raises
    ------
    SystemExit
        The parser refuses the words.
    """
    original = argparse.ArgumentParser.parse_known_args

    def strict(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        options, rest = original(parser, args, namespace)
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        raise Accepted(options, [])

    def lenient(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        raise Accepted(*original(parser, args, namespace))

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", strict),
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", lenient),
    ):
        try:
            main_of(module)(list(words))
        except Accepted as accepted:
            return accepted
    raise AssertionError(f"{module} never looked at its words")


def main_of(module: str) -> Callable[[list[str]], int]:
    """What `python -m module` runs."""
    package = (REPOSITORY_ROOT / module.replace(".", "/")).is_dir()
    main: Callable[[list[str]], int] = importlib.import_module(
        f"{module}.__main__" if package else module
    ).main
    return main
