"""The branches: what is in them, that running again adds nothing, and that nothing else is touched."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.commands import refresh_artifacts
from matrix.ground.errors import EnvironmentFailure
from matrix.records.cell import EagerEvaluation, write_record
from matrix.refresh.branches import repository
from tests.factory import EVIDENCE, LANES, evaluation
from tests.prepare.change.miniature import snapshot
from tests.prepare.checkout.helpers import fingerprint
from tests.refresh.artifacts.made_up import complete_record
from tests.refresh.branches.world import (
    ASSERTIONS,
    BRANCH,
    CONFIG,
    DEVELOPER,
    LIBRARY,
    TEST,
    World,
    make_world,
    run_git,
    run_on,
)

TRIO = (LIBRARY, DEVELOPER, TEST)
HST = "jax_profiling/jit/imaging/pixelization.py"


def test_dry_run_leaves_three_branches_and_touches_no_remote(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(world.folder / "remotes")
    assert world.run() == 0
    assert fingerprint(world.folder / "remotes") == before
    assert world.commits(LIBRARY) == [
        "Add a non-negative least squares solver: autoarray.inversion.nnls",
        "Solve positive-only systems with autoarray.inversion.nnls",
        "Drop the dependency on jaxnnls",
    ]
    assert world.commits(DEVELOPER) == ["Refresh the NNLS result files: local_cpu_fp64"]
    assert len(world.commits(TEST)) == 2
    for name in TRIO:
        authors = world.commits(name, "%an <%ae> %cn <%ce>")
        assert set(authors) == {"Ada Person <ada@example.org> Ada Person <ada@example.org>"}
        sign_offs = world.commits(name, "%(trailers:key=Signed-off-by,valueonly,separator=%x2C)")
        assert set(sign_offs) == {"Ada Person <ada@example.org>"}
    assert "dry run: nothing was pushed" in capsys.readouterr().out


def test_branches_hold_nothing_that_does_not_belong(world: World) -> None:
    world.run()
    assert world.changed(TEST) == {ASSERTIONS}
    results = world.changed(DEVELOPER)
    assert len(results) == len(PIPELINES) * 3 * 2
    assert all(path.startswith("jax_profiling/results/jit/") for path in results)
    candidate = next(c.commit for c in world.plan.checkouts if c.purpose == "candidate")
    assert run_git(world.tree(LIBRARY), "diff", "--stat", candidate, BRANCH) == ""
    script = (world.tree(TEST) / ASSERTIONS).read_text()
    assert "from autoarray.inversion import nnls" in script
    assert script.rstrip().endswith('print("nnls: all assertions passed")')


def test_running_again_adds_no_commit(world: World) -> None:
    world.run()
    heads = {name: world.head(name) for name in TRIO}
    texts = snapshot(world.out)
    assert world.run() == 0
    assert {name: world.head(name) for name in TRIO} == heads
    again = snapshot(world.out)
    assert {name: again[name] for name in again if name.endswith((".md", ".patch"))} == {
        name: texts[name] for name in texts if name.endswith((".md", ".patch"))
    }


def test_probing_is_said_with_its_time_before_it_is_done_and_left_out_on_request(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probed: list[str] = []

    def gone(*words: Any) -> None:
        probed.append(words[2].cell.pipeline)
        raise EnvironmentFailure("its environment is gone")

    monkeypatch.setattr(refresh_artifacts, "new_probe", gone)
    assert world.run("--no-probe") == 0
    assert probed == []
    assert "are measured now" not in capsys.readouterr().out
    assert world.run() == 0
    count = len(PIPELINES)
    assert len(probed) == count
    said = capsys.readouterr().out
    # A minute each, and a probe takes twice as long as the cell.
    first = (
        f"probing     {count} likelihoods are measured now for their step timings, about {2 * count} minutes"
    )
    assert 0 <= said.find(first) < said.find(f"probing     1 of {count}")


# A reader has the verdict in two lines, and all that needs a person, before anything is unfolded.
MOST_WORDS = 600
MOST_WORDS_OF_A_LINE = 90


@pytest.mark.parametrize("name", TRIO)
def test_text_opens_with_the_verdict_and_is_short_before_its_fold(world: World, name: str) -> None:
    world.run()
    title, _, text = (world.out / f"{name}.md").read_text().partition("\n\n")
    assert title.startswith("# ")
    first, second, blank, issue = text.splitlines()[:4]
    assert first.startswith("**PASS")
    assert "likelihoods, PyAuto release" in first
    assert "Speed: not measured: " in first
    assert second.startswith("Moved: log evidence by ")
    assert "Not run: " in second
    # Which gates; why stands under the fold.
    assert "(" not in second.partition("Not run: ")[2]
    assert max(len(line.split()) for line in (first, second)) <= MOST_WORDS_OF_A_LINE
    assert blank == ""
    assert "(https://github.com/PyAutoLabs/PyAutoArray/issues/307)" in issue
    shown, _, folded = text.partition("<details>")
    assert len(shown.split()) <= MOST_WORDS
    for heading in ("## Merge order", "## What is in it", "## For a person to decide"):
        assert heading in shown
    for heading in ("## Why it is safe", "## How to reproduce", "| gate | verdict | what was found |"):
        assert heading in folded
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("name", TRIO)
def test_bundle_and_patches_apply_elsewhere_with_plain_git(world: World, name: str, tmp_path: Path) -> None:
    world.run()
    clone = tmp_path / "elsewhere"
    run_git(tmp_path, "clone", "--quiet", str(world.remote(name)), str(clone))
    run_git(clone, "fetch", "--quiet", str(world.out / f"{name}.bundle"), f"{BRANCH}:bundled")
    assert run_git(clone, "rev-parse", "bundled") == world.head(name)
    run_git(clone, "checkout", "--quiet", "-b", "patched")
    patches = sorted(str(path) for path in (world.out / f"{name}-patches").iterdir())
    run_git(clone, "am", "--quiet", "--keep-cr", *patches)
    assert run_git(clone, "diff", "bundled", "patched") == ""


def test_patches_of_files_with_windows_line_ends_apply(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, (LIBRARY, DEVELOPER, TEST, CONFIG))
    assert world.run() == 0
    assert b"\r\n" in (world.tree(CONFIG) / "pyproject.toml").read_bytes()
    clone = tmp_path / "elsewhere"
    run_git(tmp_path, "clone", "--quiet", str(world.remote(CONFIG)), str(clone))
    patches = sorted(str(path) for path in (world.out / f"{CONFIG}-patches").iterdir())
    run_git(clone, "am", "--quiet", "--keep-cr", *patches)
    assert run_git(clone, "rev-parse", "HEAD^{tree}") == run_git(
        world.tree(CONFIG), "rev-parse", "HEAD^{tree}"
    )


@pytest.mark.parametrize("steps", [0, 3, 5])
def test_killed_between_two_commits(world: World, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = repository.BranchRepository._commit
    left = steps

    def dying(*words: Any) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        commit(*words)

    with monkeypatch.context() as patch:
        patch.setattr(repository.BranchRepository, "_commit", dying)
        assert world.run() == 3
    assert world.run() == 0
    assert [len(world.commits(name)) for name in TRIO] == [3, 1, 2]
    candidate = next(c.commit for c in world.plan.checkouts if c.purpose == "candidate")
    assert run_git(world.tree(LIBRARY), "diff", "--stat", candidate, BRANCH) == ""
    assert all(run_git(world.tree(name), "status", "--porcelain") == "" for name in TRIO)


def test_small_drift_is_committed_and_nothing_else_in_the_script(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, recorded={"imaging-pixelization": EVIDENCE * (1 + 5e-5)})
    assert world.run() == 0
    assert world.commits(DEVELOPER)[1:] == ["Set recorded log evidences to what was measured"]
    tree = world.tree(DEVELOPER)
    assert run_git(tree, "diff", "--name-only", "HEAD^", "HEAD") == HST
    before = run_git(tree, "show", f"HEAD^:{HST}")
    expected = before.replace(repr(EVIDENCE * (1 + 5e-5)), repr(EVIDENCE))
    assert run_git(tree, "show", f"HEAD:{HST}") == expected


def test_constant_goes_back_where_a_later_run_finds_no_drift(tmp_path: Path, solver: Path) -> None:
    recorded = EVIDENCE * (1 + 5e-5)
    world = make_world(tmp_path, solver, recorded={"imaging-pixelization": recorded})
    world.run()
    for side in ("baseline", "candidate"):
        cell = world.plan.cell("imaging-pixelization", side)
        values = {
            "eager": EagerEvaluation(evaluation(recorded + 3.0), evaluation(recorded)),
            "jit": evaluation(recorded),
            "vmap_equal": evaluation(*[recorded] * 3),
            "vmap_lanes": evaluation(recorded, *LANES[1:]),
            "lanes_eager": evaluation(recorded, *LANES[1:]),
            "lanes_jit": evaluation(recorded, *LANES[1:]),
            "audit": evaluation(recorded, *LANES[1:]),
        }
        write_record(world.plan.record_path(cell), complete_record(cell.pipeline, side, evaluations=values))
    assert world.run() == 0
    assert HST not in world.changed(DEVELOPER)


def test_large_drift_is_refused_until_a_person_says_why(
    tmp_path: Path, solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path, solver, recorded={"imaging-pixelization": EVIDENCE * 1.01})
    assert world.run() == 1
    assert "--accept-drift imaging-pixelization" in capsys.readouterr().err
    assert not world.tree(LIBRARY).exists()
    assert world.run("--accept-drift", "imaging-mge", "--because", "not this one") == 1
    assert world.run("--accept-drift", "imaging-pixelization") == 2
    assert world.run("--accept-drift", "imaging-pixelization", "--because", "the mesh changed") == 0
    assert "the mesh changed" in (world.out / f"{DEVELOPER}.md").read_text()
    assert "Accepted because: the mesh changed" in run_git(world.tree(DEVELOPER), "log", "-1", "--format=%b")
    assert repr(EVIDENCE) in (world.tree(DEVELOPER) / HST).read_text()


def test_companion_branch_where_the_manifest_lists_one(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, (LIBRARY, DEVELOPER, TEST, CONFIG))
    assert world.run() == 0
    assert world.commits(CONFIG) == ["Drop the requirement on jaxnnls"]
    assert "jaxnnls" not in (world.tree(CONFIG) / "pyproject.toml").read_text()
    text = (world.out / f"{CONFIG}.md").read_text()
    assert text.index(f"1. {LIBRARY}") < text.index(f"2. {DEVELOPER}") < text.index(f"4. {CONFIG}")


def test_without_an_identity_nothing_happens(
    world: World, person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person.write_text("")
    assert world.run() == 2
    assert "git config --global user.name" in capsys.readouterr().err
    assert not (world.root / "trio").exists()


def test_a_persons_changes_in_the_tree_stay(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run()
    path = world.tree(TEST) / ASSERTIONS
    path.write_text("mine\n")
    assert world.run() == 2
    assert "changes that are not committed" in capsys.readouterr().err
    assert path.read_text() == "mine\n"


def test_a_persons_commits_on_top_stay(world: World) -> None:
    world.run()
    (world.tree(TEST) / "note.txt").write_text("mine\n")
    run_git(world.tree(TEST), "add", "note.txt")
    run_git(world.tree(TEST), "commit", "--quiet", "-m", "a note")
    assert world.run() == 0
    assert world.commits(TEST)[-1] == "a note"


def test_library_branch_that_is_not_the_validated_candidate(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.run()
    (world.tree(LIBRARY) / "autoarray" / "extra.py").write_text("x = 1\n")
    run_git(world.tree(LIBRARY), "add", ".")
    run_git(world.tree(LIBRARY), "commit", "--quiet", "-m", "more")
    assert world.run() == 2
    message = capsys.readouterr().err
    assert "is not the candidate" in message
    assert "autoarray/extra.py" in message


def test_solver_that_changed_since_the_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.solver / "_numbers.py").write_text("ANSWER = 43\n")
    assert world.run() == 2
    assert "has changed since run" in capsys.readouterr().err


def test_pyauto_root_is_the_place_and_a_canonical_checkout_in_it_is_safe(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "PyAuto"
    monkeypatch.setenv("PYAUTO_ROOT", str(place))
    assert world.run() == 0
    assert (place / TEST / ASSERTIONS).is_file()
    canonical = tmp_path / "Code"
    run_git(tmp_path, "clone", "--quiet", str(world.remote(LIBRARY)), str(canonical / LIBRARY))
    before = fingerprint(canonical)
    monkeypatch.setenv("PYAUTO_ROOT", str(canonical))
    assert world.run() == 2
    assert "is not a working tree made by this program" in capsys.readouterr().err
    assert fingerprint(canonical) == before


def test_another_place_and_back_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The branch grew elsewhere: a tree that was left alone follows, one that a person touched does not."""
    assert world.run() == 0
    monkeypatch.setenv("PYAUTO_ROOT", str(tmp_path / "PyAuto"))
    assert world.run("--config-name", "laptop_fp64") == 0
    monkeypatch.delenv("PYAUTO_ROOT")
    mine = next((world.tree(DEVELOPER) / "jax_profiling" / "results").rglob("local_cpu_fp64.json"))
    before = mine.read_text()
    mine.write_text("mine")
    assert world.run("--config-name", "laptop_fp64") == 2
    assert "changes that are not committed" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    mine.write_text(before)
    heads = {name: world.head(name) for name in TRIO}
    assert world.run("--config-name", "laptop_fp64") == 0
    assert {name: world.head(name) for name in TRIO} == heads
    assert run_git(world.tree(DEVELOPER), "status", "--porcelain") == ""


