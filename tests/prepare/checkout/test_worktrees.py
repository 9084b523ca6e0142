"""Working trees: exact, disposable, repaired, deterministic."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.ground import disk
from matrix.ground.disk import disk_failures
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.ground.file_locks import locked
from matrix.prepare.checkout import Checkout, candidate_of, commit_candidate, prepare, resolve_source
from matrix.prepare.manifest import override
from tests.prepare.checkout.helpers import NAMES, Upstream, fingerprint, run_git, start_python

LIBRARY = "PyAutoArray"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return our folder, not made yet."""
    return tmp_path / "root"


def prepared(upstream: Upstream, root: Path) -> dict[str, Checkout]:
    return prepare(upstream.manifest, resolve_source(upstream.manifest), root)


def assert_exact(checkout: Checkout, upstream: Upstream) -> None:
    """See that a tree has every file of its commit, with its mode, and nothing else."""
    assert checkout.commit == run_git(upstream.clone(checkout.name), "rev-parse", "main")
    assert run_git(checkout.path, "rev-parse", "HEAD") == checkout.commit
    assert run_git(checkout.path, "status", "--porcelain", "--ignored") == ""
    files = {str(path.relative_to(checkout.path)) for path in checkout.path.rglob("*") if path.is_file()}
    assert files == {".git", ".gitignore", "package/code.py", "tool.sh"}
    assert (checkout.path / "package" / "code.py").read_text() == "x = 2\n"
    assert (checkout.path / "tool.sh").stat().st_mode & 0o111


def test_every_repository_gets_a_tree_at_its_commit(upstream: Upstream, root: Path) -> None:
    checkouts = prepared(upstream, root)
    assert list(checkouts) == list(NAMES)
    for checkout in checkouts.values():
        assert_exact(checkout, upstream)
        assert checkout.path == root / "checkouts" / checkout.name / f"{checkout.commit[:12]}-baseline"
        assert (checkout.purpose, checkout.ref, checkout.base) == ("baseline", "main", checkout.commit)


def test_preparing_again_touches_no_file_of_an_exact_tree(upstream: Upstream, root: Path) -> None:
    prepared(upstream, root)
    before = fingerprint(root / "checkouts")
    prepared(upstream, root)
    assert fingerprint(root / "checkouts") == before


def test_whatever_was_done_to_a_tree_is_undone(upstream: Upstream, root: Path) -> None:
    tree = prepared(upstream, root)[LIBRARY].path
    (tree / "package" / "code.py").write_text("broken\n")
    (tree / "tool.sh").unlink()
    (tree / "new.txt").write_text("new\n")
    (tree / "ignored").mkdir()
    (tree / "ignored" / "output.txt").write_text("left over\n")
    run_git(tree, "init", "--quiet", "nested")
    run_git(tree, "checkout", "--quiet", "-b", "somewhere")
    run_git(tree, "commit", "--quiet", "--all", "-m", "not ours")
    assert_exact(prepared(upstream, root)[LIBRARY], upstream)


@pytest.mark.parametrize("harm", ["no .git", "index.lock", "no index", "empty HEAD", "no files", "no tree"])
def test_an_interrupted_tree_is_repaired(upstream: Upstream, root: Path, harm: str) -> None:
    tree = prepared(upstream, root)[LIBRARY].path
    metadata = Path(run_git(tree, "rev-parse", "--absolute-git-dir"))
    match harm:
        case "no .git":
            (tree / ".git").unlink()
        case "index.lock":
            (metadata / "index.lock").write_text("")
            (tree / "tool.sh").unlink()
        case "no index":
            (metadata / "index").unlink()
        case "empty HEAD":
            (metadata / "HEAD").write_text("")
        case "no files":
            shutil.rmtree(tree / "package")
        case "no tree":
            shutil.rmtree(tree)
    assert_exact(prepared(upstream, root)[LIBRARY], upstream)


def plant_half_a_clone(store: Path) -> None:
    shutil.rmtree(store)
    (store / "objects" / "pack").mkdir(parents=True)
    (store / "objects" / "pack" / "tmp_pack_x").write_text("half")


def plant_locks(store: Path) -> None:
    run_git(store, "update-ref", "-d", run_git(store, "for-each-ref", "--format=%(refname)"))
    for name in ("packed-refs.lock", "config.lock", "shallow.lock"):
        (store / name).write_text("")


def plant_a_missing_object(store: Path) -> None:
    for path in [*store.glob("objects/pack/*"), *store.glob("objects/[0-9a-f][0-9a-f]/*")]:
        path.unlink()


def plant_a_broken_object(store: Path) -> None:
    for path in [*store.glob("objects/pack/*.pack"), *store.glob("objects/[0-9a-f][0-9a-f]/*")]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.chmod(0o644)
        path.write_bytes(content)


