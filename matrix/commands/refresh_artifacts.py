"""`nox -s refresh-artifacts`: from a green run to result files, constants and the coordinated branches."""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from matrix.catalogue.pipelines import PIPELINES
from matrix.commands.flow import carry_out, run_matrix
from matrix.commands.matrix import matrix_options
from matrix.commands.report import lenders, merge, take_times
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, MatrixError, UsageError, exit_code_of
from matrix.ground.file_locks import locked
from matrix.ground.files import inside
from matrix.ground.layout import MANIFEST, REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.ground.options import SessionParser, one_of
from matrix.ground.redaction import redact, secrets_set_aside
from matrix.ground.waiting import clock
from matrix.prepare.change import chooses_solver
from matrix.prepare.checkout.reading import has_commit, reading
from matrix.prepare.manifest import Manifest, SourceKind, load_manifest
from matrix.prepare.planning import selected_checks
from matrix.records.cell import Record
from matrix.refresh.artifacts.consolidate import check_foreign, read_foreign
from matrix.refresh.artifacts.drift import Drift, DriftRuling, measure_drift
from matrix.refresh.artifacts.probes import PROBES, kept_probe, new_probe
from matrix.refresh.artifacts.results import RESULTS, config_name
from matrix.refresh.artifacts.runs import NoRunError, RefreshedRun, newest_run, unfinished_run
from matrix.refresh.artifacts.steps import steps_from
from matrix.refresh.branches.approval import check_approved
from matrix.refresh.branches.forge import open_forge
from matrix.refresh.branches.identity import read_identity
from matrix.refresh.branches.measured import measured_paragraphs
from matrix.refresh.branches.publish import Publisher
from matrix.refresh.branches.push import check_branch
from matrix.refresh.branches.state import BranchState, read_state
from matrix.refresh.branches.steps import Content
from matrix.refresh.branches.texts import Texts, drift_table
from matrix.refresh.branches.trio import Branch, build_branches, tried_code
from matrix.run.plan import Plan

DRIFT_REFUSED = 1

DESCRIPTION = (
    "Write result files, constants and the branches of the pull requests from the newest green run; where "
    "there is none, what is missing is run. Nothing leaves this machine without --push or --open-prs."
)


@dataclass(frozen=True)
class RefreshOptions:
    """What the command line said."""

    manifest: Path
    root: Path
    run: str | None
    config_name: str | None
    consolidate_from: tuple[Path, ...]
    times_from: tuple[Path, ...]
    accepted: Mapping[str, str]
    push: bool
    open_prs: bool
    run_nothing: bool
    no_probe: bool
    approved: Path | None


# A probe compiles the likelihood and each of its steps: 1.3 to 2.9 times as long as the cell was seen.
PROBE_OVER_CELL = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh; return the exit code (0 done, 1 a drift refused, 2 wrong use, 3 machine or network)."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code_of(lambda: refresh(_options(words)), "interrupted; the same command goes on from here")


class RedError(MatrixError):
    """What was missing has been run, and the run is still none to refresh from."""

    exit_code = 1


def refresh(options: RefreshOptions) -> int:
    """Walk from the run to the branches, and to the remotes if asked; return the exit code."""
    manifest = load_manifest(options.manifest)
    for repository in manifest.repositories:
        check_branch(manifest.branch, repository.base)
    # Asked for now, since without it all that follows would be for nothing.
    read_identity(REPOSITORY_ROOT)
    forges = {one.name: open_forge(one.url) for one in manifest.repositories} if options.open_prs else {}
    layout = open_layout(options.root)
    run = _timed(_run(layout, options), layout, options)
    if options.open_prs and run.plan.source == SourceKind.EMBEDDED:
        raise UsageError(
            f"run {run.plan.run} is of the embedded stand-ins, whose commits no forge has: run the matrix "
            "with --source git before --open-prs"
        )
    trio = layout.root / "trio"
    with locked(layout.locks / "trio.lock", "the branches"):
        state_path = trio / "state.json"
        state = read_state(state_path)
        # What is made here needs no token, so that whatever is started meanwhile has none.
        with secrets_set_aside():
            texts = _made(run, manifest, layout, options, state)
        if texts is None:
            return DRIFT_REFUSED
        folder = inside(trio, run.plan.run)
        if options.approved is not None:
            check_approved(texts.branches, inside(options.approved, run.plan.run))
        there = [branch for branch in texts.branches if branch.at.commits]
        addresses = {branch.at.name: _address(branch, layout, run) for branch in there}
        publisher = Publisher(there, addresses, state, state_path)
        try:
            if forges:
                publisher.look_up(forges)
            if options.push or forges:
                publisher.send(pushing=options.push)
            if forges:
                publisher.open(forges, texts.title, texts.body)
        finally:
            _say_all(texts, folder)
        if not (options.push or forges):
            _say_what_would_happen(there, addresses, state)
    return 0