def test_newer_base_starts_the_unpushed_branch_anew_and_keeps_the_old_one(world: World) -> None:
    world.run()
    old = world.head(TEST)
    world.commit_at_remote(TEST, "main", "new.txt")
    newer = make_run_again(world)
    assert newer.run() == 0
    assert len(newer.commits(TEST)) == 2
    assert (newer.tree(TEST) / "new.txt").is_file()
    bare = world.root / "trio" / "repositories" / f"{TEST}.git"
    assert run_git(bare, "rev-parse", f"refs/kept/{BRANCH}/{old[:12]}") == old


def make_run_again(world: World) -> World:
    """The same world after the matrix was run on the remotes as they are now."""
    return World(world.folder, world.solver, run_on(world.folder, world.solver))


def test_texts_say_what_to_merge_and_why(world: World) -> None:
    world.run()
    text = (world.out / f"{DEVELOPER}.md").read_text()
    for expected in (
        f"1. {LIBRARY}",
        "**not pushed yet**",
        f"Depends-On: {LIBRARY} {BRANCH}",
        "| imaging-pixelization | 24746.105672 |",
        "nox -s matrix-fp64 -- --release 2026.7.9.1",
        world.start(LIBRARY),
        "- [ ] ",
        "| imaging-delaunay | parity | candidate | pass |",
    ):
        assert expected in text, expected
    library = (world.out / f"{LIBRARY}.md").read_text()
    assert "Kevin Tracy" in library
    assert "Coleman Krawczyk" in library
    assert "Depends-On" not in library


