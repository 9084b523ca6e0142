"""Measurements beside the matrix that a cluster can be given: what runs them, where each leaves its own."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, ValidationError

from matrix.ground.files import inside, read_bytes, write_text
from matrix.run.plan import Plan, Word

SESSIONS = "sessions"


@dataclass(frozen=True)
class MeasurementKind:
    """One kind of measurement.

    Attributes
    ----------
    command
        What starts it: a module, and words to it.
    per_pipeline
        Whether it is told pipelines, each of which is a job of its own.
    also
        Another folder under `.matrix` in which it leaves something; empty where there is none.
    in_stack
        Whether it computes itself, with the stack's Python, and starts no process in a side's environment.
    """

    command: tuple[str, ...]
    per_pipeline: bool = True
    also: str = ""
    in_stack: bool = False


# Those that are no diagnosis of likelihoods.
OTHERS: Mapping[str, MeasurementKind] = MappingProxyType(
    {
        "profile": MeasurementKind(("matrix.commands.profile",), also="probe"),
        "bench": MeasurementKind(("matrix.diagnose", "bench"), per_pipeline=False, in_stack=True),
    }
)


def kind_named(name: str) -> MeasurementKind:
    """What a measurement is like; a diagnosis of likelihoods where it is none of the others."""
    return OTHERS.get(name, MeasurementKind(("matrix.diagnose", name)))


class Session(BaseModel):
    """One measurement as it was asked for: its kind, and the words it is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    kind: Word
    words: tuple[str, ...]

    def output(self, root: Path) -> Path:
        """Where it leaves what it makes, under our working folder `root`."""
        return inside(root, self.kind, self.name)

    def outputs(self, root: Path) -> tuple[Path, ...]:
        """That, and what else is filled by such sessions together."""
        also = kind_named(self.kind).also
        return (self.output(root), *((inside(root, also),) if also else ()))


class Ended(BaseModel):
    """The note of a session that came to its end: what it left, by path, with hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Mapping[str, str]


def session_folder(plan: Plan, session: Session) -> Path:
    """Where a session's words, log and note lie in its run."""
    return inside(plan.folder, SESSIONS, session.name)


def write_session(plan: Plan, session: Session) -> None:
    """Note what is to be measured."""
    write_text(session_folder(plan, session) / "session.json", session.model_dump_json(indent=2) + "\n")


def read_sessions(folder: Path) -> list[Session]:
    """All that a run was told to measure, oldest first."""
    found = sorted((folder / SESSIONS).glob("*/session.json"), key=lambda path: path.stat().st_mtime_ns)
    return [Session.model_validate_json(read_bytes(path)) for path in found]


def session_command(plan: Plan, session: Session) -> list[str]:
    """The command line that measures."""
    kind = kind_named(session.kind)
    root = plan.folder.parents[1]
    output = session.output(root)
    if kind.in_stack:
        python = plan.environments["baseline"].command
        record = str(output / f"{session.kind}.json")
        return [*python, "-m", *kind.command, *session.words, "--record", record]
    places = ("--output-dir", str(output), "--root", str(root), "--run", plan.run)
    return [sys.executable, "-m", *kind.command, *session.words, *places]


def note_end(plan: Plan, session: Session) -> None:
    """Write down that the session ended well, and what it left."""
    note = Ended(files=_hashes(session.output(plan.folder.parents[1])))
    write_text(session_folder(plan, session) / "ended.json", note.model_dump_json(indent=2) + "\n")


def session_fault(plan: Plan, session: Session) -> str | None:
    """Why a session does not count as ended well; None if it does."""
    try:
        note = Ended.model_validate_json(read_bytes(session_folder(plan, session) / "ended.json"))
    except OSError:
        return "there is no note that it ended"
    except ValidationError:
        return "the note that it ended is damaged"
    found = _hashes(session.output(plan.folder.parents[1]))
    changed = [name for name, hashed in note.files.items() if found.get(name) != hashed]
    if changed or not note.files:
        return f"{changed[0]} is not there as it was left" if changed else "it left nothing"
    return None


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "matplotlib" not in path.parts)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
