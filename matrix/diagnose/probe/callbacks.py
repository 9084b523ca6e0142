"""Counts and clocks the Python that compiled programs call back on the host."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax

from matrix.diagnose.probe.record import HostCallback
from matrix.diagnose.probe.trace import HOST_CALLBACK


@dataclass
class _Tally:
    calls: int = 0
    received: int = 0
    returned: int = 0
    seconds: float = 0.0


@dataclass
class CallbackMeter:
    """What the callbacks did since the last `reset`."""

    tallies: dict[str, _Tally] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget what was counted so far."""
        for name in self.tallies:
            self.tallies[name] = _Tally()

    def per_call(self, calls: int) -> tuple[HostCallback, ...]:
        """What was counted, divided by the number of calls of the program."""
        return tuple(
            HostCallback(
                function=name,
                calls=tally.calls / calls,
                bytes_to_host=tally.received / calls,
                bytes_from_host=tally.returned / calls,
                seconds=tally.seconds / calls,
            )
            for name, tally in self.tallies.items()
        )

    def metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same callback, counted and clocked."""
        name = f"{function.__module__}.{function.__qualname__}"
        self.tallies.setdefault(name, _Tally())

        @functools.wraps(function)
        def counted(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            with jax.profiler.TraceAnnotation(HOST_CALLBACK):
                result = function(*arguments, **options)
            tally = self.tallies[name]
            tally.seconds += time.perf_counter() - started
            tally.calls += 1
            tally.received += _bytes((arguments, options))
            tally.returned += _bytes(result)
            return result

        return counted


@contextmanager
def callback_meter() -> Iterator[CallbackMeter]:
    """Meter every `jax.pure_callback` that is traced while the context lasts."""
    meter = CallbackMeter()
    original = jax.pure_callback

    def pure_callback(callback: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return original(meter.metered(callback), *arguments, **options)

    jax.pure_callback = pure_callback
    try:
        yield meter
    finally:
        jax.pure_callback = original


def _bytes(tree: Any) -> int:
    return sum(int(leaf.nbytes) for leaf in jax.tree_util.tree_leaves(tree))
