"""`nox -s docs-picture`: the first screen of a run's report as the picture in the README."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.layout import REPOSITORY_ROOT, open_layout
from matrix.ground.options import SessionParser, add_root
from matrix.report.runs import find_run

PICTURE = REPOSITORY_ROOT / "docs" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1200, 800


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture; 0, or 2 or 3 on trouble."""
    parser = SessionParser(
        "docs-picture", "Make the picture in the README from the first screen of a run's report.", "latest"
    )
    add_root(parser)
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help="which run (default: latest)")
    parser.add_argument(
        "--output", type=Path, default=PICTURE, help="where to write (default: docs/report.png)"
    )
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: _picture(find_run(open_layout(options.root).runs, options.run), options.output)
    )


def _picture(run: Path, output: Path) -> int:
    page = run / "report.html"
    if not page.is_file():
        raise UsageError(f"{run} has no report.html: make it with nox -s report -- {run}")
    photograph(page, output)
    open_console().print(f"written     {output}")
    return 0


def photograph(page: Path, output: Path) -> None:
    """Open a page in a browser without a window, and keep its first screen.

    Raises
    ------
    EnvironmentFailure
        There is no browser.
    """
    # Inside, since no other command needs a browser.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = next(filter(None, map(shutil.which, BROWSERS)), None) or started.chromium.executable_path
        if not Path(found).exists():
            raise EnvironmentFailure("there is no Chromium: install it, or give playwright install chromium")
        # Without a sandbox, since containers run as root; the page is our own.
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        screen = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        screen.goto(page.resolve().as_uri())
        screen.screenshot(path=output)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
