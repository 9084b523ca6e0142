"""Scripts run on both sides: what fails where, and whether the numbers they print are the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from matrix.gates.distances import relative
from matrix.gates.verdict import listed
from matrix.records.check import Item

SCRIPT_NUMBERS_AGREE = 1e-4


@dataclass(frozen=True)
class ScriptsApart:
    """Scripts of both sides held against each other.

    Attributes
    ----------
    regressions, both_fail, mended
        A line for each: worse on the candidate; failing on both sides, with the reason; at baseline only.
    passed, skipped, compared
        Scripts that pass on both sides, scripts left out, and printed numbers that were compared.
    furthest
        The largest relative difference between two of these.
    """

    regressions: list[str]
    both_fail: list[str]
    mended: list[str]
    passed: int
    skipped: int
    compared: int
    furthest: float

    @property
    def nothing_ran(self) -> bool:
        """Whether no script at all came to its end on the candidate."""
        return not self.passed and not self.mended

    @property
    def numbers(self) -> dict[str, float]:
        """The counts, by name."""
        return {
            "pass on both sides": float(self.passed),
            "fail on both sides": float(len(self.both_fail)),
            "left out": float(self.skipped),
            "regressions": float(len(self.regressions)),
            "numbers compared": float(self.compared),
            "largest relative difference": self.furthest,
            "tolerance": SCRIPT_NUMBERS_AGREE,
        }

    @property
    def summary(self) -> str:
        """What was found, without the regressions."""
        words = [f"{self.passed} pass on both sides"]
        words += [f"{self.compared} printed numbers agree to {self.furthest:.1e}"] if self.compared else []
        words += [f"{len(self.mended)} fail at baseline only: {listed(self.mended)}"] if self.mended else []
        words += (
            [f"{len(self.both_fail)} fail on both sides: {listed(self.both_fail)}"] if self.both_fail else []
        )
        words += [f"{self.skipped} left out by the workspace's rules"] if self.skipped else []
        return "; ".join(words)


def scripts_apart(before: Mapping[str, Item], after: Mapping[str, Item]) -> ScriptsApart:
    """Hold the scripts of the candidate against those of the baseline, by name."""
    regressions, both_fail, mended = [], [], []
    passed = skipped = compared = 0
    furthest = 0.0
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if now is None or now.outcome == "failed":
            if was is not None and was.outcome == "failed":
                both_fail.append(f"{name} ({was.message})")
            else:
                regressions.append(f"{name}: {now.message if now else 'did not run on the candidate'}")
        elif now.outcome == "skipped":
            skipped += 1
        elif was is None or was.outcome != "passed":
            mended.append(name)
        else:
            passed += 1
            lost, apart = _numbers_apart(was.numbers, now.numbers)
            compared += len(was.numbers) - len(lost)
            furthest = max([furthest, *apart.values()])
            regressions += [f"{name}: no longer prints {label}" for label in lost]
            regressions += [
                f"{name}: {label} is {difference:.1e} away"
                for label, difference in apart.items()
                if not difference <= SCRIPT_NUMBERS_AGREE
            ]
    return ScriptsApart(regressions, both_fail, mended, passed, skipped, compared, furthest)


def _numbers_apart(was: Mapping[str, float], now: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
    lost = [label for label in was if label not in now]
    apart = {
        # What is not finite on both sides in the same way is the same.
        label: 0.0 if repr(was[label]) == repr(now[label]) else relative(now[label], was[label])
        for label in was
        if label in now
    }
    return lost, apart
