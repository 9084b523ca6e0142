"""Sentences of README and docs, and those too long to be read aloud: `python -m tests.docs.prose`."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import syntok.segmenter
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 30
README_LONGEST = 700
_GENERATED = re.compile(r"<!-- (?P<name>[\w-]+): begin -->.*?<!-- (?P=name): end -->", re.DOTALL)
_BREAKS = ("softbreak", "hardbreak")


def pages() -> list[Path]:
    """Every page of prose in the repository."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("[!_]*.md"))]


def sentences(text: str) -> Iterator[str]:
    """The sentences of Markdown, without code and generated tables; a piece of code counts as one word."""
    for token in MarkdownIt("commonmark").enable("table").parse(_GENERATED.sub("", text)):
        if token.type == "inline":
            for paragraph in syntok.segmenter.process(_spoken(token)):
                for sentence in paragraph:
                    yield "".join(f"{part.spacing}{part.value}" for part in sentence).strip()


def words(sentence: str) -> int:
    """How many words are read aloud."""
    return sum(any(map(str.isalnum, part)) for part in sentence.split())


def too_long(text: str) -> list[str]:
    """The sentences with more than `LONGEST` words."""
    return [sentence for sentence in sentences(text) if words(sentence) > LONGEST]


def _spoken(token: Token) -> str:
    return "".join(
        {"code_inline": "Code", **dict.fromkeys(_BREAKS, " ")}.get(child.type, child.content)
        for child in token.children or ()
        if child.type != "image"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Name every sentence that is too long; 1 if there is one."""
    argparse.ArgumentParser(prog="python -m tests.docs.prose", description=__doc__).parse_args(arguments)
    found = [(page, sentence) for page in pages() for sentence in too_long(page.read_text(encoding="utf-8"))]
    for page, sentence in found:
        print(f"{page.relative_to(ROOT)}: {words(sentence)} words, at most {LONGEST}: {sentence}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
