"""The machine a process runs on, as far as times depend on it."""

import csv
import hashlib
import os
import platform
import re
import resource
import shutil
import sys
from pathlib import Path

from matrix.ground.errors import EnvironmentFailure
from matrix.ground.process import run

GIB = 1024**3
USABLE_FRACTION = 0.9
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
SMI_SECONDS = 30.0
_UUID = re.compile(r"(GPU|MIG)-[\w-]+")
_NUMERICAL = (
    *(
        "AUTOARRAY_",
        "PYAUTO_",
        "JAX_",
        "XLA_",
        "TF_CPP_",
        "TF_ENABLE_",
        "TF_GPU_",
        "TF_NUM_",
        "TF_XLA_",
        "NVIDIA_TF32_OVERRIDE",
        "CUDA_VISIBLE_DEVICES",
    ),
    *("BLIS_", "GOMP_", "GOTO_", "KMP_", "MKL_", "NPROC", "NUMBA_", "OMP_", "OPENBLAS_", "VECLIB_"),
    *("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_"),
)
_GPU_FACTS = (
    *("name", "driver_version", "memory.total", "memory.used", "power.limit"),
    *("clocks.current.sm", "clocks.max.sm", "clocks.current.memory", "clocks.max.memory"),
)


def accelerators() -> tuple[dict[str, str], ...]:
    """Name, driver, memory and clocks of each NVIDIA GPU as nvidia-smi reports them; empty without it."""
    rows = csv.reader(gpu_lines(",".join(_GPU_FACTS)), skipinitialspace=True)
    # A warning of the driver's is no row, and what a GPU does not tell, as "[N/A]", is no fact.
    return tuple(
        {name: fact for name, fact in zip(_GPU_FACTS, row, strict=True) if fact and not fact.startswith("[")}
        for row in rows
        if len(row) == len(_GPU_FACTS)
    )


def gpu_lines(facts: str) -> list[str]:
    """What nvidia-smi says of each GPU, in its words; nothing where it is missing, fails or hangs."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={facts}", "--format=csv,noheader"]
    try:
        done = run(command, timeout=SMI_SECONDS, check=False)
    except EnvironmentFailure:
        return []
    return done.stdout.splitlines() if done.exit_code == 0 else []


def gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, each by a name that CUDA_VISIBLE_DEVICES takes."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(word.strip() for word in allowed.split(",") if word.strip())
    return tuple(line.strip() for line in gpu_lines("uuid") if _UUID.fullmatch(line.strip()))


def usable_bytes() -> int:
    """What processes of this machine may hold of its memory together: nine tenths of it, or of our share."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):
        # No such file, or "max".
        limit = physical
    return int(USABLE_FRACTION * min(physical, limit))


def numerical_variables() -> dict[str, str]:
    """What the environment tells the library, JAX, BLAS and numba: flags, threads, memory."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_NUMERICAL)}


def peak_rss_bytes() -> int:
    """The most memory this process has held resident so far, in bytes."""
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cpu_model() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def machine_word() -> str:
    """A word for this machine; another one, or one whose processor can do other things, has another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    facts = (platform.node(), platform.machine(), cpu_model(), features)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def usable_cores() -> tuple[int, ...]:
    """The cores this process may run on."""
    if sys.platform == "linux":
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
