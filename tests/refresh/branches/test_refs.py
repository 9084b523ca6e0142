"""A change of refs owes the workspaces their numbers: result files and constants, and no vendoring."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from matrix.prepare.checkout import Checkout, prepare, prepare_ref, resolve_source
from matrix.prepare.constants import read_constant
from matrix.prepare.manifest import load_manifest
from matrix.records.cell import REPLACED, EagerEvaluation, Record, Solver, read_record, write_record
from matrix.refresh.branches.hosting import hosted
from matrix.refresh.branches.trio import branch_of
from matrix.run.change import Change, Expected, Given
from matrix.run.plan import CheckedOut, Plan, read_plan
from tests.factory import EVIDENCE, LANES, evaluation
from tests.prepare.change.miniature import write
from tests.prepare.checkout.helpers import fingerprint
from tests.refresh.artifacts.made_up import complete_record
from tests.refresh.branches.world import DEVELOPER, LIBRARY, TEST, World, make_world, run_git

MOVED = "imaging-pixelization"
VALUE = 1.0881 * EVIDENCE
BECAUSE = "row weights were mirrored"
BRANCH = "feature/mapper"


@pytest.fixture
def ref_world(world: World) -> World:
    """The world with a branch of the library, and a green run of that branch against the base."""
    return with_branch(world)


def with_branch(world: World) -> World:
    clone = world.folder / "somebody" / LIBRARY
    run_git(world.folder, "clone", "--quiet", str(world.remote(LIBRARY)), str(clone))
    run_git(clone, "checkout", "--quiet", "-b", BRANCH)
    write(clone / "autoarray" / "mapper.py", "fixed = True\n")
    run_git(clone, "add", "--all")
    run_git(clone, "commit", "--quiet", "-m", "the mapper fix")
    run_git(clone, "push", "--quiet", "origin", BRANCH)
    return dataclasses.replace(world, plan=run_of_ref(world))


def run_of_ref(world: World, ref: str = BRANCH, **changes: Any) -> Plan:
    manifest = load_manifest(world.manifest)
    source = resolve_source(manifest)
    library, *others = prepare(manifest, source, world.root).values()
    candidate = prepare_ref(manifest.repositories[0], ref, source.locations[LIBRARY], False, world.root)
    sides = (library, dataclasses.replace(candidate, purpose="candidate"), *others)
    facts = {
        "change": Change(vendor=False, candidate=Given(refs={LIBRARY: ref})),
        "solver_tree": "",
        "difference": f"Candidate against baseline: {LIBRARY} {ref} against main.",
        "checkouts": tuple(map(checked_out, sides)),
        **changes,
    }
    plan = world.plan.model_copy(update=facts)
    plan.write()
    for cell in plan.cells:
        record = unvendored(complete_record(cell.pipeline, cell.side))
        write_record(plan.record_path(cell), record)
    return plan


def checked_out(one: Checkout) -> CheckedOut:
    return CheckedOut(
        name=one.name, role=one.role, purpose=one.purpose, ref=one.ref, commit=one.commit, dirty=False
    )


def unvendored(record: Record) -> Record:
    facts = record.provenance
    packages = {**facts.packages, REPLACED: "1.0.1"}
    provenance = dataclasses.replace(facts, packages=packages, jaxnnls_importable=True)
    return dataclasses.replace(record, provenance=provenance, solver=Solver(REPLACED, {}))


def move(plan: Plan, value: float) -> None:
    """Have every path of the moved pipeline's candidate give `value`."""
    path = plan.record_path(plan.cell(MOVED, "candidate"))
    record = read_record(path)
    lanes = evaluation(value, *LANES[1:])
    in_lanes: dict[str, Any] = dict.fromkeys(("vmap_lanes", "lanes_eager", "lanes_jit", "audit"), lanes)
    evaluations = dataclasses.replace(
        record.evaluations,
        eager=EagerEvaluation(evaluation(value + 3.0), evaluation(value)),
        jit=evaluation(value),
        vmap_equal=evaluation(*[value] * 3),
        **in_lanes,
    )
    write_record(path, dataclasses.replace(record, evaluations=evaluations))


def expecting(world: World) -> World:
    """The run again, begun with a person's word on what moves, and its candidate having moved so."""
    expected = {MOVED: Expected(value=VALUE, because=BECAUSE)}
    plan = world.plan.model_copy(update={"expected": expected})
    plan.write()
    move(plan, VALUE)
    return dataclasses.replace(world, plan=plan)


def tree_of(world: World) -> Path:
    return world.root / "trio" / f"worktrees-of-{world.plan.run}" / DEVELOPER


