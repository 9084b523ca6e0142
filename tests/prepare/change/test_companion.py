"""The edit elsewhere in the stack: jaxnnls goes from where it is declared, and from the Colab bootstrap."""

import ast
import os
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from matrix.prepare.change import drop_dependency, packaging_files
from matrix.refresh.branches.steps import dependency_edit
from tests.prepare.change.miniature import write

FOLDER = Path(os.environ.get("PYAUTOARRAY_TREES", "nowhere"))
DISTRIBUTIONS = sorted(
    path.parent for name in ("autoconf", "autonerves") for path in FOLDER.glob(f"{name}-*/pyproject.toml")
)

PYPROJECT = {
    "base dependency": """\
[project]
name = "autonerves"
dependencies = [
    "numpy>=1.24.0,<3.0.0",
    # Why these are here, and jaxnnls among them.
    'jax>=0.7.0,<0.12.0; sys_platform != "darwin" or platform_machine == "arm64"',
    'jaxnnls==1.0.1; sys_platform != "darwin" or platform_machine == "arm64"'
]

[project.optional-dependencies]
jax = []
""",
    "extra": """\
[project]
name = "autonerves"
dependencies = ["numpy>=1.24.0,<3.0.0"]

[project.optional-dependencies]
jax = [
    "jax>=0.7.0,<0.11.0; python_version >= '3.11'",
    "jaxnnls==1.0.1; python_version >= '3.11'"
]
optional = ["autonerves[jax]"]
""",
}
COLAB = '''\
"""What is installed on Colab, without dependencies."""

_EXTRAS = [
    "dill==0.4.0",
    "jaxnnls",
    "emcee>=3.1.6",  # why
]

_STACK = ["autonerves"] + _EXTRAS
'''


@pytest.mark.parametrize("declared", PYPROJECT)
def test_the_declaration_and_the_bootstrap_are_edited_and_nothing_else(tmp_path: Path, declared: str) -> None:
    others = {"README.md": "jaxnnls\n", "autonerves/other.py": 'NAME = "jaxnnls"\n'}
    files = {"pyproject.toml": PYPROJECT[declared], "autonerves/setup_colab.py": COLAB, **others}
    for name, text in files.items():
        write(tmp_path / name, text)

    (commit,) = dependency_edit(tmp_path)

    assert set(commit.paths) >= {"pyproject.toml", "autonerves/setup_colab.py"}
    after = {name: (tmp_path / name).read_text() for name in files}
    assert {name: after[name] for name in others} == others
    for name in ("pyproject.toml", "autonerves/setup_colab.py"):
        gone = [line for line in files[name].splitlines() if line not in after[name].splitlines()]
        assert len(gone) == 1
        assert gone[0].strip().strip("'\",").startswith("jaxnnls")
        assert len(after[name].splitlines()) == len(files[name].splitlines()) - 1
    _assert_gone(tmp_path, files["pyproject.toml"], COLAB)


@pytest.mark.skipif(
    not DISTRIBUTIONS, reason="PYAUTOARRAY_TREES names no folder of the packages that declare it"
)
@pytest.mark.parametrize("tree", DISTRIBUTIONS, ids=lambda tree: tree.name)
def test_the_real_packages(tree: Path, tmp_path: Path) -> None:
    changed = []
    for name in packaging_files(tree):
        before = (tree / name).read_text(encoding="utf-8")
        after = drop_dependency(name, before)
        write(tmp_path / name, after)
        if after != before:
            changed.append(name)

    package = tree.name.partition("-")[0]
    assert changed == [f"{package}/setup_colab.py", "pyproject.toml"]
    _assert_gone(
        tmp_path,
        (tree / "pyproject.toml").read_text(encoding="utf-8"),
        (tree / f"{package}/setup_colab.py").read_text(encoding="utf-8"),
    )


def _assert_gone(edited: Path, pyproject: str, colab: str) -> None:
    """Both files say what they said, but for jaxnnls."""
    before, after = (_requirements(text) for text in (pyproject, (edited / "pyproject.toml").read_text()))
    assert after == {where: [line for line in lines if not _is_it(line)] for where, lines in before.items()}
    assert after != before
    (path,) = edited.glob("*/setup_colab.py")
    words, left = (_strings(text) for text in (colab, path.read_text()))
    assert "jaxnnls" in words
    assert left == [word for word in words if word != "jaxnnls"]


def _requirements(pyproject: str) -> dict[str, list[str]]:
    project = tomllib.loads(pyproject)["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def _is_it(requirement: str) -> bool:
    return Requirement(requirement).name == "jaxnnls"


def _strings(source: str) -> list[str]:
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [value for value in constants if isinstance(value, str)]
