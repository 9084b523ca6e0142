"""A person's Git settings: those that lead to a remote count, no other does, no program of theirs starts."""

import base64
import os
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.prepare.checkout import candidate_of, commit_candidate, prepare, resolve_source
from matrix.prepare.checkout.git import RemoteRefusedError, _leads_here, git, list_refs
from matrix.prepare.checkout.sources import find_clone
from matrix.refresh.branches.identity import read_identity
from tests.persons_settings import SETTINGS
from tests.prepare.checkout.helpers import Upstream, run_git
from tests.prepare.checkout.test_git import answering, server

LIBRARY = "PyAutoArray"
SIGNED = """tree {tree}
author A Person <person@example.org> 1767225600 +0000
committer A Person <person@example.org> 1767225600 +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 iQFakedForATest
 -----END PGP SIGNATURE-----

signed
"""


def candidate(upstream: Upstream, root: Path) -> tuple[str, dict[str, bytes]]:
    """The commit of an edited candidate, and what both trees hold."""
    baseline = prepare(upstream.manifest, resolve_source(upstream.manifest), root)[LIBRARY]
    with candidate_of(baseline) as tree:
        (tree.path / "package" / "code.py").write_text("x = 3\n")
        made = commit_candidate(tree, "feature/x", "Change")
    trees = (baseline.path, made.path)
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file() and path.name != ".git"]
    return made.commit, {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture
def signed(upstream: Upstream, tmp_path: Path) -> Upstream:
    """The library's tip signed, as the real one's is."""
    clone = upstream.clone(LIBRARY)
    commit = tmp_path / "commit"
    commit.write_text(SIGNED.format(tree=run_git(clone, "rev-parse", "main^{tree}")))
    made = run_git(clone, "hash-object", "-t", "commit", "-w", str(commit))
    run_git(clone, "update-ref", "refs/heads/main", made)
    return upstream


def test_the_same_candidate_comes_out_under_any_settings(
    signed: Upstream, tmp_path: Path, git_configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = candidate(signed, tmp_path / "plain")
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    for name, text in SETTINGS.items():
        with git_configuration.open("a") as stream:
            stream.write(text)
        commit, files = candidate(signed, tmp_path / name)
        assert (commit, files) == plain, name


@pytest.mark.parametrize("where", ["global", "the clone's own"])
def test_an_untracked_file_makes_a_clone_dirty(
    upstream: Upstream, git_configuration: Path, where: str
) -> None:
    clone = upstream.clone(LIBRARY)
    (clone / "new.txt").write_text("new\n")
    target = git_configuration if where == "global" else clone / ".git" / "config"
    with target.open("a") as stream:
        stream.write(SETTINGS["untracked-no"])
    assert LIBRARY in resolve_source(upstream.manifest).dirty


def test_no_program_of_a_clone_is_started_by_looking_at_it(upstream: Upstream, tmp_path: Path) -> None:
    clone, trace = upstream.clone(LIBRARY), tmp_path / "trace"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho started >> {trace}\ncat\n")
    program.chmod(0o755)
    for key in ("filter.odd=name.clean", "filter.odd=name.process", "core.fsmonitor", "diff.x.textconv"):
        run_git(clone, "config", key, str(program))
    run_git(clone, "config", "filter.odd=name.required", "true")
    hooks = clone / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        shutil.copy(program, hooks / name)
    (clone / ".git" / "info").mkdir(exist_ok=True)
    (clone / ".git" / "info" / "attributes").write_text("*.py filter=odd=name diff=x\n")
    os.utime(clone / "package" / "code.py", (0, 0))
    trace.unlink(missing_ok=True)
    source = resolve_source(upstream.manifest)
    prepare(upstream.manifest, source, tmp_path / "root")
    assert not trace.exists()
    assert LIBRARY not in source.dirty


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_clone_of_another_owner_is_named_with_the_remedy(
    upstream: Upstream, tmp_path: Path, git_configuration: Path
) -> None:
    clone = upstream.clone(LIBRARY)
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 12345, 12345)
    repository = upstream.manifest.repositories[0]
    with pytest.raises(UsageError, match=f"git config --global --add safe.directory {clone}"):
        find_clone(upstream.folder, repository)
    with git_configuration.open("a") as stream:
        stream.write(f"[safe]\n\tdirectory = {clone}\n\tdirectory = {clone}/.git\n")
    assert find_clone(upstream.folder, repository) == clone.resolve()
    prepare(upstream.manifest, resolve_source(upstream.manifest), tmp_path / "root")


def test_addresses_are_rewritten_as_the_person_says(upstream: Upstream, git_configuration: Path) -> None:
    included = git_configuration.with_name("more")
    included.write_text(f'[url "{upstream.folder}/"]\n\tinsteadOf = "https://forge.invalid/a \\"b\\"/"\n')
    with git_configuration.open("a") as stream:
        stream.write(f"[include]\n\tpath = {included}\n")
    assert "refs/heads/main" in list_refs(f'https://forge.invalid/a "b"/PyAutoLabs/{LIBRARY}')


def test_credentials_and_headers_are_sent_as_the_person_says(git_configuration: Path, tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho username=ada\necho password=$GH_TOKEN\n")
    helper.chmod(0o755)
    seen: list[str | None] = []

    def refusing(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        answering(401)(handler)

    with (
        server(refusing) as (place, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("GH_TOKEN", "t0ken-of-a-person")
        with git_configuration.open("a") as stream:
            stream.write(f'[credential "http://{place}"]\n\thelper =\n\thelper = !{helper}\n')
        with pytest.raises(RemoteRefusedError) as caught:
            list_refs(f"http://{place}/x.git")
    expected = base64.b64encode(b"ada:t0ken-of-a-person").decode()
    assert seen == [None, f"Basic {expected}"]
    assert "t0ken" not in str(caught.value)


def test_the_identity_is_the_persons(git_configuration: Path, tmp_path: Path) -> None:
    git_configuration.write_text(
        '[user]\n\tname = "Ada \\"A\\\\B\\" Person; # x"\n\temail = ada@example.org\n'
    )
    assert read_identity(tmp_path).name == 'Ada "A\\B" Person; # x'


def test_a_configuration_that_git_cannot_read_is_said(git_configuration: Path) -> None:
    git_configuration.write_text("[user\n")
    with pytest.raises(EnvironmentFailure, match="cannot read your configuration"):
        git("version")


def test_a_token_is_not_in_the_environment_of_a_local_git(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GH_TOKEN", "t0ken-of-a-person")
    words = ("-c", "alias.show-environment=!env", "show-environment")
    assert "t0ken" not in git(*words, at=upstream.clone(LIBRARY)).stdout


HOOK = "#!/bin/sh\nenv >> {}\n"
REWRITTEN = {
    "path": "",
    "insteadOf": '[url "{there}"]\n\tinsteadOf = https://forge.invalid/library\n',
    "pushInsteadOf": '[url "{there}"]\n\tpushInsteadOf = https://forge.invalid/library\n',
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_hooks_of_a_repository_on_this_machine_see_no_token(
    upstream: Upstream, git_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    clone, there, seen = upstream.clone(LIBRARY), tmp_path / "there.git", tmp_path / "seen"
    run_git(tmp_path, "clone", "--quiet", "--bare", str(clone), str(there))
    for name in ("pre-receive", "update", "post-receive", "post-update"):
        hook = there / "hooks" / name
        hook.write_text(HOOK.format(seen))
        hook.chmod(0o755)
    with git_configuration.open("a") as stream:
        stream.write(REWRITTEN[how].format(there=there))
    address = str(there) if how == "path" else "https://forge.invalid/library"
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "INDEX_PASSWORD"):
        monkeypatch.setenv(name, "t0ken-of-a-person")
    git("push", "--quiet", address, "main:refs/heads/new", at=clone, remote=address)
    assert seen.read_text().count("PATH=") >= 4
    assert "t0ken" not in seen.read_text()


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("/srv/x.git", True),
        ("file:///srv/x.git", True),
        ("clones/x.git", True),
        ("https://forge.invalid/x", False),
        ("ssh://git@forge.invalid/x", False),
        ("git@forge.invalid:o/x", False),
        ("forge:x", False),
    ],
)
def test_an_address_is_told_from_a_path_as_git_does(address: str, here: bool) -> None:
    assert _leads_here(address, None, push=False) is here
