"""The test workspace's own assertion script: as it stands at baseline, as its branch has it beyond."""

from pathlib import Path

from matrix.checks.rules import read_rules
from matrix.checks.scripts import run_script
from matrix.checks.workplace import CheckError, Workplace
from matrix.ground.files import inside, write_text
from matrix.prepare.change import chooses_solver
from matrix.prepare.change.assertions import SCRIPT, switch_import, with_cases
from matrix.records.check import Item


def run_assertion_script(place: Workplace) -> tuple[Item, ...]:
    """Run it on a copy of the workspace; on the candidate with the import switched and cases added."""
    assert place.plan.test_workspace is not None
    workspace = place.copy(place.plan.test_workspace, "workspace")
    script = inside(workspace, SCRIPT)
    if not script.is_file():
        raise CheckError(f"the test workspace has no {SCRIPT}")
    if place.check.side == "candidate":
        named = chooses_solver(place.plan.libraries["candidate"])
        switched = switch_import(script.read_bytes().decode("utf-8"), named)
        write_text(script, with_cases(switched, named))
    return (run_script(place, workspace, Path(SCRIPT), read_rules(workspace), ()),)
