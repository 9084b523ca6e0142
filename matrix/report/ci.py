"""What continuous integration wants to see: folded logs, and a line at each failure. Off unless CI is set."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from matrix.gates import Outcome, Verdict


@contextmanager
def folded(console: Console, title: str) -> Iterator[None]:
    """Fold what is printed inside under `title`."""
    if not in_ci():
        yield
        return
    console.print(f"::group::{title}", markup=False, soft_wrap=True)
    try:
        yield
    finally:
        console.print("::endgroup::", soft_wrap=True)


def annotate(console: Console, verdicts: Iterable[Verdict]) -> None:
    """Put every failed gate at the head of the job's page."""
    if not in_ci():
        return
    for verdict in verdicts:
        if verdict.outcome is Outcome.FAIL:
            where = f"{verdict.gate} on {verdict.pipeline}{f', {verdict.side}' if verdict.side else ''}"
            console.print(
                f"::error title={_property(where)}::{_escaped(verdict.message)}", markup=False, soft_wrap=True
            )


def notice(title: str, message: str) -> None:
    """Put a line that is no failure at the head of the job's page."""
    if in_ci():
        print(f"::notice title={_property(title)}::{_escaped(message)}", flush=True)


def summarise(text: str) -> None:
    """Add Markdown to the job's page, where there is one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if in_ci() and page:
        with Path(page).open("a", encoding="utf-8") as stream:
            stream.write(f"{text.rstrip()}\n\n")


def in_ci() -> bool:
    """Whether this runs in continuous integration, as GitHub and most others say it."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def _escaped(message: str) -> str:
    """A message in which nothing ends the workflow command early; any other character is shown as it is."""
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(character, code)
    return message


def _property(text: str) -> str:
    """The value of a property, which a colon or a comma would end too."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
