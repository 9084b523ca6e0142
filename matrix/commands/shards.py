"""A session in parts for several machines: which pipelines and which checks the i-th of n runs."""

import json
import re
from dataclasses import dataclass

from matrix.catalogue.checks import CHECKS
from matrix.ground.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """What a session, or a part of it, runs.

    Attributes
    ----------
    pipelines
        The longest first.
    checks
        Checks of the change.
    """

    pipelines: tuple[str, ...]
    checks: tuple[str, ...]


def shard_of(whole: Selection, shard: str) -> Selection:
    """One part of a session; all n together are the whole.

    Both sides of a pipeline stay on one machine, since their times are compared, and so do the checks that
    are evidence for one gate. Every n-th pipeline is taken, so with the longest first the shards take about
    equally long; checks are dealt out from the other end, where the pipelines are shortest.

    Parameters
    ----------
    whole
        All that is to be run.
    shard
        Which part, as ``2/3``.

    Raises
    ------
    UsageError
        `shard` is not of that form, or there are fewer pipelines than shards.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {shard}: write I/N with I from 1 to N, for example --shard 2/3")
    index, count = int(match[1]), int(match[2])
    _check_count("--shard", whole, count)
    gates = list(dict.fromkeys(CHECKS[name].gate for name in whole.checks))[count - index :: count]
    return Selection(
        whole.pipelines[index - 1 :: count],
        tuple(name for name in whole.checks if CHECKS[name].gate in gates),
    )


def shard_listing(whole: Selection, count: int) -> str:
    """At most `count` shards, one per pipeline, as one line of JSON: the job matrix of a GitHub workflow."""
    count = min(count, len(whole.pipelines))
    _check_count("--list-shards", whole, count)
    listed = []
    for index in range(1, count + 1):
        part = shard_of(whole, f"{index}/{count}")
        listed.append({"shard": f"{index}/{count}", "name": ", ".join((*part.pipelines, *part.checks))})
    return json.dumps({"include": listed})


def _check_count(option: str, whole: Selection, count: int) -> None:
    if not whole.pipelines:
        raise UsageError(f"{option} divides pipelines; --check alone selects none of them")
    most = len(whole.pipelines)
    if not 1 <= count <= most:
        raise UsageError(f"{option}: {count} shards of {most} pipelines; choose 1 to {most}")
