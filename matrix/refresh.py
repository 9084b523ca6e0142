"""`nox -s refresh-artifacts`: from a green run to result files, constants and the coordinated branches."""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.artifacts.consolidate import check_foreign, read_foreign
from matrix.artifacts.drift import Drift, Ruling, measure_drift
from matrix.artifacts.results import config_name
from matrix.artifacts.runs import Run, newest_run
from matrix.branches.identity import read_identity
from matrix.branches.push import check_branch, look, push
from matrix.branches.state import State, read_state, write_state
from matrix.branches.texts import drift_table, write_texts
from matrix.branches.trio import Branch, Content, build_branches
from matrix.checkout.git import git, redact
from matrix.checkout.locks import locked
from matrix.errors import EnvironmentFailure, MatrixError, UsageError
from matrix.layout import MANIFEST, REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.manifest import Manifest, SourceKind, load_manifest
from matrix.pipelines import PIPELINES
from matrix.record import Record

DRIFT_REFUSED = 1

DESCRIPTION = (
    "Write result files, constants and the branches of the pull requests from the newest green run. "
    "Nothing leaves this machine without --push."
)


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    manifest: Path
    root: Path
    run: str | None
    config_name: str | None
    consolidate_from: tuple[Path, ...]
    accepted: Mapping[str, str]
    push: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh; return the exit code (0 done, 1 a drift refused, 2 wrong use, 3 machine or network)."""
    try:
        return refresh(_options(sys.argv[1:] if arguments is None else arguments))
    except MatrixError as error:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return EnvironmentFailure.exit_code


def refresh(options: Options) -> int:
    """Walk from the run to the branches, and to the remotes if asked; return the exit code."""
    manifest = load_manifest(options.manifest)
    for repository in manifest.repositories:
        check_branch(manifest.branch, repository.base)
    identity = read_identity(REPOSITORY_ROOT)
    layout = open_layout(options.root)
    with locked(layout.locks / "trio.lock", "the branches"):
        run = newest_run(layout.runs, options.run)
        for line in run.passed_over:
            print(f"passed over {line}")
        print(f"run         {run.plan.run} ({run.plan.source_meaning})")
        drifts = [measure_drift(run.plan, name, run.records, options.accepted) for name in run.plan.pipelines]
        print(f"\n{drift_table(drifts)}\n")
        if _refused(drifts):
            return DRIFT_REFUSED
        results = _results(run, manifest, options)
        content = Content(run.plan, results, drifts, SOLVER)
        state_path = layout.root / "trio" / "state.json"
        state = read_state(state_path)
        trees = _trees(layout)
        branches, notes = build_branches(manifest, content, layout.root, trees, identity, state)
        folder = layout.root / "trio" / run.plan.run
        try:
            if options.push:
                _push_all(branches, layout, run, state, state_path)
        finally:
            texts = write_texts(folder, run, branches, state, drifts, notes)
            _say_all(branches, folder, texts, notes)
        if not options.push:
            _say_what_would_happen(branches, layout, run, state)
    return 0


def _refused(drifts: Sequence[Drift]) -> bool:
    refused = [drift for drift in drifts if drift.ruling is Ruling.REFUSED]
    for drift in refused:
        print(f"refused     {drift.pipeline}: {drift.reason}", file=sys.stderr)
        if len(drift.agree) == 2:
            print(
                f'            if the change is right: --accept-drift {drift.pipeline} --because "why it is"',
                file=sys.stderr,
            )
    return bool(refused)


def _results(run: Run, manifest: Manifest, options: Options) -> dict[str, dict[str, Record]]:
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


def _trees(layout: Layout) -> Path:
    """Where the working trees go: the folder PYAUTO_ROOT names, or ours."""
    named = os.environ.get("PYAUTO_ROOT")
    return Path(named).expanduser().resolve() if named else layout.root / "trio" / "worktrees"


def _push_all(branches: Sequence[Branch], layout: Layout, run: Run, state: State, state_path: Path) -> None:
    """Look at every remote before the first push; then push in merge order, writing down each success."""
    outlooks = [
        (
            branch,
            look(
                branch.at,
                _address(branch, layout, run),
                branch.repository.base,
                state.pushed(branch.repository.name),
            ),
        )
        for branch in branches
        if branch.at.commits
    ]
    for branch, outlook in outlooks:
        if outlook.ahead:
            base = branch.repository.base
            print(
                f"note        {branch.at.name}: {base} is {outlook.ahead} commits beyond what was validated"
            )
        state.branches[branch.repository.name] = push(branch.at, outlook)
        write_state(state_path, state)
        print(f"pushed      {branch.at.name} {branch.at.branch} {branch.at.head[:12]}")


def _address(branch: Branch, layout: Layout, run: Run) -> str:
    """The remote: the manifest's address, or the local origin where the embedded source stood in for it."""
    if run.plan.source != SourceKind.EMBEDDED:
        return branch.repository.url
    for origin in sorted((layout.root / "embedded" / run.plan.release).glob(f"*/{branch.at.name}.git")):
        if git("cat-file", "-e", f"{branch.at.start}^{{commit}}", at=origin, check=False).exit_code == 0:
            return str(origin)
    raise UsageError(f"the embedded origin of {branch.at.name} is gone: run nox -s matrix-fp64 again")


def _say_all(branches: Sequence[Branch], folder: Path, texts: Sequence[Path], notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note        {note}")
    for branch in branches:
        at = branch.at
        size = f"{len(at.commits)} commits on {at.start[:12]}"
        print(f"branch      {at.name} {at.branch}: {size}, in {at.worktree}")
        for path in at.export(folder):
            print(f"            {path}")
    for text in texts:
        print(f"text        {text}")


def _say_what_would_happen(branches: Sequence[Branch], layout: Layout, run: Run, state: State) -> None:
    print("dry run: nothing was pushed. With --push, in this order:")
    for branch in (branch for branch in branches if branch.at.commits):
        pushed = state.pushed(branch.repository.name)
        done = pushed is not None and pushed.commit == branch.at.head
        address = redact(_address(branch, layout, run))
        word = "is there already" if done else f"would go to {address}"
        print(f"  {branch.at.name} {branch.at.branch} {branch.at.head[:12]} {word}")


def _options(words: Sequence[str]) -> Options:
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
    return Options(
        manifest=known.manifest,
        root=known.root,
        run=known.run,
        config_name=name,
        consolidate_from=tuple(known.consolidate_from),
        accepted=dict(zip(known.accept_drift, known.because, strict=True)),
        push=known.push,
    )


def _parser() -> argparse.ArgumentParser:
    # Abbreviations off: a mistyped option must not turn into another one.
    parser = argparse.ArgumentParser(prog="refresh-artifacts", description=DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    root = Path(os.environ.get("MATRIX_ROOT", ".matrix"))
    add("--manifest", type=Path, default=MANIFEST, help="default: repos.yaml")
    add("--root", type=Path, default=root, help="our working folder")
    add("--run", help="name of the run to refresh from (default: the newest that is complete and green)")
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
        "--accept-drift",
        action="append",
        default=[],
        choices=tuple(PIPELINES),
        help="move this pipeline's constant although it is beyond the tolerance (repeatable)",
    )
    add("--because", action="append", default=[], metavar="REASON", help="why, one per --accept-drift")
    add("--push", action="store_true", help="push the branches; never by force, never to a base branch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
