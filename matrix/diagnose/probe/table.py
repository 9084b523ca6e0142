"""A probe as text: steps in rows, single and batch side by side, and what the steps do not explain."""

from collections.abc import Iterator

from matrix.diagnose.probe.record import HostCallback, ProbeRecord, ProgramProbe, StepTime
from matrix.diagnose.probe.steps import TITLES

_MIB = 1024**2
_HEAD = (
    f" {'step':36s} {'single':>18s} {'batch, per lane':>18s} {'ratio':>6s} {'temp MiB':>13s}\n"
    f" {'':36s} {'in program / alone':>18s} {'in program / alone':>18s} {'':6s} {'single/batch':>13s}"
)


def probe_table(record: ProbeRecord) -> str:
    """Times in ms: inside the program and alone; the ratio is batch per lane to single, in the program."""
    return "\n".join(_lines(record))


def _lines(record: ProbeRecord) -> Iterator[str]:
    single, batch = record.single, record.batch
    cell, facts = record.cell, record.provenance
    yield (
        f"{cell.name}, {cell.scale} scale, {batch.lanes} lanes; {facts.device_kind} "
        f"({facts.cpu}, {len(facts.affinity)} of {facts.cores} cores), JAX {facts.packages.get('jax')}"
    )
    yield _HEAD
    for name, title in TITLES.items():
        one, many = _step(single, name), _step(batch, name)
        if one or many:
            yield _row(title, one, many, batch.lanes)
    for title, value in (
        ("in no step", lambda p: p.outside_steps_s),
        ("no instruction running", lambda p: p.idle_s),
        ("whole program, traced", lambda p: p.traced_s),
        ("whole program, not traced", lambda p: p.call_s),
    ):
        yield _whole(title, value(single), value(batch) / batch.lanes)
    yield f" {'not explained by steps':36s} {single.unexplained:9.1%} {batch.unexplained:18.1%}"
    for word, program in (("single", single), ("batch", batch)):
        for callback in program.callbacks:
            yield _callback(word, callback)
    if single.memory and batch.memory:
        yield (
            f" temporary memory of the program: {single.memory.temporary_bytes / _MIB:.1f} MiB single, "
            f"{batch.memory.temporary_bytes / _MIB:.1f} MiB batch"
        )
    if record.absent:
        yield f" not in this release, so told by its neighbours: {', '.join(record.absent)}"


def _step(program: ProgramProbe, name: str) -> StepTime | None:
    return next((step for step in program.steps if step.step == name), None)


def _row(title: str, one: StepTime | None, many: StepTime | None, lanes: int) -> str:
    ratio = _ratio(one.in_program_s if one else 0.0, many.in_program_s / lanes if many else 0.0)
    memory = f"{_memory(one)}/{_memory(many)}"
    return f" {title:36s} {_pair(one, 1)} {_pair(many, lanes)} {ratio:>6s} {memory:>13s}"


def _pair(step: StepTime | None, lanes: int) -> str:
    if step is None:
        return f"{'-':>18s}"
    alone = "-" if step.alone_s is None else f"{1e3 * step.alone_s / lanes:.2f}"
    return f"{1e3 * step.in_program_s / lanes:9.2f} {alone:>8s}"


def _whole(title: str, single: float, per_lane: float) -> str:
    ratio = _ratio(single, per_lane)
    return f" {title:36s} {1e3 * single:9.2f} {'':8s} {1e3 * per_lane:9.2f} {'':8s} {ratio:>6s}"


def _ratio(single: float, per_lane: float) -> str:
    return f"{per_lane / single:.2f}" if single > 0 else "-"


def _memory(step: StepTime | None) -> str:
    if step is None or step.alone_temporary_bytes is None:
        return "-"
    return f"{step.alone_temporary_bytes / _MIB:.0f}"


def _callback(word: str, callback: HostCallback) -> str:
    return (
        f" host callback, {word}: {callback.function}: {callback.calls:g} per call, "
        f"{callback.bytes_to_host / 1024:.0f} KiB there, {callback.bytes_from_host / 1024:.0f} KiB back, "
        f"{1e3 * callback.seconds:.2f} ms inside"
    )
