"""Local origins, with a package index on this machine."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.prepare.checkout import build_origins, prepare, resolve_source
from matrix.prepare.checkout.sdist import fetch_sdist, released_versions, unpack_sdist
from matrix.prepare.manifest import Manifest, Repository, Role
from tests.prepare.checkout.helpers import NAMES, RELEASE, fingerprint, run_git

LIBRARY, DEVELOPER, _ = NAMES


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def write_sdist(path: Path) -> None:
    """Write a source archive whose own ignore file would hide part of it."""
    files = {"pyproject.toml": "[project]\n", "autoarray/x.py": "x = 1\n", ".gitignore": "autoarray/\n"}
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"autoarray-{RELEASE}/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a package index with one release and make it the one to ask."""
    page = tmp_path / "index" / "simple" / "autoarray"
    page.mkdir(parents=True)
    write_sdist(page / f"autoarray-{RELEASE}.tar.gz")
    (page / "index.html").write_text(f'<a href="autoarray-{RELEASE}.tar.gz">x</a>')
    handler = partial(_Quiet, directory=str(tmp_path / "index"))
    serving = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    url = f"http://user:s3cret@127.0.0.1:{serving.server_port}/simple"
    monkeypatch.setenv("PIP_INDEX_URL", url)
    yield url
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Return templates of the two workspaces."""
    folder = tmp_path / "templates"
    for name in NAMES[1:]:
        (folder / name / "scripts").mkdir(parents=True)
        (folder / name / "scripts" / "run.py").write_text(f"# {name}\n")
        (folder / name / "scripts" / "__pycache__").mkdir()
        (folder / name / "scripts" / "__pycache__" / "run.pyc").write_text("compiled")
    return folder


class Simulator:
    """Writes a dataset, and counts how often."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def __call__(self, folder: Path) -> None:
        self.folders.append(folder)
        (folder / "dataset").mkdir()
        (folder / "dataset" / "data.fits").write_bytes(b"SIMPLE")


Build = Callable[..., dict[str, Path]]


@pytest.fixture
def simulate() -> Simulator:
    return Simulator()


@pytest.fixture
def build(
    make_manifest: Callable[..., Manifest],
    tmp_path: Path,
    templates: Path,
    simulate: Simulator,
    index: str,  # noqa: ARG001
) -> Build:
    """Return `build_origins` with everything given."""
    trio = make_manifest(source="embedded")

    def call(
        root: Path = tmp_path / "root", recipe: str = "seed 1", manifest: Manifest = trio
    ) -> dict[str, Path]:
        return build_origins(manifest, root, templates=templates, complete=simulate, recipe=recipe, hashes={})

    return call


def commits(origins: dict[str, Path]) -> dict[str, str]:
    return {name: run_git(origin, "rev-parse", "main") for name, origin in origins.items()}