def _made(
    run: RefreshedRun, manifest: Manifest, layout: Layout, options: RefreshOptions, state: BranchState
) -> Texts | None:
    """Make a run's branches, or bring them up to date; return their texts, None if a drift is refused."""
    # A person's word on why an evidence moves counts, whether it was given before the run or after it.
    meant = {name: expected.because for name, expected in run.plan.expected.items()}
    accepted = {**meant, **options.accepted}
    drifts = [measure_drift(run.plan, name, run.records, accepted) for name in run.plan.pipelines]
    print(f"\n{drift_table(drifts)}\n")
    if _refused(drifts):
        return None
    results = _results(run, manifest, options)
    steps, without = _steps(run.plan, results, layout, options) if _keeps_results(run.plan) else ({}, [])
    content = Content(run.plan, results, steps, drifts, SOLVER)
    # Dated like the run, the same records give the same commits wherever they are made.
    identity = replace(read_identity(REPOSITORY_ROOT), date=run.plan.created)
    trees = _trees(layout, run.plan)
    branches, notes = build_branches(manifest, content, layout.root, trees, identity, state)
    choice = run.plan.change.vendor and chooses_solver(branches[0].at.worktree)
    measured = measured_paragraphs() if choice else ()
    code = tried_code(manifest, run.plan)
    return Texts(run, branches, state, drifts, notes, without, choice, measured, code)


def _run(layout: Layout, options: RefreshOptions) -> RefreshedRun:
    """The run to refresh from; where there is none, what is missing is run first."""
    try:
        run = newest_run(layout.runs, options.run)
    except NoRunError as error:
        if options.run_nothing:
            raise
        print(f"{error}\n")
        ended = _run_what_is_missing(layout, options, error)
        try:
            run = newest_run(layout.runs, options.run)
        except NoRunError as still:
            # Only a gate makes a run red; one that broke off says nothing of the candidate.
            kind = RedError if ended == RedError.exit_code else EnvironmentFailure
            raise kind(str(still)) from still
    for line in run.passed_over:
        print(f"passed over {line}")
    print(f"run         {run.plan.run} ({run.plan.source_meaning})")
    return run


def _timed(run: RefreshedRun, layout: Layout, options: RefreshOptions) -> RefreshedRun:
    """The run with the times of another machine, if there are to be any: a run of its own."""
    if not options.times_from:
        return run
    lending = lenders(run.plan, options.times_from)
    plan = merge([run.plan], layout.runs)
    print(f"times       of {take_times(plan, lending)}, in run {plan.run}")
    return newest_run(layout.runs, plan.run)


def _run_what_is_missing(layout: Layout, options: RefreshOptions, error: NoRunError) -> int:
    """Finish the newest run that only lacks something, else make one as the manifest says; its exit code."""
    unfinished = unfinished_run(layout.runs, options.run, SOLVER)
    if unfinished is not None:
        print(f"finishing   {unfinished.run}: what is missing is run now")
        checks = selected_checks((), (), False, vendors=unfinished.change.vendor)
        whole = {"selected": unfinished.pipelines, "selected_checks": checks}
        return carry_out(open_console(), unfinished.model_copy(update=whole))
    if options.run is None:
        print("running     the matrix as the manifest says (nox -s matrix-fp64 takes options, this does not)")
        words = ["fp64", f"--root={options.root}", f"--manifest={options.manifest}"]
        return run_matrix(matrix_options(words))
    raise error


