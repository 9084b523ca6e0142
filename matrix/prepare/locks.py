"""What is installed, by version and hash: the files in `locks/`, or what a run resolved."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrix.ground.hashing import digest
from matrix.ground.layout import REPOSITORY_ROOT

LOCKS = REPOSITORY_ROOT / "locks"
WHEELS = "wheels.txt"
SOURCES = "sources.txt"

_HASH = "--hash=sha256:"
_CONTINUED = " \\\n    "


@dataclass(frozen=True)
class Pin:
    """One package of a lock.

    Parameters
    ----------
    requirement
        As ``numpy==2.5.5``, with a marker where it is not for every machine.
    hashes
        SHA-256 of each file that it may be installed from.
    """

    requirement: str
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package's name in its canonical form."""
        return canonicalize_name(Requirement(self.requirement).name)

    @property
    def version(self) -> str:
        """As ``2.5.5``."""
        (specifier,) = Requirement(self.requirement).specifier
        return specifier.version

    def is_for(self, facts: Mapping[str, str]) -> bool:
        """Whether it is for a machine, which is this one where `facts` of markers say no other."""
        marker = Requirement(self.requirement).marker
        return marker is None or marker.evaluate(dict(facts))

    def __str__(self) -> str:
        return _CONTINUED.join((self.requirement, *(f"{_HASH}{value}" for value in self.hashes)))


@dataclass(frozen=True)
class Lock:
    """All packages of an environment but the checkout itself.

    Parameters
    ----------
    wheels
        Text of requirements with hashes, which are installed from wheels alone.
    sources
        The same of those that have no wheel: they are built first.
    meaning
        Where it comes from, in a few words.
    """

    wheels: str
    sources: str
    meaning: str

    @property
    def key(self) -> str:
        """Hash of all that it pins."""
        return digest((self.wheels, self.sources))

    def hashes_of(self, name: str) -> tuple[str, ...]:
        """SHA-256 of the files that the package may be had from."""
        found = [*pins(self.wheels), *pins(self.sources)]
        return tuple(value for pin in found if pin.name == canonicalize_name(name) for value in pin.hashes)


# Where nothing is installed, as with --base-python.
NO_LOCK = Lock("", "", "nothing is installed")


def committed(release: str, accelerator: str, folder: Path = LOCKS) -> Lock | None:
    """The lock of a release's stack in this repository; None where there is none.

    Parameters
    ----------
    release
        As 2026.7.9.1.
    accelerator
        ``cpu``, or the build of JAX, which comes on top.
    """
    own = folder / release
    files = [own / WHEELS] + ([] if accelerator == "cpu" else [own / f"{accelerator}.txt"])
    if not all(path.is_file() for path in files):
        return None
    wheels = "".join(path.read_text(encoding="utf-8") for path in files)
    return Lock(wheels, (own / SOURCES).read_text(encoding="utf-8"), f"as locked in locks/{release}")


def pins(text: str) -> Iterator[Pin]:
    """The packages of a lock's text."""
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split(_HASH)
        if requirement.strip():
            yield Pin(requirement.strip(), tuple(value.strip() for value in hashes))


def written(found: Iterable[Pin]) -> str:
    """The text of a lock."""
    return "".join(f"{pin}\n" for pin in found)


def versions_in(lock: Lock, python: str) -> dict[str, str]:
    """Version of each package that a lock has for this machine and a minor version of Python, by name."""
    facts = {"python_version": python, "python_full_version": f"{python}.0"}
    found = (pin for text in (lock.wheels, lock.sources) for pin in pins(text) if pin.is_for(facts))
    return {pin.name: pin.version for pin in found}
