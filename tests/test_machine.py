"""What a record says of the GPUs, from a stand-in for nvidia-smi, which needs one."""

from pathlib import Path

import pytest

from matrix.machine import accelerators


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
