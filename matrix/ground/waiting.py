"""Long work tells what it is doing: on a terminal in a line that changes, elsewhere in one now and then."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from matrix.ground.files import read_text

# Looking at processes costs milliseconds, and what runs may be being timed.
REFRESH_SECONDS = 2.0
# Without a terminal: how often to say that something is still running.
STILL_SECONDS = 120.0


@contextmanager
def shown(
    console: Console, what: str, stage: Callable[[], str], still_seconds: float = STILL_SECONDS
) -> Generator[None, None, None]:
    """Say that `what` runs while the body does, and for how long and at what stage.

    Parameters
    ----------
    console
        Where to.
    stage
        Tells what the work is doing.
    still_seconds
        How often, without a terminal.
    """
    begin = time.monotonic()

    def now() -> str:
        return f"{what} still running: {stage()}, {clock(time.monotonic() - begin)}"

    # A dumb terminal shows no line that changes.
    if console.is_interactive:
        # As text: a spinner takes a word in brackets for markup, whatever its console does.
        status = console.status(Text(what))
        with status, repeating(lambda: status.update(Text(now())), REFRESH_SECONDS):
            yield
        return
    console.print(f"{what} started", markup=False)
    with repeating(lambda: console.print(now(), markup=False), still_seconds):
        yield
    console.print(f"{what} finished after {clock(time.monotonic() - begin)}", markup=False)


def doing(stage: Path) -> str:
    """What work that takes a share of the machine says it is at, in its file `stage`."""
    return read_text(stage, errors="replace").strip() if stage.exists() else "waiting for memory or starting"


@contextmanager
def repeating(action: Callable[[], None], interval: float) -> Generator[None, None, None]:
    """Do something again and again beside the body, every `interval` seconds."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(interval):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def clock(seconds: float) -> str:
    """Minutes and seconds, as 3:07."""
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"
