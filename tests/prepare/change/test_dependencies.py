"""The dependency: every usual way to write it is removed, and what brings it back is reported."""

import sys
import tomllib
import venv
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure
from matrix.prepare.change import (
    ResidualDependency,
    UnrecognisedError,
    drop_dependency,
    residual_dependencies,
)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pyproject.toml", 'x = ["a", "jaxnnls"]\n', 'x = ["a"]\n'),
        ("pyproject.toml", 'x = ["jaxnnls==1.0.1", "a"]\n', 'x = ["a"]\n'),
        ("pyproject.toml", 'x = ["a", "JaxNNLS>=1", "b"]\n', 'x = ["a", "b"]\n'),
        ("pyproject.toml", "x = ['jaxnnls']\n", "x = []\n"),
        (
            "pyproject.toml",
            'x = [\n  "a",\n  "jaxnnls; python_version >= \'3.11\'"\n]\n',
            'x = [\n  "a",\n]\n',
        ),
        ("pyproject.toml", 'x = [\r\n  "jaxnnls",  # why\r\n  "a"\r\n]\r\n', 'x = [\r\n  "a"\r\n]\r\n'),
        ("pyproject.toml", 'x = ["jaxnnls; extra == \\"jax\\"", "a"]\n', 'x = ["a"]\n'),
        ("setup.cfg", "[options]\ninstall_requires =\n    a\n    jaxnnls>=1\n    b\n", None),
        ("setup.py", 'setup(install_requires=["a", "jaxnnls"])\n', 'setup(install_requires=["a"])\n'),
        ("requirements.txt", "a\njaxnnls==1.0.1 ; python_version > '3'\nb\n", "a\nb\n"),
        ("requirements.txt", "# jaxnnls was here\na\n", "# jaxnnls was here\na\n"),
        ("pyproject.toml", 'x = ["jax", "a"]\n', 'x = ["jax", "a"]\n'),
    ],
)
def test_the_requirement_is_removed_and_nothing_else(name: str, before: str, after: str | None) -> None:
    dropped = drop_dependency(name, before)

    assert dropped == (before.replace("    jaxnnls>=1\n", "") if after is None else after)
    assert drop_dependency(name, dropped) == dropped


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[tool.poetry.dependencies]\njaxnnls = "^1.0"\n'),
        ("pyproject.toml", 'x = ["jaxnnls-extras", "a"]\n'),
        ("setup.cfg", "[options.extras_require]\njax = jaxnnls\n"),
        ("setup.py", 'setup(install_requires="jaxnnls a".split())\n'),
        ("requirements.txt", "jaxnnls==1.0.1 --hash=sha256:00\n"),
        ("pyproject.toml", "jaxnnls = [\n"),
    ],
)
def test_other_ways_to_write_it_are_refused(name: str, text: str) -> None:
    with pytest.raises(UnrecognisedError, match=name):
        drop_dependency(name, text)


def test_a_dropped_requirement_leaves_valid_toml() -> None:
    text = '[project]\ndependencies = [ "a",\n "jaxnnls", "b" ]\n'

    assert tomllib.loads(drop_dependency("pyproject.toml", text))["project"]["dependencies"] == ["a", "b"]


def test_an_environment_tells_who_still_requires_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    packages = tmp_path / f"env/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for name, requirement in (("autoconf", 'jaxnnls==1.0.1; extra == "jax"'), ("other", "jaxnnls-not-this")):
        metadata = packages / f"{name}-2.0.dist-info/METADATA"
        metadata.parent.mkdir()
        metadata.write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\nRequires-Dist: {requirement}\n"
        )

    found = residual_dependencies(tmp_path / "env/bin/python")

    assert found == [
        ResidualDependency(
            "autoconf", 'jaxnnls==1.0.1; extra == "jax"', "metadata of the installed autoconf 2.0"
        )
    ]


def test_an_interpreter_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="python"):
        residual_dependencies(tmp_path / "bin/python")