def test_texts_name_no_folder_of_this_machine(world: World) -> None:
    meaning = f"source: mirror {world.folder}"
    world.plan.model_copy(update={"source": "mirror", "source_meaning": meaning}).write()
    assert world.run() == 0
    assert all(str(world.folder) not in path.read_text() for path in world.out.glob("*.md"))


def test_results_of_another_machine_are_consolidated(world: World) -> None:
    folder = world.folder / "elsewhere"
    folder.mkdir()
    name = "imaging-mge-fp64-candidate"
    document = json.loads((world.plan.folder / "records" / f"{name}.json").read_text())
    document["provenance"]["device_platform"] = "gpu"
    document["provenance"]["device_kind"] = "NVIDIA A100 80GB PCIe"
    document["provenance"]["driver"] = {
        "release": world.plan.release,
        "solver_tree": world.plan.solver_tree,
        "checkouts": [checkout.model_dump() for checkout in world.plan.checkouts],
    }
    (folder / f"{name}.json").write_text(json.dumps(document))
    assert world.run(f"--consolidate-from={folder}") == 0
    results = world.tree(DEVELOPER) / "jax_profiling" / "results" / "jit" / "imaging" / "mge"
    comparison = json.loads((results / "comparison.json").read_text())
    assert list(comparison["configs"]) == ["local_cpu_fp64", "hpc_a100_fp64"]
    document["precision"]["x64_enabled"] = False
    (folder / f"{name}.json").write_text(json.dumps(document))
    assert world.run(f"--consolidate-from={folder}") == 2


def test_help_names_every_option() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "matrix.commands.refresh_artifacts", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in (
        "--push",
        "--open-prs",
        "--accept-drift",
        "--because",
        "--consolidate-from",
        "--config-name",
        "--run",
    ):
        assert option in done.stdout
