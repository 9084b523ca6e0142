"""The positive-only solve that a likelihood makes: tapped at the library's call site, judged outside it."""

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

import jax
import numpy as np

from matrix.ground.errors import MatrixError, UsageError
from matrix.pipelines.kkt import kkt_residuals, scaled_norms
from matrix.pipelines.vendored import vendors
from matrix.records.cell import REPLACED, VENDORED, LaneSolve, Side, Solver

CALL_SITE = "reconstruction_positive_only_from"
NOT_STATED = "not stated"

_Kind = TypeVar("_Kind", bool, int)

# What a call site may ask a solver's package for, and what of that gives the answer alone.
_ANSWER_ALONE = ("solve_nnls_primal", "solve_nnls_forward")
_ENTRY_POINTS = (*_ANSWER_ALONE, "solve_nnls_primal_with_status", "solve_nnls", "solve_nnls_certified")

# The library's own loop over jaxnnls' steps, which its call sites without `stats` call from 2026.7.15.1 on.
_DRIVER = "autoarray.util.jax_nnls"

# What of the library's settings decides how its own solvers end.
_KNOBS = {
    "pdip": ("nnls_solver_tol", "nnls_max_iter"),
    "certified": ("certified_pass_budget", "certified_fallback", "certified_tau_rel"),
}


class Audited(NamedTuple):
    """What an audited likelihood returns: value, system, answer, and the numbers in the library's `stats`."""

    value: Any
    Q: Any
    q: Any
    x: Any
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Inner:
    """A call that the call site made of an entry point of jaxnnls or of the vendored package."""

    package: str
    entry_point: str
    Q: Any
    q: Any
    options: dict[str, Any]


