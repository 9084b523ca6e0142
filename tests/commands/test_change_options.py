"""What the sides differ in, from the words of a command line; what cannot be is refused before any work."""

import json
from pathlib import Path

import pytest

from matrix.catalogue.checks import CHECKS
from matrix.commands.matrix import main, matrix_options
from matrix.ground.errors import UsageError
from matrix.ground.layout import MANIFEST
from matrix.prepare.sides import manifest_for
from matrix.run.change import VENDORING, Change, Expected, Given


def asked(*words: str) -> Change | None:
    return matrix_options(["fp64", *words]).change


def test_nothing_said_leaves_it_to_the_manifest() -> None:
    assert asked() is None
    assert manifest_for(matrix_options(["fp64", "--release", "2026.7.9.1"])).change == VENDORING


def test_each_kind_has_its_option_and_vendors_nothing() -> None:
    words = ["--candidate", "PyAutoArray=feature/x", "--baseline", "PyAutoFit=main"]
    words += ["--candidate-package", "jax==0.9.2", "--candidate-package", "jaxlib==0.9.2"]
    words += ["--baseline-setting", "inversion.positive_only_solver=certified"]
    change = asked(*words)
    assert change == Change(
        vendor=False,
        baseline=Given(refs={"PyAutoFit": "main"}, settings={"inversion.positive_only_solver": "certified"}),
        candidate=Given(refs={"PyAutoArray": "feature/x"}, packages=("jax==0.9.2", "jaxlib==0.9.2")),
    )
    assert change is not None
    assert asked(*change.words) == change
    vendoring = asked(*words, "--vendor")
    assert vendoring == change.model_copy(update={"vendor": True})
    assert vendoring is not None
    assert asked(*vendoring.words) == vendoring
    assert asked("--vendor") == VENDORING


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--candidate", "PyAutoArray"], r"--candidate PyAutoArray: write NAME=REF"),
        (["--candidate", "PyAutoArray=a", "--candidate", "PyAutoArray=b"], "PyAutoArray is there twice"),
        (["--candidate-package", "jax"], r"--candidate-package 'jax' is no package with a version"),
        (["--candidate-package", "jax =="], "write NAME==VERSION, as jax==0.11.2"),
        (["--candidate-package", "jax @ https://example.org/a.whl"], "is no package with a version"),
        (["--baseline-package", "AutoArray==2026.7.9.1"], "name a ref of it instead"),
        (["--candidate-setting", "pdip"], "write SECTION.KEY=VALUE"),
        (["--expect-drift", "imaging-mge=1"], "needs its own --because"),
        (["--expect-drift", "imaging-mge=1", "--because", " "], "needs its own --because"),
        (["--because", "it does"], "every --expect-drift PIPELINE=VALUE"),
        (["--expect-drift", "imaging-mgee=1", "--because", "b"], "Did you mean 'imaging-mge'"),
        (["--expect-drift", "imaging-mge=high", "--because", "b"], "write PIPELINE=VALUE"),
        (["--expect-drift", "imaging-mge=nan", "--because", "b"], "write PIPELINE=VALUE"),
    ],
)
def test_what_cannot_be_is_wrong_use(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=says):
        matrix_options(["fp64", *words])
    assert main(["fp64", *words]) == UsageError.exit_code == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--candidate", "PyAutoArry=main"],
            r"--candidate PyAutoArry=main: no such repository\. Did you mean",
        ),
        (["--baseline", "autolens_workspace_test=main"], "both sides are held against the same"),
        (["--candidate", "PyAutoArray=a b"], "cannot be the name of a Git branch, tag or commit"),
        (["--candidate", "PyAutoArray=./no/such/folder"], "is not a folder"),
        (["--candidate", "PyAutoArray=main", "--algorithm", "pdip"], "add --vendor"),
    ],
)
def test_what_the_manifest_does_not_have_is_wrong_use(words: list[str], says: str) -> None:
    options = matrix_options(["fp64", "--release", "2026.7.9.1", *words])
    with pytest.raises(UsageError, match=says):
        manifest_for(options)


def test_folder_is_told_from_a_ref_by_how_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "feature" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for text, kept in (("./feature/x", str(tmp_path / "feature/x")), ("feature/x", "feature/x")):
        words = ["fp64", "--release", "2026.7.9.1", "--candidate", f"PyAutoArray={text}"]
        assert manifest_for(matrix_options(words)).change.candidate.refs == {"PyAutoArray": kept}


def test_manifest_may_name_the_change_and_the_command_line_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "repos.yaml"
    path.write_text(
        MANIFEST.read_text()
        + "change:\n  candidate:\n    settings: {inversion.nnls_max_iter: 50, inversion.a: [1]}\n"
        "    refs: {PyAutoArray: .}\n    packages: [jax==0.9.2]\n"
    )
    words = ["fp64", "--release", "2026.7.9.1", "--manifest", str(path)]
    change = manifest_for(matrix_options(words)).change
    settings = {"inversion.nnls_max_iter": "50", "inversion.a": "[1]"}
    refs = {"PyAutoArray": str(tmp_path)}
    given = Given(refs=refs, packages=("jax==0.9.2",), settings=settings)
    assert change == Change(vendor=False, candidate=given)
    other = ["--candidate", "PyAutoFit=main"]
    replaced = manifest_for(matrix_options([*words, *other])).change
    assert replaced == Change(vendor=False, candidate=Given(refs={"PyAutoFit": "main"}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("change: vendr", "'vendr' is no kind of change"),
        ("change: {vendor: false}", "there is nothing to compare"),
        ("change: {candidate: {packages: [jax]}}", "is no package with a version"),
        ("change: {candidate: {refs: {PyAutoArry: main}}}", r"Did you mean 'PyAutoArray'"),
        ("change: {candidate: {reffs: {}}}", "reffs"),
    ],
)
def test_manifests_change_is_checked_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "repos.yaml"
    path.write_text(f"{MANIFEST.read_text()}{text}\n")
    with pytest.raises(UsageError, match=says) as failure:
        manifest_for(matrix_options(["fp64", "--release", "2026.7.9.1", "--manifest", str(path)]))
    assert f"repos.yaml:{MANIFEST.read_text().count(chr(10)) + 1}" in str(failure.value)


def test_shards_of_a_change_without_vendoring_leave_its_checks_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fp64", "--candidate-package", "jax==0.9.2", "--list-shards", "2"]) == 0
    names = " ".join(part["name"] for part in json.loads(capsys.readouterr().out)["include"])
    found = {name for name in CHECKS if name in names.replace(",", "").split()}
    assert found == {"library-tests", "gradients"}


def test_expected_evidences_carry_the_reason() -> None:
    words = ["--expect-drift", "imaging-mge=12.5", "--because", "row weights were mirrored"]
    more = ["--expect-drift", "imaging-delaunay=-1e3", "--because", "so was this"]
    assert matrix_options(["fp64", *words, *more]).expected == {
        "imaging-mge": Expected(value=12.5, because="row weights were mirrored"),
        "imaging-delaunay": Expected(value=-1000.0, because="so was this"),
    }