def _steps(
    plan: Plan, results: Mapping[str, Mapping[str, Record]], layout: Layout, options: RefreshOptions
) -> tuple[dict[tuple[str, str], Mapping[str, float]], list[str]]:
    """Step timings by pipeline and config, from probes that are there or made now; and who has none, why."""
    folders = [layout.root / PROBES, *(folder / PROBES for folder in options.consolidate_from)]
    own = {plan.cell(name, "candidate").key for name in plan.pipelines}
    console = open_console()
    wanted = {(name, config): record for name, by in results.items() for config, record in by.items()}
    probes = {which: kept_probe(record, folders) for which, record in wanted.items()}
    missing = {
        which: wanted[which]
        for which, probe in probes.items()
        if probe is None and wanted[which].key in own and not (options.run_nothing or options.no_probe)
    }
    left = sum(map(_probing_seconds, missing.values()))
    if missing:
        print(
            f"probing     {len(missing)} likelihoods are measured now for their step timings, about "
            f"{left / 60:.0f} minutes; --no-probe leaves them out"
        )
    for number, (which, record) in enumerate(missing.items(), 1):
        print(f"probing     {number} of {len(missing)} for its step timings  (about {clock(left)} left)")
        left -= _probing_seconds(record)
        try:
            probes[which] = new_probe(console, plan, record, layout.root)
        except EnvironmentFailure as error:
            print(f"no probe    {' '.join(which)}: {error}", file=sys.stderr)
    without = [" ".join(which) for which, probe in probes.items() if probe is None]
    for one in without:
        print(f"note        {one} goes without step timings")
    return {which: steps_from(probe) for which, probe in probes.items() if probe is not None}, without


def _keeps_results(plan: Plan) -> bool:
    """Whether the developer workspace has the folder of result files; what is gone cannot be asked."""
    return not plan.workspace.is_dir() or (plan.workspace / RESULTS).is_dir()


def _probing_seconds(record: Record) -> float:
    """About what its probe will take, from what the cell took."""
    begin, end = map(datetime.fromisoformat, (record.provenance.started, record.provenance.finished))
    return PROBE_OVER_CELL * (end - begin).total_seconds()


def _refused(drifts: Sequence[Drift]) -> bool:
    refused = [drift for drift in drifts if drift.ruling is DriftRuling.REFUSED]
    for drift in refused:
        print(f"refused     {drift.pipeline}: {drift.reason}", file=sys.stderr)
        if len(drift.agree) == 2:
            print(
                f'            if the change is right: --accept-drift {drift.pipeline} --because "why it is"',
                file=sys.stderr,
            )
    return bool(refused)


def _results(run: RefreshedRun, manifest: Manifest, options: RefreshOptions) -> dict[str, dict[str, Record]]:
    """The candidate's records by pipeline and config: this run's own first, then those of other machines."""
    results: dict[str, dict[str, Record]] = {}
    for name in run.plan.pipelines:
        record = run.records[run.plan.cell(name, "candidate").name]
        results[name] = {options.config_name or config_name(record): record}
    tolerances = {"fp64": manifest.tolerances.fp64, "mp": manifest.tolerances.mp}
    for folder in options.consolidate_from:
        for foreign in read_foreign(folder):
            cell = foreign.record.cell
            faults = check_foreign(run.plan, run.records, foreign, tolerances[cell.precision])
            if faults:
                raise UsageError(f"{foreign.path} does not count: {'; '.join(faults)}")
            config = config_name(foreign.record)
            if config in results[cell.pipeline]:
                raise UsageError(
                    f"{foreign.path}: there is another {config} of {cell.pipeline}; give one of them"
                )
            results[cell.pipeline][config] = foreign.record
            print(f"consolidated {cell.pipeline} {config} from {foreign.path}")
    return results


def _trees(layout: Layout, plan: Plan) -> Path:
    """Where the working trees go: the folder PYAUTO_ROOT names, or ours, of each change of refs its own."""
    named = os.environ.get("PYAUTO_ROOT")
    ours = layout.root / "trio" / "worktrees"
    if plan.change.has_refs_alone:
        ours = layout.root / "trio" / f"worktrees-of-{plan.run}"
    return Path(named).expanduser().resolve() if named else ours


def _address(branch: Branch, layout: Layout, run: RefreshedRun) -> str:
    """The remote: the manifest's address, or the local origin where the embedded source stood in for it."""
    if run.plan.source != SourceKind.EMBEDDED:
        return branch.repository.url
    for origin in sorted((layout.root / "embedded" / run.plan.release).glob(f"*/{branch.at.name}.git")):
        with reading(origin) as repository:
            if has_commit(repository, branch.at.start):
                return str(origin)
    raise UsageError(f"the embedded origin of {branch.at.name} is gone: run nox -s matrix-fp64 again")


