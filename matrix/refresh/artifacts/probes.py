"""The probe that belongs to a record: the newest of the same work on the same machine, or a new one."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from matrix.diagnose.probe.record import ProbeRecord
from matrix.diagnose.sides.driver import output_folder, run_side
from matrix.ground.errors import EnvironmentFailure
from matrix.records import typed_json
from matrix.records.cell import Provenance, Record, RecordError
from matrix.run.plan import Plan

PROBES = "probe"
# Of one side, of both, and of both as a cluster's job leaves them.
_PLACES = ("*/record.json", "*/candidate/record.json", "*/*/candidate/record.json")
_TIMEOUT = 3600.0


def kept_probe(record: Record, folders: Iterable[Path]) -> ProbeRecord | None:
    """The newest probe below `folders` that measured what `record` measured, where it was measured.

    Parameters
    ----------
    record
        Of a cell.
    folders
        Each holds one folder per probe, as `nox -s probe` leaves them; those that are not there hold none.
    """
    wanted = (record.cell, _software_and_machine(record.provenance))
    found = [
        probe for probe in _probes(folders) if (probe.cell, _software_and_machine(probe.provenance)) == wanted
    ]
    return max(found, key=lambda probe: probe.provenance.finished, default=None)


def new_probe(console: Console, plan: Plan, record: Record, root: Path) -> ProbeRecord:
    """Probe what `record` measured, in the environment of its run.

    Parameters
    ----------
    plan
        Of the run that `record` is from.
    root
        Our folder, `.matrix`; the probe stays in it.

    Raises
    ------
    EnvironmentFailure
        The run's environment is gone, or the probe failed.
    """
    cell = record.cell
    python = plan.environments[cell.side].python
    if not (python.exists() and plan.workspace.exists()):
        raise EnvironmentFailure(f"the environment of run {plan.run} is gone")
    folder = output_folder(root, PROBES, f"{cell.pipeline}-{cell.precision}-{cell.scale}")
    return run_side(console, plan, "probe", cell, folder, ProbeRecord, details={}, timeout=_TIMEOUT)


def _probes(folders: Iterable[Path]) -> Iterator[ProbeRecord]:
    for folder, place in itertools.product(folders, _PLACES):
        for path in sorted(folder.glob(place)):
            # What another version of this program wrote, or a killed one, measured nothing for us.
            try:
                yield typed_json.read(path, ProbeRecord)
            except RecordError:
                continue


def _software_and_machine(facts: Provenance) -> Sequence[Any]:
    """What two measurements must share for their times to stand in one file."""
    driver = facts.driver
    commits = {
        (checkout["name"], checkout["purpose"]): checkout["commit"]
        for checkout in driver.get("checkouts", ())
        # The tests' workspace takes no part in a likelihood.
        if checkout["role"] in ("library", "developer")
    }
    software = (driver.get("release"), driver.get("solver_tree"), commits, facts.packages, facts.datasets)
    machine = (facts.platform, facts.cpu, facts.cores, facts.device_kind, facts.accelerators)
    return (software, machine, driver.get("threads"))
