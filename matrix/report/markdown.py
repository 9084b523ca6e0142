"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, aligned: bool = False) -> str:
    """Rows of text as a Markdown table; `aligned`, its columns stand under each other in a terminal too.

    Raises
    ------
    ValueError
        A row has not a cell for each heading.
    """
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (headings, *rows)]
    for line in lines:
        if len(line) != len(headings):
            raise ValueError(f"a row of {len(line)} cells under {len(headings)} headings: {' | '.join(line)}")
    widths = [max(map(len, column)) if aligned else 0 for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * (width or 3) for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
