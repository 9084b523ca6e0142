"""A pack is unpacked and used without any network."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from matrix.commands.pack import DRIVER, Contents, main, pack
from matrix.ground.layout import open_layout
from matrix.prepare.checkout import Checkout, store
from matrix.prepare.interpreters import interpreters
from matrix.prepare.locks import LOCKS, Lock, pins
from matrix.prepare.manifest import Role
from tests.prepare.checkout.helpers import run_git

SMALL = "idna==3.10 --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\n"
# A package that has no wheel.
SOURCE = "".join(
    f"{pin}\n" for pin in pins((LOCKS / "2026.7.9.1" / "sources.txt").read_text()) if "timeout" in pin.name
)


def offline(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace of its own, which has no interface that is up."""
    command = ["unshare", "--map-root-user", "--net", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


def committed(clone: Path, files: Mapping[str, str]) -> str:
    """Commit `files` in the repository `clone`, made if need be; return the commit."""
    clone.mkdir(exist_ok=True)
    for name, text in files.items():
        (clone / name).write_text(text)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", *files],
        [*identity, "commit", "--quiet", "-m", "data"],
    ):
        run_git(clone, *words)
    return run_git(clone, "rev-parse", "HEAD")


def incomplete_checkout(folder: Path) -> Checkout:
    """What a run takes from a clone that lost a file: no history, and not all of the commit."""
    clone, kept = folder / "snapshot", folder / "store.git"
    committed(clone, {"small.txt": "small"})
    commit = committed(clone, {"large.zip": "large"})
    blob = run_git(clone, "rev-parse", "HEAD:large.zip")
    (clone / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    store.open_store(kept)
    store.fetch_first(kept, "autolens_workspace_test", [commit], str(clone))
    return Checkout("autolens_workspace_test", Role.TEST, "baseline", kept, commit, commit, commit)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small project, one repository and one package, packed, moved away and unpacked."""
    if shutil.which("unshare") is None or offline("true", cwd=Path.cwd()).returncode != 0:
        pytest.skip("network namespaces cannot be made here (unshare --map-root-user --net)")
    folder = tmp_path_factory.mktemp("pack")
    code = folder / "project"
    code.mkdir()
    (code / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "nnls-validation-matrix"\nversion = "0"\ndependencies = ["filelock"]\n'
        '[tool.hatch.build.targets.wheel]\nonly-include = ["packed_project.py"]\n'
    )
    (code / "packed_project.py").write_text("import filelock\n")
    whole = committed(folder / "clone", {"data.fits": "data"})
    lacking = incomplete_checkout(folder)
    library = Checkout("PyAutoArray", Role.LIBRARY, "baseline", folder / "clone", whole, whole, "2026.7.9.1")
    (filelock,) = (pin for pin in pins(DRIVER.read_text()) if pin.name == "filelock")
    contents = Contents(
        code, Lock(f"{filelock}\n", "", ""), Lock(SMALL, SOURCE, ""), ["idna", "timeout-decorator"]
    )
    options = ["--release", "2026.5.8.2"]
    layout = open_layout(folder / "root")
    pack(folder / "carried.tar", contents, [library, lacking], options, layout, interpreters()[0])
    with tarfile.open(folder / "carried.tar") as archive:
        archive.extractall(folder / "elsewhere", filter="data")
    yield folder / "elsewhere" / "carried"


@pytest.fixture(scope="module")
def installed(unpacked: Path) -> Path:
    done = offline(sys.executable, "unpack.py", cwd=unpacked)
    assert done.returncode == 0, done.stderr
    assert f"--source mirror --mirror {unpacked / 'mirror'} --release 2026.5.8.2\n" in done.stdout
    return unpacked


def test_namespace_really_has_no_network(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or offline("true", cwd=tmp_path).returncode != 0:
        pytest.skip("network namespaces cannot be made here (unshare --map-root-user --net)")
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    assert "unreachable" in offline(sys.executable, "-c", code, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("environment", "module"),
    [("driver", "packed_project"), ("stack", "idna"), ("stack", "timeout_decorator")],
)
def test_environments_install_from_the_pack_alone(installed: Path, environment: str, module: str) -> None:
    python = installed / "environments" / environment / "bin" / "python"
    done = offline(python, "-c", f"import {module}; print({module}.__file__)", cwd=installed)
    assert str(installed) in done.stdout, done.stderr


def test_clone_has_the_ref_it_was_asked_by(installed: Path) -> None:
    done = offline("git", "--git-dir=mirror/PyAutoArray.git", "show", "2026.7.9.1:data.fits", cwd=installed)
    assert done.stdout == "data"


def test_clone_without_history_and_with_gaps_is_read_back(installed: Path, tmp_path: Path) -> None:
    carried = installed / "mirror" / "autolens_workspace_test.git"
    commit = run_git(carried, "rev-parse", "packed")
    target = tmp_path / "store.git"
    store.open_store(target)
    found = store.fetch_first(target, "autolens_workspace_test", [commit], str(carried))
    assert found.commit == commit
    assert store.absent_files(target, commit) == ("large.zip",)
    assert run_git(target, "show", f"{commit}:small.txt") == "small"


def test_unpacking_again_installs_nothing(installed: Path) -> None:
    assert "installing" not in offline(sys.executable, "unpack.py", cwd=installed).stdout


def test_other_python_is_refused_before_anything_is_made(unpacked: Path, tmp_path: Path) -> None:
    shutil.copy(unpacked / "unpack.py", tmp_path)
    about = json.loads((unpacked / "pack.json").read_text())
    (tmp_path / "pack.json").write_text(json.dumps({**about, "python": "3.9"}))
    done = offline(sys.executable, "unpack.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "packed for Python 3.9" in done.stderr
    assert not (tmp_path / "environments").exists()


def test_a_folder_that_is_not_there_is_said_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "missing" / "carried.tar"), "--root", str(tmp_path / "root")]) == 2
    assert f"there is no folder {tmp_path / 'missing'}" in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_pack_is_for_the_change_that_vendors_the_solver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / "matrix.tar"), "--release", "2026.7.9.1", "--candidate-package", "jax==0.9.2"]
    assert main(words) == 2
    assert "a pack holds one library and one stack" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
