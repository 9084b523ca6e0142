"""Live progress: a pytest plugin that says which cells run, at what stage, and how long it may still take."""

import json
import math
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from matrix.catalogue.checks import CHECKS
from matrix.catalogue.pipelines import pipeline_named
from matrix.execute.local import stage_path
from matrix.ground.errors import MatrixError
from matrix.ground.files import read_text, write_json
from matrix.ground.machine import GIB
from matrix.ground.waiting import REFRESH_SECONDS, STILL_SECONDS, clock, doing, repeating
from matrix.records.pair import BATCH, SINGLE
from matrix.report.ci import folded, in_ci
from matrix.run.kept import kept_check, kept_pair, kept_record
from matrix.run.plan import Plan, PlannedCell, PlannedCheck, PlannedPair

SMOKE_FRACTION = 0.3
CELL_TEST = re.compile(r"test_cell\[(?P<cell>[^\]]+)\]")
# Of a test's report: it failed by a verdict, and not because something broke.
VERDICT = "verdict"
PAIR_TEST = re.compile(r"test_(?P<what>pair|time)\[(?P<pair>[^\]]+)\]")
CHECK_TEST = re.compile(r"test_check\[gate-\w+-(?P<check>[^\]]+)\]")


# Before any check was run here, in seconds.
CHECK_SECONDS = 120.0

Work = PlannedCell | PlannedPair | PlannedCheck


def first_guess(work: Work) -> float:
    """Seconds that work takes on one core of a CPU, before any of it was measured here."""
    match work:
        case PlannedCell():
            seconds = pipeline_named(work.pipeline).cost.seconds
        case PlannedPair():
            # Two pairs of processes are the rule, and each has so many seconds for its rounds alone.
            return 2.0 * work.seconds
        case PlannedCheck():
            seconds = CHECK_SECONDS
    return seconds * SMOKE_FRACTION if work.scale == "smoke" else seconds


