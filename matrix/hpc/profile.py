"""`hpc.yaml`: the clusters one can reach, with the file, the key and the remedy in every message."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from matrix.execute.slurm_options import CONTROL, fault_of
from matrix.ground.errors import UsageError
from matrix.ground.suggestions import known_names
from matrix.ground.yaml_text import load_yaml


def _word(text: str) -> str:
    """Refuse what a program would take for an option, or for more than one line."""
    if CONTROL.search(text):
        raise ValueError("a value is one line, without control characters")
    if text.startswith("-") or not text.strip():
        raise ValueError("a value is not empty and does not begin with a hyphen: it would be an option")
    return text


def _destination(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError("a destination of ssh has no blanks")
    return text


def _place(text: str) -> str:
    first, *rest = text.split("/")
    begins = first in ("", "~") or VARIABLE.match(first)
    if not (begins and rest) or re.search(r"\s", text) or {".", ".."} & set(rest):
        raise ValueError("a path begins with /, ~/ or $NAME/ and has no blanks and no . or .. in it")
    if "$" in VARIABLE.sub("", text):
        raise ValueError("in a path $ begins the name of a variable, as $SCRATCH or ${SCRATCH}")
    return text


def _in_the_job(text: str) -> str:
    if not re.fullmatch(r"(/|\$)[\w./@+${}-]*", text) or "$" in VARIABLE.sub("", text):
        raise ValueError("a folder in a job begins with / or $NAME, as $TMPDIR or /local/$SLURM_JOB_ID")
    return text


def _minutes(value: object) -> object:
    """Minutes, rounded up, from what Slurm takes for a time: days, hours, minutes and seconds as text."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    days, numbers = found["days"], [int(word) for word in found["rest"].split(":")]
    if days is not None:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, [*numbers, 0][:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) + (seconds + 59) // 60


def _option(text: str) -> str:
    fault = fault_of(text)
    if fault:
        raise ValueError(fault)
    return text


def _words(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"it cannot be split into words: {error}") from error
    return text


def _file(path: Path) -> Path:
    _word(str(path))
    return path


def _folder(text: str) -> str:
    if not text.partition("/")[2].strip("/"):
        raise ValueError("neither the root of the file system nor a home is ours: name a folder of its own")
    return text.rstrip("/") if text[0] != "/" else "/" + text.strip("/")


VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
_TIME = re.compile(r"(?:(?P<days>\d{1,6})-)?(?P<rest>\d{1,7}(?::\d{1,7}){0,2})", re.ASCII)

ShellWord = Annotated[str, AfterValidator(_word)]
Place = Annotated[ShellWord, AfterValidator(_place)]


def _count(most: int, default: int, description: str) -> Any:
    return Field(default, strict=True, gt=0, le=most, description=description)


class Profile(BaseModel):
    """One cluster, and what a cell needs there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[ShellWord, AfterValidator(_destination)] | None = Field(
        None, description="destination as ssh takes it, as me@login.example.org; null: here"
    )
    ssh_config: Annotated[Path, AfterValidator(_file)] | None = Field(
        None, description="file for ssh -F; null: your ~/.ssh/config"
    )
    multiplex: bool = Field(
        False, strict=True, description="true: one connection for all, asked for once, as two factors need"
    )
    root: Annotated[Place, AfterValidator(_folder)] = Field(
        description="absolute folder there, seen by the nodes too, no spaces, as $SCRATCH/nnls or ~/nnls"
    )
    driver: Place = Field(description="absolute path there of a Python with this project's packages")
    python: Place = Field(description="absolute path there of a Python with autolens[jax] of the release")
    launch: Annotated[ShellWord, AfterValidator(_words)] | None = Field(
        None, description="what is put before `python`, as apptainer exec --nv image.sif; or null"
    )
    accelerator: Literal["cpu", "cuda12", "cuda13"] = Field(
        "cpu", description="build of JAX in `python`: cpu, cuda12, cuda13"
    )
    partition: ShellWord | None = Field(None, description="name of a Slurm partition, or null")
    account: ShellWord | None = Field(None, description="name of a Slurm account, or null")
    qos: ShellWord | None = Field(None, description="name of a quality of service, or null")
    constraint: ShellWord | None = Field(None, description="feature a node must have, or null")
    gres: ShellWord | None = Field(None, description="generic resources per job, as gpu:a100:1")
    reservation: ShellWord | None = Field(None, description="name of a Slurm reservation, or null")
    mail_user: ShellWord | None = Field(
        None, description="address Slurm writes to at an end or a failure, or null"
    )
    sbatch: tuple[Annotated[str, AfterValidator(_option)], ...] = Field(
        (), description="list of further options of sbatch, as --exclude=node7"
    )
    time: Annotated[int, BeforeValidator(_minutes)] = _count(
        10**6, 30, "minutes per cell, as 30, or as Slurm has it: 1:30:00, 2-0"
    )
    memory: float | None = _count(10**6, 16, "GiB per cell, as 16; null: what the site gives")
    cpus: int = _count(10**5, 2, "cores per cell, as 2")
    parallel: int = _count(10**5, 12, "cells that may run at a time, as 12")
    requeue: bool = Field(True, description="whether Slurm may start a cell again when its node fails")
    setup: tuple[ShellWord, ...] = Field(
        (), description="list of shell lines run first, as `module load cuda/12.4`"
    )
    tmpdir: Annotated[ShellWord, AfterValidator(_in_the_job)] | None = Field(
        None, description="folder of the job's own node for its caches, as $SLURM_TMPDIR; null: the site's"
    )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that the folders and `launch` are written with; HOME for ~."""
        texts = (self.root, self.driver, self.python, *self.launched)
        named = (first or second for text in texts for first, second in VARIABLE.findall(text))
        home = ("HOME",) if any(text.startswith("~/") for text in texts) else ()
        return tuple(dict.fromkeys((*named, *home)))

    @property
    def launched(self) -> tuple[str, ...]:
        """The words of `launch`."""
        return tuple(shlex.split(self.launch or ""))

    def expanded(self, values: Mapping[str, str]) -> "Profile":
        """The profile with the variables' values in its folders and in `launch`."""

        def filled(text: str) -> str:
            whole = f"$HOME{text[1:]}" if text.startswith("~/") else text
            return VARIABLE.sub(lambda name: values[name[1] or name[2]], whole)

        changes: dict[str, Any] = {key: filled(getattr(self, key)) for key in ("root", "driver", "python")}
        if self.launch is not None:
            changes["launch"] = shlex.join(map(filled, self.launched))
        return self.model_copy(update=changes)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profiles: dict[str, Profile] = Field(description="mapping from a name of your choice to a profile")


def load_profile(path: Path, name: str | None) -> tuple[str, Profile]:
    """Read one profile of `path`.

    Parameters
    ----------
    path
        The YAML file.
    name
        Which profile; None where the file has only one.

    Returns
    -------
    tuple
        The profile's name and the profile.

    Raises
    ------
    UsageError
        The file, a key or the name will not do; says where and what to write instead.
    """
    absent = "Write it as docs/runners.md shows, or give --config."
    file, _ = load_yaml(path, _File, absent=absent)
    profiles = file.profiles
    if name is None and len(profiles) != 1:
        known = ", ".join(profiles) or "none"
        raise UsageError(f"{path} has {len(profiles)} profiles: choose with --profile NAME. Known: {known}.")
    chosen = name or next(iter(profiles))
    if chosen not in profiles:
        raise UsageError(f"--profile {chosen}: {path} has no such profile.{known_names(chosen, profiles)}")
    return chosen, profiles[chosen]
