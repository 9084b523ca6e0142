"""What a record says of the GPUs, from a stand-in for nvidia-smi, which needs one."""

from pathlib import Path

import pytest

from matrix.ground.machine import accelerators, gpus, numerical_variables


def test_each_gpu_is_noted_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    row = "NVIDIA A100 80GB PCIe, 550.54, 81920 MiB, 4 MiB, 300.00 W, 210 MHz, 1410 MHz, 1512 MHz, 1512 MHz"
    tool.write_text(f"#!/bin/sh\necho '{row}'\necho '{row}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    first, second = accelerators()
    assert first == second
    assert (first["name"], first["driver_version"]) == ("NVIDIA A100 80GB PCIe", "550.54")
    assert first["clocks.max.sm"] == "1410 MHz"


def test_without_the_tool_or_a_gpu_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators() == ()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert accelerators() == ()


ROW = "NVIDIA A100, 550.54, 81920 MiB, 4 MiB, [N/A], 210 MHz, 1410 MHz, 1512 MHz, 1512 MHz"


@pytest.mark.parametrize("warning", ["WARNING: infoROM is corrupted at gpu 0000:3B:00.0", "a, b", ""])
def test_a_warning_is_no_gpu_and_what_is_not_told_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warning: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    tool.write_text(f"#!/bin/sh\necho '{warning}'\necho '{ROW}'\necho '{warning}'\n")
    tool.chmod(0o755)
    (only,) = accelerators()
    assert only["clocks.max.sm"] == "1410 MHz"
    assert "power.limit" not in only
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool.write_text(f"#!/bin/sh\necho '{warning}'\necho 'GPU-5ac2-7'\n")
    assert gpus() == ("GPU-5ac2-7",)


def test_a_tool_that_hangs_costs_its_facts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("matrix.ground.machine.SMI_SECONDS", 0.5)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    assert accelerators() == ()
    assert gpus() == ()


@pytest.mark.parametrize(
    ("allowed", "found"),
    [(None, ("GPU-1", "GPU-2")), ("2, 0", ("2", "0")), ("GPU-2", ("GPU-2",)), ("", ())],
)
def test_gpus_are_those_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str | None, found: tuple[str, ...]
) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf 'GPU-1\\nGPU-2\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert gpus() == found


def test_without_a_driver_there_are_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()


def test_variables_of_other_programs_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record may be published, and they may hold anything."""
    for name in ("TF_CLI_CONFIG_FILE", "TF_VAR_password"):
        monkeypatch.setenv(name, "private")
    monkeypatch.setenv("TF_XLA_FLAGS", "--a-flag")
    found = numerical_variables()
    assert found["TF_XLA_FLAGS"] == "--a-flag"
    assert "private" not in found.values()
