"""`report.html` in a real browser: no error, no missing picture, no request, tables that sort."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.commands.compare import main as compare
from matrix.commands.trend import main as trend
from matrix.report.html import write_html
from matrix.report.html.bisect import write_bisect_page
from matrix.report.runs import load_run
from tests.factory import EVIDENCE, evaluation, make_record
from tests.report.made_up import made_up_bisection, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium: the system's, or the one playwright brought."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as started:
        if found is None and not Path(started.chromium.executable_path).exists():
            pytest.skip("no Chromium here: neither the system's nor playwright's own")
        # Without a sandbox, since CI runs as root; the pages are our own.
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


# Tables and charts that are wider than the room they have.
CUT_OFF = "[...document.querySelectorAll('.wide')].filter(w => w.scrollWidth > w.clientWidth + 1).length"

RECORDS = {
    "green": None,
    "half": [make_record(side="baseline")],
    "red": [make_record(side="baseline"), make_record(evaluations={"jit": evaluation(EVIDENCE * 1.01)})],
}


@pytest.fixture(scope="module", params=[*RECORDS])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of each kind."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    write_run(folder, RECORDS[request.param], pipelines=("imaging-pixelization", "imaging-delaunay"))
    run = load_run(folder)
    return write_html(run.plan, run.records, run.verdicts)


def size_of(page: "Page") -> tuple[int, int]:
    """Width and height of the screen in pixels."""
    size = page.viewport_size
    assert size is not None
    return size["width"], size["height"]


@pytest.fixture(params=[(1200, "light"), (360, "dark")], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: "Browser", report: Path) -> Iterator["Page"]:
    """The report opened; fails at the end if the browser complained or asked for anything."""
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: requests.append(asked.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]


def test_every_picture_is_there_and_nothing_sticks_out(page: "Page") -> None:
    broken = "[...document.images].filter(image => !image.complete || image.naturalWidth === 0).length"
    assert page.evaluate("document.images.length") > 0
    assert page.evaluate(broken) == 0
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if size_of(page)[0] < 640:
        assert page.evaluate(CUT_OFF) == 0


def test_tables_sort_by_mouse_and_by_keyboard(page: "Page") -> None:
    column = "[...document.querySelectorAll('#gate-table tbody tr')].map(row => row.cells[1].textContent)"
    page.get_by_text("that passed").click()
    before = page.evaluate(column)
    heading = page.locator("#gate-table th", has_text="gate").get_by_role("button")
    heading.click()
    assert page.evaluate(column) == sorted(before) != before
    heading.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(column) == sorted(before, reverse=True)
    assert page.locator("#gate-table th", has_text="gate").get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("report", ["green", "red"], indirect=True)
def test_slider_goes_from_baseline_to_candidate(page: "Page") -> None:
    figure = page.locator("figure", has=page.locator(".sides")).first
    slider, over = figure.get_by_role("slider"), figure.locator("img").nth(1)
    for at, shown in ((0, "inset(0px 0px 0px 0%)"), (100, "inset(0px 0px 0px 100%)")):
        slider.fill(str(at))
        assert over.evaluate("image => getComputedStyle(image).clipPath") == shown


def test_a_number_on_the_upright_axis_is_apart_from_its_stroke(page: "Page") -> None:
    """A stroke next to a number reads as its minus sign."""
    apart = """[...document.querySelectorAll('.axes text:not([text-anchor])')].map(text => {
        const stroke = text.previousElementSibling.getBoundingClientRect();
        const number = text.getBoundingClientRect();
        return (number.left - stroke.right) / number.height;
    })"""
    found = page.evaluate(apart)
    assert found
    assert min(found) > 0.3


def test_pointer_over_a_picture_tells_place_and_value(page: "Page") -> None:
    figure = page.locator(".pictures figure").first
    frame = figure.locator(".frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box is not None
    # Second row and fifth column of the 6 × 6 image: the eighth pixel after the first of 32 from 0 to 5.
    page.mouse.move(box["x"] + box["width"] * 4.5 / 6, box["y"] + box["height"] * 1.5 / 6)
    said = figure.locator("output").inner_text()
    place, _, value = said.partition(": about ")
    assert place == "y 0.15″, x 0.15″"
    assert float(value) == pytest.approx(8 * 5 / 31 + 0.1, rel=0.02)
    page.mouse.move(0, 0)
    assert "units of the data" in figure.locator("output").inner_text()


def test_axe_finds_nothing_inaccessible(page: "Page") -> None:
    """Contrast, names, roles, order of headings and more, with everything unfolded."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    found = axe.run(page)
    assert found.response["violations"] == [], found.generate_report()
    assert "color-contrast" in {passed["id"] for passed in found.response["passes"]}


def test_all_but_commands_and_passes_is_on_paper_and_nothing_is_cut_off(
    page: "Page",
) -> None:
    page.emulate_media(media="print")
    # A4 without its margins.
    page.set_viewport_size({"width": 690, "height": 1000})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    folded = "[...document.querySelectorAll('details:not([open])')]"
    left = f"{folded}.filter(details => !details.closest('#reproduce, #gates')).length"
    assert page.evaluate(left) == 0
    assert page.evaluate(CUT_OFF) == 0
    assert page.locator("nav").is_hidden()
    assert page.get_by_role("slider").count() == 0


@pytest.mark.parametrize("report", ["red"], indirect=True)
def test_reason_of_a_failure_is_on_the_first_screen(page: "Page") -> None:
    """Without scroll or click: which gate, on what, and why; on a phone by one swipe."""
    width, height = size_of(page)
    screens = height * (1 if width > 1000 else 1.5)
    for part in (page.locator("h1"), page.locator(".problem h3").first, page.locator(".problem .why").first):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= screens


def test_other_pages_are_accessible_too(browser: "Browser", tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, RECORDS["red" if name == "b" else "green"])
    assert compare(["a", "b", "--root", str(tmp_path)]) == trend(["--root", str(tmp_path)]) == 0
    write_bisect_page(tmp_path / "bisect.html", made_up_bisection(), "The first bad one is 3333, d.")
    opened = browser.new_page(viewport={"width": 360, "height": 900})
    for path in (
        tmp_path / "runs" / "b" / "compare-with-a.html",
        tmp_path / "trend.html",
        tmp_path / "bisect.html",
    ):
        opened.goto(path.as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe.run(opened).response["violations"] == []
    opened.close()
