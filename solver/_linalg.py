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
S = TypeVar("S")


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

    One reduction of several operands is one kernel, where XLA makes three for each alone: that counts in
    small systems and in the time to compile. A sum alone is better a product with a vector: no kernel at all.
    """
    largest = len(maxima)
    dtype = (maxima + sums)[0].dtype
    initial = [jnp.array(-jnp.inf, dtype)] * largest + [jnp.zeros((), dtype)] * len(sums)

    def combined(left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
        pairs = list(zip(left, right, strict=True))
        return (*(jnp.maximum(*pair) for pair in pairs[:largest]), *(a + b for a, b in pairs[largest:]))

    return tuple(lax.reduce(maxima + sums, tuple(initial), combined, (axis,)))


def packed_while(unfinished: Callable[[S], Array], step: Callable[[S], S], begin: S) -> S:
    """`lax.while_loop` over a pytree, with its state kept in one floating array a shape.

    XLA makes a kernel for each array that a step leaves. One for all vectors and one for all numbers is
    quicker to compile, and in small systems to run. Booleans and integers below 2²⁴ survive in either dtype.
    """
    leaves, tree = jax.tree.flatten(begin)
    kinds = [(leaf.shape, leaf.dtype) for leaf in map(jnp.asarray, leaves)]
    shapes = list(dict.fromkeys(shape for shape, _ in kinds))
    floating = next(dtype for _, dtype in kinds if jnp.issubdtype(dtype, jnp.floating))

    def packed(state: S) -> list[Array]:
        arrays = [jnp.asarray(leaf, floating) for leaf in jax.tree.leaves(state)]
        return [jnp.stack([array for array in arrays if array.shape == shape]) for shape in shapes]

    def unpacked(stacks: list[Array]) -> S:
        rows = {shape: iter(stack) for shape, stack in zip(shapes, stacks, strict=True)}
        return jax.tree.unflatten(tree, [next(rows[shape]).astype(dtype) for shape, dtype in kinds])

    return unpacked(
        lax.while_loop(lambda s: unfinished(unpacked(s)), lambda s: packed(step(unpacked(s))), packed(begin))
    )


def _triangular(L: Array, B: Array, transpose: bool) -> Array:
    columns = B[:, None] if B.ndim == 1 else B
    solution = lax.linalg.triangular_solve(L, columns, left_side=True, lower=True, transpose_a=transpose)
    return solution.reshape(B.shape)


# Each doubling from here up is two more products to compile, and on a GPU to choose routines for.
LEAF = 160
# More make each solve shorter, and the program longer.
BLOCKS = 3


class BlockedFactor(NamedTuple):
    """A Cholesky factor prepared for many solves with one right-hand side.

    A triangular solve with one vector runs far below memory speed in the library. Here the factor is cut into
    block rows and its diagonal blocks are inverted once, so each solve is nothing but products.
    """

    below: tuple[Array, ...]  # (n, s) per block row, what stands left of its diagonal block
    inverses: tuple[Array, ...]  # (n, n) per block row, the inverse of its diagonal block

    def solve_lower(self, b: Array) -> Array:
        """L⁻¹ b for b of shape (K,)."""
        solved = b[:0]
        for left, inverse in zip(self.below, self.inverses, strict=True):
            rows = b[left.shape[1] :][: left.shape[0]]
            solved = jnp.concatenate([solved, inverse @ (rows - left @ solved)])
        return solved

    def solve_upper(self, b: Array) -> Array:
        """L⁻ᵀ b for b of shape (K,)."""
        solved = b[:0]
        for left, inverse in zip(reversed(self.below), reversed(self.inverses), strict=True):
            start = left.shape[1]
            block = b[start:] @ inverse
            solved, b = jnp.concatenate([block, solved]), b[:start] - block @ left
        return solved


def blocked(L: Array) -> BlockedFactor:
    """Prepare a lower factor L (K, K), in `BLOCKS` block rows."""
    K = L.shape[0]
    ends = [K * (i + 1) // BLOCKS for i in range(BLOCKS)]
    parts = [slice(*part) for part in zip([0, *ends[:-1]], ends, strict=True)]
    return BlockedFactor(
        tuple(L[part, : part.start] for part in parts),
        tuple(_inverse_by_solve(L[part, part]) for part in parts),
    )


def inverse_lower(L: Array) -> Array:
    """L⁻¹ for lower triangular L (K, K): K³ flops in one solve on a CPU, 2K³/3 in products elsewhere."""
    return by_platform(L, cpu=_inverse_by_solve, default=inverse_by_doubling)


def _inverse_by_solve(L: Array) -> Array:
    return solve_lower(L, jnp.eye(L.shape[0], dtype=L.dtype))


@jax.jit
def inverse_by_doubling(L: Array) -> Array:
    """L⁻¹ for lower triangular L (K, K), nearly all of it products.

    From diagonal blocks of at most `LEAF` rows up: the inverse of [[A, 0], [B, C]] is
    [[A⁻¹, 0], [-C⁻¹BA⁻¹, C⁻¹]], and all blocks of one size are inverted together. L is padded by the
    identity.
    """
    K, count = L.shape[0], 1
    if K == 0:
        return L
    while count * LEAF < K:
        count *= 2
    size = -(-K // count)
    missing = count * size - K
    padded = jnp.pad(L, (0, missing)) + jnp.diag(jnp.arange(K + missing) >= K).astype(L.dtype)

    def blocks(size: int, rows: slice, columns: slice) -> Array:
        index = jnp.arange(padded.shape[0] // size)
        return padded.reshape(index.size, size, index.size, size)[index, :, index, :][:, rows, columns]

    whole = slice(None)
    inverse = jax.vmap(_inverse_by_solve)(blocks(size, whole, whole))
    while inverse.shape[0] > 1:
        first, second = inverse[::2], inverse[1::2]
        corner = -second @ (blocks(2 * size, slice(size, None), slice(size)) @ first)
        upper = jnp.concatenate([first, jnp.zeros_like(first)], axis=2)
        inverse = jnp.concatenate([upper, jnp.concatenate([corner, second], axis=2)], axis=1)
        size *= 2
    return inverse[0, :K, :K]


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


def diagonal_of(A: Array) -> Array:
    """The diagonal (K,) of a (K, K) matrix: every K + 1st of its entries, which needs no gather."""
    return A.reshape(-1)[:: A.shape[0] + 1]


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
