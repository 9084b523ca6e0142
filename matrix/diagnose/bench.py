"""Benchmark of the solver against jaxnnls on NNLS systems, interleaved in one process: JSON and a table."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from matrix.files import write_json

SCHEMA = "nnls-bench"
VERSION = 1
SYNTHETIC_SIZES = (20, 40, 100, 200, 400, 800, 1285)


class System(NamedTuple):
    """Minimise ½ xᵀQx - qᵀx, x >= 0: Q (K, K), q (K,), and the columns of the collinear block."""

    name: str
    Q: np.ndarray
    q: np.ndarray
    dense: tuple[int, ...]


@dataclass(frozen=True)
class Timing:
    """One system, one way of calling; times in milliseconds, medians, per lane.

    Attributes
    ----------
    cholesky_equivalents
        Our time in units of one Cholesky factorisation of the same matrix in the same process.
    ratio
        The time of jaxnnls divided by ours.
    worst_residual, jaxnnls_objective_excess
        The certificate's largest residual, and how far jaxnnls' objective lies above ours, relative.
    """

    system: str
    K: int
    lanes: int
    cholesky_ms: float
    ours_ms: float
    jaxnnls_ms: float
    cholesky_equivalents: float
    jaxnnls_cholesky_equivalents: float
    ratio: float
    iterations: int
    converged: bool
    worst_residual: float
    jaxnnls_objective_excess: float


def stored_systems(folder: Path) -> list[System]:
    """Systems from `*.npz` files with `Q_lower`, `q` and `dense`."""
    systems = []
    for path in sorted(folder.glob("*.npz")):
        stored = np.load(path)
        q = stored["q"]
        Q = np.zeros((q.shape[0], q.shape[0]))
        Q[np.tril_indices(q.shape[0])] = stored["Q_lower"]
        systems.append(System(path.stem, Q + np.tril(Q, -1).T, q, tuple(int(i) for i in stored["dense"])))
    return systems


def synthetic_system(K: int, seed: int = 0) -> System:
    """A system of the production's shape: concentric Gaussians (at most 60), then regularised source pixels.

    Parameters
    ----------
    K
        Unknowns; below 100 all of them are Gaussians.
    """
    rng = np.random.default_rng(seed)
    gaussians = K if K < 100 else 60
    source = K - gaussians
    side = max(40, int(1.6 * np.sqrt(K)))
    y, x = (axis.ravel() for axis in np.meshgrid(*2 * (np.linspace(-3.5, 3.5, side),), indexing="ij"))
    radius = np.hypot(x, y)
    light = np.exp(-0.5 * (radius[:, None] / np.geomspace(0.05, 3.5, gaussians)) ** 2)
    centres = rng.uniform(-3, 3, (source, 2))
    width = 4 / np.sqrt(max(source, 1))
    pixels = np.exp(-0.5 * ((x[:, None] - centres[:, 0]) ** 2 + (y[:, None] - centres[:, 1]) ** 2) / width**2)
    A = np.concatenate([light, pixels], axis=1)
    truth = np.concatenate([rng.uniform(0, 2, gaussians), np.maximum(rng.normal(0.3, 1, source), 0)])
    noise = 0.1
    data = A @ truth + rng.normal(0, noise, A.shape[0])
    regularisation = np.concatenate([np.full(gaussians, 1e-3), np.full(source, 1.0 / noise)])
    Q = A.T @ A / noise**2 + np.diag(regularisation)
    return System(f"synthetic-{K}", Q, A.T @ data / noise**2, tuple(range(gaussians)))


def interleaved_medians(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, taken in turn so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(systems: Sequence[System], repeats: int) -> Timing:
    """Time one system, or several of one size as lanes of a `vmap`.

    The calls are what a library makes: jaxnnls on the Jacobi-scaled system, scaled inside the program.
    """
    import jax
    import jax.numpy as jnp
    import jaxnnls

    import solver

    def theirs_one(Q: jax.Array, q: jax.Array) -> jax.Array:
        scale = 1 / jnp.sqrt(jnp.diagonal(Q))
        return scale * jaxnnls.solve_nnls(Q * scale[:, None] * scale[None, :], q * scale)[0]

    first, lanes = systems[0], len(systems)
    dense = first.dense or None

    def ours_one(Q: jax.Array, q: jax.Array) -> jax.Array:
        return solver.solve_nnls_forward(Q, q, dense_columns=dense)

    Q, q = jnp.asarray(np.stack([s.Q for s in systems])), jnp.asarray(np.stack([s.q for s in systems]))
    many = (lambda f: jax.jit(jax.vmap(f))) if lanes > 1 else jax.jit
    arguments = (Q, q) if lanes > 1 else (Q[0], q[0])
    ours, theirs = many(ours_one), many(theirs_one)
    factorise = jax.jit(jnp.linalg.cholesky)
    matrix = Q[0] + 1e-8 * jnp.diag(jnp.diagonal(Q[0]))
    seconds = interleaved_medians(
        {
            "cholesky": lambda: jax.block_until_ready(factorise(matrix)),
            "ours": lambda: jax.block_until_ready(ours(*arguments)),
            "jaxnnls": lambda: jax.block_until_ready(theirs(*arguments)),
        },
        repeats,
    )
    certified = [solver.solve_nnls_certified(s.Q, s.q, dense_columns=s.dense or None) for s in systems]
    answers = np.asarray(theirs(*arguments)).reshape(lanes, -1)
    excess = max(
        _excess(s, np.asarray(c.primal), a) for s, c, a in zip(systems, certified, answers, strict=True)
    )
    per_lane = {name: 1e3 * value / lanes for name, value in seconds.items()}
    cholesky = 1e3 * seconds["cholesky"]
    return Timing(
        system=first.name,
        K=first.q.shape[0],
        lanes=lanes,
        cholesky_ms=cholesky,
        ours_ms=per_lane["ours"],
        jaxnnls_ms=per_lane["jaxnnls"],
        cholesky_equivalents=per_lane["ours"] / cholesky,
        jaxnnls_cholesky_equivalents=per_lane["jaxnnls"] / cholesky,
        ratio=per_lane["jaxnnls"] / per_lane["ours"],
        iterations=max(int(c.iterations) for c in certified),
        converged=all(int(c.code) == solver.ResultCode.CERTIFIED for c in certified),
        worst_residual=max(float(c.certificate.worst) for c in certified),
        jaxnnls_objective_excess=excess,
    )


def _excess(system: System, ours: np.ndarray, theirs: np.ndarray) -> float:
    def objective(x: np.ndarray) -> float:
        return float(0.5 * x @ system.Q @ x - system.q @ x)

    return (objective(theirs) - objective(ours)) / abs(objective(ours))


def provenance() -> dict[str, Any]:
    """Where and with what the numbers were taken."""
    import jax
    import jaxlib

    return {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "device": str(jax.devices()[0]),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def groups(systems: Sequence[System], lanes: int) -> list[list[System]]:
    """Each system alone, then per family of one size and dense block a batch of `lanes` different ones."""
    families: dict[tuple[int, tuple[int, ...]], list[System]] = {}
    for system in systems:
        families.setdefault((system.q.shape[0], system.dense), []).append(system)
    return [[s] for s in systems] + [f[:lanes] for f in families.values() if len(f) >= lanes]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m matrix.diagnose.bench", description=__doc__)
    parser.add_argument("--systems", type=Path, help="folder of *.npz systems; synthetic ones without it")
    parser.add_argument("--match", default="", help="only systems whose name contains this")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--lanes", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("docs/results/bench.json"))
    options = parser.parse_args(arguments)

    import jax

    jax.config.update("jax_enable_x64", True)
    systems = (
        stored_systems(options.systems) if options.systems else [synthetic_system(K) for K in SYNTHETIC_SIZES]
    )
    systems = [s for s in systems if options.match in s.name]
    timings = []
    for group in groups(systems, options.lanes):
        timing = measure(group, options.repeats)
        timings.append(asdict(timing))
        print(
            f"{timing.system:36s} K={timing.K:5d} lanes={timing.lanes} ours {timing.ours_ms:8.2f} ms "
            f"({timing.cholesky_equivalents:5.2f} C-eq)  jaxnnls {timing.jaxnnls_ms:8.2f} ms "
            f"({timing.jaxnnls_cholesky_equivalents:5.2f} C-eq)  {timing.ratio:5.1f}x  "
            f"residual {timing.worst_residual:.1e}",
            flush=True,
        )
        report = {"schema": SCHEMA, "version": VERSION, "provenance": provenance(), "timings": timings}
        write_json(options.output, report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
