"""Defects to plant, one at a time, in a copy of this repository, and what they are held against."""

from tests.detect.defect import PIPELINE, Defect, check
from tests.detect.shown_by_runs import SHOWN_BY_RUNS
from tests.detect.shown_by_tests import SHOWN_BY_TESTS

DEFECTS = (*SHOWN_BY_RUNS, *SHOWN_BY_TESTS)

# Nothing planted: once with everything that a defect below is caught by, then as often as one likes with
# what takes less than a minute.
QUICK_CHECKS = ("independence", "gradients")
ALL_CHECKS = ("assertions", "assertion-script", "library-tests", *QUICK_CHECKS)
CLEAN = (*PIPELINE, *check(*ALL_CHECKS))
CLEAN_AGAIN = Defect("clean tree again", "", "", (), (*PIPELINE, *check(*QUICK_CHECKS)))


def clean_on(release: str) -> Defect:
    """Nothing planted, on one release: what the defects shown on it are held against."""
    return Defect(f"clean tree, {release}", "", "", (), CLEAN, release)