@dataclass(frozen=True)
class Solve:
    """One call of the library's call site, which can be made again on another system.

    Attributes
    ----------
    call_site, function
        The module that holds the function, and the function itself.
    arguments
        By name: "curvature_reg_matrix" is Q, (K, K), "data_vector" is q, (K,).
    x
        (K,) the answer.
    stats
        What the library states of its solve: words, and numbers that may be traced. Empty where the function
        has no such parameter.
    inner
        The calls that it made of a solver's package.
    """

    call_site: ModuleType
    function: Callable[..., Any]
    arguments: dict[str, Any]
    x: Any
    stats: dict[str, Any]
    inner: tuple[Inner, ...]

    @property
    def has_stats(self) -> bool:
        """Whether the library states how its solve went."""
        return "stats" in self.arguments

    @property
    def words(self) -> dict[str, str]:
        """What `stats` says in words."""
        return {name: value for name, value in self.stats.items() if isinstance(value, str)}

    @property
    def stated(self) -> tuple[str, ...]:
        """The names in `stats`."""
        return tuple(sorted(self.stats))

    @property
    def settings(self) -> Any:
        """The library's settings of that call."""
        return self.arguments.get("settings")

    @property
    def solver(self) -> str:
        """What answered: the package whose entry point was called, else the name in `stats`."""
        if self.inner:
            return self.inner[0].package
        return self.words.get("solver", NOT_STATED)

    @property
    def options(self) -> dict[str, Any]:
        """Concrete options of the solver's package, where one was called."""
        return {name: value for call in self.inner for name, value in call.options.items()}

    @property
    def entry_points(self) -> tuple[str, ...]:
        """What of the solver's package was called."""
        return tuple(dict.fromkeys(call.entry_point for call in self.inner))

    def again(self, Q: Any, q: Any) -> Any:
        """The same call on another system: the answer (K,), differentiable as the likelihood is."""
        return self._repeated(Q, q).x

    def handed(self, Q: Any, q: Any) -> Inner:
        """What the same call hands to the solver's package for another system."""
        return self._repeated(Q, q).inner[0]

    def asked(
        self,
        Q: Any,
        q: Any,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """The same call on another system, together with what the solver says of it.

        Parameters
        ----------
        Q, q
            (K, K) and (K,).
        settings
            Of the library, by name, which are to be others than in the likelihood.
        options
            Of the solver's package, likewise.

        Returns
        -------
        tuple
            The answer, (K,), and numbers by name: those in `stats`. A call site without it is answered by
            `solve_nnls` of the package, which gives "converged" and "iterations" but no gradient.
        """
        call = self._repeated(Q, q, settings or {}, options or {}, status=not self.has_stats)
        return call.x, _numbers(call.stats)

    def _repeated(
        self,
        Q: Any,
        q: Any,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        status: bool = False,
    ) -> "Solve":
        arguments = {**self.arguments, "data_vector": q, "curvature_reg_matrix": Q}
        if self.has_stats:
            arguments["stats"] = {}
        if settings:
            # A copy: the likelihood's own are in use.
            arguments["settings"] = copy.copy(self.settings)
            for name, value in settings.items():
                _set(arguments["settings"], name, value)
        return _called(self.call_site, self.function, arguments, options or {}, status)


def _set(settings: Any, name: str, value: Any) -> None:
    # Settings with a default in the configuration are read by a property and kept under a private name.
    kept = f"_{name}" if hasattr(settings, f"_{name}") else name
    if not hasattr(settings, kept):
        raise MatrixError(f"the library's settings have no {name!r}: this release's are others.")
    setattr(settings, kept, value)


def need_vendored(side: Side) -> None:
    """Refuse a candidate's environment without the vendored package, where the change vendors one.

    Raises
    ------
    UsageError
        It cannot be imported: the environment belongs to the other side, or was not prepared.
    """
    if side == "candidate" and vendors():
        try:
            importlib.import_module(VENDORED)
        except ImportError as error:
            raise UsageError(
                f"the candidate side needs {VENDORED}, which this environment lacks ({error}). "
                "Run the cell with the candidate's own environment, or rebuild that."
            ) from error


@contextmanager
def tap(call_site: ModuleType) -> Iterator[list[Solve]]:
    """Record every call that goes through the library's call site while the context lasts.

    Parameters
    ----------
    call_site
        The module that holds the function, and in which the library looks it up at each call.
    """
    function = vars(call_site)[CALL_SITE]
    signature = inspect.signature(function)
    solves: list[Solve] = []

    @functools.wraps(function)
    def recorded(*positional: Any, **named: Any) -> Any:
        arguments = dict(signature.bind(*positional, **named).arguments)
        if "stats" in signature.parameters and arguments.get("stats") is None:
            arguments["stats"] = {}
        solves.append(_called(call_site, function, arguments))
        return solves[-1].x

    with patch.object(call_site, CALL_SITE, recorded):
        yield solves


def _called(
    site: ModuleType,
    function: Callable[..., Any],
    arguments: dict[str, Any],
    options: Mapping[str, Any] | None = None,
    status: bool = False,
) -> Solve:
    stats: dict[str, Any] = arguments.get("stats", {})
    calls: list[Inner] = []
    with ExitStack() as stack:
        for package, module in _packages(also_replaced="stats" not in arguments):
            original = {name: vars(module)[name] for name in _ENTRY_POINTS if name in vars(module)}
            # That loop's functions call one another by name, which is no call of the call site.
            asked = set(_ANSWER_ALONE if module.__name__ == _DRIVER else _ENTRY_POINTS)
            for name in asked.intersection(original):
                held = original[name]
                replacement = _recording(
                    Inner(package, name, None, None, dict(options or {})),
                    held,
                    original["solve_nnls"] if status and name in _ANSWER_ALONE else None,
                    calls,
                    stats,
                )
                # A call site may hold the package, or the function by its name.
                for holder in (module, site):
                    if vars(holder).get(name) is held:
                        stack.enter_context(patch.object(holder, name, replacement))
        x = function(**arguments)
    return Solve(site, function, arguments, x, stats, tuple(calls))


def _packages(also_replaced: bool) -> Iterator[tuple[str, ModuleType]]:
    """Packages of solvers that the call site may call; with `stats` it says itself what else it did."""
    where = {VENDORED: VENDORED} | ({REPLACED: REPLACED, _DRIVER: REPLACED} if also_replaced else {})
    for module, package in where.items():
        try:
            yield package, importlib.import_module(module)
        except ImportError:
            continue


def _recording(
    point: Inner,
    function: Callable[..., Any],
    with_status: Callable[..., Any] | None,
    calls: list[Inner],
    stats: dict[str, Any],
) -> Callable[..., Any]:
    """An entry point that notes its calls; answered by `with_status`, if there is one, into `stats`."""

    def recorded(Q: Any, q: Any, *positional: Any, **given: Any) -> Any:
        options = {**given, **point.options}
        calls.append(Inner(point.package, point.entry_point, Q, q, options))
        if with_status is None:
            return function(Q, q, *positional, **options)
        # The backward pass's option means nothing to a solve that is not differentiated.
        options.pop("target_kappa", None)
        x, *_, stats["converged"], stats["iterations"] = with_status(Q, q, **options)
        return x

    return recorded


def tapped(
    function: Callable[[Any], Any], call_site: ModuleType
) -> tuple[Callable[[Any], Audited], list[Solve]]:
    """Make of a traceable likelihood one that also returns the linear system it solved.

    Parameters
    ----------
    function
        Parameters to a scalar.
    call_site
        The library's module that holds the positive-only solve.

    Returns
    -------
    tuple
        A function of the same parameters that returns `Audited`, and a list that holds the one `Solve` (with
        tracers, but concrete options) as soon as the function was traced.
    """
    seen: list[Solve] = []

    def audited(parameters: Any) -> Audited:
        with tap(call_site) as solves:
            value = function(parameters)
        if len(solves) != 1:
            raise MatrixError(
                f"expected the likelihood to make one positive-only solve through {call_site.__name__}."
                f"{CALL_SITE}, saw {len(solves)}: the library solves elsewhere, or more than once."
            )
        seen[:] = solves
        (solve,) = solves
        Q, q = solve.arguments["curvature_reg_matrix"], solve.arguments["data_vector"]
        return Audited(value, Q, q, solve.x, _numbers(solve.stats))

    return audited, seen


def _numbers(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jax.numpy.asarray(value) for name, value in stats.items() if not isinstance(value, str)}


def solver_facts(solve: Solve) -> Solver:
    """Name the solver that answered, with what was in force at the call site."""
    knobs = _KNOBS.get(solve.words.get("solver", ""), ())
    options = {
        **({"entry_point": " + ".join(solve.entry_points)} if solve.entry_points else {}),
        **solve.words,
        **{name: getattr(solve.settings, name, None) for name in knobs},
        **solve.options,
    }
    return Solver(
        solve.solver,
        {name: str(value) for name, value in options.items()},
        solve.stated if solve.has_stats else None,
    )


def lane_solves(
    solve: Solve,
    systems: Sequence[np.ndarray],
    vectors: Sequence[np.ndarray],
    answers: np.ndarray,
    numbers: Mapping[str, np.ndarray],
) -> tuple[LaneSolve, ...]:
    """Judge each lane's answer, beside what the solver says of it.

    Parameters
    ----------
    solve
        How the call site was called.
    systems, vectors, answers
        Per lane Q (K, K), q (K,) and the x (K,) that came out of the compiled likelihood.
    numbers
        Per name in `stats` one number per lane. A library that states nothing has its solver asked about each
        of the very same systems.
    """
    asked = jax.jit(lambda Q, q: solve.asked(Q, q)[1])
    lanes = []
    for index, (Q, q, x) in enumerate(zip(systems, vectors, answers, strict=True)):
        said = {name: lane[index] for name, lane in numbers.items()} if solve.has_stats else asked(Q, q)
        primal, dual, complementarity, zeros = kkt_residuals(Q, q, x)
        matrix_norm, vector_norm = scaled_norms(Q, q)
        lanes.append(
            LaneSolve(
                size=len(q),
                iterations=_known(int, said.get("iterations", said.get("passes"))),
                converged=_converged(solve, said),
                primal_infeasibility=primal,
                dual_infeasibility=dual,
                complementarity=complementarity,
                zeros=zeros,
                matrix_norm=matrix_norm,
                vector_norm=vector_norm,
                certified=_known(bool, said.get("certified")),
            )
        )
    return tuple(lanes)


def _converged(solve: Solve, said: Mapping[str, Any]) -> bool | None:
    certified = _known(bool, said.get("certified"))
    if certified is False and solve.words.get("solver") == "certified" and _falls_back(solve):
        # What the library falls back to does not say how it went.
        return None
    return _known(bool, said.get("converged", certified))


def _falls_back(solve: Solve) -> bool:
    return bool(getattr(solve.settings, "certified_fallback", "none") != "none")


def _known(kind: type[_Kind], value: Any) -> _Kind | None:
    return None if value is None else kind(value)
