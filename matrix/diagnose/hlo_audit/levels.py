"""What a compiled program launches, and how often: its own instructions and those of its loops."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from matrix.diagnose.hlo_audit.operations import INSTRUCTION, TARGET
from matrix.records.typed_json import closed

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_ARRAY = re.compile(r"\b(pred|[a-z]+?(\d+))\[([\d,]*)\]")
_CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
_BODY = re.compile(r"\bbody=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}|\b(?:true|false)_computation=(%?[\w.\-]+)")
_NAME = re.compile(r"[\w.\-]+")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
# These name values and compute none.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier"}

ParsedInstruction = tuple[str, str, str]


@closed
class Level:
    """The instructions that run together: those of the program, of a loop's body, or of a branch.

    Attributes
    ----------
    depth
        In how many loops or branches it lies.
    trips
        How often it runs each time it is reached: 1 for the program and branches, None where only the data
        say.
    launches
        By operation: "kernel", "kernel with scatter", the name of a library's routine, or XLA's own.
    result_bytes
        Size of all their results.
    """

    depth: int
    trips: int | None
    launches: dict[str, int]
    result_bytes: int


def levels(text: str) -> tuple[Level, ...]:
    """Take a program apart, outermost first, a loop before those inside it.

    Parameters
    ----------
    text
        From `jax.stages.Compiled.as_text()`.

    Raises
    ------
    ValueError
        It is no text of a compiled program.
    """
    bodies: dict[str, list[ParsedInstruction]] = {}
    entry, current = None, None
    for line in text.splitlines():
        header = _HEADER.match(line)
        instruction = INSTRUCTION.match(line)
        if header:
            current = bodies.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif instruction and current is not None:
            current.append((instruction[1], instruction[2], instruction[3]))
    if entry is None:
        raise ValueError("this is no compiled program: it has no line that begins with ENTRY")
    return tuple(_levels(bodies, entry, 0, 1))


def _levels(
    bodies: dict[str, list[ParsedInstruction]], name: str, depth: int, trips: int | None
) -> Iterator[Level]:
    launches: Counter[str] = Counter()
    size = 0
    inner: list[tuple[str, int | None]] = []
    for shape, operation, rest in _instructions(bodies, name):
        if operation == "while":
            known = _TRIPS.search(rest)
            inner += [(body, int(known[1]) if known else None) for body in _BODY.findall(rest)]
        elif operation == "conditional":
            inner += [
                (name, 1)
                for found in _BRANCHES.finditer(rest)
                for name in _NAME.findall(found[1] or found[2])
            ]
        else:
            launches[_launched(bodies, operation, rest)] += 1
            size += _bytes(shape)
    yield Level(depth, trips, dict(sorted(launches.items())), size)
    for body, count in inner:
        yield from _levels(bodies, body, depth + 1, count)


def _instructions(bodies: dict[str, list[ParsedInstruction]], name: str) -> Iterator[ParsedInstruction]:
    """Of a computation and what it calls in one piece, without those that compute nothing."""
    for shape, operation, rest in bodies[name]:
        called = _CALLED.search(rest)
        if operation == "call" and called:
            yield from _instructions(bodies, called[1])
        elif operation not in _FREE:
            yield shape, operation, rest


def _launched(bodies: dict[str, list[ParsedInstruction]], operation: str, rest: str) -> str:
    target = TARGET.search(rest)
    if target:
        return target[1]
    called = _CALLED.search(rest)
    if operation == "fusion" and called:
        scatters = any(inside == "scatter" for _, inside, _ in bodies[called[1]])
        return "kernel with scatter" if scatters else "kernel"
    return operation


def _bytes(shape: str) -> int:
    total = 0
    for kind, bits, sizes in _ARRAY.findall(shape):
        width = 1 if kind == "pred" else int(bits) // 8
        total += width * math.prod(int(size) for size in sizes.split(",") if size)
    return total
