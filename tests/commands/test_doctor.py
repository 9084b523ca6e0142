"""The doctor: trouble is told with its remedy and the machine's exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from matrix.commands import doctor
from matrix.commands.doctor import Weight
from matrix.execute.reservations import GIB, reserved
from matrix.ground.layout import open_layout
from matrix.ground.machine import usable_cores
from tests.report.made_up import write_run


@pytest.mark.parametrize(
    ("total", "available", "state"),
    [(32, 20, Weight.GOOD), (32, 2, Weight.NOTE), (4, 3, Weight.TROUBLE)],
)
def test_memory(total: int, available: int, state: Weight) -> None:
    found = doctor.memory(total * GIB, available * GIB)
    assert found.state is state
    assert bool(found.remedy) == (state is not Weight.GOOD)


@pytest.mark.parametrize(("value", "state"), [("True", Weight.GOOD), ("1", Weight.GOOD), ("0", Weight.NOTE)])
def test_float64_flag(value: str, state: Weight) -> None:
    assert doctor.float64({"JAX_ENABLE_X64": value}).state is state
    assert "not exported" in doctor.float64({}).found


def test_missing_identity_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(doctor, "REPOSITORY_ROOT", tmp_path)
    found = doctor.git_identity()
    assert (found.state, "git config" in found.remedy) == (Weight.NOTE, True)


def test_identity_is_whoever_refresh_would_commit_as_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("Ada", "Elsewhere"):
        subprocess.run(["git", "init", "--quiet", tmp_path / name], check=True)
        for key, value in (("user.name", f"{name} Person"), ("user.email", "a@example.org")):
            subprocess.run(["git", "-C", tmp_path / name, "config", key, value], check=True)
    for name in [name for name in os.environ if name.startswith("GIT_AUTHOR")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(doctor, "REPOSITORY_ROOT", tmp_path / "Ada")
    monkeypatch.chdir(tmp_path / "Elsewhere")
    assert "Ada Person" in doctor.git_identity().found


@pytest.mark.parametrize(
    ("version", "state"),
    [("git version 2.31.1", Weight.TROUBLE), ("git version 2.39.5 (Apple Git-154)", Weight.GOOD)],
)
def test_git_is_new_enough(monkeypatch: pytest.MonkeyPatch, version: str, state: Weight) -> None:
    monkeypatch.setattr(doctor, "git", lambda *_, **__: SimpleNamespace(stdout=version))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Person")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
    found = doctor.git_identity()
    assert found.state is state
    # As whoever refresh-artifacts would commit, environment variables included.
    assert ("Ada Person" in found.found) == (state is Weight.GOOD)


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10), Weight.TROUBLE), ((3, 11), Weight.GOOD), ((3, 13), Weight.GOOD), ((3, 14), Weight.TROUBLE)],
)
def test_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], state: Weight) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert doctor.python().state is state


def test_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB // 2))
    found = doctor.disk(open_layout(tmp_path))
    assert (found.state, "0.5 GiB free" in found.found, "--root" in found.remedy) == (
        Weight.TROUBLE,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("driver", "builds", "state", "says"),
    [
        ("470.82.01", set(), Weight.NOTE, "driver 525 or newer"),
        ("550.54.15", set(), Weight.NOTE, "--accelerator cuda12"),
        ("550.54.15", {"cuda13"}, Weight.NOTE, "--accelerator cuda12"),
        ("550.54.15", {"cuda12"}, Weight.GOOD, ""),
        ("580.65.06", {"cuda13"}, Weight.GOOD, ""),
        ("[N/A]", {"cuda12"}, Weight.NOTE, "nvidia-smi"),
    ],
)
def test_gpu_needs_the_jax_its_driver_carries(
    driver: str, builds: set[str], state: Weight, says: str
) -> None:
    found = doctor.matching_jax(f"NVIDIA A100-SXM4-80GB, {driver}\n" * 2, builds)
    assert found.state is state
    assert says in found.remedy
    assert bool(found.remedy) == (state is not Weight.GOOD)


def test_environments_of_no_run_and_foreign_runs_are_noted(tmp_path: Path) -> None:
    layout = open_layout(tmp_path)
    plan = write_run(layout.runs / "kept")
    keys = {side: environment.key for side, environment in plan.environments.items()}
    for name in [*(f"{side}-{key}" for side, key in keys.items()), "stock-1"]:
        (layout.environments / name).mkdir()
    assert doctor.caches(layout).state is Weight.GOOD
    (layout.environments / "candidate-former").mkdir()
    (layout.runs / "foreign").mkdir()
    (layout.runs / "foreign" / "plan.json").write_text("{}")
    found = doctor.caches(layout)
    assert found.state is Weight.NOTE
    assert f"rm -r {layout.environments / 'candidate-former'};" in found.remedy
    assert "foreign" in found.remedy
    assert "rm -r" not in found.remedy.partition("foreign")[2]


def test_neighbours_are_named_with_what_they_hold(tmp_path: Path) -> None:
    assert doctor.neighbours(tmp_path).state is Weight.GOOD
    with reserved(tmp_path, 3 * GIB, 1):
        found = doctor.neighbours(tmp_path)
    assert found.state is Weight.NOTE
    assert f"hold 1 of {len(usable_cores())} cores and 3 GiB" in found.found
    assert str(os.getpid()) in found.found


@pytest.mark.skipif(not doctor.LOCK_TABLE.exists(), reason="the kernel shows no table of locks here")
def test_held_lock_is_told_from_a_leftover_one(tmp_path: Path) -> None:
    layout = open_layout(tmp_path)
    (layout.locks / "left.lock").touch()
    found = doctor.locks(layout)
    assert (found.state, "1 lock files are left over" in found.found) == (Weight.GOOD, True)
    with FileLock(layout.locks / "run-a.lock"):
        found = doctor.locks(layout)
    assert found.state is Weight.NOTE
    assert f"run-a.lock by process {os.getpid()}" in found.found
    assert "left.lock" not in found.found


def test_trouble_ends_with_the_machine_s_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest that cannot be read is told like any other trouble, and the other looks go on."""
    code = doctor.main(["--root", str(tmp_path), "--manifest", str(tmp_path / "missing.yaml")])
    said = capsys.readouterr().out
    assert code == 3
    assert "TROUBLE  network, repositories" in said
    names = ("Python", "disk", "memory", "threads", "Git", "float64", "GPU", "caches", "locks", "neighbours")
    for what in names:
        assert f"  {what}: " in said


def test_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert doctor.main(["--root", str(tmp_path / "file" / "root")]) == 3
    assert "cannot write" in capsys.readouterr().err
