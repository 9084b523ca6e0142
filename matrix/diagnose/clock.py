"""Times that can be compared on a noisy machine: calls taken in turn in one process, medians, ratios."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from matrix.ground.machine import accelerators, cpu_model, numerical_variables, usable_cores

Name = TypeVar("Name")


def interleaved_medians(
    calls: Mapping[Name, Callable[[], Any]], repeats: int, warm: bool = False
) -> dict[Name, float]:
    """Median seconds of each call, as `interleaved` takes them."""
    times = interleaved(calls, repeats, warm)
    return {name: statistics.median(values) for name, values in times.items()}


def interleaved(
    calls: Mapping[Name, Callable[[], Any]], repeats: int, warm: bool = False
) -> dict[Name, tuple[float, ...]]:
    """Seconds of each call in each round, taken in turn so that a busy machine slows all of them alike.

    Each call has to wait for its own result. Unless `warm` says that it was made before, it is made once
    before the clock starts.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for call in () if warm else calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: tuple(values) for name, values in times.items()}


def provenance() -> dict[str, Any]:
    """Where and with what numbers were taken."""
    import jax
    import jaxlib
    import psutil

    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "load_before": psutil.getloadavg()[0],
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "device": jax.devices()[0].device_kind,
        "accelerators": accelerators(),
        "variables": numerical_variables(),
        "backend": jax.default_backend(),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
