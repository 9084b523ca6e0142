"""The fourth branch, and what the other three say where the library lets its callers choose a solver."""

import json
from pathlib import Path

import pytest

from matrix.commands import refresh_artifacts as refresh
from tests.prepare.change.miniature_choice import make_choice
from tests.prepare.checkout.helpers import fingerprint
from tests.refresh.branches.studied import README_FILE, REGISTRY_FILE, RESULT_FILE
from tests.refresh.branches.world import (
    ASSERTIONS,
    CONFIG,
    DEVELOPER,
    LIBRARY,
    PROFILING,
    TEST,
    World,
    make_world,
    run_git,
    run_on,
)

FOUR = (LIBRARY, DEVELOPER, TEST, PROFILING)
RESULTS_FOLDER = "jax_profiling/results"


def text(world: World, name: str) -> str:
    return (world.out / f"{name}.md").read_text()


def test_four_branches_in_merge_order_and_no_remote_touched(
    tmp_path: Path, solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path, solver, (CONFIG, PROFILING, TEST, DEVELOPER, LIBRARY))
    before = fingerprint(world.folder / "remotes")
    assert world.run() == 0
    assert fingerprint(world.folder / "remotes") == before
    assert world.commits(PROFILING) == [
        "Add the library's own solver to the solver study, as nnls",
        "Run-time results of imaging/mge with the library's own solver: local_cpu_fp64",
    ]
    assert world.changed(PROFILING) == {REGISTRY_FILE, README_FILE, RESULT_FILE}
    order = [f"{n}. {name}" for n, name in enumerate((*FOUR, CONFIG), start=1)]
    places = [text(world, PROFILING).index(line) for line in order]
    assert places == sorted(places)
    depends = [line for line in text(world, PROFILING).splitlines() if line.startswith("Depends-On")]
    assert len(depends) == 3
    output = capsys.readouterr().out
    assert f"note        profiling: {RESULT_FILE} replaces" in output
    assert f"{PROFILING}-patches" in output
    heads = {name: world.head(name) for name in FOUR}
    assert world.run() == 0
    assert {name: world.head(name) for name in FOUR} == heads


def test_the_fourth_is_pushed_like_the_others(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, FOUR)
    assert world.run("--push") == 0
    assert {name: world.pushed(name) for name in FOUR} == {name: world.head(name) for name in FOUR}


def test_its_text_says_what_is_the_same_and_what_to_run(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, FOUR)
    world.run()
    said = text(world, PROFILING)
    assert "Of the six validated likelihoods only\nimaging/mge is measured here as well" in said
    assert "- `scripts/misc/tooling/build_readme.py`: tables of the README files" in said
    assert "aggregate.py" not in said
    assert f"- [ ] Measure again, or remove: {RESULT_FILE} replaces what was measured with release" in said
    result = json.loads((world.tree(PROFILING) / RESULT_FILE).read_text())
    assert result["pinned_drift"] == []
    commit = result["device"]["provenance"]["library_revisions"]
    assert commit in ({}, {"PyAutoArray": world.start(LIBRARY)})


@pytest.mark.parametrize(
    ("gone", "changed", "said"),
    [
        ("scripts/lens", {RESULT_FILE}, "the candidate: this ref has no solver study"),
        ("results", {REGISTRY_FILE, README_FILE}, "run-time results: this ref has no results/runtime"),
    ],
)
def test_what_its_ref_has_no_place_for_is_left_out_and_said(
    tmp_path: Path, solver: Path, gone: str, changed: set[str], said: str
) -> None:
    world = make_world(tmp_path, solver, FOUR, without=(f"{PROFILING}/{gone}",))
    assert world.run() == 0
    assert world.changed(PROFILING) == changed
    assert f"- {said}" in text(world, PROFILING)


