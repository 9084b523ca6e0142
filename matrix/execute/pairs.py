"""Times both sides of a pipeline in turn on this machine: two processes, of which one computes at a time."""

import contextlib
import datetime
import json
import os
import random
import selectors
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

import psutil

from matrix.execute.local import exit_reason, log_tail
from matrix.execute.reservations import Share, own_share
from matrix.execute.variables import cell_environment
from matrix.ground.disk import check_space
from matrix.ground.errors import MatrixError
from matrix.ground.files import write_text
from matrix.ground.machine import usable_cores
from matrix.ground.process import serving
from matrix.records import typed_json
from matrix.records.cell import SIDES, Precision, Scale, Side
from matrix.records.pair import (
    BATCH,
    CONTROL,
    SINGLE,
    SOLVE,
    TIMED,
    FreshPair,
    PairRecord,
    Round,
    TimedProcess,
    needs_another,
)
from matrix.records.ratio import LEAST_ROUNDS, NARROW, ratio_of
from matrix.run.kept import clear_failure, kept_pair, kept_record, write_failure
from matrix.run.plan import Plan, PlannedPair

# A side calls a program in a row until it has computed for so long: shorter times are lost in switching.
BLOCK_SECONDS = 0.1
_MOST_CALLS = 1000
# Five rounds are three minutes for nothing where six would have told.
PATIENCE = 2.0
# Two processes share one GPU; by default JAX takes three quarters of its memory for the first.
_GPU_VARIABLES = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45"}


@dataclass(frozen=True)
class Player:
    """Whose software plays a side; its likelihoods compute `slower` times as much."""

    side: Side
    slower: float = 1.0


EACH_ITSELF: Mapping[Side, Player] = {side: Player(side) for side in SIDES}


class PairError(MatrixError):
    """A side's process did not do what it was told."""


class Timed(Protocol):
    """One side as the clock sees it."""

    def seconds(self, timed: str, calls: int) -> list[float]:
        """Make so many calls of what is timed, and say how long each took."""


@dataclass(frozen=True)
class PairFailure:
    """Why a pair left no record."""

    pair: PlannedPair
    reason: str
    log: Path


