"""The manifest: what is read, what is refused and in which words."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from matrix.ground.errors import ManifestError, UsageError
from matrix.ground.yaml_text import parse_yaml
from matrix.prepare.manifest import (
    Manifest,
    ManifestTolerances,
    Repository,
    Role,
    SourceKind,
    load_manifest,
    override,
)

REPOSITORY_ROOT = Path(__file__).parents[2]
SHIPPED = REPOSITORY_ROOT / "repos.yaml"
REFERENCE = REPOSITORY_ROOT / "docs" / "manifest.md"


@pytest.fixture
def manifest() -> Manifest:
    return load_manifest(SHIPPED)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """Write the shipped manifest with one place changed."""
    text = SHIPPED.read_text()
    assert old in text
    path = tmp_path / "repos.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def line_of(path: Path, start: str) -> int:
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(start))


def test_the_shipped_manifest(manifest: Manifest) -> None:
    assert [repository.name for repository in manifest.repositories] == [
        "PyAutoArray",
        "autolens_workspace_developer",
        "autolens_workspace_test",
    ]
    assert manifest.source is SourceKind.AUTO
    assert manifest.branch == "feature/nnls-vmap-speedup"
    assert (manifest.tolerances.fp64, manifest.tolerances.mp, manifest.tolerances.parity) == (
        1e-4,
        1e-2,
        1e-6,
    )
    library = manifest.of_role(Role.LIBRARY)
    assert manifest.refs(library) == (manifest.release, "main")


@pytest.mark.parametrize(
    ("old", "new", "starts", "words"),
    [
        ("release: auto", "relase: auto", "relase", "relase: unknown key. Did you mean 'release'?"),
        (
            "  mp: 1e-2",
            "  pm: 1e-2",
            "pm",
            "tolerances.pm: unknown key. Did you mean 'mp'? Known: fp64, mp, parity",
        ),
        (
            "    role: test",
            "    rule: test",
            "rule",
            "repositories[2].rule: unknown key. Did you mean 'role'?",
        ),
        ("schema: 1", "schema: 2", "schema", "schema: 2 will not do: Input should be 1"),
        ("role: library", "role: libary", "role: libary", "repositories[0].role: 'libary' will not do"),
        ("release: auto", "release: 2026.7", "release", "release: 2026.7 is not text; put it in quotes"),
        (
            "release: auto",
            "release: 2026.07.9.1",
            "release",
            "release: '2026.07.9.1' is not a release: write YYYY.M.D.N",
        ),
        (
            "release: auto",
            "release: 2026.2.30.1",
            "release",
            "release: '2026.2.30.1' is not a release: day is out of range",
        ),
        ("git_timeout: 5", "git_timeout: soon", "git_timeout", "Expected: seconds the network has to answer"),
        (
            "git_timeout: 5",
            "git_timeout: 0",
            "git_timeout",
            "git_timeout: 0 will not do: Input should be greater",
        ),
        ("source: auto", "source: gti", "source", "Expected: auto, git, mirror or embedded"),
        (
            "{release}",
            "{relase}",
            "ref",
            "repositories[0].ref[0]: '{relase}': the only placeholder is {release}",
        ),
        ('["{release}", main]', "[]", "ref", "repositories[0].ref: the list is empty, name at least one"),
        ('["{release}", main]', "1234567", "ref", "1234567 is not text; put it in quotes"),
        (
            '["{release}", main]',
            "--upload-pack=x",
            "ref",
            "cannot be the name of a Git branch, tag or commit",
        ),
        (
            "branch: f",
            "branch: a b/f",
            "branch",
            "branch: 'a b/feature/nnls-vmap-speedup' cannot be the name",
        ),
        ("https://github", "https://me:pw@github", "url", "a user name or password does not belong"),
        ("https://github", "ext::sh -c", "url", "is no address of a repository"),
        ("role: test", "role: library", "repositories", "exactly one must have `role: library`, 2 do"),
        ("role: test", "role: dependency", "repositories", "exactly one must have `role: test`, none does"),
        (
            "  - name: PyAutoArray",
            "\n".join(f"  - {{name: {name}, role: profiling, url: /x}}" for name in "ab")
            + "\n  - name: PyAutoArray",
            "repositories",
            "at most one may have `role: profiling`, a, b do",
        ),
        ("name: autolens_workspace_test", "name: PyAutoArray", "repositories", "'PyAutoArray' is used twice"),
        ("name: PyAutoArray", "name: ../x", "- name", "repositories[0].name: '../x' will not do"),
        ("task: n", "task: a\ntask: n", "task: n", 'found duplicate key "task"'),
        ("source: auto", "source: auto: x", "source", "not YAML: mapping values are not allowed here"),
    ],
)
def test_a_mistake_names_file_line_key_and_remedy(
    tmp_path: Path, old: str, new: str, starts: str, words: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    lines = [line for line in str(caught.value).splitlines() if words in line]
    assert lines, str(caught.value)
    assert lines[0].startswith(f"{path}:{line_of(path, starts)}: ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (key, value)
            for key in ("fp64", "mp", "parity")
            for value in ("1e4", "1", "0", "-1e-4", ".inf", ".nan")
        ),
        ("fp64", "true"),
        ("fp64", "'1e-4'"),
        ("git_timeout", ".inf"),
        ("git_timeout", ".nan"),
        ("git_timeout", "true"),
        ("git_timeout", "0"),
        ("schema", "true"),
        ("schema", "1.5"),
    ],
)
def test_a_number_that_cannot_be_names_file_line_and_key(tmp_path: Path, key: str, value: str) -> None:
    text = re.sub(rf"(?m)^( *{key}:) \S+", rf"\1 {value}", SHIPPED.read_text())
    path = tmp_path / "repos.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    said = str(caught.value)
    where = key if key in ("git_timeout", "schema") else f"tolerances.{key}"
    assert said.startswith(f"{path}:{line_of(path, f'{key}:')}: {where}: ")
    assert "Expected: " in said
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schema: " + "[" * 20000, "nested too deeply"),
        ("schema: !!int nonsense", "not YAML"),
        ("schema: &a [*a]", "will not do"),
    ],
)
def test_a_document_that_breaks_its_reader_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "repos.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=says):
        load_manifest(path)


def test_a_mirror_behind_a_loop_of_links_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ManifestError, match=r"repos.yaml:\d+: mirror: .*loop"):
        load_manifest(changed(tmp_path, "mirror: null", "mirror: loop"))
    with pytest.raises(UsageError, match="--mirror"):
        override(manifest, mirror=tmp_path / "loop")


def test_an_address_of_two_lines_is_refused(tmp_path: Path) -> None:
    url = "url: https://github.com/PyAutoLabs/PyAutoArray"
    with pytest.raises(ManifestError, match="control characters"):
        load_manifest(changed(tmp_path, url, 'url: "https://github.com/a\\n--upload-pack=x"'))


def test_a_missing_key_points_at_the_repository_that_lacks_it(tmp_path: Path) -> None:
    path = changed(tmp_path, "    url: https://github.com/PyAutoLabs/autolens_workspace_test\n", "")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    line = line_of(path, "- name: autolens_workspace_test")
    assert str(caught.value).startswith(
        f"{path}:{line}: repositories[2].url: this key is missing. Expected: "
    )


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "release: auto", "relase: 2026.7.9.1\ngit_timout: 3")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "relase",
        "git_timout",
    ]


@pytest.mark.parametrize("content", ["", "- a\n", "just text\n"])
def test_no_mapping_at_all(tmp_path: Path, content: str) -> None:
    path = tmp_path / "repos.yaml"
    path.write_text(content)
    with pytest.raises(ManifestError, match=":1: this must be a mapping that begins with `schema: "):
        load_manifest(path)


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"cannot be read \(No such file or directory\)\. Give the path of a manifest"
    ):
        load_manifest(tmp_path / "repos.yaml")


def test_no_text_at_all(tmp_path: Path) -> None:
    path = tmp_path / "repos.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read as UTF-8"):
        load_manifest(path)


def test_a_relative_mirror_starts_at_the_manifest(tmp_path: Path) -> None:
    path = changed(tmp_path, "mirror: null", "mirror: clones")
    assert load_manifest(path).mirror == tmp_path.resolve() / "clones"


def test_one_ref_may_stand_without_a_list(tmp_path: Path) -> None:
    path = changed(tmp_path, '["{release}", main]', '"v{release}"')
    manifest = override(load_manifest(path), release="2026.7.9.1")
    assert manifest.refs(manifest.repositories[0]) == ("v2026.7.9.1",)


class TestOverride:
    """What the command line replaces."""

    def test_nothing(self, manifest: Manifest) -> None:
        assert override(manifest) == manifest

    def test_the_release_reaches_the_refs(self, manifest: Manifest) -> None:
        new = override(manifest, release="2026.5.8.2")
        assert new.refs(new.repositories[0]) == ("2026.5.8.2", "main")

    @pytest.mark.parametrize(
        ("release", "commit"),
        [("2026.7.9.1", "f9efa14"), ("2026.8.23.1", "f9efa14"), ("2026.10.26.1", "08cbaa4")],
    )
    def test_refs_follow_the_release(self, manifest: Manifest, release: str, commit: str) -> None:
        new = override(manifest, release=release)
        pinned, fallback = new.refs(new.of_role(Role.DEVELOPER))
        assert (pinned[:7], fallback) == (commit, "main")

    def test_a_ref_replaces_what_follows_the_release_too(self, manifest: Manifest) -> None:
        refs = {"autolens_workspace_developer": "feature/x"}
        new = override(manifest, release="2026.10.26.1", refs=refs)
        assert new.refs(new.of_role(Role.DEVELOPER)) == ("feature/x",)

    def test_a_ref_replaces_the_list_of_one_repository(self, manifest: Manifest) -> None:
        new = override(manifest, refs={"autolens_workspace_test": "main"})
        assert new.repositories[2].ref == ("main",)
        assert new.repositories[:2] == manifest.repositories[:2]

    def test_a_mirror_chooses_the_mirror(self, manifest: Manifest, tmp_path: Path) -> None:
        new = override(manifest, mirror=tmp_path)
        assert (new.source, new.mirror) == (SourceKind.MIRROR, tmp_path.resolve())

    def test_a_source_given_beside_a_mirror_is_kept(self, manifest: Manifest, tmp_path: Path) -> None:
        assert override(manifest, mirror=tmp_path, source="embedded").source is SourceKind.EMBEDDED

    def test_an_unknown_repository(self, manifest: Manifest) -> None:
        with pytest.raises(
            UsageError, match=r"--ref PyAutoAray=main: no such repository\. Did you mean 'PyAutoA"
        ):
            override(manifest, refs={"PyAutoAray": "main"})

    def test_an_unknown_source(self, manifest: Manifest) -> None:
        with pytest.raises(
            UsageError, match=r"--source gti: no such source\. Did you mean 'git'\? Known: auto"
        ):
            override(manifest, source="gti")

    def test_a_ref_that_cannot_be(self, manifest: Manifest) -> None:
        with pytest.raises(UsageError, match="--ref PyAutoArray: 'a b' cannot be the name"):
            override(manifest, refs={"PyAutoArray": "a b"})

    def test_a_release_that_cannot_be(self, manifest: Manifest) -> None:
        with pytest.raises(UsageError, match=r"--release: '7\.9' is not a release"):
            override(manifest, release="7.9")


def keys(model: type[BaseModel]) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items())


def example() -> str:
    return REFERENCE.read_text().split("```yaml\n")[1].split("```")[0]


def test_the_reference_has_every_key_and_no_other() -> None:
    document = parse_yaml(example()).value
    assert set(document) == set(keys(Manifest))
    assert set(document["tolerances"]) == set(keys(ManifestTolerances))
    assert set(document["repositories"][0]) == set(keys(Repository))


def test_the_defaults_in_the_reference_are_those_of_the_code() -> None:
    document = parse_yaml(example()).value
    assert document["tolerances"] == ManifestTolerances.model_validate({}).model_dump()
    for key in ("source", "mirror", "git_timeout"):
        assert document[key] == Manifest.model_fields[key].default
