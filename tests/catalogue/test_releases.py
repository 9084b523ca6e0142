"""The default release is the newest known one that a Python here runs; it is found where people keep it."""

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

from matrix.catalogue.releases import KNOWN, newest_known, order_of, pythons_for, stack_of
from matrix.ground.errors import UsageError
from matrix.prepare.interpreters import Interpreter, interpreter_for, interpreters


@pytest.mark.parametrize(
    ("found", "release", "reason"),
    [
        (["3.11", "3.12"], "2026.10.26.1", "newest known"),
        (["3.13"], "2026.10.26.1", "newest known"),
        (["3.11"], "2026.7.9.1", "2026.10.26.1 needs Python 3.12 or 3.13, and this machine has 3.11"),
        (["3.10", "3.11", "3.14"], "2026.7.9.1", "this machine has 3.10, 3.11, 3.14"),
    ],
)
def test_default_is_the_newest_that_runs_here(found: list[str], release: str, reason: str) -> None:
    choice = newest_known(found)
    assert choice.release == release
    assert reason in choice.reason


def test_machine_without_a_python_for_any_release_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(3\.9, 3\.10\): install one of 3\.11, 3\.12, 3\.13"):
        newest_known(["3.9", "3.10"])


def test_known_releases_are_sorted_by_number_and_not_by_letter() -> None:
    assert sorted(KNOWN, key=order_of, reverse=True) == list(KNOWN)
    assert order_of("2026.10.2.1") > order_of("2026.9.27.2")


@pytest.mark.parametrize(
    ("release", "oldest"), [("2026.7.29.1", "3.11"), ("2026.7.29.2", "3.12"), ("2026.10.7.1", "3.12")]
)
def test_python_follows_the_release(release: str, oldest: str) -> None:
    assert pythons_for(release)[0] == oldest


# What lies on an index: by package its versions, each with what it asks for.
BEFORE, TIME, LATER = "2026.8.17.1", "2026.10.4.1", "2026.10.26.1"
JAX = ("0.9.2", "0.10.2", "0.11.2", "0.12.0")
INDEX = {
    "autolens": dict.fromkeys((TIME, LATER), f"autogalaxy>={BEFORE}"),
    "autogalaxy": dict.fromkeys((BEFORE, TIME, LATER), f"autofit>={BEFORE} autoarray>={BEFORE}"),
    "autofit": dict.fromkeys((BEFORE, TIME, LATER), f"autonerves>={BEFORE}"),
    # Not every package has every release.
    "autoarray": dict.fromkeys((BEFORE, "2026.9.27.2", LATER), f"autonerves>={BEFORE}"),
    # Only the old one does not mind the newest JAX.
    "autonerves": {BEFORE: "", **dict.fromkeys((TIME, LATER), "jax<0.12 jaxlib<0.12 jaxnnls==1.0.1")},
    "jax": dict.fromkeys(JAX, ""),
    "jaxlib": dict.fromkeys(JAX, ""),
    "jaxnnls": {"1.0.1": ""},
    "numba": {"0.68.1": ""},
}


def fill_index(folder: Path) -> None:
    """Write empty wheels of what is in `INDEX`."""
    for name, versions in INDEX.items():
        for version, wanted in versions.items():
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: jax\n"
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                info = f"{name}-{version}.dist-info"
                wheel.writestr(
                    f"{info}/METADATA", about + "".join(f"Requires-Dist: {w}\n" for w in wanted.split())
                )
                wheel.writestr(
                    f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                )
                wheel.writestr(f"{info}/RECORD", "")


def test_stack_of_an_older_release_is_of_its_time_whatever_came_later(tmp_path: Path) -> None:
    fill_index(tmp_path)
    wanted = tmp_path / "wanted.in"
    wanted.write_text("\n".join(stack_of(TIME, "cpu")))
    offline = ("--no-index", "--find-links", str(tmp_path), "--no-annotate", "--no-header", "--quiet")
    command = [uv.find_uv_bin(), "pip", "compile", *offline, str(wanted)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(found) == [
        "autoarray==2026.9.27.2",
        *(f"{name}=={TIME}" for name in ("autofit", "autogalaxy")),
        f"autolens=={TIME}",
        f"autonerves=={TIME}",
        *("jax==0.11.2", "jaxlib==0.11.2", "jaxnnls==1.0.1", "numba==0.68.1"),
    ]


def test_stack_that_pins_itself_is_left_to_its_own_pins() -> None:
    """Its package of the configuration had another name."""
    assert stack_of("2026.7.9.1", "cpu") == (
        "autolens[jax]==2026.7.9.1",
        "numba",
        "jax!=0.10.*",
        "jaxlib!=0.10.*",
    )


def fake_python(folder: Path, version: str) -> Path:
    """This Python in a folder of its own, which says that it is another version."""
    folder.mkdir(parents=True)
    path = folder / f"python{'.'.join(version.split('.')[:2])}"
    path.symlink_to(Path(sys.executable).resolve())
    return path


def failing_shim(folder: Path) -> None:
    """What pyenv leaves for a version that is not activated."""
    folder.mkdir(parents=True)
    for name in ("python3.12", "python3"):
        shim = folder / name
        shim.write_text('#!/bin/sh\necho "pyenv: $0: command not found" >&2\nexit 127\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    "place",
    [".pyenv/versions/3.12.1/bin", "miniconda3/envs/lens/bin", "miniforge3/envs/lens/bin"],
)
def test_interpreters_of_a_person_are_found_behind_failing_shims(tmp_path: Path, place: str) -> None:
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    expected = fake_python(tmp_path / "home" / place, running)
    failing_shim(tmp_path / "home" / ".pyenv" / "shims")
    variables = {"PATH": str(tmp_path / "home" / ".pyenv" / "shims"), "UV_CACHE_DIR": str(tmp_path / "cache")}
    found = interpreters(variables, home=tmp_path / "home", root=tmp_path / "nothing")
    assert expected in [interpreter.path for interpreter in found]
    assert found[0].path == Path(sys.executable)


def test_interpreters_under_opt_and_pyenv_root_are_found(tmp_path: Path) -> None:
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    opt = fake_python(tmp_path / "opt" / "python" / "current" / "bin", minor)
    pyenv = fake_python(tmp_path / "tools" / "versions" / "x" / "bin", minor)
    variables = {
        "PATH": "",
        "PYENV_ROOT": str(tmp_path / "tools"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    found = {interpreter.path for interpreter in interpreters(variables, home=tmp_path, root=tmp_path)}
    assert {opt, pyenv} <= found


MACHINE = tuple(
    Interpreter(version, Path(f"/python/{version}")) for version in ("3.11.7", "3.13.0", "3.12.1", "3.11.2")
)


def test_running_interpreter_is_taken_where_it_will_do() -> None:
    assert interpreter_for(("3.12", "3.11"), MACHINE) == MACHINE[0]


def test_otherwise_the_preferred_version_is_taken() -> None:
    assert interpreter_for(("3.12", "3.13"), MACHINE).version == "3.12.1"


def test_missing_version_is_refused_with_what_is_here() -> None:
    with pytest.raises(UsageError, match=r"runs on Python 3\.14, and this machine has 3\.11, 3\.12, 3\.13"):
        interpreter_for(("3.14",), MACHINE)
