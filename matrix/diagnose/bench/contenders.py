"""The solvers that are held against ours, each called as its users call it, on the same systems."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from matrix.catalogue.checks import TARGET_KAPPA
from matrix.diagnose.systems.stored import System

# Beyond these sizes one call takes minutes, and the curve's message is long clear.
LARGEST = {"scipy nnls": 800, "library fnnls": 2000, "osqp": 500}

# Below this size a program takes longer to start than to solve, which in a likelihood nobody pays for each
# solve: one call solves several times.
SMALL = 200
SOLVES_OF_SMALL = 30


class Solved(NamedTuple):
    """An answer x (K,), whether the solver itself says that it is one, and its steps."""

    x: Any
    converged: Any
    steps: Any


@dataclass(frozen=True)
class Contender:
    """A solver on one batch of systems.

    Attributes
    ----------
    call
        Solves all lanes and waits for the result, which it returns as the solver gives it.
    solves
        How many times one call does so, one after another.
    temporary_bytes
        What XLA allocates beside arguments and results; None where XLA has no part in it.
    """

    call: Callable[[], Any]
    solves: int = 1
    temporary_bytes: int | None = None

    def outcome(self, lanes: int) -> tuple[np.ndarray, int | None]:
        """What a call answers, (lanes, K), on the host, and for how many lanes it says that it solved them.

        The answer is the first of several results. The number is None where nothing is said.
        """
        import jax

        result = self.call()
        x = np.asarray(jax.tree_util.tree_leaves(result)[0]).reshape(lanes, -1)
        return x, int(np.sum(result.converged)) if isinstance(result, Solved) else None


def ours_and_jaxnnls(
    systems: Sequence[System], algorithm: str = "auto", block_named: bool = True
) -> dict[str, Contender]:
    """Ours and jaxnnls, each under `jit`, and under `vmap` if there are several lanes.

    jaxnnls gets the Jacobi-scaled system, scaled inside the program, as the library calls it. Ours is told
    the collinear columns as the call site tells it, also that there are none, unless `block_named` is false.
    """
    return told(systems, systems[0].dense if block_named else None, algorithm)


def told(
    systems: Sequence[System], dense: tuple[int, ...] | None, algorithm: str = "auto"
) -> dict[str, Contender]:
    """The same, ours told that these columns are the collinear ones; None if nothing is said."""
    return {"ours": contender(_ours(algorithm, dense), systems), "jaxnnls": contender(_theirs, systems)}


# Of these there is one function for each choice, so that each is compiled once for a size.
@cache
def _ours(algorithm: str, dense: tuple[int, ...] | None) -> Callable[[Any, Any], Any]:
    import solver

    return partial(solver.solve_nnls_forward, algorithm=algorithm, dense_columns=dense)


def _theirs(Q: Any, q: Any) -> Any:
    return library_pdip(Q, q)[0]


def with_gradient(systems: Sequence[System]) -> dict[str, Contender]:
    """Ours and jaxnnls with gradients for Q and q; and our answer alone, to see what the gradients add.

    Differentiated is the sum of the unknowns of the scaled system, relaxed as far as at the call site.
    """
    return {
        "ours": contender(_ours_with_gradient(systems[0].dense), systems),
        "ours, answer alone": ours_and_jaxnnls(systems)["ours"],
        "jaxnnls": contender(_theirs_with_gradient(), systems),
    }


def functions_of_both(dense: tuple[int, ...]) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """By solver, functions of Q and q: the answer alone, and with its gradients."""
    return {
        "ours": (_ours("auto", dense), _ours_with_gradient(dense)),
        "jaxnnls": (_theirs, _theirs_with_gradient()),
    }


@cache
def _ours_with_gradient(dense: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    import solver

    return pulled_back(partial(solver.solve_nnls_primal, target_kappa=TARGET_KAPPA, dense_columns=dense))


@cache
def _theirs_with_gradient() -> Callable[[Any, Any], Any]:
    import jax.numpy as jnp
    import jaxnnls

    def primal(Q: Any, q: Any) -> Any:
        scale = 1 / jnp.sqrt(jnp.diagonal(Q))
        scaled = Q * scale[:, None] * scale[None, :]
        return scale * jaxnnls.solve_nnls_primal(scaled, q * scale, target_kappa=TARGET_KAPPA)

    return pulled_back(primal)


def pulled_back(solve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The answer x (K,), and the gradients for Q and q of the sum of the scaled unknowns."""
    import jax
    import jax.numpy as jnp

    def both(Q: Any, q: Any) -> Any:
        x, pull_back = jax.vjp(solve, Q, q)
        return x, pull_back(jnp.sqrt(jnp.diagonal(Q)))

    return both


def library_pdip(Q: Any, q: Any) -> tuple[Any, Any]:
    """jaxnnls as the library calls it, Jacobi-scaled: the answer (K,) and the number of steps."""
    import jax.numpy as jnp
    import jaxnnls

    scale = 1 / jnp.sqrt(jnp.diagonal(Q))
    with _tolerance_of(q.dtype):
        x, _, _, _, steps = jaxnnls.solve_nnls(Q * scale[:, None] * scale[None, :], q * scale)
    return scale * x, steps