def test_developer_workspace_alone_gets_a_branch_of_the_candidates_name(
    ref_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(ref_world.folder / "remotes")
    assert ref_world.run() == 0
    assert fingerprint(ref_world.folder / "remotes") == before
    tree = tree_of(ref_world)
    log = run_git(tree, "log", "--format=%s", f"{ref_world.start(DEVELOPER)}..{BRANCH}")
    assert log == "Refresh the result files: local_cpu_fp64"
    body = run_git(tree, "log", "-1", "--format=%b", BRANCH)
    assert f". Candidate against baseline: {LIBRARY} {BRANCH} against main.\n" in body
    assert {path.name for path in tree.parent.iterdir()} == {DEVELOPER}
    assert not ref_world.tree(LIBRARY).exists()
    assert not ref_world.tree(TEST).exists()
    changed = run_git(tree, "diff", "--name-only", ref_world.start(DEVELOPER), BRANCH).splitlines()
    assert changed
    assert all(path.startswith("jax_profiling/results/jit/") for path in changed)
    said = capsys.readouterr().out
    assert f"{DEVELOPER} {BRANCH}: 1 commits" in said


def test_text_says_what_was_tried_and_nothing_of_a_solver_of_our_own(ref_world: World) -> None:
    assert ref_world.run() == 0
    (text,) = ref_world.out.glob("*.md")
    words = text.read_text()
    title, *_ = words.splitlines()
    assert title == f"# Recorded log evidences and result files, refreshed for {LIBRARY} {BRANCH}"
    assert f"Candidate against baseline: {LIBRARY} {BRANCH} against main." in words
    assert "this change vendors nothing" in words
    assert "solver of its own" not in words
    assert "measured with the library's own solver" not in words
    assert f"--candidate {LIBRARY}={BRANCH}" in words
    assert f"--ref {LIBRARY}={ref_world.start(LIBRARY)}" in words


def test_text_puts_the_code_first_and_links_it(ref_world: World) -> None:
    assert ref_world.run() == 0
    (text,) = ref_world.out.glob("*.md")
    order = text.read_text().partition("## Merge order\n\n")[2].partition("\n## ")[0].splitlines()
    (commit,) = {one.commit for one in ref_world.plan.checkouts if one.purpose == "candidate"}
    assert order[0].startswith("1. ")
    assert order[0].endswith(f"{LIBRARY}, `{BRANCH}`: the code that was measured, at `{commit[:12]}`")
    assert order[1].startswith("2. ")
    assert order[1].endswith(f"{DEVELOPER}, branch `{BRANCH}`: **not pushed yet** ← this one")
    assert order[2].strip() == "After the code, since its numbers are that code's. Nothing depends on it."
    assert [line for line in order if line.startswith("Depends-On: ")] == [f"Depends-On: {LIBRARY} {BRANCH}"]


@pytest.mark.parametrize(
    ("ref", "page"),
    [("feature/a", "tree/feature/a"), ("refs/pull/60/head", "pull/60"), ("0123abcd", "tree/0123abcd")],
)
def test_what_a_ref_names_has_a_page(ref: str, page: str) -> None:
    place = hosted("https://github.com/PyAutoLabs/PyAutoArray")
    assert place is not None
    assert place.branch_page(ref) == f"https://github.com/PyAutoLabs/PyAutoArray/{page}"


def test_workspace_without_result_files_is_promised_none(tmp_path: Path, solver: Path) -> None:
    world = make_world(tmp_path, solver, without=(f"{DEVELOPER}/jax_profiling/results",))
    world = expecting(with_branch(world))
    assert world.run() == 0
    (text,) = world.out.glob("*.md")
    words = text.read_text()
    assert words.startswith(f"# Recorded log evidences, refreshed for {LIBRARY} {BRANCH}\n")
    assert "The machines in the comparisons" not in words
    assert f"accepted because: {BECAUSE}" in words


def test_constant_that_was_meant_to_move_is_rewritten_with_the_reason(ref_world: World) -> None:
    world = expecting(ref_world)
    assert world.run() == 0
    tree = tree_of(world)
    assert read_constant(tree, MOVED, "production").value == VALUE
    subjects = run_git(tree, "log", "--format=%s", f"{world.start(DEVELOPER)}..{BRANCH}").splitlines()
    assert subjects[0] == "Set recorded log evidences to what was measured"
    assert BECAUSE in run_git(tree, "log", "-1", "--format=%b", BRANCH)


def test_constant_that_moved_unexpectedly_is_refused(
    ref_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    move(ref_world.plan, VALUE)
    assert ref_world.run("--run-nothing") == 2
    assert f"{MOVED} candidate_vs_baseline (fail)" in capsys.readouterr().err
    assert not tree_of(ref_world).exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Given(packages=("jax==0.9.2",)), "neither vendoring nor refs alone, so no branch follows"),
        (Given(refs={LIBRARY: "/home/ada/PyAutoArray"}), "commit that, and run the matrix on the commit"),
        (Given(refs={LIBRARY: BRANCH}, packages=("jax==0.9.2",)), "neither vendoring nor refs alone"),
    ],
)
def test_other_changes_owe_no_branch(
    ref_world: World, given: Given, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change = Change(vendor=False, candidate=given)
    ref_world.plan.model_copy(update={"change": change}).write()
    assert ref_world.run("--run-nothing") == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        (BRANCH, BRANCH),
        ("refs/heads/feature/a", "feature/a"),
        ("refs/pull/60/head", "refresh/PyAutoArray-"),
        ("2026.8.29.1", "refresh/PyAutoArray-"),
        ("0a1b2c3d4e5f", "refresh/PyAutoArray-"),
        ("main", "refresh/PyAutoArray-"),
    ],
)
def test_branch_has_the_candidates_name_or_one_by_its_commit(ref_world: World, ref: str, name: str) -> None:
    plan = read_plan(ref_world.plan.folder)
    update = {
        "checkouts": tuple(
            one.model_copy(update={"ref": ref}) if one.purpose == "candidate" else one
            for one in plan.checkouts
        ),
        "change": Change(vendor=False, candidate=Given(refs={LIBRARY: ref})),
    }
    commit = next(one.commit for one in plan.checkouts if one.purpose == "candidate")
    expected = f"{name}{commit[:12]}" if name.endswith("-") else name
    manifest = load_manifest(ref_world.manifest)
    assert branch_of(manifest, plan.model_copy(update=update)) == expected
    assert branch_of(manifest, plan.model_copy(update={"change": Change()})) == manifest.branch


def test_vendoring_run_still_makes_its_three(world: World) -> None:
    assert world.run() == 0
    assert all(world.commits(name) for name in (LIBRARY, DEVELOPER, TEST))
