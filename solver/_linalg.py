"""Dense linear algebra shared by the algorithms: Cholesky factors, triangular solves, batching policy."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap

P = ParamSpec("P")
R = TypeVar("R")


def cholesky(A: Array) -> Array:
    """Lower Cholesky factor of a symmetric positive definite (K, K) matrix; all NaN where it has none."""
    return lax.linalg.cholesky(A, symmetrize_input=False)


def solve_lower(L: Array, B: Array) -> Array:
    """L⁻¹ B for lower triangular L (K, K) and B of shape (K,) or (K, r)."""
    return _triangular(L, B, transpose=False)


def solve_upper(L: Array, B: Array) -> Array:
    """L⁻ᵀ B for lower triangular L (K, K) and B of shape (K,) or (K, r)."""
    return _triangular(L, B, transpose=True)


def in_one_pass(
    maxima: tuple[Array, ...] = (), sums: tuple[Array, ...] = (), axis: int = 0
) -> tuple[Array, ...]:
    """The largest entries and the sums along an axis, of arrays of one shape and dtype.

    One reduction of several operands is one kernel, where XLA makes two or three for each alone: that counts
    in small systems and in the time to compile.
    """
    dtype = (maxima + sums)[0].dtype
    initial = [jnp.array(-jnp.inf, dtype)] * len(maxima) + [jnp.zeros((), dtype)] * len(sums)

    def combined(left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
        pairs = list(zip(left, right, strict=True))
        largest = [jnp.maximum(*pair) for pair in pairs[: len(maxima)]]
        return (*largest, *(a + b for a, b in pairs[len(maxima) :]))

    return tuple(lax.reduce(maxima + sums, tuple(initial), combined, (axis,)))


def _triangular(L: Array, B: Array, transpose: bool) -> Array:
    columns = B[:, None] if B.ndim == 1 else B
    solution = lax.linalg.triangular_solve(L, columns, left_side=True, lower=True, transpose_a=transpose)
    return solution.reshape(B.shape)


# Each doubling from here up is two more products to compile, and on a GPU to choose routines for.
LEAF = 160
# On a CPU, where a triangular solve loses less.
LARGE_LEAF = 320


class HalvedFactor(NamedTuple):
    """A Cholesky factor prepared for many solves with one right-hand side.

    A triangular solve with one vector runs far below memory speed in the library. Here both diagonal blocks
    are inverted once, so each solve is three products.
    """

    first: Array  # (h, h) the inverse of the upper diagonal block
    corner: Array  # (K - h, h) what is below it
    second: Array  # (K - h, K - h) the inverse of the lower diagonal block

    def solve_lower(self, b: Array) -> Array:
        """L⁻¹ b for b of shape (K,)."""
        half = self.first.shape[0]
        upper = self.first @ b[:half]
        return jnp.concatenate([upper, self.second @ (b[half:] - self.corner @ upper)])

    def solve_upper(self, b: Array) -> Array:
        """L⁻ᵀ b for b of shape (K,)."""
        half = self.first.shape[0]
        lower = b[half:] @ self.second
        return jnp.concatenate([(b[:half] - lower @ self.corner) @ self.first, lower])


def halved(L: Array) -> HalvedFactor:
    """Prepare a lower factor L (K, K); costs about as much as factorising it."""
    inverses = _diagonal_inverses(L, 2, LARGE_LEAF)
    half = inverses.shape[1]
    rest = L.shape[0] - half
    return HalvedFactor(inverses[0], L[half:, :half], inverses[1, :rest, :rest])


def inverse_lower(L: Array) -> Array:
    """L⁻¹ for lower triangular L (K, K): K³ flops in one solve on a CPU, 2K³/3 in products elsewhere."""
    return by_platform(L, cpu=_inverse_by_solve, default=inverse_by_doubling)


def _inverse_by_solve(L: Array) -> Array:
    return solve_lower(L, jnp.eye(L.shape[0], dtype=L.dtype))


@jax.jit
def inverse_by_doubling(L: Array) -> Array:
    """L⁻¹ for lower triangular L (K, K), nearly all of it products."""
    K = L.shape[0]
    return _diagonal_inverses(L, 1, LEAF)[0, :K, :K] if K else L


def _diagonal_inverses(L: Array, wanted: int, leaf: int) -> Array:
    """The inverses (wanted, n, n) of as many diagonal blocks of L (K, K), padded by the identity.

    From blocks of at most `leaf` rows up: the inverse of [[A, 0], [B, C]] is [[A⁻¹, 0], [-C⁻¹BA⁻¹, C⁻¹]], and
    all blocks of one size are inverted together. On a CPU leaves are solved one after another: in JAX 0.10
    triangular solves of batches wait for each other there without end when several run at once.
    """
    K, count = L.shape[0], wanted
    while count * leaf < K:
        count *= 2
    size = -(-K // count)
    missing = count * size - K
    padded = jnp.pad(L, (0, missing)) + jnp.diag(jnp.arange(K + missing) >= K).astype(L.dtype)

    def blocks(size: int, rows: slice, columns: slice) -> Array:
        index = jnp.arange(padded.shape[0] // size)
        return padded.reshape(index.size, size, index.size, size)[index, :, index, :][:, rows, columns]

    whole = slice(None)
    inverse = by_platform(
        blocks(size, whole, whole),
        cpu=lambda leaves: lax.map(_inverse_by_solve, leaves),
        default=jax.vmap(_inverse_by_solve),
    )
    while inverse.shape[0] > wanted:
        first, second = inverse[::2], inverse[1::2]
        corner = -second @ (blocks(2 * size, slice(size, None), slice(size)) @ first)
        upper = jnp.concatenate([first, jnp.zeros_like(first)], axis=2)
        inverse = jnp.concatenate([upper, jnp.concatenate([corner, second], axis=2)], axis=1)
        size *= 2
    return inverse


class Factor(NamedTuple):
    """A lower Cholesky factor in the form its device solves with: itself on a CPU, elsewhere its inverse.

    A triangular solve is a chain of steps, which a GPU goes through one by one; a product with the inverse is
    a single one. Its error can be √cond(LLᵀ) times larger, which the certificate judges like any other.

    Attributes
    ----------
    form
        (K, K).
    """

    form: Array

    def solve_lower(self, B: Array) -> Array:
        """L⁻¹ B for B of shape (K,) or (K, r)."""
        return by_platform(self.form, B, cpu=solve_lower, default=jnp.matmul)

    def solve_upper(self, b: Array) -> Array:
        """L⁻ᵀ b for b of shape (K,)."""
        return by_platform(self.form, b, cpu=solve_upper, default=lambda inverse, b: b @ inverse)

    def solve(self, b: Array) -> Array:
        """(L Lᵀ)⁻¹ b for b of shape (K,)."""
        return self.solve_upper(self.solve_lower(b))


def factorised(A: Array) -> Factor:
    """The Cholesky factor of a (K, K) matrix, ready for solves; all NaN where it has none."""
    return Factor(by_platform(cholesky(A), cpu=lambda L: L, default=inverse_by_doubling))


def with_diagonal(A: Array, diagonal: Array) -> Array:
    """A copy of the (K, K) matrix A whose diagonal is `diagonal`."""
    index = jnp.arange(A.shape[0])
    return jnp.where(index[:, None] == index, diagonal, A)


def rounding_ridge(q: Array) -> float:
    """Relative diagonal shift that lets a semidefinite matrix of order K = len(q) be factorised in q's dtype.

    A Cholesky pivot carries a rounding error of order sqrt(K) eps; 16 times that is safely positive.
    """
    return float(16 * jnp.finfo(q.dtype).eps * q.shape[0] ** 0.5)


def in_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """`function` with its matrix products in the precision of their dtype.

    GPUs from the A100 on otherwise round float32 operands to ten bits (TF32), a relative error of 1e-3: too
    coarse for a certificate of 1e-4.
    """

    @wraps(function)
    def precise(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return precise


def only_cpu() -> bool:
    """Whether this process has no other device than CPUs."""
    return all(device.platform == "cpu" for device in jax.devices())


def by_platform(*arguments: Any, cpu: Callable[..., Any], default: Callable[..., Any]) -> Any:
    """`cpu` of the arguments where the program runs on a CPU, `default` of them elsewhere.

    Where there are only CPUs the other form is not traced: that would take half of the time of tracing. A
    program that is lowered there for another device works, in the form for CPUs.
    """
    if only_cpu():
        return cpu(*arguments)
    return lax.platform_dependent(*arguments, cpu=cpu, default=default)


def by_lane(function: Callable[..., Any]) -> Callable[..., Any]:
    """Under `vmap`, run `function` lane after lane on CPU and batched elsewhere.

    On CPU one lane fills the machine: a loop keeps its matrices in cache and lets an easy lane stop when it
    is done, while batched loops run until the hardest lane is. On an accelerator the batched form fills the
    device. Nested `vmap` gives nested loops.

    Parameters
    ----------
    function
        Takes arrays by position, returns a pytree of arrays.
    """
    # What was traced once is not traced again for a batch.
    traced = jax.jit(function)
    lane = custom_vmap(traced)

    @lane.def_vmap
    def batched(axis_size: int, in_batched: list[bool], *arguments: Array) -> tuple[Any, Any]:
        def one(moving: list[Array]) -> Any:
            remaining = iter(moving)
            return lane(*(next(remaining) if m else a for a, m in zip(arguments, in_batched, strict=True)))

        def apart(*arguments: Array) -> Any:
            return lax.map(one, [a for a, moves in zip(arguments, in_batched, strict=True) if moves])

        def together(*arguments: Array) -> Any:
            axes = tuple(0 if moves else None for moves in in_batched)
            return jax.vmap(traced, in_axes=axes, axis_size=axis_size)(*arguments)

        result = by_platform(*arguments, cpu=apart, default=together)
        return result, jax.tree.map(lambda _: True, result)

    return lane
