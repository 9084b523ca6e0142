"""What the tests leave out is counted by room, and named by file where the room ran at all."""

from pathlib import Path

from tests.coverage import FileGaps, shown


def test_gaps_are_counted_by_room_and_named_by_file() -> None:
    files = [
        FileGaps(Path("matrix/gates/a.py"), 10, 2, "3-4"),
        FileGaps(Path("matrix/gates/b.py"), 30, 0, ""),
        FileGaps(Path("matrix/prepare/change/c.py"), 7, 7, "1-7"),
        FileGaps(Path("matrix/empty/__init__.py"), 0, 0, ""),
        FileGaps(Path("solver/d.py"), 4, 1, "9"),
    ]
    table, *named = shown(files)
    assert [line.split(" | ")[1:] for line in table.splitlines()[2:]] == [
        ["40", "2", "95% |"],
        ["7", "7", "0% |"],
        ["0", "0", "100% |"],
        ["4", "1", "75% |"],
    ]
    assert named == ["matrix/gates/a.py: 3-4", "solver/d.py: 9"]
