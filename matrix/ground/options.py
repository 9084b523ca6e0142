"""Options that several commands have."""

import argparse
import os
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from matrix.ground.suggestions import known_names, near_matches, question_for

_WIDTH = 100


class SessionParser(argparse.ArgumentParser):
    """The command line of a session, whose help begins with what it does and an example.

    Parameters
    ----------
    session
        Its name for nox.
    sentence
        What it does.
    example
        What follows the name in a call of it; empty where nothing needs to.
    options
        As `argparse.ArgumentParser` takes them. A mistyped option must not turn into another one, so that
        abbreviations are off.
    """

    def __init__(self, session: str, sentence: str, example: str = "", **options: Any) -> None:
        super().__init__(prog=f"nox -s {session} --", allow_abbrev=False, **options)
        words = f" -- {example}" if example else ""
        self._opening = f"{textwrap.fill(sentence, _WIDTH)}\n\n    nox -s {session}{words}\n\n"

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """As argparse's; of a choice among words the nearest is named where there is none such."""
        choices = options.get("choices")
        if choices and "type" not in options:
            what = names[0].lstrip("-").replace("-", " ")
            options["type"] = one_of(what, tuple(choices))
        return super().add_argument(*names, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; of an option that there is not the nearest is named."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return known

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End with code 2 for words that mean nothing here."""
        self.error(f"this means nothing here: {' '.join(unknown)}.{self.nearest_option(unknown)}")

    def nearest_option(self, unknown: Sequence[str]) -> str:
        """Return a question for the option nearest to the first of some words that looks like one."""
        # Without the dashes, which make all options look alike.
        known = {name.lstrip("-"): name for name in self._option_string_actions}
        options = (word.partition("=")[0].lstrip("-") for word in unknown if word.startswith("--"))
        near = near_matches(next(options, ""), known, 1)
        return question_for(known[name] for name in near)

    def format_help(self) -> str:
        """The sentence, the example, then what argparse says."""
        return self._opening + super().format_help()


def one_of(what: str, known: Collection[str]) -> Callable[[str], str]:
    """A type of argument: one of some names, with what else may have been meant where it is none."""

    def check(word: str) -> str:
        if word not in known:
            raise argparse.ArgumentTypeError(f"there is no {what} {word!r}.{known_names(word, known)}")
        return word

    return check


def add_root(parser: argparse.ArgumentParser) -> None:
    """Let the caller say which folder is ours."""
    parser.add_argument("--root", type=Path, default=_ours(), help="our working folder (default .matrix)")


def add_record(parser: argparse.ArgumentParser, name: str) -> None:
    """Let the caller say where a record is kept, which is under our folder where they do not."""
    default = _ours() / name / f"{name}.json"
    said = f"the record; its table and picture go beside it (default .matrix/{name}/{name}.json)"
    parser.add_argument("--record", dest="output", type=Path, default=default, help=said)


def _ours() -> Path:
    return Path(os.environ.get("MATRIX_ROOT", ".matrix"))
