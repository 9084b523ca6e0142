"""A module's files are all that it imports, wherever it does so, and nothing else."""

from pathlib import Path

from matrix.ground.imports import files_behind

FILES = {
    "ours/__init__.py": "",
    "ours/cell.py": "import json\nfrom ours.tools import measure\n\n\ndef late():\n    import ours.late\n",
    "ours/late.py": "from ours.tools.clock import now\n",
    "ours/other.py": "from ours import cell\n",
    "ours/tools/__init__.py": "",
    "ours/tools/measure.py": "import ours.cell\nfrom .units import second\nfrom .. import beside\n",
    "ours/tools/units.py": "",
    "ours/beside.py": "",
    "ours/tools/clock.py": "from somebody.ours import cell\n",
}


def test_files_behind_a_module(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert files_behind("ours.cell", root=tmp_path) == tuple(sorted(FILES.keys() - {"ours/other.py"}))
    assert files_behind("ours.tools.clock", root=tmp_path) == (
        "ours/__init__.py",
        "ours/tools/__init__.py",
        "ours/tools/clock.py",
    )


def test_our_cell_is_its_measurement_and_not_its_report() -> None:
    found = files_behind("matrix.pipelines.cell")
    assert {"matrix/pipelines/measure.py", "matrix/records/cell.py", "matrix/ground/machine.py"} <= set(found)
    assert not any(name.startswith(("matrix/report", "matrix/gates")) for name in found)
