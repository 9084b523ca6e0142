"""The options that say what the sides differ in, and what that is meant to move."""

import argparse
import math
from collections.abc import Sequence

from matrix.catalogue.pipelines import pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.settings import settings_from
from matrix.records.cell import SIDES, Side
from matrix.run.change import Change, Expected, Given, checked_package


def add_change(parser: argparse.ArgumentParser) -> None:
    """Add them to a session's options."""
    group = parser.add_argument_group(
        "the change", "what the candidate has that the baseline has not; by default the vendored solver"
    )
    add = group.add_argument
    for side in SIDES:
        add(
            f"--{side}",
            action="append",
            default=[],
            metavar="NAME=REF",
            help=f"of the {side}: a branch, tag, commit or folder (./PyAutoArray) of a repository",
        )
        add(
            f"--{side}-package",
            action="append",
            default=[],
            metavar="NAME==VERSION",
            help=f"a package of the {side} in another version, e.g. jax==0.11.2 (repeatable)",
        )
        add(
            f"--{side}-setting",
            action="append",
            default=[],
            metavar="SECTION.KEY=VALUE",
            help=f"of the {side}'s general.yaml, e.g. inversion.positive_only_solver=certified (repeatable)",
        )
    add("--vendor", action="store_true", help="vendor the solver too, which none of these does by itself")
    add(
        "--expect-drift",
        action="append",
        default=[],
        metavar="PIPELINE=VALUE",
        help="the evidence that the change is meant to give there (repeatable); needs --because",
    )
    add("--because", action="append", default=[], metavar="TEXT", help="why, one per --expect-drift")


def change_from(known: argparse.Namespace) -> Change | None:
    """What the options say; None where they say nothing and the manifest decides.

    Raises
    ------
    UsageError
        A value is not of the form that its option takes.
    """
    baseline, candidate = (_given(side, known) for side in SIDES)
    if not (known.vendor or baseline.anything or candidate.anything):
        return None
    return Change(vendor=known.vendor, baseline=baseline, candidate=candidate)


def expected_from(known: argparse.Namespace) -> dict[str, Expected]:
    """The evidences that the change is meant to give, by pipeline.

    Raises
    ------
    UsageError
        A value is no number, a pipeline is not known, or nobody says why.
    """
    if len(known.expect_drift) != len(known.because) or not all(map(str.strip, known.because)):
        raise UsageError('every --expect-drift PIPELINE=VALUE needs its own --because "REASON"')
    found: dict[str, Expected] = {}
    for text, because in zip(known.expect_drift, known.because, strict=True):
        word, _, value = text.partition("=")
        name = pipeline_named(word).name
        if name in found:
            raise UsageError(f"--expect-drift: {name} is there twice.")
        found[name] = Expected(value=_number(text, value), because=because)
    return found


def named_ref(option: str, text: str) -> tuple[str, str]:
    """A repository's name and its ref.

    Raises
    ------
    UsageError
        It is of another form.
    """
    name, separator, ref = text.partition("=")
    if not separator or not name or not ref:
        raise UsageError(f"{option} {text}: write NAME=REF, for example {option} PyAutoArray=main")
    return name, ref


def _given(side: Side, known: argparse.Namespace) -> Given:
    words = vars(known)
    return Given(
        refs=_refs(f"--{side}", words[side]),
        packages=_packages(f"--{side}-package", words[f"{side}_package"]),
        settings=settings_from(f"--{side}-setting", words[f"{side}_setting"]),
    )


def _refs(option: str, words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, ref in (named_ref(option, word) for word in words):
        if name in found:
            raise UsageError(f"{option}: {name} is there twice.")
        found[name] = ref
    return found


def _packages(option: str, words: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(checked_package(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from error


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"--expect-drift {text}: write PIPELINE=VALUE, as imaging-pixelization=26927.75")
    return number
