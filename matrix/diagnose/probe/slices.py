"""Each step as a program of its own: the traced likelihood cut at its name scopes."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from matrix.diagnose.probe.steps import step_of
from matrix.pipelines.programs import Program, compiled


@dataclass(frozen=True)
class Slice:
    """The equations of one step, with what they take from other steps and what others take from them."""

    step: str
    equations: tuple[Any, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Evaluate the step on the values of its `inputs`."""
        known = dict(zip(self.inputs, values, strict=True))
        return _evaluated(self.equations, known, self.outputs)


@dataclass(frozen=True)
class Sliced:
    """A function cut into steps.

    Attributes
    ----------
    slices
        One per step that has operations.
    arguments
        Values of the function's own variables: its arguments and the constants it closes over.
    between
        Computes, from `arguments`, what the steps hand to each other.
    """

    slices: tuple[Slice, ...]
    arguments: Mapping[Any, Any]
    between: Slice

    def values(self) -> dict[Any, Any]:
        """Everything any step takes, computed by one compiled program.

        The library computes some matrices twice over, which XLA notices in the whole program. So that it
        also does in a step alone, arrays that are equal come back as one.
        """
        computed = jax.jit(self.between)([self.arguments[variable] for variable in self.between.inputs])
        values = {**self.arguments, **dict(zip(self.between.outputs, computed, strict=True))}
        distinct: dict[bytes, Any] = {}
        return {
            variable: distinct.setdefault(_fingerprint(value), value) for variable, value in values.items()
        }


def sliced(function: Callable[[Any], Any], parameters: Any) -> Sliced:
    """Trace `function` at `parameters` and cut it at its name scopes.

    What no output depends on is left out, as XLA leaves it out.

    Parameters
    ----------
    function
        To be traced under `step_scopes`; may be a `jax.vmap` of the likelihood.
    parameters
        Its one argument, a pytree of arrays.
    """
    closed = jax.make_jaxpr(function)(parameters)
    jaxpr = closed.jaxpr
    arguments = {
        **dict(zip(jaxpr.constvars, closed.consts, strict=True)),
        **dict(zip(jaxpr.invars, jax.tree_util.tree_leaves(parameters), strict=True)),
    }
    results = _variables(jaxpr.outvars)
    equations = _live(jaxpr.eqns, results)
    by_step: dict[str, list[Any]] = {}
    for equation in equations:
        step = step_of(str(equation.source_info.name_stack))
        if step is not None:
            by_step.setdefault(step, []).append(equation)
    slices = tuple(_slice(step, own, equations, results) for step, own in by_step.items())
    handed = dict.fromkeys(v for each in slices for v in each.inputs if v not in arguments)
    between = Slice("", tuple(equations), tuple(arguments), tuple(handed))
    return Sliced(slices, arguments, between)


def compiled_slice(each: Slice, values: Mapping[Any, Any]) -> tuple[Program, list[Any]]:
    """Compile a step alone; returns the program and what to call it with."""
    distinct = {id(values[variable]): values[variable] for variable in each.inputs}
    places = {key: place for place, key in enumerate(distinct)}
    order = [places[id(values[variable])] for variable in each.inputs]

    def alone(inputs: list[Any]) -> list[Any]:
        return each([inputs[place] for place in order])

    return compiled(alone, list(distinct.values())), list(distinct.values())


def _fingerprint(value: Any) -> bytes:
    array = np.ascontiguousarray(value)
    return hashlib.blake2b(array.data, key=f"{array.shape}{array.dtype}".encode()[:64]).digest()


def _slice(step: str, own: list[Any], all_equations: Iterable[Any], results: set[Any]) -> Slice:
    produced = {variable for equation in own for variable in equation.outvars}
    taken = dict.fromkeys(
        variable for equation in own for variable in _variables(equation.invars) if variable not in produced
    )
    mine = {id(equation) for equation in own}
    wanted = results.union(
        *(_variables(equation.invars) for equation in all_equations if id(equation) not in mine)
    )
    given = tuple(variable for equation in own for variable in equation.outvars if variable in wanted)
    return Slice(step, tuple(own), tuple(taken), given)


def _live(equations: Sequence[Any], results: set[Any]) -> list[Any]:
    needed = set(results)
    live = []
    for equation in reversed(equations):
        if equation.effects or needed.intersection(equation.outvars):
            needed |= _variables(equation.invars)
            live.append(equation)
    return live[::-1]


def _variables(atoms: Iterable[Any]) -> set[Any]:
    return {atom for atom in atoms if not isinstance(atom, Literal)}


def _evaluated(equations: Iterable[Any], known: dict[Any, Any], wanted: Iterable[Any]) -> list[Any]:
    for equation in equations:
        values = [atom.val if isinstance(atom, Literal) else known[atom] for atom in equation.invars]
        bound = equation.primitive.get_bind_params(equation.params)
        # Older releases of JAX hand out inner functions apart, newer ones among the parameters.
        functions, parameters = bound if isinstance(bound, tuple) else ((), bound)
        result = equation.primitive.bind(*functions, *values, **parameters)
        results = result if equation.primitive.multiple_results else [result]
        known.update(zip(equation.outvars, results, strict=True))
    return [known[variable] for variable in wanted]