@pytest.mark.parametrize(
    "plant", [plant_half_a_clone, plant_locks, plant_a_missing_object, plant_a_broken_object]
)
def test_an_interrupted_or_damaged_store_is_repaired(
    upstream: Upstream, root: Path, plant: Callable[[Path], None]
) -> None:
    tree = prepared(upstream, root)[LIBRARY].path
    plant(root / "store" / f"{LIBRARY}.git")
    shutil.rmtree(tree)
    assert_exact(prepared(upstream, root)[LIBRARY], upstream)


def test_a_copied_root_does_not_reach_into_the_one_it_was_copied_from(
    upstream: Upstream, root: Path, tmp_path: Path
) -> None:
    prepared(upstream, root)
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    before = fingerprint(root)
    tree = prepared(upstream, tmp_path / "copy")[LIBRARY].path
    (tree / "tool.sh").unlink()
    assert_exact(prepared(upstream, tmp_path / "copy")[LIBRARY], upstream)
    assert fingerprint(root) == before


def test_two_commits_of_one_repository_lie_side_by_side(upstream: Upstream, root: Path) -> None:
    new = prepared(upstream, root)[LIBRARY]
    manifest = override(upstream.manifest, refs={LIBRARY: "feature/fast"})
    old = prepare(manifest, resolve_source(manifest), root)[LIBRARY]
    assert (old.path / "package" / "code.py").read_text() == "x = 1\n"
    assert_exact(new, upstream)


def test_a_branch_that_moved_gives_the_new_commit(upstream: Upstream, root: Path) -> None:
    prepared(upstream, root)
    run_git(upstream.clone(LIBRARY), "commit", "--quiet", "--allow-empty", "-m", "third")
    assert_exact(prepared(upstream, root)[LIBRARY], upstream)


def test_a_persons_git_settings_do_not_change_what_is_made(
    upstream: Upstream, root: Path, tmp_path: Path, git_configuration: Path
) -> None:
    plain = TestCandidate.vendored(upstream, tmp_path / "plain")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "pre-commit", "reference-transaction"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "ignore").write_text("solver.py\n")
    with git_configuration.open("a") as stream:
        stream.write(
            f"[core]\n\thooksPath = {hooks}\n\tautocrlf = true\n\texcludesFile = {tmp_path}/ignore\n"
        )
        stream.write("[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n")
    assert TestCandidate.vendored(upstream, root).commit == plain.commit
    assert_exact(prepared(upstream, root)[LIBRARY], upstream)


def test_what_fails_on_a_full_disk_names_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = EnvironmentFailure("unable to write file")
    with pytest.raises(EnvironmentFailure, match="unable to write file"), disk_failures(tmp_path):
        raise refused
    monkeypatch.setattr(disk, "FULL_BYTES", shutil.disk_usage(tmp_path).free + 2**40)
    with pytest.raises(EnvironmentFailure, match="no space is left in"), disk_failures(tmp_path):
        raise refused


def test_a_folder_that_cannot_be_written_is_the_machines_fault(upstream: Upstream) -> None:
    with pytest.raises(EnvironmentFailure, match="cannot work in /dev/null") as caught:
        prepared(upstream, Path("/dev/null/matrix"))
    assert caught.value.exit_code == 3