class Served:
    """A side's process, which computes nothing but what it is asked for."""

    def __init__(self, process: "subprocess.Popen[str]", side: Side, log: Path, deadline: float) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self._asked, self._answers = process.stdin, process.stdout
        self._side, self._log, self._deadline = side, log, deadline

    def seconds(self, timed: str, calls: int) -> list[float]:
        """Have it make `calls` calls; how long each took by its own clock."""
        try:
            self._asked.write(f"{timed} {calls}\n")
            self._asked.flush()
        except BrokenPipeError:
            raise self._broken() from None
        return [float(each) for each in self.answer()]

    def answer(self) -> Any:
        """Its next line.

        Raises
        ------
        PairError
            It ended, or said nothing until the deadline.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(max(0.0, self._deadline - time.monotonic())):
                raise PairError(f"{self._side}: no answer within --cell-timeout")
        line = self._answers.readline()
        if not line:
            raise self._broken()
        return json.loads(line)

    def ended(self) -> Any:
        """Let it end; what it says at last."""
        self._asked.close()
        return self.answer()

    def _broken(self) -> PairError:
        code = self.process.wait()
        return PairError(f"{self._side}: {exit_reason(code)}\n{log_tail(self._log)}")


def run_pair(
    plan: Plan, pair: PlannedPair, players: Mapping[Side, Player] = EACH_ITSELF
) -> PairRecord | PairFailure:
    """Time `pair` unless its record is kept; return the record, or why there is none.

    Parameters
    ----------
    plan, pair
        What to time, and where its record goes.
    players
        Who plays each side; by default each itself.
    """
    record = kept_pair(plan, pair)
    if record is not None:
        return record
    folder = plan.pair_folder(pair)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def say(words: str) -> None:
        write_text(plan.pair_stage(pair), f"{words}\n")

    # All there is of the machine: no other cell or check of ours computes meanwhile.
    whole = psutil.virtual_memory().total
    # It comes after all cells of this run, each of which may take its time.
    patience = plan.cell_timeout * len(plan.cells)
    with own_share(whole, plan.threads, plan.platform, patience, say) as share:
        try:
            record = _timed(plan, pair, share, say, players)
        except MatrixError as error:
            check_space(folder, str(error))
            reason = str(error).partition("\n")[0]
            write_failure(folder, reason)
            return PairFailure(pair, reason, folder)
    typed_json.write(plan.pair_path(pair), record)
    clear_failure(folder)
    return record


def _timed(
    plan: Plan, pair: PlannedPair, share: Share, say: Callable[[str], None], players: Mapping[Side, Player]
) -> PairRecord:
    started = _now()
    found = [_fresh(plan, pair, share, 1, say, players)]
    if needs_another(found[0][0]):
        found.append(_fresh(plan, pair, share, 2, say, players))
    return PairRecord(
        pipeline=pair.pipeline,
        precision=_of(Precision, pair.precision),
        scale=_of(Scale, pair.scale),
        key=pair.key,
        lanes=found[0][1],
        limit_s=pair.seconds,
        compile_s=_compile_s(plan, pair, players),
        pairs=tuple(fresh for fresh, _ in found),
        started=started,
        finished=_now(),
    )


def _compile_s(plan: Plan, pair: PlannedPair, players: Mapping[Side, Player]) -> dict[Side, float]:
    """What compiling took, which the processes of a pair are spared: it is measured in the cells."""
    found: dict[Side, float] = {}
    for side in SIDES:
        record = kept_record(plan, plan.cell(pair.pipeline, players[side].side))
        if record is None:
            return {}
        programs = (record.timings.jit, record.timings.vmap)
        found[side] = sum(program.lower_s + program.compile_s for program in programs)
    return found


def _of(words: Any, word: str) -> Any:
    if word not in get_args(words):
        raise PairError(f"{word} is none of {', '.join(get_args(words))}")
    return word


def _fresh(
    plan: Plan,
    pair: PlannedPair,
    share: Share,
    number: int,
    say: Callable[[str], None],
    players: Mapping[Side, Player],
) -> tuple[FreshPair, int]:
    """Time one pair of fresh processes; with it the lanes of a batch."""
    say(f"start pair {number} of processes")
    with contextlib.ExitStack() as stack:
        # They start beside each other where there are cores enough, and are timed on the same.
        served = {
            side: stack.enter_context(_process(plan, pair, players[side], f"{side}-{number}", share, cores))
            for side, cores in zip(SIDES, _apart(share), strict=True)
        }
        facts = {side: process.answer() for side, process in served.items()}
        for process in served.values():
            bind(process.process.pid, share.cores)
        say(f"time pair {number} of processes")
        begin = time.monotonic()
        lot = random.Random(f"{pair.key} {number}")
        rounds = timed_in_turn(served["baseline"], served["candidate"], pair.seconds, lot)
        seconds = time.monotonic() - begin
        last = {side: process.ended() for side, process in served.items()}
    sides = {side: _process_facts(facts[side], last[side]) for side in SIDES}
    return FreshPair(sides["baseline"], sides["candidate"], rounds, seconds), int(facts["baseline"]["lanes"])


def _process_facts(first: Mapping[str, Any], last: Mapping[str, Any]) -> TimedProcess:
    return TimedProcess(
        found=tuple(first["found"]),
        temporary_bytes=first["temporary_bytes"],
        peak_rss_bytes=last["peak_rss_bytes"],
        solver=first["solver"],
        device=first["device"],
        cpu=first["cpu"],
        cores=tuple(last["cores"]),
    )


def timed_in_turn(
    baseline: Timed,
    candidate: Timed,
    limit: float,
    lot: random.Random,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, tuple[Round, ...]]:
    """Time both sides in turn until both likelihoods' ratios are known well enough, or the time is spent.

    Parameters
    ----------
    baseline, candidate
        Ready to compute; neither does so unless asked.
    limit
        Seconds. A round that has begun is finished, and rounds go on to the least number that says anything
        while that takes no more than `PATIENCE` times as long.
    lot
        Draws which side is first: in A B B A or in B A A B.
    clock
        Seconds since some moment.

    Returns
    -------
    dict
        The rounds of whatever is timed. The solve and the control are in every round.
    """
    sides: dict[Side, Timed] = {"baseline": baseline, "candidate": candidate}
    calls = {timed: _calls(timed, sides) for timed in TIMED}
    rounds: dict[str, list[Round]] = {timed: [] for timed in TIMED}
    begin = clock()
    order = list(SIDES)
    number = 0
    # The solve alone may be so short that it is never known: it goes along, and nothing waits for it.
    while open_ones := [timed for timed in (SINGLE, BATCH) if not _known(rounds[timed])]:
        patience = 1.0 if number >= LEAST_ROUNDS else PATIENCE
        if number and clock() - begin >= patience * limit:
            break
        order = lot.sample(SIDES, 2) if number % 2 == 0 else order[::-1]
        for timed in (*open_ones, SOLVE, CONTROL):
            rounds[timed].append(_round(timed, calls[timed], order, sides))
        number += 1
    return {timed: tuple(found) for timed, found in rounds.items()}


def _calls(timed: str, sides: Mapping[Side, Timed]) -> int:
    shortest = min(sides[side].seconds(timed, 1)[0] for side in SIDES)
    return max(1, min(_MOST_CALLS, round(BLOCK_SECONDS / shortest)))


def _round(timed: str, calls: int, order: list[Side], sides: Mapping[Side, Timed]) -> Round:
    median = {side: statistics.median(sides[side].seconds(timed, calls)) for side in order}
    return Round(order[0], calls, median["baseline"], median["candidate"], psutil.getloadavg()[0])


def _known(rounds: list[Round]) -> bool:
    if len(rounds) < LEAST_ROUNDS:
        return False
    ratio = ratio_of([(each.baseline, each.candidate) for each in rounds])
    return ratio is not None and ratio.half_width <= NARROW


@contextlib.contextmanager
def _process(
    plan: Plan, pair: PlannedPair, player: Player, name: str, share: Share, cores: list[int]
) -> Iterator[Served]:
    work = plan.pair_folder(pair) / name
    work.mkdir()
    log = plan.pair_folder(pair) / f"{name}.txt"
    side = player.side
    options = {
        "--pipeline": pair.pipeline,
        "--precision": pair.precision,
        "--side": side,
        "--scale": pair.scale,
        "--workspace": plan.data_workspace,
        "--seed": plan.seed,
        "--slower": player.slower,
    }
    words = [str(word) for option in options.items() for word in option]
    command = [*plan.environments[side].command, "-m", "matrix.pipelines.serve", *words]
    own = {} if share.gpu is None else {**_GPU_VARIABLES, "CUDA_VISIBLE_DEVICES": share.gpu}
    env = {**cell_environment(plan, plan.cell(pair.pipeline, side)), **own}
    with serving(command, cwd=work, env=env, log=log, cores=cores) as process:
        yield Served(process, side, log, time.monotonic() + plan.cell_timeout)


def _apart(share: Share) -> tuple[list[int], list[int]]:
    """Cores for each side while it compiles: as many, and others if there are enough."""
    others = [core for core in usable_cores() if core not in share.cores][: len(share.cores)]
    return share.cores, others if len(others) == len(share.cores) else share.cores


def bind(pid: int, cores: list[int]) -> None:
    """Bind every thread of a process, and of those it started, to some cores, where the system can."""
    if sys.platform != "linux":
        return
    process = psutil.Process(pid)
    # One that has ended since needs none.
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            for thread in each.threads():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, cores)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