def _say_all(texts: Texts, folder: Path) -> None:
    written = texts.write(folder)
    for role, found in texts.notes.items():
        for note in (*(f"left out: {one}" for one in found.left_out), *found.to_look_at):
            print(f"note        {role}: {note}")
    for branch in texts.branches:
        at = branch.at
        size = f"{len(at.commits)} commits on {at.start[:12]}"
        print(f"branch      {at.name} {at.branch}: {size}, in {at.worktree}")
        for path in at.export(folder):
            # Some of these repositories have files with Windows line ends, which a mail would lose.
            how = f"git am --keep-cr {path}/*.patch" if path.is_dir() else f"git fetch {path} {at.branch}"
            print(f"            {how}")
    for text in written:
        print(f"text        {text}")


def _say_what_would_happen(
    branches: Sequence[Branch], addresses: Mapping[str, str], state: BranchState
) -> None:
    print("dry run: nothing was pushed or opened. With --push --open-prs, in this order:")
    for branch in branches:
        at = branch.at
        pushed, opened = state.pushed(at.name, at.branch), state.opened(at.name, at.branch)
        there = pushed is not None and pushed.commit == at.head
        push = "is there already" if there else f"would go to {redact(addresses[at.name])}"
        pull = f"its text goes to {opened.url}" if opened else "a pull request would be opened"
        print(f"  {at.name} {at.branch} {at.head[:12]} {push}; {pull}")


def _options(words: Sequence[str]) -> RefreshOptions:
    known = _parser().parse_args(words)
    if len(known.accept_drift) != len(known.because):
        raise UsageError('every --accept-drift PIPELINE needs its own --because "REASON"')
    if any(not reason.strip() for reason in known.because):
        raise UsageError("--because is empty: the reason goes into the commit")
    name = known.config_name
    if name is not None and not re.fullmatch(r"[a-z0-9_]+_fp64", name):
        raise UsageError(
            f"--config-name {name}: write it like local_cpu_fp64, ending with the precision _fp64"
        )
    return RefreshOptions(
        manifest=known.manifest,
        root=known.root,
        run=known.run,
        config_name=name,
        consolidate_from=tuple(known.consolidate_from),
        times_from=tuple(known.times_from),
        accepted=dict(zip(known.accept_drift, known.because, strict=True)),
        push=known.push,
        open_prs=known.open_prs,
        run_nothing=known.run_nothing,
        no_probe=known.no_probe,
        approved=known.approved,
    )


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("refresh-artifacts", DESCRIPTION, "--no-probe")
    add = parser.add_argument
    root = Path(os.environ.get("MATRIX_ROOT", ".matrix"))
    add("--manifest", type=Path, default=MANIFEST, help="default: repos.yaml")
    add("--root", type=Path, default=root, help="our working folder")
    add(
        "--run",
        help="the run to refresh from, or to finish (default: the newest complete and green one)",
    )
    add("--config-name", metavar="NAME", help="name of this machine's results (default: from its device)")
    add(
        "--consolidate-from",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="records of another machine: a run's folder (repeatable)",
    )
    add(
        "--times-from",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a run of the same software on a GPU, whose times are judged against its targets (repeatable)",
    )
    add(
        "--accept-drift",
        action="append",
        default=[],
        type=one_of("pipeline", PIPELINES),
        metavar="PIPELINE",
        help="move this pipeline's constant although it is beyond the tolerance (repeatable)",
    )
    add("--because", action="append", default=[], metavar="REASON", help="why, one per --accept-drift")
    add("--push", action="store_true", help="push the branches; never by force, never to a base branch")
    add(
        "--open-prs",
        action="store_true",
        help="open or update the pull requests of the pushed branches (token in GH_TOKEN or GITHUB_TOKEN)",
    )
    add(
        "--run-nothing",
        action="store_true",
        help="start no program but Git: a run that lacks something is refused, step timings that are not "
        "there are left out",
    )
    add(
        "--no-probe",
        action="store_true",
        help="measure nothing for step timings; those that are not there are left out",
    )
    add(
        "--approved",
        type=Path,
        metavar="DIR",
        help="push only if every branch is the one whose bundle is in DIR/RUN (a copy of .matrix/trio)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