class TestCandidate:
    """The tree that is edited."""

    @staticmethod
    def vendored(upstream: Upstream, root: Path) -> Checkout:
        with candidate_of(prepared(upstream, root)[LIBRARY]) as candidate:
            (candidate.path / "package" / "solver.py").write_text("solve = None\n")
            (candidate.path / "tool.sh").unlink()
            (candidate.path / "package" / "__pycache__").mkdir()
            (candidate.path / "package" / "__pycache__" / "solver.pyc").write_text("compiled")
            return commit_candidate(candidate, "feature/x", "Vendor the solver")

    def test_the_same_content_gives_the_same_commit(
        self, upstream: Upstream, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.vendored(upstream, root)
        time.sleep(1.1)
        monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        assert self.vendored(upstream, root) == first
        assert self.vendored(upstream, tmp_path / "other").commit == first.commit

    def test_the_commit_holds_the_edits_on_top_of_the_base(self, upstream: Upstream, root: Path) -> None:
        candidate = self.vendored(upstream, root)
        changes = run_git(candidate.path, "diff", "--name-status", candidate.base, candidate.commit)
        assert changes.split() == ["A", "package/solver.py", "D", "tool.sh"]
        assert run_git(candidate.path, "rev-parse", "feature/x^") == candidate.base
        assert run_git(candidate.path, "status", "--porcelain") == ""

    def test_the_next_candidate_begins_at_the_base(self, upstream: Upstream, root: Path) -> None:
        self.vendored(upstream, root)
        with candidate_of(prepared(upstream, root)[LIBRARY]) as candidate:
            assert_exact(candidate, upstream)

    def test_the_baseline_is_not_touched(self, upstream: Upstream, root: Path) -> None:
        before = prepared(upstream, root)[LIBRARY]
        self.vendored(upstream, root)
        assert_exact(before, upstream)

    def test_without_edits_there_is_no_new_commit(self, upstream: Upstream, root: Path) -> None:
        with candidate_of(prepared(upstream, root)[LIBRARY]) as candidate:
            assert commit_candidate(candidate, "feature/x", "nothing").commit == candidate.base

    def test_a_baseline_is_not_committed_to(self, upstream: Upstream, root: Path) -> None:
        with pytest.raises(UsageError, match="only a candidate is edited"):
            commit_candidate(prepared(upstream, root)[LIBRARY], "feature/x", "no")

    def test_another_run_waits_and_says_so(
        self, upstream: Upstream, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        baseline = prepared(upstream, root)[LIBRARY]
        order: list[str] = []

        def second() -> None:
            with candidate_of(baseline):
                order.append("second")

        with candidate_of(baseline):
            thread = threading.Thread(target=second)
            thread.start()
            said = ""
            while "note: another run is working on" not in said:
                time.sleep(0.01)
                said += capsys.readouterr().err
            order.append("first")
        thread.join()
        assert order == ["first", "second"]


def test_a_lock_of_a_run_that_was_killed_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    code = (
        "import sys, pathlib; from matrix.ground.file_locks import locked\n"
        f"with locked(pathlib.Path({str(lock)!r}), 'x'):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = start_python(code, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    with locked(lock, "x"):
        pass


def test_an_incomplete_clone_gives_what_it_has(
    upstream: Upstream, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = upstream.clone(LIBRARY)
    blob = run_git(clone, "rev-parse", "HEAD:tool.sh")
    (clone / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    run_git(clone, "update-index", "--assume-unchanged", "tool.sh")
    library = prepared(upstream, root)[LIBRARY]
    assert library.absent == ("tool.sh",)
    assert "lacks some files" in capsys.readouterr().err
    assert (library.path / "package" / "code.py").read_text() == "x = 2\n"
    assert not (library.path / "tool.sh").exists()
    before = fingerprint(root / "checkouts")
    assert prepared(upstream, root)[LIBRARY] == library
    assert fingerprint(root / "checkouts") == before
    shutil.rmtree(root / "store" / f"{LIBRARY}.git" / "worktrees")
    assert prepared(upstream, root)[LIBRARY] == library
    manifest = override(upstream.manifest, refs={LIBRARY: "feature/fast"})
    assert prepare(manifest, resolve_source(manifest), root)[LIBRARY].absent == ("tool.sh",)
    assert "damaged" not in capsys.readouterr().err
    with candidate_of(library) as candidate:
        (candidate.path / "package" / "code.py").write_text("x = 3\n")
        commit = commit_candidate(candidate, "feature/x", "edit").commit
        assert run_git(candidate.path, "diff", "--name-only", library.commit, commit) == "package/code.py"


class TestRewrittenAddresses:
    """`url.<base>.insteadOf` towards clones that can be taken away."""

    @pytest.fixture
    def from_git(self, upstream: Upstream, git_configuration: Path) -> Upstream:
        """Make the urls lead to the clones."""
        with git_configuration.open("a") as stream:
            stream.write(f'[url "{upstream.folder}/"]\n\tinsteadOf = https://forge.invalid/\n')
        upstream.manifest = override(upstream.manifest, source="git")
        return upstream

    def test_reachable(self, from_git: Upstream, root: Path) -> None:
        for checkout in prepared(from_git, root).values():
            assert_exact(checkout, from_git)

    def test_gone_between_two_repositories_and_back(
        self, from_git: Upstream, root: Path, tmp_path: Path
    ) -> None:
        source = resolve_source(from_git.manifest)
        last = from_git.clone(NAMES[-1])
        last.rename(tmp_path / "away")
        with pytest.raises(NetworkError, match=r"workspace_test: cannot read .*start the same command"):
            prepare(from_git.manifest, source, root)
        kept = fingerprint(root / "checkouts")
        (tmp_path / "away").rename(last)
        for checkout in prepared(from_git, root).values():
            assert_exact(checkout, from_git)
        after = fingerprint(root / "checkouts")
        assert {name: after[name] for name in kept} == kept

    def test_gone_before_the_start(self, from_git: Upstream, root: Path, tmp_path: Path) -> None:
        prepared(from_git, root)
        from_git.folder.rename(tmp_path / "away")
        with pytest.raises(NetworkError, match="did not answer"):
            prepared(from_git, root)

    def test_what_is_checked_out_needs_its_source_no_more(
        self, from_git: Upstream, root: Path, tmp_path: Path
    ) -> None:
        baseline = prepared(from_git, root)[LIBRARY]
        from_git.folder.rename(tmp_path / "away")
        with candidate_of(baseline) as candidate:
            (candidate.path / "package" / "code.py").write_text("x = 3\n")
            commit = commit_candidate(candidate, "feature/x", "edit").commit
        assert run_git(baseline.path, "show", f"{commit}:package/code.py") == "x = 3"
