"""`nox -s hpc -- check | install | push | submit | jobs | wait | pull`: the matrix on a Slurm cluster."""

import argparse
import json
import math
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.catalogue.pipelines import PIPELINES, pipeline_named
from matrix.commands.flow import plan_matrix
from matrix.commands.matrix import matrix_options
from matrix.commands.profile import profile_parser
from matrix.commands.report import report_in_place
from matrix.diagnose.declaration import declared
from matrix.diagnose.sides.likelihood import of_likelihoods
from matrix.execute.sessions import OTHERS, Session, kind_named, read_sessions
from matrix.execute.slurm import PAIR
from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_script import Resources
from matrix.execute.slurm_status import STATUSES, Status
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError, exit_code_of
from matrix.ground.layout import REPOSITORY_ROOT, Layout, open_layout
from matrix.ground.options import SessionParser, add_root, one_of
from matrix.ground.suggestions import did_you_mean
from matrix.hpc.check import check, expected_start
from matrix.hpc.install import install
from matrix.hpc.profile import load_profile
from matrix.hpc.remote import Remote
from matrix.hpc.ship import (
    RUN_EXCLUDED,
    Places,
    Shipped,
    describe_stack,
    pushed_code,
    read_pushed,
    relocated,
    ship,
)
from matrix.prepare.difference import need_one_stack
from matrix.prepare.manifest import Role
from matrix.prepare.sides import manifest_for

EXPLAINED = """
check     is everything there? SSH, folder, rsync, Slurm with the real job, both Pythons; changes nothing
install   make `driver` and `python` over there from the locks (--release R), or --print the commands
push      plan here, send code, data and both libraries; takes the matrix's options: push fp64 --scale smoke
submit    the cells that have not passed; or a measurement: submit probe imaging-delaunay --lanes 8
          (MEASUREMENTS); --dry-run shows the job script
jobs      how every job stands, with the last line of its log
wait      until every job has ended
pull      bring records and logs here, and report
"""
NOT_PASSED = 1
STATES_SECONDS = 300.0
POLL_SECONDS = (2.0, 60.0)
POLL_GROWTH = 1.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one step; return its exit code (0 done, 1 a job did not pass, 2 wrong use, 3 nobody can tell)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = _parser().parse_known_args(words)
    return exit_code_of(
        lambda: _step(options, rest), "interrupted; jobs go on, `nox -s hpc -- wait` takes up from here"
    )


def _step(options: argparse.Namespace, rest: list[str]) -> int:
    if rest and options.verb not in ("push", "submit"):
        raise UsageError(f"{options.verb} does not know {' '.join(rest)}")
    console = open_console()
    name, profile = load_profile(options.config, options.profile)
    reached = Remote(profile)
    reached.connect()
    remote = reached.expanded()
    console.print(f"profile     {name}: {profile.host or 'this machine'}, {remote.profile.root}")
    return VERBS[options.verb](VerbContext(console, remote, open_layout(options.root), options, rest))


