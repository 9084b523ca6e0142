"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text as a Markdown table.

    Raises
    ------
    ValueError
        A row has not a cell for each heading.
    """
    lines = [headings, ["---"] * len(headings), *rows]
    for line in lines:
        if len(line) != len(headings):
            raise ValueError(f"a row of {len(line)} cells under {len(headings)} headings: {' | '.join(line)}")
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
