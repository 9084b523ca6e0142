"""Pages can be read aloud: short sentences, a short README, and a glossary that its readers are led to."""

import re
from pathlib import Path

import pytest

pytest.importorskip("syntok", reason="the extra docs-tests is not installed")
pytest.importorskip("markdown_it", reason="the extra docs-tests is not installed")

from tests.docs.prose import LONGEST, README_LONGEST, ROOT, pages, sentences, too_long, words

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
NEEDED = ("Lane", "Cholesky equivalent", "Production scale", "Certified", "Embedded", "Shape", "Side")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_is_too_long_to_be_read_aloud(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


def test_sentence_that_is_too_long_is_noticed() -> None:
    fine = " ".join(["Word", *["word"] * (LONGEST - 1)])
    assert too_long(f"{fine}. {fine}.\n\n| a | {fine}. |\n|---|---|\n") == []
    assert too_long(f"One. {fine} more.") == [f"{fine} more."]
    assert too_long(f"| head | {fine} more |\n|---|---|\n") == [f"{fine} more"]
    assert too_long(f"```text\n{fine} more\n```\n") == []
    assert too_long(f"<!-- made: begin -->\n{fine} more\n<!-- made: end -->\n") == []


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    assert len([*sentences("On JAX 0.9, e.g. here, it is 1.5 times `as.fast`. So it is.")]) == 2


def test_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sum(map(words, readme.splitlines())) <= README_LONGEST


@pytest.mark.parametrize("term", NEEDED)
def test_glossary_has_the_words_that_are_used(term: str) -> None:
    assert f"\n## {term}\n" in GLOSSARY


def test_glossary_is_in_order_and_linked_from_the_pages_that_use_its_words() -> None:
    terms = re.findall(r"^## (.*)$", GLOSSARY, flags=re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    for name in ("README.md", "docs/benchmarks.md", "docs/gates.md", "docs/running.md", "docs/report.md"):
        assert "glossary.md" in (ROOT / name).read_text(encoding="utf-8"), name