class VerbContext:
    """What every verb works with."""

    def __init__(
        self, console: Console, remote: Remote, layout: Layout, options: argparse.Namespace, rest: list[str]
    ) -> None:
        self.console = console
        self.remote = remote
        self.layout = layout
        self.options = options
        self.words = rest
        self.places = Places(remote.profile.root)

    def pushed(self) -> Shipped:
        """What is over there.

        Raises
        ------
        UsageError
            Nothing was pushed yet.
        """
        found = read_pushed(self.remote)
        if found is None:
            raise UsageError(f"nothing was pushed to {self.places.root} yet: nox -s hpc -- push fp64")
        return found

    def slurm(self, verb: str, run: str, *words: str) -> list[Status]:
        """Let the program on the cluster submit cells, or say how their jobs stand."""
        return self._statuses(verb, self.told("matrix.execute.slurm", verb, run, *words))

    def sessions(self, verb: str, run: str, *words: str) -> list[Status]:
        """Let the program on the cluster submit measurements, or say how their jobs stand."""
        return self._statuses(verb, self.told("matrix.execute.slurm_sessions", verb, run, *words))

    def states(self, run: str) -> list[Status]:
        """How all jobs stand; cells that nobody submitted are left out where something else was."""
        cells, sessions = self.slurm("states", run), self.sessions("states", run)
        submitted = any(status.job is not None for status in cells)
        return [*(cells if submitted or not sessions else ()), *sessions]

    def told(self, module: str, verb: str, run: str, *words: str) -> str:
        """What a program of ours on the cluster says, told to do something with a run."""
        done = self.remote.run(
            [self.remote.profile.driver, "-m", module, verb, self.places.run(run), *words],
            variables={"PYTHONPATH": self.places.code, "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=STATES_SECONDS,
            check=False,
            prepared=True,
        )
        if done.exit_code == UsageError.exit_code:
            # A module that `setup` loads may say something first.
            raise UsageError(done.stderr.partition("error: ")[2].strip() or done.stderr.strip())
        if done.exit_code != 0:
            raise EnvironmentFailure(f"{verb} failed on the cluster: {done.stderr.strip()}")
        return done.stdout

    def _statuses(self, verb: str, said: str) -> list[Status]:
        for line in said.splitlines():
            with suppress(ValidationError):
                return STATUSES.validate_json(line)
        raise EnvironmentFailure(f"{verb} on the cluster gave no answer: {said.strip() or 'nothing'}")


def _check(step: VerbContext) -> int:
    return check(step.console, step.remote)


def _install(step: VerbContext) -> int:
    """Make both environments over there, or say how."""
    asked = step.options
    if asked.release is None:
        raise UsageError("say which release `python` is to hold: nox -s hpc -- install --release 2026.7.9.1")
    return install(step.console, step.remote, asked.release, asked.base, printed=asked.print)


def _push(step: VerbContext) -> int:
    """Plan here, send what the plan needs, and say which files over there had changed."""
    options = matrix_options([*step.words, "--root", str(step.layout.root)])
    if options.pytest_arguments:
        raise UsageError(f"push does not know {' '.join(options.pytest_arguments)}")
    if options.checks and not options.only:
        raise UsageError("jobs run cells, and --check alone selects none: name pipelines with --only too")
    manifest = manifest_for(options)
    need_one_stack(manifest.change, manifest.of_role(Role.LIBRARY).name, "on a cluster")
    before = read_pushed(step.remote)
    if before is not None:
        active = [status.cell for status in step.states(before.run) if status.outcome.active]
        if active:
            raise UsageError(
                f"jobs of {before.run} are waiting or running ({', '.join(active)}) and would see "
                "code and data change: wait for them, or scancel them."
            )
    stack = describe_stack(step.remote)
    for name in stack.trees:
        step.console.print(Text(f"stack       {stack.said(name)}"))
    plan = plan_matrix(step.console, options)
    there = relocated(plan, step.remote.profile, stack, step.layout)
    for file in ship(step.remote, plan, there):
        step.console.print(f"changed     {file}")
    here = step.layout.runs / there.run
    there.model_copy(update={"folder": here}).write()
    step.console.print(f"pushed      {there.run}: {len(there.selected)} pipelines, two sides each")
    return 0


def _submit(step: VerbContext) -> int:
    """Submit what has not passed, or what is to be measured, if the code here is what was pushed."""
    pushed = step.pushed()
    if pushed.code != pushed_code():
        raise UsageError(
            f"the code in {REPOSITORY_ROOT} was changed since it was pushed: nox -s hpc -- push first"
        )
    resources = Resources.model_validate(step.remote.profile.model_dump())
    asked = ("--resources", resources.model_dump_json())
    if step.words:
        sessions = sessions_from(step.words, time.strftime("%Y%m%d-%H%M%S"))
        _say_cost(step, resources, len(sessions))
        told = (*asked, "--sessions", json.dumps([session.model_dump() for session in sessions]))
        if step.options.dry_run:
            for session in sessions:
                step.console.print(Text(f"would be    {session.kind} {shlex.join(session.words)}"))
            step.console.print(Text(step.told("matrix.execute.slurm_sessions", "script", pushed.run, *told)))
            return 0
        _show(step, step.sessions("submit", pushed.run, *told))
        return 0
    open_cells = [
        status for status in step.slurm("states", pushed.run) if status.outcome is not JobOutcome.PASSED
    ]
    pairs = sum(status.cell.endswith(PAIR) for status in open_cells)
    _say_cost(step, resources, len(open_cells) - pairs, pairs)
    if step.options.dry_run:
        step.console.print(Text(step.told("matrix.execute.slurm", "script", pushed.run, *asked)))
        return 0
    _show(step, step.slurm("submit", pushed.run, *asked))
    return 0


def sessions_from(words: Sequence[str], stamp: str) -> list[Session]:
    """What is to be measured, a session per pipeline: `probe imaging-mge --lanes 8`.

    Raises
    ------
    UsageError
        There is no such measurement, no pipeline is named, or a word is ours to say.
    """
    name, *rest = words
    known = measurements()
    if name not in known:
        raise UsageError(
            f"submit does not know {name}.{did_you_mean(name, known)} "
            f"It takes nothing (the cells), or: {', '.join(known)}."
        )
    kind = kind_named(name)
    ours = [
        word for word in rest if word.partition("=")[0] in ("--output-dir", "--record", "--root", "--run")
    ]
    if ours:
        raise UsageError(f"{ours[0]}: where what is measured goes, and on what run, is settled over there")
    told = [word for word in rest if word not in PIPELINES]
    pipelines = list(dict.fromkeys(word for word in rest if word in PIPELINES))
    if kind.per_pipeline and not pipelines:
        raise UsageError(f"{name}: name a pipeline or more, each is a job of its own: {', '.join(PIPELINES)}")
    if not kind.per_pipeline:
        _see_that_it_is_taken(name, rest)
        return [Session(name=f"{name}-{stamp}", kind=name, words=tuple(rest))]
    _see_that_it_is_taken(name, [pipelines[0], *told])
    return [
        Session(name=f"{name}-{pipeline}-{stamp}", kind=name, words=(pipeline, *told))
        for pipeline in pipelines
    ]


def measurements() -> list[str]:
    """What a cluster can be given beside cells: every diagnosis of likelihoods, and the others."""
    return [*of_likelihoods(), *OTHERS]


def _see_that_it_is_taken(name: str, words: Sequence[str]) -> None:
    """Let the session's own parser tell a mistyped word now, and not when the job has waited its turn."""
    aside = "--record" if kind_named(name).in_stack else "--output-dir"
    parser = profile_parser() if name == "profile" else declared(name).parser()
    taken = parser.parse_args([*words, f"{aside}=over there"])
    named = getattr(taken, "pipeline", None)
    for word in named if isinstance(named, list) else ():
        pipeline_named(word)


def _say_cost(step: VerbContext, resources: Resources, beside: int, in_turn: int = 0) -> None:
    """Say what is asked for at most, and when Slurm would start it.

    Parameters
    ----------
    beside
        Jobs that run beside each other.
    in_turn
        Jobs that run after them, one at a time, as pairs do.
    """
    jobs = beside + in_turn
    if not jobs:
        return
    gpus = re.search(r"gpu(?::[^:,]+)?:(\d+)|gpu", resources.gres or "")
    each = int((gpus[1] if gpus else None) or 1)
    what, amount = ("GPU", each) if gpus else ("core", resources.cpus)
    minutes = (math.ceil(beside / resources.parallel) + in_turn) * resources.time
    parts = [f"{min(beside, resources.parallel)} at a time"] if beside else []
    parts += [f"{'then ' * bool(beside)}{in_turn}, one at a time"] if in_turn else []
    step.console.print(
        f"asks for    {jobs} job{'s' * (jobs > 1)} of at most {resources.time} min, {', '.join(parts)}: "
        f"at most {jobs * resources.time * amount} {what} minutes, {minutes} min once they start"
    )
    step.console.print(Text(f"queue       {expected_start(step.remote)}"))


def _jobs(step: VerbContext) -> int:
    """Say how every job stands, with the last lines of those that failed."""
    statuses = step.states(step.pushed().run)
    _show(step, statuses)
    _explain(step, statuses)
    return 0


def _wait(step: VerbContext) -> int:
    """Wait until every job has ended or the patience has."""
    run = step.pushed().run
    began = answered = time.monotonic()
    pause = POLL_SECONDS[0]
    seen: dict[str, Status] = {}
    while True:
        statuses = _asked(step, run, seen)
        pause = POLL_SECONDS[0] if _tell(step, seen, statuses) else min(pause * POLL_GROWTH, POLL_SECONDS[1])
        now = time.monotonic()
        if not any(status.outcome.silent for status in statuses):
            answered = now
        if not any(status.outcome.active or status.outcome.silent for status in statuses):
            break
        if now - answered > step.options.patience or now - began > step.options.limit:
            step.console.print(f"gave up after {now - began:.0f} s; what is still open counts as not passed")
            break
        time.sleep(pause)
    return _judge(step, statuses)


def _asked(step: VerbContext, run: str, seen: Mapping[str, Status]) -> list[Status]:
    """How the jobs stand; while a connection that worked before is lost, the open ones are unreachable."""
    try:
        return step.states(run)
    except NetworkError as error:
        if not seen:
            raise
        lost = {"outcome": JobOutcome.UNREACHABLE, "reason": str(error)}
        return [
            status.model_copy(update=lost) if status.outcome.active or status.outcome.silent else status
            for status in seen.values()
        ]


def _pull(step: VerbContext) -> int:
    """Bring records and logs here, and report them like any run."""
    run = step.pushed().run
    statuses = step.states(run)
    here = step.layout.runs / run
    step.remote.fetch(step.places.run(run), here, RUN_EXCLUDED)
    sessions = read_sessions(here)
    if strange := {session.kind for session in sessions} - {*measurements()}:
        raise UsageError(f"the run has measurements that are not known here: {', '.join(sorted(strange))}")
    places = {
        there: here_too
        for session in sessions
        for there, here_too in zip(
            session.outputs(Path(step.places.root)), session.outputs(step.layout.root), strict=True
        )
    }
    for there, target in places.items():
        if step.remote.run(["test", "-d", there], check=False).exit_code == 0:
            step.remote.fetch(str(there), target, RUN_EXCLUDED)
            step.console.print(Text(f"fetched     {target}"))
    names = {session.name for session in sessions}
    cells = [status for status in statuses if status.cell not in names]
    code = report_in_place(step.console, here) if cells else 0
    return _judge(step, statuses) or code


def _judge(step: VerbContext, statuses: Sequence[Status]) -> int:
    _show(step, statuses)
    _explain(step, statuses)
    if not statuses:
        raise UsageError("the run that was pushed has no cell: nox -s hpc -- push fp64")
    if any(status.outcome.broken for status in statuses):
        return NOT_PASSED
    passed = all(status.outcome is JobOutcome.PASSED for status in statuses)
    return 0 if passed else EnvironmentFailure.exit_code


def _tell(step: VerbContext, seen: dict[str, Status], statuses: Sequence[Status]) -> bool:
    """Print what changed since the last look; say whether anything did."""
    news = [
        status
        for status in statuses
        if status.cell not in seen or _stands(seen[status.cell]) != _stands(status)
    ]
    for status in news:
        step.console.print(f"{time.strftime('%H:%M:%S')}    {status.cell} {status.outcome}: {status.reason}")
        seen[status.cell] = status
    return bool(news)


def _stands(status: Status) -> tuple[str, str]:
    """The outcome with its reason: a job that is held waits as any other, and for good."""
    return status.outcome, status.reason


def _show(step: VerbContext, statuses: Sequence[Status]) -> None:
    table = Table(width=None if step.console.is_terminal else 140)
    for heading in ("cell", "job", "state", "elapsed", "ends by", "last line"):
        table.add_column(heading)
    for status in statuses:
        last = status.tail.splitlines()[-1] if status.tail else ""
        ends = status.limit_end if status.outcome.active else ""
        state = ": ".join(_stands(status)) if status.outcome.active else status.outcome
        row = (status.cell, status.job or "", state, status.elapsed, ends, last)
        table.add_row(*map(Text, row))
    step.console.print(table)


def _explain(step: VerbContext, statuses: Sequence[Status]) -> None:
    for status in statuses:
        if status.outcome is JobOutcome.PASSED or status.outcome.active or status.job is None:
            continue
        what = f" {status.cell} (job {status.job}): {status.reason}"
        step.console.print(Text.assemble((status.outcome, "red"), what))
        step.console.print(Text(status.tail))


VERBS: dict[str, Callable[[VerbContext], int]] = {
    "check": _check,
    "install": _install,
    "push": _push,
    "submit": _submit,
    "jobs": _jobs,
    "wait": _wait,
    "pull": _pull,
}


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser(
        "hpc",
        "Run the matrix on a Slurm cluster, a step at a time.",
        "check --profile a100",
        epilog=EXPLAINED.replace("MEASUREMENTS", ", ".join(measurements())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("verb", type=one_of("step", VERBS), metavar="VERB", help="see below")
    add("--config", type=Path, default=REPOSITORY_ROOT / "hpc.yaml", help="default: hpc.yaml")
    add("--profile", help="which profile of it (needed where it has several)")
    add_root(parser)
    add(
        "--dry-run",
        action="store_true",
        help="submit: show the job script and what it would cost; send nothing",
    )
    add("--release", help="install: the release that `python` is to hold")
    add("--base", default="python3", metavar="PYTHON", help="install: what environments are made with there")
    add("--print", action="store_true", help="install: print the commands instead")
    add("--patience", type=float, default=300.0, help="wait: seconds of silence before a job counts as lost")
    add("--limit", type=float, default=86400.0, help="wait: seconds in all (default: a day)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
