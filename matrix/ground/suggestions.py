"""What somebody may have meant by a name that is not known."""

import difflib
from collections.abc import Iterable

_LEAST_ALIKE = 0.5


def near_matches(word: str, known: Iterable[str], most: int) -> list[str]:
    """Return the known names that look like `word`, the nearest first."""
    return difflib.get_close_matches(word, list(known), n=most, cutoff=_LEAST_ALIKE)


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """Return a question for the nearest names, with a blank before it; nothing where none is near."""
    return question_for(near_matches(word, known, most))


def question_for(names: Iterable[str]) -> str:
    """Return whether one of some names was meant, as `did_you_mean` asks."""
    quoted = " or ".join(map(repr, names))
    return f" Did you mean {quoted}?" if quoted else ""


def known_names(word: str, known: Iterable[str]) -> str:
    """Return what is near and all that is known, as sentences with a blank before them."""
    names = list(known)
    return f"{did_you_mean(word, names)} Known: {', '.join(names) or 'none'}."
