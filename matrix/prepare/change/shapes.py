"""The shapes of the library that vendoring knows, each with the series of steps that it takes."""

from functools import partial
from pathlib import Path

from matrix.ground.files import inside
from matrix.prepare.change import call_site, callers, choice, config, optional
from matrix.prepare.change.dependencies import drop_dependency, packaging_files
from matrix.prepare.change.mentions import without_mentions
from matrix.prepare.change.package import (
    MANIFEST,
    PACKAGE,
    declare_data,
    put_tests,
    solver_files,
    stale_files,
)
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError
from matrix.prepare.change.series import Step
from matrix.prepare.change.tree import PlannedTree

PYPROJECT = "pyproject.toml"
DISPATCH_TEST = "test_autoarray/inversion/inversion/test_positive_only_dispatch.py"

_PACKAGE = """The solver is part of the library and depends on JAX alone. Nothing calls it yet.

The interface is that of jaxnnls by Coleman Krawczyk; differentiating through relaxed optimality
conditions follows qpax by Kevin Tracy. LICENSE.txt in the package has their notices."""

_SWITCH = """reconstruction_positive_only_from calls the solver that is part of the library. Its options
are read from general.yaml, with the same defaults in code for workspaces that bring a general.yaml of
their own. The docstring describes both array backends: the NumPy path is Bro and Jong's active-set
method, the JAX path is not."""

_OFFER = """A third value of positive_only_solver, valid for every JAX inversion: with or without a mapper,
with or without linear light profiles, alone and under vmap. "pdip" (the default) and "certified" stay
bit for bit as they are, and the NumPy path does not change."""

_BETWEEN = (
    f"its JAX branch calls {optional.MODULE}, and its callers do not choose the solver: this is the code of "
    "the releases 2026.7.15.1 to 2026.9.19.1. The nearest that vendoring knows are 2026.7.9.1 before and "
    "2026.9.26.1 after"
)

_OPTIONAL = """Under the default nothing imports it. Choosing pdip, or certified with its fallback, without it
says what to install; the tests that need it skip where it is not there."""


def steps_for(checkout: Path, solver: Path, algorithm: str | None) -> tuple[Step, ...]:
    """Return the steps by which this checkout gets the solver, in order.

    Where callers choose the solver, ours is a third choice; else it takes the place of jaxnnls.
    """
    if chooses_solver(checkout):
        steps = _offered
    elif call_site.calls_driver(_call_site_of(checkout)):
        raise UnrecognisedError(Unrecognised(call_site.PATH, _BETWEEN))
    else:
        steps = _replaced
    return (_add_solver(solver), *steps(algorithm))


def chooses_solver(checkout: Path) -> bool:
    """Whether callers of the positive-only solve choose the solver in this checkout of the library."""
    return choice.is_choice(_call_site_of(checkout))


def _call_site_of(checkout: Path) -> str:
    path = inside(checkout, call_site.PATH)
    # What cannot be read is said by the step that reads it.
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _add_solver(solver: Path) -> Step:
    package = solver_files(solver)

    def edit(tree: PlannedTree) -> None:
        for name, text in package.items():
            tree.put(name, text)
        for name in stale_files(tree.checkout, package):
            tree.remove(name)
        tree.edit(MANIFEST, lambda text: declare_data(text, tree.read(PYPROJECT), package))
        put_tests(tree, "test_solver.py")

    return Step(
        "Add a non-negative least squares solver: autoarray.inversion.nnls",
        _PACKAGE,
        edit,
    )


def _replaced(algorithm: str | None) -> tuple[Step, ...]:
    """Where the call site calls jaxnnls itself."""

    def switch(tree: PlannedTree) -> None:
        tree.edit(call_site.PATH, call_site.switch_call_site)
        tree.edit(callers.PATH, callers.pass_columns)
        tree.edit(config.PATH, partial(config.add_settings, algorithm=algorithm))
        edited = (call_site.PATH, callers.PATH)
        for name in tree.modules():
            if name not in edited and not name.startswith(f"{PACKAGE}/"):
                tree.edit(name, partial(without_mentions, name))
        put_tests(tree, "test_call_site.py")

    def drop(tree: PlannedTree) -> None:
        for name in packaging_files(tree.checkout):
            tree.edit(name, partial(drop_dependency, name))
        put_tests(tree, "test_independence.py")

    return (
        Step(
            "Solve positive-only systems with autoarray.inversion.nnls",
            _SWITCH,
            switch,
        ),
        Step("Drop the dependency on jaxnnls", "Nothing in the library imports it any more.", drop),
    )


def _offered(algorithm: str | None) -> tuple[Step, ...]:
    """Where `positive_only_solver` chooses: a third value, additive until the default moves."""

    def offer(tree: PlannedTree) -> None:
        tree.edit(choice.SETTINGS, choice.offer_in_settings)
        tree.edit(callers.PATH, choice.offer_in_callers)
        tree.edit(call_site.PATH, choice.offer_in_call_site)
        tree.edit(config.PATH, partial(config.offer_solver, algorithm=algorithm))
        put_tests(tree, "choice/test_choice.py")

    def choose(tree: PlannedTree) -> None:
        tree.edit(choice.SETTINGS, choice.default_in_settings)
        tree.edit(callers.PATH, choice.default_in_callers)
        tree.edit(config.PATH, config.choose_solver)
        if tree.has(DISPATCH_TEST):
            tree.edit(DISPATCH_TEST, choice.default_in_tests)
        put_tests(tree, "choice/test_default.py")

    def need_no_more(tree: PlannedTree) -> None:
        tree.edit(optional.MODULE, optional.guard_imports)
        for name in packaging_files(tree.checkout):
            tree.edit(name, partial(drop_dependency, name))
        if tree.has(optional.CONFTEST):
            tree.edit(optional.CONFTEST, optional.skip_tests)
        put_tests(tree, "choice/test_without_jaxnnls.py")

    return (
        Step(
            'Offer autoarray.inversion.nnls as a positive-only solver: "nnls"',
            _OFFER,
            offer,
        ),
        Step(
            'Solve the positive-only systems of JAX inversions with "nnls" by default',
            'The packaged value and the one in the code. "pdip" and "certified" can be chosen as before.',
            choose,
        ),
        Step(
            "Need jaxnnls for the interior-point solver alone",
            _OPTIONAL,
            need_no_more,
        ),
    )
