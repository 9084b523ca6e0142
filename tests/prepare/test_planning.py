"""Which of the kept runs a new one goes on with, and which it is held against."""

from pathlib import Path

from matrix.ground.layout import open_layout
from matrix.prepare.planning import fullest_run, kept_run, run_key
from tests.factory import make_plan
from tests.report.made_up import write_run


def test_a_run_goes_on_with_the_newest_and_is_held_against_the_fullest(tmp_path: Path) -> None:
    layout = open_layout(tmp_path)
    cells = make_plan(tmp_path).cells
    assert kept_run(layout, cells) is fullest_run(layout, cells) is None
    for name in ("1-full", "2-full"):
        write_run(layout.runs / name, arrays=False, key=run_key(cells))
    write_run(layout.runs / "3-broken-off", records=(), key=run_key(cells))
    write_run(layout.runs / "4-of-other-cells", arrays=False, key="other")
    newest, fullest = kept_run(layout, cells), fullest_run(layout, cells)
    assert newest and newest.name == "3-broken-off"
    assert fullest and fullest.name == "2-full"
