"""The PyAuto releases that are known: which Python each runs on, and which one is taken by default."""

from collections.abc import Sequence
from dataclasses import dataclass

from matrix.ground.errors import UsageError

AUTO = "auto"
LATEST = "latest"

# The newest first. Vendoring knows each, and each reproduces its workspace's constants (docs/releases.md).
KNOWN = ("2026.10.26.1", "2026.7.9.1", "2026.5.21.1", "2026.5.14.2", "2026.5.8.2")

# The repositories of the packages around the library; a package is called as its repository, without Py.
# PyAutoConf was renamed to PyAutoNerves in July 2026.
STACK = ("PyAutoNerves", "PyAutoConf", "PyAutoFit", "PyAutoGalaxy", "PyAutoLens")
STACK_FORMERLY = ("Jammy2211", "rhayes777")

# From this release on, upstream asks for Python 3.12; upstream tests 3.12 and 3.13.
_NEEDS_312 = "2026.7.29.2"
# Before it, upstream's packages ask for one another by ==, from then on by >=.
_SIBLINGS = ("autogalaxy", "autofit", "autoarray", "autonerves")
# JAX 0.10 can deadlock in batched LAPACK calls on a CPU (PyAutoNerves#184), so no environment may hold it.
_WITHOUT_DEADLOCK = ("jax!=0.10.*", "jaxlib!=0.10.*")


@dataclass(frozen=True)
class ReleaseChoice:
    """A release, and why it is the one."""

    release: str
    reason: str


def package_of(repository: str) -> str:
    """The package that a repository of the stack is released as."""
    return repository.removeprefix("Py").lower()


def order_of(release: str) -> tuple[int, ...]:
    """What releases are sorted by: year, month, day and number within the day."""
    return tuple(int(part) for part in release.split(".")[:4])


def pythons_for(release: str) -> tuple[str, ...]:
    """The minor versions of Python that a release is run on, the preferred one first."""
    return ("3.12", "3.13") if order_of(release) >= order_of(_NEEDS_312) else ("3.11", "3.12", "3.13")


def stack_of(release: str, accelerator: str) -> tuple[str, ...]:
    """What to ask the package index for, to get the stack of a release's time, without JAX 0.10.

    An index has the packages of one release under the same number, but now and then not all of them. So each
    is bounded by the release. They stand before JAX, since a resolver settles first what comes first: with
    the newest JAX settled, it looks for packages old enough not to mind it.

    Parameters
    ----------
    release
        As 2026.7.9.1.
    accelerator
        ``cpu``, ``cuda12`` or ``cuda13``: which build of JAX.
    """
    bounded = tuple(f"{name}<={release}" for name in _SIBLINGS)
    siblings = bounded if order_of(release) >= order_of(_NEEDS_312) else ()
    stack = (f"autolens[jax]=={release}", *siblings, "numba", *_WITHOUT_DEADLOCK)
    return stack if accelerator == "cpu" else (*stack, f"jax[{accelerator}]")


def newest_known(found: Sequence[str]) -> ReleaseChoice:
    """The newest known release that one of the Pythons found on this machine runs.

    Parameters
    ----------
    found
        Minor versions, as ``3.12``.

    Raises
    ------
    UsageError
        No known release runs on any of them.
    """
    listed = ", ".join(found) or "none"
    for position, release in enumerate(KNOWN):
        if not set(pythons_for(release)).isdisjoint(found):
            passed_over = KNOWN[:position]
            if not passed_over:
                return ReleaseChoice(release, "the newest known one")
            needed = " or ".join(pythons_for(passed_over[0]))
            reason = f"{passed_over[0]} needs Python {needed}, and this machine has {listed}"
            return ReleaseChoice(release, reason)
    needed = ", ".join(pythons_for(KNOWN[-1]))
    raise UsageError(f"no known release runs on this machine's Python ({listed}): install one of {needed}.")
