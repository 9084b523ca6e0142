"""What a diagnosis is: one declaration in its `session.py`, and one parser and one runner for all of them."""

import argparse
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.disk import disk_failures
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.options import SessionParser
from matrix.ground.suggestions import known_names

_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Declaration(ABC):
    """What every diagnosis says of itself.

    Attributes
    ----------
    name
        Of its nox session, and of its folder under `.matrix`; of its folder here with `_` for `-`.
    sentence, example
        How its help begins: what it does, and what may follow its name.
    options
        Gives a parser the options that it alone has.
    """

    name: str
    sentence: str
    example: str
    options: Callable[[argparse.ArgumentParser], object]

    def parser(self) -> argparse.ArgumentParser:
        """Its command line."""
        parser = SessionParser(self.name, self.sentence, self.example)
        self.options(parser)
        return parser

    def main(self, words: Sequence[str] | None = None) -> int:
        """Diagnose; return the exit code (1 only from what judges, 2 wrong use, 3 machine)."""
        options = self.parser().parse_args(words)

        def command() -> int:
            with disk_failures(self.place(options)):
                return self.diagnose(options)

        return exit_code_of(command)

    @abstractmethod
    def diagnose(self, options: argparse.Namespace) -> int:
        """Do the work; return the exit code."""

    @abstractmethod
    def place(self, options: argparse.Namespace) -> Path:
        """The folder that it writes in."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Declaration):
    """One that is no likelihood's.

    Attributes
    ----------
    run
        Does the work; returns the exit code.
    """

    run: Callable[[argparse.Namespace], int]

    def diagnose(self, options: argparse.Namespace) -> int:
        """Do what was declared."""
        return self.run(options)

    def place(self, options: argparse.Namespace) -> Path:
        """Where its `--record` is; here, where it keeps none."""
        return options.output.parent if "output" in options else Path()


def names(module: str = "session") -> list[str]:
    """The diagnoses there are; of those alone that have a certain module."""
    return sorted(path.parent.name.replace("_", "-") for path in _HERE.glob(f"*/{module}.py"))


def declared(name: str) -> Declaration:
    """The declaration of a diagnosis.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    if name not in names():
        raise UsageError(f"there is no diagnosis {name!r}.{known_names(name, names())}")
    session = importlib.import_module(f"matrix.diagnose.{name.replace('-', '_')}.session")
    found: Declaration = session.DIAGNOSIS
    return found