class Progress:
    """Pytest plugin for the controlling process; takes the place of pytest's own terminal output.

    Parameters
    ----------
    console
        Where to print: a live panel on a terminal, plain lines elsewhere, with folded groups in CI.
        Rich leaves colours out where NO_COLOR is set.
    plan
        The run that is going on.
    """

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._cells = {cell.name: cell for cell in plan.cells}
        self._work: dict[str, Work] = {
            **self._cells,
            **{_times_of(pair.name): pair for pair in plan.pairs},
            **{_check(check.name): check for check in plan.checks},
        }
        self._awaited = set(self._cells)
        self._durations_file = plan.cache / "durations.json"
        self._durations = _durations_in(self._durations_file)
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()
        self._checks = {check.name: check for check in plan.checks}
        self._checking: set[str] = set()
        self._pairs = {pair.name: pair for pair in plan.pairs}
        self._timing: set[str] = set()
        # Of the cells finished in this call, in seconds: what they took, and what was expected of them.
        self._took = self._due = 0.0
        self._begin = time.monotonic()
        self._workers = 1
        self._verbosity = 0
        self._selected: set[str] = set()
        # How many tests ran; how many failed by a verdict; and which broke otherwise, which is no verdict.
        self.ran = self.failed = 0
        self.broken: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the terminal over; pytest's options stay valid."""
        terminal = config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None and not config.option.collectonly:
            config.pluginmanager.unregister(terminal)
        # Pytest's own -q and -v: quiet says only what failed, verbose also what each cell found.
        self._verbosity = int(config.option.verbose)
        self._workers = max(1, int(config.getoption("numprocesses", None) or 1))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """A worker says what was selected; all say the same."""
        self._await(ids)
        self._selected = set(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without workers this process knows itself what was selected."""
        ids = [item.nodeid for item in session.items]
        if ids:
            self._await(ids)
        self._selected |= set(ids)

    def _await(self, ids: Sequence[str]) -> None:
        """What is to end, be it a cell, the times of a pair, or a check."""
        self._awaited = {name for name in map(_work_in, ids) if name in self._work}

    def narrowed(self, plan: Plan) -> Plan:
        """The plan, asking for no more than what pytest's own options (-k, --lf) left of it."""
        if not self._selected:
            # Not even that became known: then it asks for what it did.
            return plan
        words = {identifier.partition("[")[2] for identifier in self._selected}
        checks = {
            CHECK_TEST.sub(lambda found: self._checks[found["check"]].check, identifier.rpartition("::")[2])
            for identifier in self._selected
        }
        return plan.model_copy(
            update={
                "selected": tuple(
                    name
                    for name in plan.selected
                    if any(
                        word.startswith((f"{name}-{plan.precision}-", f"{name}-{plan.precision}]"))
                        for word in words
                    )
                ),
                "pairs": tuple(
                    pair
                    for pair in plan.pairs
                    if f"{pair.name}]" in words or kept_pair(plan, pair) is not None
                ),
                "selected_checks": tuple(
                    name
                    for name in plan.selected_checks
                    if name in checks or f"gate-{CHECKS[name].gate}-verdict]" in words
                ),
            }
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Keep the live panel up while the tests run."""
        with self._live():
            return (yield)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A worker began a test; a gate may have to make its cells first, but says so itself."""
        match = CELL_TEST.search(nodeid)
        if match:
            cell = self._cells[match["cell"]]
            self._started[cell.name] = time.monotonic()
            word = "kept" if kept_record(self._plan, cell) else "started"
            self._say(f"{cell.name} {word}")
        pair = PAIR_TEST.search(nodeid)
        if pair and pair["what"] == "pair":
            planned = self._pairs[pair["pair"]]
            self._timing.add(planned.name)
            self._started[_times_of(planned.name)] = time.monotonic()
            self._say(f"times of {planned.name} {'kept' if kept_pair(self._plan, planned) else 'awaited'}")
        check = CHECK_TEST.search(nodeid)
        if check and kept_check(self._plan, self._checks[check["check"]]) is None:
            self._checking.add(check["check"])
            self._started[_check(check["check"])] = time.monotonic()
            self._say(f"check {check['check']} started")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test ended: note a cell's time, show a failure at once."""
        match = CELL_TEST.search(report.nodeid)
        if match and report.when == "call":
            self._cell_ended(self._cells[match["cell"]], report)
        self.ran += report.when == "call"
        if report.failed:
            if VERDICT in dict(report.user_properties):
                self.failed += 1
            else:
                self.broken.append(report.nodeid.rpartition("::")[2])
            self._line(f" {report.nodeid.rpartition('::')[2]}", "FAILED")
            with folded(self._console, "why"):
                self._console.print(Text(str(report.longrepr)))
        pair = PAIR_TEST.search(report.nodeid)
        if pair and pair["what"] == "pair" and report.when == "call":
            self._ended(_times_of(pair["pair"]), report)
            self._pair_ended(self._pairs[pair["pair"]])
        check = CHECK_TEST.search(report.nodeid)
        if check and report.when == "teardown":
            self._checking.discard(check["check"])
        if check and report.when == "call":
            self._ended(_check(check["check"]), report)
        if check and report.when == "call" and report.passed:
            self._say(f"check {check['check']} finished after {report.duration:.0f} s")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """The suite itself could not be read."""
        if report.failed:
            self.broken.append("its own code")
            self._console.print(Text(str(report.longrepr)))

    def _cell_ended(self, cell: PlannedCell, report: pytest.TestReport) -> None:
        if report.passed and report.duration > 1.0:
            self._took += report.duration
            self._due += self._expected(cell.name)
        self._ended(cell.name, report)
        if report.passed:
            self._say(f"{cell.name} finished after {report.duration:.0f} s{self._findings(cell)}")
            self._fold_log(cell)

    def _ended(self, name: str, report: pytest.TestReport) -> None:
        """Count it, and keep what it took; what was kept from before took no time."""
        self._finished.add(name)
        if report.passed and report.duration > 1.0:
            self._durations[self._duration_key(name)] = report.duration
            write_json(self._durations_file, self._durations)

    def _pair_ended(self, pair: PlannedPair) -> None:
        self._timing.discard(pair.name)
        record = kept_pair(self._plan, pair)
        if record is not None:
            said = ", ".join(f"{timed} {record.finding(timed)}" for timed in (SINGLE, BATCH))
            self._say(f"times of {pair.name}: {said}")

    def _pair_stage(self, name: str) -> str:
        path = self._plan.pair_stage(self._pairs[name])
        return f": {doing(path)}" if path.exists() else ""

    def _findings(self, cell: PlannedCell) -> str:
        """In verbose mode: what the record says of time and memory."""
        record = kept_record(self._plan, cell) if self._verbosity > 0 else None
        if record is None:
            return ""
        lane, peak = record.timings.vmap_lane_s * 1e3, record.memory.peak_rss_bytes / GIB
        return f": vmap {lane:.1f} ms per lane, peak {peak:.2f} GiB"

    def _fold_log(self, cell: PlannedCell) -> None:
        """In CI: the cell's log, folded away."""
        log = self._plan.cell_folder(cell) / "log.txt"
        if in_ci() and log.exists():
            with folded(self._console, f"log of {cell.name}"):
                self._console.print(Text(read_text(log, errors="replace").rstrip()))

    def _say(self, text: str) -> None:
        if self._verbosity >= 0:
            self._line(text)

    def _line(self, text: str, alarm: str = "") -> None:
        done = f"{len(self._finished)}/{len(self._awaited)}"
        begin = f"[{clock(time.monotonic() - self._begin)}] {done} "
        self._console.print(Text.assemble(begin, (alarm, "red"), f"{text}{self._left()}"))

    def _left(self) -> str:
        seconds = self._estimate()
        return f"  (about {clock(seconds)} left)" if seconds > 0 else ""

    def _estimate(self) -> float:
        """Seconds until all has ended: all work over the workers, no less than the longest that is one after
        the other: a pipeline's cells and its times, or a check.
        """
        now, pace = time.monotonic(), self._pace()
        in_a_row: dict[str, float] = {}
        for name in self._awaited - self._finished:
            work = self._work[name]
            running = now - self._started[name] if name in self._started else 0.0
            expected = self._expected(name) * (pace if isinstance(work, PlannedCell) else 1.0)
            row = name if isinstance(work, PlannedCheck) else work.pipeline
            in_a_row[row] = in_a_row.get(row, 0.0) + max(0.0, expected - running)
        return max(sum(in_a_row.values()) / self._workers, max(in_a_row.values(), default=0.0))

    def _pace(self) -> float:
        """How many times longer than expected cells take here: those that finished, or the most overdue."""
        now = time.monotonic()
        overdue = [(now - self._started[name]) / self._expected(name) for name in self._running()]
        return max([self._took / self._due if self._due else 1.0, *overdue])

    def _expected(self, name: str) -> float:
        return float(self._durations.get(self._duration_key(name), first_guess(self._work[name])))

    def _duration_key(self, name: str) -> str:
        return f"{name}-{self._work[name].scale}"

    @contextmanager
    def _live(self) -> Generator[None, None, None]:
        if not self._console.is_interactive:
            with repeating(self._still_running, STILL_SECONDS):
                yield
            return
        live = Live(self._panel(), console=self._console, transient=True, refresh_per_second=2)
        with live, repeating(lambda: live.update(self._panel()), REFRESH_SECONDS):
            yield

    def _still_running(self) -> None:
        for name in self._running():
            self._say(f"{name} still running: {self._stage(self._cells[name])}")
        for name in tuple(self._checking):
            self._say(f"check {name} still running{self._check_stage(name)}")
        for name in tuple(self._timing):
            self._say(f"times of {name} not there yet{self._pair_stage(name)}")

    def _running(self) -> list[str]:
        """The cells that began and have not ended."""
        return [name for name in tuple(self._started) if name in self._cells and name not in self._finished]

    def _panel(self) -> Group:
        now = time.monotonic()
        running = self._running()
        places = self._places() if running else {}
        lines = [
            Text(
                f"  {name}: {self._stage(self._cells[name])}, "
                f"{clock(now - self._started[name])}{places.get(name, '')}"
            )
            for name in running
        ]
        done = f"{len(self._finished)} of {len(self._awaited)} done"
        free = psutil.virtual_memory().available / GIB
        head = f"{done}, {clock(now - self._begin)} gone{self._left()}, {free:.1f} GiB of memory free"
        lines += [Text(f"  check {name}{self._check_stage(name)}") for name in tuple(self._checking)]
        lines += [Text(f"  times of {name}{self._pair_stage(name)}") for name in tuple(self._timing)]
        return Group(Text(head), *lines)

    def _places(self) -> dict[str, str]:
        """Where each running cell of this call is: its cores, and what it holds resident."""
        found = {}
        for process in psutil.Process().children(recursive=True):
            try:
                words = process.cmdline()
                if "matrix.pipelines.cell" in words and "--record" in words:
                    name = Path(words[words.index("--record") + 1]).stem
                    found[name] = f", {_cores(process)}{process.memory_info().rss / GIB:.1f} GiB"
            except psutil.Error:
                # It ended while we looked.
                continue
        return found

    def _stage(self, cell: PlannedCell) -> str:
        return doing(stage_path(self._plan, cell))

    def _check_stage(self, name: str) -> str:
        path = self._plan.check_stage(self._checks[name])
        return f": {doing(path)}" if path.exists() else ""


def _times_of(pair: str) -> str:
    return f"times of {pair}"


def _check(check: str) -> str:
    return f"check {check}"


def _work_in(test: str) -> str:
    """What a test runs, by the name under which it is counted; empty where it runs nothing."""
    if found := CELL_TEST.search(test):
        return found["cell"]
    if found := CHECK_TEST.search(test):
        return _check(found["check"])
    found = PAIR_TEST.search(test)
    return _times_of(found["pair"]) if found and found["what"] == "pair" else ""


def _durations_in(path: Path) -> dict[str, float]:
    """What earlier cells took, in seconds; nothing where the file is missing or damaged: it only guesses."""
    try:
        found = json.loads(read_text(path))
        return {str(name): float(seconds) for name, seconds in found.items() if 0.0 < seconds < math.inf}
    except (OSError, MatrixError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}


def _cores(process: psutil.Process) -> str:
    # Not every system tells, or binds processes to cores.
    if not hasattr(process, "cpu_affinity"):
        return ""
    cores = process.cpu_affinity()
    return f"core{'s' if len(cores) > 1 else ''} {'+'.join(map(str, cores))}, "
