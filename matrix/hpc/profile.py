"""`hpc.yaml`: the clusters one can reach, with the file, the key and the remedy in every message."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from matrix.errors import UsageError


class Profile(BaseModel):
    """One cluster, and what a cell needs there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str | None = Field(
        None, description="destination as ssh takes it, as me@login.example.org; null: here"
    )
    ssh_config: Path | None = Field(None, description="file for ssh -F; null: your ~/.ssh/config")
    root: str = Field(
        pattern=r"^/\S*$", description="absolute folder there, seen by the nodes too, no spaces"
    )
    driver: str = Field(
        pattern=r"^/\S*$", description="absolute path there of a Python with this project's packages"
    )
    python: str = Field(
        pattern=r"^/\S*$", description="absolute path there of a Python with autolens[jax] of the release"
    )
    accelerator: Literal["cpu", "cuda12", "cuda13"] = Field(
        "cpu", description="build of JAX in `python`: cpu, cuda12, cuda13"
    )
    partition: str | None = Field(None, description="name of a Slurm partition, or null")
    account: str | None = Field(None, description="name of a Slurm account, or null")
    qos: str | None = Field(None, description="name of a quality of service, or null")
    constraint: str | None = Field(None, description="feature a node must have, or null")
    gres: str | None = Field(None, description="generic resources per job, as gpu:a100:1")
    time: PositiveInt = Field(30, description="minutes per cell, as 30")
    memory: PositiveFloat = Field(16, description="GiB per cell, as 16")
    cpus: PositiveInt = Field(2, description="cores per cell, as 2")
    parallel: PositiveInt = Field(12, description="cells that may run at a time, as 12")
    requeue: bool = Field(True, description="whether Slurm may start a cell again when its node fails")
    setup: tuple[str, ...] = Field(
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
    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        profiles = _File.model_validate(document).profiles
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Write it as docs/runners.md shows, or give --config."
        ) from error
    except YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise UsageError("\n".join(_fault(path, dict(fault)) for fault in error.errors())) from error
    known = ", ".join(profiles) or "none"
    if name is None and len(profiles) != 1:
        raise UsageError(f"{path} has several profiles: choose with --profile NAME. Known: {known}.")
    chosen = name or next(iter(profiles))
    if chosen not in profiles:
        raise UsageError(f"--profile {chosen}: {path} has no such profile. Known: {known}.")
    return chosen, profiles[chosen]


def _fault(path: Path, fault: dict[str, Any]) -> str:
    location = [str(part) for part in fault["loc"]]
    where = f"{path}: {'.'.join(location) or 'the file'}"
    fields = Profile.model_fields if len(location) > 2 else _File.model_fields
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key. Known: {', '.join(fields)}."
    key = next((part for part in reversed(location) if part in fields), "profiles")
    described = fields[key].description if key in fields else _File.model_fields["profiles"].description
    word = "this key is missing" if fault["type"] == "missing" else f"{fault['input']!r} will not do"
    return f"{where}: {word}. Expected: {described}."