def test_the_origins_can_be_checked_out(
    build: Build, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = make_manifest(source="embedded")
    source = resolve_source(manifest).at(build())
    checkouts = prepare(manifest, source, tmp_path / "root")
    assert (checkouts[LIBRARY].path / "autoarray" / "x.py").read_text() == "x = 1\n"
    assert (checkouts[DEVELOPER].path / "dataset" / "data.fits").read_bytes() == b"SIMPLE"
    assert not (checkouts[DEVELOPER].path / "scripts" / "__pycache__").exists()
    assert not (checkouts[NAMES[2]].path / "dataset").exists()


def test_profiling_has_no_stand_in_and_is_left_out(
    build: Build, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = make_manifest(source="embedded")
    studied = Repository(name="studies", role=Role.PROFILING, url="https://forge.invalid/o/studies")
    manifest = manifest.model_copy(update={"repositories": (*manifest.repositories, studied)})
    assert set(build(manifest=manifest)) == set(NAMES)
    source = resolve_source(manifest).at(build(manifest=manifest))
    assert set(prepare(manifest, source, tmp_path / "root")) == set(NAMES)


def test_each_has_one_commit_on_main_and_the_release_as_tag(build: Build) -> None:
    for name, origin in build().items():
        assert origin.name == f"{name}.git"
        assert run_git(origin, "log", "--format=%s", "main") == f"{name} as of release {RELEASE}"
        assert run_git(origin, "rev-parse", RELEASE) == run_git(origin, "rev-parse", "main")
        assert run_git(origin, "remote") == ""


def test_the_same_content_gives_the_same_commits_elsewhere(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = commits(build())
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00")
    assert commits(build(tmp_path / "elsewhere")) == here


def test_they_are_built_once(build: Build, simulate: Simulator, tmp_path: Path) -> None:
    origins = build()
    before = fingerprint(tmp_path / "root" / "embedded")
    assert build() == origins
    assert len(simulate.folders) == 1
    assert fingerprint(tmp_path / "root" / "embedded") == before


def test_another_template_or_recipe_gives_another_origin(
    build: Build, simulate: Simulator, templates: Path
) -> None:
    first = build()
    second = build(recipe="seed 2")
    (templates / DEVELOPER / "scripts" / "run.py").write_text("# new\n")
    third = build(recipe="seed 2")
    assert len({origins[DEVELOPER] for origins in (first, second, third)}) == 3
    assert len(simulate.folders) == 3
    assert first[LIBRARY] == third[LIBRARY]


def test_a_simulation_that_fails_leaves_nothing_and_can_be_repeated(
    build: Build, simulate: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Simulator, folder: Path) -> None:
        (folder / "half.fits").write_bytes(b"SIM")
        raise EnvironmentFailure("the simulator broke")

    with monkeypatch.context() as patch:
        patch.setattr(Simulator, "__call__", fail)
        with pytest.raises(EnvironmentFailure, match="simulator broke"):
            build()
    listing = run_git(build()[DEVELOPER], "ls-tree", "-r", "--name-only", "main")
    assert listing.split() == ["dataset/data.fits", "scripts/run.py"]
    assert len(simulate.folders) == 1


def test_a_workspace_without_template_is_refused(build: Build, templates: Path) -> None:
    (templates / DEVELOPER).rename(templates / "other")
    with pytest.raises(UsageError, match=f"no stand-in for {DEVELOPER}"):
        build()


def test_an_archive_is_downloaded_once(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index
    archive = fetch_sdist("autoarray", RELEASE, tmp_path / "cache")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    assert fetch_sdist("autoarray", RELEASE, tmp_path / "cache") == archive


@pytest.mark.usefixtures("index")
def test_releases_of_an_index_are_listed_by_age_and_once(tmp_path: Path) -> None:
    page = tmp_path / "index" / "simple" / "autoarray" / "index.html"
    files = (
        "autoarray-2026.10.7.1.tar.gz",
        "autoarray-2026.9.26.1.tar.gz",
        "autoarray-2026.11.1.1-py3-none-any.whl",
    )
    needs = 'data-requires-python="&gt;=3.12"'
    page.write_text("".join(f'<a href="{name}" {needs}>x</a>' for name in (*files, files[0])))
    assert released_versions("autoarray") == ("2026.9.26.1", "2026.10.7.1")


def test_a_release_that_does_not_exist_is_wrong_use(tmp_path: Path, index: str) -> None:
    assert "s3cret" in index
    with pytest.raises(UsageError, match=r"no source archive for autoarray==2026\.1\.1\.1") as caught:
        fetch_sdist("autoarray", "2026.1.1.1", tmp_path)
    assert "s3cret" not in str(caught.value)


def test_an_index_that_does_not_answer_is_the_networks_fault(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index
    monkeypatch.setenv("UV_INDEX_URL", "http://user:s3cret@127.0.0.1:1/simple")
    with pytest.raises(NetworkError, match="Connection refused") as caught:
        fetch_sdist("autoarray", RELEASE, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert not list(tmp_path.glob("*.tar.gz"))


def test_a_broken_archive_is_thrown_away(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(b"\x1f\x8b half")
    with pytest.raises(EnvironmentFailure, match="start again to download"):
        unpack_sdist(archive, tmp_path / "x")
    assert not archive.exists()
