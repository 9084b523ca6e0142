"""Which JAX fits a GPU's driver; nvidia-smi is a stand-in, since the real one needs a GPU."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.jax_build import builds_for


@pytest.mark.parametrize(
    ("driver", "builds"),
    [
        ("470.82.01", ()),
        ("550.54.15", ("cuda12",)),
        ("580.65.06", ("cuda13", "cuda12")),
        (" 580.65", ("cuda13", "cuda12")),
        ("[N/A]", None),
        ("", None),
    ],
)
def test_a_driver_carries_builds(driver: str, builds: tuple[str, ...] | None) -> None:
    assert builds_for(driver) == builds


@pytest.mark.parametrize(
    ("driver", "printed"), [("580.65.06", "cuda13\n"), ("550.54.15", "cuda12\n"), ("[N/A]", ""), (None, "")]
)
def test_the_program_prints_the_newest(tmp_path: Path, driver: str | None, printed: str) -> None:
    if driver is not None:
        tool = tmp_path / "nvidia-smi"
        row = f"NVIDIA H100 PCIe, {driver}, 81559 MiB, 4 MiB, 350.00 W, 345 MHz, 1755 MHz, 1593 MHz, 1593 MHz"
        tool.write_text(f"#!/bin/sh\necho '{row}'\n")
        tool.chmod(0o755)
    command = [sys.executable, "-m", "matrix.prepare.jax_build"]
    variables = {**os.environ, "PATH": f"{tmp_path}:/bin"}
    done = subprocess.run(
        command, cwd=REPOSITORY_ROOT, env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout == printed


def test_no_requirement_of_ours_admits_a_jax_that_can_stop_on_cpus() -> None:
    """Release 2026.10.26.1 of the library asks for the same; docs/cpu-hang.md says why."""
    project = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())["project"]
    ours = [Requirement(line) for extra in project["optional-dependencies"].values() for line in extra]
    of_jax = [requirement.specifier for requirement in ours if requirement.name == "jax"]
    assert len(of_jax) == 3
    for specifier in of_jax:
        assert not list(specifier.filter(["0.10.0", "0.10.2", "0.11.0", "0.12.0.1"]))
        assert list(specifier.filter(["0.9.2", "0.11.2"])) == ["0.9.2", "0.11.2"]
