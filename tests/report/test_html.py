"""`report.html` of a green, a red and a half-finished run, read as text."""

import re
from html.parser import HTMLParser
from pathlib import Path

from matrix.gates import CHANGE_GATES, judged_in
from matrix.records.arrays import arrays_path
from matrix.report.html import write_html
from matrix.report.runs import load_run
from tests.factory import EVIDENCE, evaluation, make_record
from tests.report.made_up import write_run

BOTH = ("imaging-pixelization", "imaging-delaunay")

# Of one pipeline; the gate of times comes to it.
GATES = len(judged_in("fp64"))


def page_of(folder: Path) -> str:
    run = load_run(folder)
    return write_html(run.plan, run.records, run.verdicts).read_text()


def text_of(page: str) -> str:
    """What a reader sees, in the order of the page, without the markup."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_green_run_opens_with_its_verdict_and_shows_both_sides(tmp_path: Path) -> None:
    write_run(tmp_path / "green")
    page = page_of(tmp_path / "green")
    text = text_of(page)
    assert 'class="banner stand_ins"' in page
    word = f"PASS on stand-ins as far as it ran: {GATES + 1} pass, {len(CHANGE_GATES)} not run"
    assert text.index(word) < text.index("The change")
    assert "What failed" not in text
    for title in ("data", "reconstruction : baseline left, candidate right", "residuals, rms", "source :"):
        assert title in text
    assert "at most 0.0e+00 σ in the image plane and 0.0e+00 σ in the source plane, too little" in text
    assert "candidate − baseline, at most" not in text
    assert "positive on both: 13" in text


def test_pass_is_green_where_the_repositories_are_upstreams_own(tmp_path: Path) -> None:
    write_run(tmp_path / "green", source="git")
    page = page_of(tmp_path / "green")
    assert 'class="banner pass"' in page
    assert "PASS as far as it ran:" in text_of(page)


def test_a_commit_links_to_where_the_run_had_it_from(tmp_path: Path) -> None:
    """The manifest of today may name another address, or that of a run another file."""
    urls = {"PyAutoArray": "https://example.org/fork/PyAutoArray.git"}
    write_run(tmp_path / "fork", source="git", urls=urls)
    assert f'href="https://example.org/fork/PyAutoArray/commit/{"0" * 40}"' in page_of(tmp_path / "fork")
    write_run(tmp_path / "older", source="git")
    assert "/commit/" not in page_of(tmp_path / "older")
    write_run(tmp_path / "ssh", source="git", urls={"PyAutoArray": "ssh://example.org/PyAutoArray"})
    assert "/commit/" not in page_of(tmp_path / "ssh")


def test_banner_has_the_five_answers_and_the_change_is_directly_below(tmp_path: Path) -> None:
    write_run(tmp_path / "green")
    text = text_of(page_of(tmp_path / "green"))
    places = [text.index(f" {name} ") for name in ("Validated", "On", "Moved", "Speed", "Not run")]
    assert places == sorted(places)
    banner, _, rest = text.partition("Run it again")
    assert "gate 3: NNLS assertions" in banner
    assert "(it was not asked for)" in banner
    assert rest.split()[:2] == ["The", "change"]


def test_passes_are_folded_and_what_did_not_pass_is_not(tmp_path: Path) -> None:
    write_run(tmp_path / "green")
    gates = page_of(tmp_path / "green").partition('id="gates"')[2].partition("</section>")[0]
    shown, _, folded = gates.partition("<details>")
    assert ">pass<" not in shown
    assert "gate 3: NNLS assertions" in shown
    assert f"{GATES + 1} that passed" in folded
    assert folded.count("<tr>") == GATES + 2


def test_same_failure_of_several_pipelines_is_one_card(tmp_path: Path) -> None:
    wrong = [make_record(name, "candidate", {"jit": evaluation(EVIDENCE * 1.01)}) for name in BOTH]
    write_run(tmp_path / "red", [*(make_record(name, "baseline") for name in BOTH), *wrong], pipelines=BOTH)
    page = page_of(tmp_path / "red")
    cards = page.count('class="problem"')
    failed = text_of(page).partition(" What failed ✗ ")[2]
    assert failed.startswith("constant on imaging-pixelization, imaging-delaunay, candidate")
    # The other one is that of the change, which sums up the constants.
    assert cards == 2
    assert "--only imaging-pixelization --only imaging-delaunay" in failed


def test_red_run_says_first_which_gate_failed_where_why_and_how_to_run_it_again(tmp_path: Path) -> None:
    wrong = make_record(evaluations={"jit": evaluation(EVIDENCE * 1.01)})
    plan = write_run(tmp_path / "red", [make_record(side="baseline"), wrong])
    log = plan.cell_folder(plan.cell(*("imaging-pixelization", "candidate"))) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first line\nlast line <of> the log\n")
    page = page_of(tmp_path / "red")
    text = text_of(page)
    assert 'class="banner fail"' in page
    failed = text[text.index("What failed", text.index("Run it again")) : text.index("log evidence drift")]
    assert re.search(r"constant on imaging-pixelization, candidate", failed)
    assert "drift 1.0e-02 (tolerance 1e-04)" in failed
    assert "It should be so: Every path reproduces the recorded constant" in failed
    assert "New with the candidate" in failed
    assert "nox -s matrix-fp64 -- --only imaging-pixelization" in failed
    assert "last line &lt;of&gt; the log" in failed


def test_half_finished_run_says_what_has_not_run_and_is_no_pass(tmp_path: Path) -> None:
    write_run(tmp_path / "half", [make_record(side="baseline")], pipelines=BOTH)
    page = page_of(tmp_path / "half")
    text = text_of(page)
    assert 'class="banner not_run"' in page
    passed = sum(side == "baseline" for _, side in judged_in("fp64"))
    assert text.index(f"UNFINISHED: {passed} pass") < text.index("1 of 4 cells have a record")
    missing = text[text.index("What has no record") :]
    for cell in ("imaging-pixelization-fp64-candidate", "imaging-delaunay-fp64-baseline"):
        assert f"{cell} : no record: the cell was not run" in missing
    assert "The candidate cell has no record." in text


def test_run_in_which_nothing_ran_does_not_say_pass(tmp_path: Path) -> None:
    write_run(tmp_path / "empty", [])
    assert f"NOT RUN: {GATES + 1 + len(CHANGE_GATES)} not run" in text_of(page_of(tmp_path / "empty"))


def test_record_without_arrays_is_said_to_have_no_pictures(tmp_path: Path) -> None:
    write_run(tmp_path / "bare", arrays=False)
    page = page_of(tmp_path / "bare")
    assert "left no arrays to draw" in text_of(page)
    assert "data:image/png" not in page


def test_arrays_of_another_record_are_not_shown(tmp_path: Path) -> None:
    plan = write_run(tmp_path / "mixed")
    baseline, candidate = (
        arrays_path(plan.record_path(plan.cell("imaging-pixelization", side)))
        for side in ("baseline", "candidate")
    )
    candidate.write_bytes(baseline.read_bytes())
    assert "The candidate cell left no arrays to draw" in text_of(page_of(tmp_path / "mixed"))


class References(HTMLParser):
    """Everything a page would load, and every picture without a text."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag in ("img", "script", "link", "iframe", "image", "source") and (facts.keys() & {"src", "href"}):
            self.loaded.append(str(facts.get("src") or facts.get("href")))
        if tag == "img" and not facts.get("alt"):
            self.silent.append(str(facts))
        if tag == "svg" and not (facts.get("aria-label") or facts.get("aria-hidden")):
            self.silent.append(str(facts))


def test_page_loads_nothing_and_every_picture_has_a_text(tmp_path: Path) -> None:
    write_run(tmp_path / "green")
    references = References()
    references.feed(page_of(tmp_path / "green"))
    assert len(references.loaded) >= 9
    assert all(reference.startswith("data:image/png;base64,") for reference in references.loaded)
    assert references.silent == []


def test_text_of_records_is_never_markup(tmp_path: Path) -> None:
    write_run(tmp_path / "hostile", source_meaning="<script>alert(1)</script>")
    assert "<script>alert" not in page_of(tmp_path / "hostile")


def test_identifiers_are_unique_though_charts_share_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "green")
    found = re.findall(r'\sid="([^"]+)"', page_of(tmp_path / "green"))
    assert len(found) == len(set(found))


def test_run_of_checks_alone_shows_no_pipelines(tmp_path: Path) -> None:
    write_run(tmp_path / "checks", [], selected=(), pipelines=BOTH)
    page = page_of(tmp_path / "checks")
    assert "No pipeline was asked for in this run" in text_of(page)
    assert "svg" not in page.partition("<body>")[2]
    assert 'id="gates"' in page
    assert "NOT RUN" in text_of(page)