@contextmanager
def _tolerance_of(dtype: np.dtype) -> Iterator[None]:
    """jaxnnls takes its tolerance from JAX's precision at its import; here it gets that of the system."""
    pdip: Any = importlib.import_module("jaxnnls.pdip")
    ratio = float(np.finfo(dtype).eps) / float(np.finfo(np.asarray(pdip.EPSILON).dtype).eps)
    with patch.object(pdip, "EPSILON", ratio * pdip.EPSILON):
        yield


def over_lanes(function: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """`function` of (Q, q), under `vmap` if there are several lanes."""
    import jax

    return jax.vmap(function) if lanes > 1 else function


def arguments_of(systems: Sequence[System]) -> tuple[Any, Any]:
    """Q and q of a system, (K, K) and (K,); of several with a leading axis of lanes."""
    import jax.numpy as jnp

    if len(systems) > 1:
        return jnp.stack([system.Q for system in systems]), jnp.stack([system.q for system in systems])
    return jnp.asarray(systems[0].Q), jnp.asarray(systems[0].q)


def solves_of(K: int) -> int:
    """How many times one call of a compiled program solves a system of this size."""
    return SOLVES_OF_SMALL if K < SMALL else 1


def repeated_solve(function: Callable[..., Any], solves: int) -> Callable[..., Any]:
    """`function` of (Q, q), called `solves` times in one program; the results of the last call.

    Before that both arguments are multiplied by numbers close to one: the answer is the same, and the
    compiler cannot do any of the work once for all.
    """
    import jax

    if solves == 1:
        return function

    def call(Q: Any, q: Any) -> Any:
        # Of the same dtype, or a float32 system would be solved in float64.
        close = np.sqrt(np.finfo(Q.dtype).eps) / 10
        factors = (1 + close * np.arange(solves)[::-1]).astype(Q.dtype)
        results = jax.lax.map(lambda factor: function(factor * Q, factor * q), factors)
        return jax.tree.map(lambda leaf: leaf[-1], results)

    return call


def contender(function: Callable[..., Any], systems: Sequence[System]) -> Contender:
    """Compile, or take what was compiled for systems of this size; all results are waited for."""
    import jax

    lanes, K = len(systems), systems[0].K
    executable = _executable(function, lanes, K, systems[0].q.dtype)
    Q, q = arguments_of(systems)
    return Contender(
        lambda: jax.block_until_ready(executable(Q, q)), solves_of(K), _temporary_bytes(executable)
    )


@cache
def _executable(function: Callable[..., Any], lanes: int, K: int, dtype: np.dtype) -> Any:
    import jax

    shape = (lanes, K) if lanes > 1 else (K,)
    matrix, vector = jax.ShapeDtypeStruct((*shape, K), dtype), jax.ShapeDtypeStruct(shape, dtype)
    call = repeated_solve(over_lanes(function, lanes), solves_of(K))
    return jax.jit(call).lower(matrix, vector).compile()


def program(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[[], Any], int | None]:
    """`function` compiled: a call that waits for the results, and what XLA allocates beside them."""
    import jax

    executable = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(executable(*arguments)), _temporary_bytes(executable)


def _temporary_bytes(executable: Any) -> int | None:
    analysis = executable.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def others(system: System) -> dict[str, Contender]:
    """SciPy's active set, the library's own `fnnls_cholesky` and OSQP, where installed and not hopeless."""
    makers: Mapping[str, Callable[[System], Contender]] = {
        "scipy nnls": _scipy,
        "library fnnls": _fnnls,
        "osqp": _osqp,
    }
    found = {}
    for name, make in makers.items():
        if LARGEST[name] >= system.K:
            try:
                found[name] = make(system)
            except ImportError as error:
                print(f"left out: {name} ({error})")
    return found


def _scaled(system: System) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scale = 1 / np.sqrt(np.diagonal(system.Q))
    return system.Q * scale[:, None] * scale[None, :], system.q * scale, scale


def _scipy(system: System) -> Contender:
    import scipy.linalg
    import scipy.optimize

    Q, q, scale = _scaled(system)

    def call() -> Any:
        # ‖Rx - R⁻ᵀq‖² with RᵀR = Q is the least-squares form of the quadratic problem.
        R = scipy.linalg.cholesky(Q + 1e-14 * np.eye(system.K))
        target = scipy.linalg.solve_triangular(R, q, trans=1)
        return scale * scipy.optimize.nnls(R, target, maxiter=30 * system.K)[0]

    return Contender(call)


def _fnnls(system: System) -> Contender:
    from autoarray.util.fnnls import fnnls_cholesky

    def call() -> Any:
        guess = np.linalg.solve(system.Q, system.q) > 0
        return fnnls_cholesky(system.Q, system.q, P_initial=guess)

    return Contender(call)


def _osqp(system: System) -> Contender:
    import osqp
    import scipy.sparse

    Q, q, scale = _scaled(system)
    upper = scipy.sparse.csc_matrix(np.triu(Q))
    identity = scipy.sparse.identity(system.K, format="csc")

    def call() -> Any:
        problem = osqp.OSQP()
        problem.setup(
            upper, -q, identity, np.zeros(system.K), np.full(system.K, np.inf),
            eps_abs=1e-9, eps_rel=1e-9, max_iter=20000, polishing=True, verbose=False,
        )  # fmt: skip
        return scale * np.maximum(problem.solve().x, 0)

    return Contender(call)
