"""`hpc.yaml`: the clusters one can reach, with the file, the key and the remedy in every message."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from matrix.ground.errors import UsageError
from matrix.ground.suggestions import known_names
from matrix.ground.yaml_text import load_yaml


def _word(text: str) -> str:
    """Refuse what a program would take for an option, or for more than one line."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ValueError("a value is one line, without control characters")
    if text.startswith("-") or not text.strip():
        raise ValueError("a value is not empty and does not begin with a hyphen: it would be an option")
    return text


def _destination(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError("a destination of ssh has no blanks")
    return text


def _absolute(text: str) -> str:
    parts = text.split("/")
    if parts[0] or re.search(r"\s", text) or {".", ".."} & set(parts):
        raise ValueError("a path begins with / and has no blanks and no . or .. in it")
    return text


def _file(path: Path) -> Path:
    _word(str(path))
    return path


def _folder(text: str) -> str:
    if not text.strip("/"):
        raise ValueError("the root of the file system is not ours: name a folder of your own")
    return "/" + text.strip("/")


Word = Annotated[str, AfterValidator(_word)]
Absolute = Annotated[Word, AfterValidator(_absolute)]


def _count(most: int, default: int, description: str) -> Any:
    return Field(default, strict=True, gt=0, le=most, description=description)


class Profile(BaseModel):
    """One cluster, and what a cell needs there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[Word, AfterValidator(_destination)] | None = Field(
        None, description="destination as ssh takes it, as me@login.example.org; null: here"
    )
    ssh_config: Annotated[Path, AfterValidator(_file)] | None = Field(
        None, description="file for ssh -F; null: your ~/.ssh/config"
    )
    root: Annotated[Absolute, AfterValidator(_folder)] = Field(
        description="absolute folder there, seen by the nodes too, no spaces"
    )
    driver: Absolute = Field(description="absolute path there of a Python with this project's packages")
    python: Absolute = Field(description="absolute path there of a Python with autolens[jax] of the release")
    accelerator: Literal["cpu", "cuda12", "cuda13"] = Field(
        "cpu", description="build of JAX in `python`: cpu, cuda12, cuda13"
    )
    partition: Word | None = Field(None, description="name of a Slurm partition, or null")
    account: Word | None = Field(None, description="name of a Slurm account, or null")
    qos: Word | None = Field(None, description="name of a quality of service, or null")
    constraint: Word | None = Field(None, description="feature a node must have, or null")
    gres: Word | None = Field(None, description="generic resources per job, as gpu:a100:1")
    time: int = _count(10**6, 30, "minutes per cell, as 30")
    memory: float = _count(10**6, 16, "GiB per cell, as 16")
    cpus: int = _count(10**5, 2, "cores per cell, as 2")
    parallel: int = _count(10**5, 12, "cells that may run at a time, as 12")
    requeue: bool = Field(True, description="whether Slurm may start a cell again when its node fails")
    setup: tuple[Word, ...] = Field(
        (), description="list of shell lines run first, as `module load cuda/12.4`"
    )


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
