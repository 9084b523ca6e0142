"""A run on disk, made up: plan, records and arrays, to be read by what reads real ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrix.records.arrays import Arrays, arrays_path, write_arrays
from matrix.records.bisect import BisectRecord, TriedRevision
from matrix.records.cell import Record, write_record
from matrix.records.ratio import Ratio
from matrix.run.plan import Plan
from tests.factory import make_plan, make_record

ROWS, COLUMNS = 3, 4


def make_arrays(key: str, light: int = 2, **changes: Any) -> Arrays:
    """A 6 × 6 image with its corners masked out, and a source on 3 × 4 rectangles."""
    mask = np.zeros((6, 6), dtype=bool)
    mask[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    pixels = int(np.count_nonzero(~mask))
    brightness = np.linspace(0.0, 5.0, pixels)
    facts: dict[str, Any] = {
        "key": np.asarray(key),
        "mask": mask,
        "extent": np.array([-0.3, 0.3, -0.3, 0.3]),
        "data": brightness + 0.1,
        "noise": np.full(pixels, 0.1),
        "model": brightness,
        "source_points": np.zeros((0, 2)),
        "source_y_edges": np.array([1.0, 0.5, -0.5, -1.0]),
        "source_x_edges": np.array([-1.0, -0.2, 0.0, 0.2, 1.0]),
        "source": np.arange(ROWS * COLUMNS, dtype=float),
        "source_noise": np.full(ROWS * COLUMNS, 0.5),
        "light": np.asarray(light),
        "positive": np.arange(light + ROWS * COLUMNS) != light,
        "source_positive": np.arange(ROWS * COLUMNS) != 0,
    }
    return Arrays(**{**facts, **changes})


def write_run(
    folder: Path, records: Sequence[Record] | None = None, arrays: bool = True, **changes: Any
) -> Plan:
    """Write a run of one pipeline into `folder`; both sides green unless `records` says otherwise."""
    folder.mkdir(parents=True)
    plan = make_plan(folder, **{"run": folder.name, **changes})
    plan.write()
    for record in (
        [make_record(side=side) for side in ("baseline", "candidate")] if records is None else records
    ):
        path = plan.record_path(plan.cell(record.cell.pipeline, record.cell.side))
        write_record(path, record)
        if arrays:
            write_arrays(arrays_path(path), make_arrays(record.key))
    return plan


def made_up_bisection() -> BisectRecord:
    """Five commits, of which the second could not be built, the third was not tried and the fourth is bad."""
    a, b, c, d, e = (digit * 40 for digit in "01234")
    fast, slow = Ratio(0.99, 1.0, 1.01), Ratio(0.82, 0.83, 0.84)
    steps = (
        TriedRevision(a, "a", "good", "as given", "run-e", "k", 24746.105672, 75.0),
        TriedRevision(b, "b", "skip", "it could not be built: no <wheel>"),
        TriedRevision(d, "d", "bad", "candidate slower", "run-d", "k", 24795.597884, 90.0, slow),
        TriedRevision(e, "e", "bad", "candidate slower", "run-e", "k", 24795.597884, 91.0, fast),
    )
    return BisectRecord(
        repository="PyAutoArray",
        pipeline="imaging-pixelization",
        of="time",
        scale="production",
        release="2026.7.9.1",
        source="mirror",
        limit=1.05,
        history=(a, b, c, d, e),
        steps=steps,
        suspects=(d,),
        taken="2026-01-01T00:00:00+00:00",
    )
