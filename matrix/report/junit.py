"""`junit.xml` of a run that was judged without being run: one case per verdict."""

import re
from collections.abc import Sequence

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from matrix.gates import Outcome, Verdict
from matrix.ground.files import write_bytes
from matrix.run.plan import Plan

# XML 1.0 has no word for any other character, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(plan: Plan, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts as JUnit XML into the run's folder."""
    suite = TestSuite(plan.run)
    for verdict in verdicts:
        suite.add_testcase(_case(plan, verdict))
    document = JUnitXml()
    document.add_testsuite(suite)
    write_bytes(plan.folder / "junit.xml", document.tostring())


def _case(plan: Plan, verdict: Verdict) -> TestCase:
    words = filter(None, (verdict.pipeline, plan.precision, verdict.side, verdict.gate))
    case = TestCase("-".join(words), classname="gates")
    match verdict.outcome:
        case Outcome.FAIL:
            case.result = [Failure(_said(verdict.message))]
        case Outcome.NOT_RUN | Outcome.INCONCLUSIVE:
            case.result = [Skipped(_said(f"{verdict.outcome}: {verdict.message}"))]
    return case


def _said(message: str) -> str:
    """The message with what XML cannot hold spelt out, as ``\\x1b``."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), message)
