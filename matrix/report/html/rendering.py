"""Jinja templates to files that need nothing else: style and script are inside, and nothing is fetched."""

import importlib.resources
from pathlib import Path
from typing import Any

import jinja2

from matrix.ground.files import write_text
from matrix.report.rows import convergence_of, iterations_of

_FOLDER = importlib.resources.files("matrix.report.html") / "templates"


def write_page(path: Path, template: str, **context: Any) -> None:
    """Render `template` with `context` to `path`, whole or not at all.

    Parameters
    ----------
    path
        The HTML file.
    template
        Name of a template beside `base.html.j2`, which it extends.
    context
        What the template shows. Text is escaped; `markupsafe.Markup` is taken as it is.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("matrix.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"digits": digits, "iterations": iterations_of, "convergence": convergence_of}
    style, script = (_FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    write_text(path, environment.get_template(template).render(style=style, script=script, **context))


def digits(value: float) -> str:
    """A number for people: all digits of an evidence, two of anything tiny."""
    if value == 0.0:
        return "0"
    if abs(value) >= 1.0:
        return f"{value:.9g}"
    return f"{value:.2g}"