def test_a_workspace_that_keeps_no_results_gets_its_constants_alone(
    tmp_path: Path, solver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(
        tmp_path,
        solver,
        FOUR,
        recorded={"imaging-pixelization": 24747.0},
        without=(f"{DEVELOPER}/{RESULTS_FOLDER}",),
    )
    monkeypatch.setattr(refresh, "new_probe", lambda *_: pytest.fail("nothing is written that has steps"))
    assert world.run() == 0
    assert world.commits(DEVELOPER) == ["Set recorded log evidences to what was measured"]
    said = text(world, DEVELOPER)
    assert "- result files: this ref keeps none in jax_profiling/results/jit" in said
    assert "No step timings" not in said
    assert said.startswith("# Recorded log evidences of the NNLS pipelines, refreshed\n")
    assert said.splitlines()[7].startswith("The recorded log evidences of the six")


def test_a_workspace_in_which_nothing_changes_gets_no_branch(
    tmp_path: Path, solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path, solver, FOUR, without=(f"{DEVELOPER}/{RESULTS_FOLDER}",))
    assert world.run("--push") == 0
    assert world.commits(DEVELOPER) == []
    assert world.pushed(DEVELOPER) == ""
    assert f"2. {TEST}, branch" in text(world, LIBRARY)
    assert "note        developer: left out: result files" in capsys.readouterr().out


@pytest.mark.parametrize("path", [REGISTRY_FILE, RESULT_FILE])
def test_a_committed_link_is_refused(
    tmp_path: Path, solver: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine\n")
    world = make_world(tmp_path, solver, FOUR)
    world.commit_at_remote(PROFILING, "main", "note.txt")
    clone = world.folder / "somebody" / PROFILING
    (clone / path).unlink()
    (clone / path).symlink_to(secret)
    run_git(clone, "add", "--all")
    run_git(clone, "commit", "--quiet", "-m", "a link")
    run_git(clone, "push", "--quiet", "origin", "main")
    world = World(world.folder, world.solver, run_on(world.folder, world.solver))
    assert world.run() == 2
    assert f"{path} is a symbolic link" in capsys.readouterr().err
    assert secret.read_text() == "mine\n"


def test_a_study_that_is_not_as_known_stops_the_branch(
    tmp_path: Path, solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path, solver, FOUR, without=(f"{PROFILING}/{README_FILE}",))
    assert world.run() == 2
    assert "README.md: is the checkout's ref one that holds it?" in capsys.readouterr().err


def test_with_a_choice_the_script_names_ours_and_the_texts_begin_with_the_finding(
    tmp_path: Path, solver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = {"imaging-delaunay": 24747.0}
    world = make_world(tmp_path, solver, FOUR, recorded=recorded, library=make_choice)
    monkeypatch.setattr(refresh, "measured_paragraphs", lambda: ["as measured"])
    assert world.run() == 0
    assert 'solver="nnls"' in (world.tree(TEST) / ASSERTIONS).read_text()
    assert len(world.commits(LIBRARY)) == 4
    library = text(world, LIBRARY)
    first, second, third, *_ = library.splitlines()[2:]
    assert first.startswith("**PASS")
    assert "by 3.6e-05 at most from what is recorded or expected on imaging-delaunay" in second
    assert third == ""
    assert library.startswith("# A third positive-only solver")
    for name in (LIBRARY, PROFILING):
        assert "## What changed since PyAutoArray#307" in text(world, name)
        assert "as measured" in text(world, name)
    for name in (DEVELOPER, TEST):
        assert "What changed since PyAutoArray#307" not in text(world, name)
        assert text(world, name).splitlines()[2] == first


def test_without_a_choice_the_texts_are_as_they_were(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver)
    world.run()
    library = text(world, LIBRARY)
    assert library.splitlines()[7].startswith(
        "The solver behind every positive-only linear inversion becomes part"
    )
    assert "What changed since PyAutoArray#307" not in library
    assert 'solver="nnls"' not in (world.tree(TEST) / ASSERTIONS).read_text()
    assert run_git(world.tree(TEST), "status", "--porcelain") == ""
