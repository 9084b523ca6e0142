"""Where the time of a compiled program goes: a profiler trace laid over the program's instructions."""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?:\([^=]*?\)|\S+) (?P<opcode>[\w\-]+)\(", re.M
)
_OPERAND = re.compile(r"%([\w.\-]+)")
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')
_CALLED = re.compile(r"(?:calls|to_apply|body)=%?([\w.\-]+)")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .*)?\{", re.M)
_TARGET = re.compile(r'custom_call_target="([^"]+)"')

# An annotation around the Python that a program calls back; where no instruction runs meanwhile, the device
# waits for it, and the time is its own.
HOST_CALLBACK = "nnls-matrix host callback"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a compiled program.

    Attributes
    ----------
    opcode
        As `dot`, `fusion`, `while`; a custom call with its target.
    op_name
        What the tracer wrote down of where it comes from, empty if nothing.
    """

    name: str
    opcode: str
    op_name: str


def instructions_of(hlo: str) -> dict[str, Instruction]:
    """Read the instructions out of `compiled.as_text()`, by name, those of loop bodies included.

    Where the program calls Python back, `HOST_CALLBACK` is one more, which comes from where the call does.

    An instruction that says nothing of its origin, as XLA's own fusions may, takes the most frequent one
    among the instructions of the computation it calls, and failing that the origin of what uses its result.
    """
    found: dict[str, Instruction] = {}
    calls: dict[str, str] = {}
    members: dict[str, list[str]] = defaultdict(list)
    users: dict[str, list[str]] = defaultdict(list)
    computation = ""
    for line in hlo.splitlines():
        if opened := _COMPUTATION.match(line):
            computation = opened[1]
            continue
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        name, opcode = match["name"], match["opcode"]
        if target := _TARGET.search(line):
            opcode = f"{opcode} {target[1]}"
        op_name = _OP_NAME.search(line)
        found[name] = Instruction(name, opcode, op_name[1] if op_name else "")
        members[computation].append(name)
        for operand in _OPERAND.findall(line[match.end() :].partition(")")[0]):
            users[operand].append(name)
        if called := _CALLED.search(line):
            calls[name] = called[1]
    for name, called_name in calls.items():
        _take_origin(found, name, members[called_name])
    # Users come after what they use, so backwards an origin passes through copies and tuples in one go.
    for name in reversed(found):
        _take_origin(found, name, users[name])
    callback = next((each for each in found.values() if "callback" in each.opcode), None)
    if callback is not None:
        found[HOST_CALLBACK] = Instruction(HOST_CALLBACK, "wait for the host", callback.op_name)
    return found


def _take_origin(found: dict[str, Instruction], name: str, others: Sequence[str]) -> None:
    own = found[name]
    origins = [found[other].op_name for other in others if other in found and found[other].op_name]
    if not own.op_name and origins:
        found[name] = Instruction(name, own.opcode, max(set(origins), key=origins.count))


@dataclass(frozen=True)
class TracedCall:
    """One traced call of a program, in seconds.

    Attributes
    ----------
    wall_s
        From the call to the answer.
    instructions_s
        By instruction: its share of the wall time. Where several run at once each gets its part, and a loop
        gets only what its body leaves, so that the shares never add up to more than the wall time.
    calls
        By instruction: how often it ran.
    """

    wall_s: float
    instructions_s: Mapping[str, float]
    calls: Mapping[str, int]

    @property
    def idle_s(self) -> float:
        """Time in which no instruction of the program ran."""
        return self.wall_s - sum(self.instructions_s.values())


def read_windows(folder: Path, annotation: str, instructions: Iterable[str]) -> list[TracedCall]:
    """Read a trace that `jax.profiler` left below `folder`.

    Parameters
    ----------
    annotation
        Name of the `TraceAnnotation` around each call.
    instructions
        The program's instructions; all other events are ignored.

    Raises
    ------
    ValueError
        There is no trace, or no call in it.
    """
    files = sorted(folder.rglob("*.trace.json.gz"))
    if not files:
        raise ValueError(f"the profiler left no *.trace.json.gz below {folder}")
    with gzip.open(files[-1], "rt", encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    windows = windows_of(events, annotation, set(instructions))
    if not windows:
        raise ValueError(f"no call named {annotation!r} in {files[-1]}")
    return windows


def windows_of(events: Sequence[Mapping[str, Any]], annotation: str, wanted: set[str]) -> list[TracedCall]:
    """Lay the events of a trace (Chrome's format, microseconds) over the instructions `wanted`."""
    devices = {
        event["pid"]
        for event in events
        if event.get("name") == "process_name" and str(event["args"]["name"]).startswith("/device:")
    }
    complete = [event for event in events if event.get("ph") == "X"]
    spans = sorted(
        (event["ts"], event["ts"] + event.get("dur", 0.0))
        for event in complete
        if event["name"] == annotation
    )
    waits = [event for event in complete if event["name"] == HOST_CALLBACK]
    operations = [
        (event, name) for event in complete if (name := _operation(event)) in wanted - {HOST_CALLBACK}
    ]
    # An accelerator has rows of its own; the host's events of the same operations are only their launches.
    if any(event["pid"] in devices for event, _ in operations):
        operations = [(event, name) for event, name in operations if event["pid"] in devices]
        # Beside its streams it may have rows that the profiler made up from them.
        streams = {
            (event["pid"], event["tid"])
            for event in events
            if event.get("name") == "thread_name" and str(event["args"]["name"]).startswith("Stream")
        }
        on_streams = [each for each in operations if (each[0]["pid"], each[0]["tid"]) in streams]
        operations = on_streams or operations
    return [_window(start, end, operations, waits) for start, end in spans]


def _operation(event: Mapping[str, Any]) -> str:
    return str(event.get("args", {}).get("hlo_op", event["name"])).lstrip("%")


def _window(
    start: float,
    end: float,
    operations: Sequence[tuple[Mapping[str, Any], str]],
    waits: Sequence[Mapping[str, Any]],
) -> TracedCall:
    threads: dict[tuple[Any, Any], list[tuple[float, float, str]]] = defaultdict(list)
    calls: dict[str, int] = defaultdict(int)
    for event, name in operations:
        begin, finish = event["ts"], event["ts"] + event.get("dur", 0.0)
        if begin < end and finish > start:
            threads[event["pid"], event["tid"]].append((max(begin, start), min(finish, end), name))
            calls[name] += 1
    segments = [segment for spans in threads.values() for segment in _innermost(spans)]
    for event in waits:
        begin, finish = max(event["ts"], start), min(event["ts"] + event.get("dur", 0.0), end)
        if begin < finish:
            calls[HOST_CALLBACK] += 1
            segments += [(*gap, HOST_CALLBACK) for gap in _gaps(begin, finish, segments)]
    return TracedCall((end - start) * 1e-6, _shared(segments), dict(calls))


def _gaps(
    begin: float, finish: float, segments: Iterable[tuple[float, float, str]]
) -> list[tuple[float, float]]:
    """The parts of a span that no segment covers."""
    found = []
    for busy_from, busy_to, _ in sorted(segments):
        if busy_from > begin:
            found.append((begin, min(busy_from, finish)))
        begin = max(begin, busy_to)
        if begin >= finish:
            return found
    return [*found, (begin, finish)]


def _innermost(spans: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Cut the nested spans of one thread so that at each time only the innermost is left."""
    segments: list[tuple[float, float, str]] = []
    stack: list[tuple[float, str]] = []
    reached = 0.0

    def advance(to: float) -> None:
        nonlocal reached
        while stack and stack[-1][0] <= to:
            finish, name = stack.pop()
            if finish > reached:
                segments.append((reached, finish, name))
                reached = finish
        if stack and to > reached:
            segments.append((reached, to, stack[-1][1]))
        reached = max(reached, to)

    for begin, finish, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        advance(begin)
        stack.append((finish, name))
    advance(float("inf"))
    return segments


def _shared(segments: list[tuple[float, float, str]]) -> dict[str, float]:
    """Seconds by name; where segments of several threads overlap each gets an equal part."""
    shares: dict[str, float] = defaultdict(float)
    changes = sorted(
        [(begin, 1, name) for begin, _, name in segments]
        + [(finish, -1, name) for _, finish, name in segments]
    )
    active: dict[str, int] = defaultdict(int)
    running, before = 0, 0.0
    for time, change, name in changes:
        if running and time > before:
            part = (time - before) * 1e-6 / running
            for other, count in active.items():
                shares[other] += part * count
        before = time
        running += change
        active[name] += change
        if not active[name]:
            del active[name]
    return dict(shares)
