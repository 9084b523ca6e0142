"""Run one cell and leave one record: `python -m matrix.pipelines.cell`, inside its side's environment."""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, get_args

from matrix.catalogue.arguments import pipeline_argument
from matrix.ground.errors import MatrixError, UsageError
from matrix.ground.files import write_text
from matrix.records.arrays import arrays_path, write_arrays
from matrix.records.cell import Cell, Precision, Scale, Side, write_record

if TYPE_CHECKING:
    from matrix.pipelines.measure import Measurement


# JSON: what a process is to put in front of the library's packaged `general.yaml`.
SETTINGS_VARIABLE = "NNLS_MATRIX_SETTINGS"


class StageLog:
    """Says what the cell is doing: a line on standard output, and a small file that others may watch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()

    def __call__(self, stage: str) -> None:
        """Announce that `stage` begins."""
        print(f"[{time.monotonic() - self._started:7.1f} s] {stage}", flush=True)
        write_text(self._path, f"{stage}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cell that the arguments name and write its record; 0 when the record is there."""
    options = _parser().parse_args(arguments)
    stage = StageLog(options.record.with_name(f"{options.record.name}.stage"))
    # Whatever happens next, an older record must not pass for this run's.
    options.record.unlink(missing_ok=True)
    arrays_path(options.record).unlink(missing_ok=True)
    try:
        driver = _driver_notes(options.provenance)
        stage("import autolens")
        prepare_library()
        # Late, since it imports the library, which reads its environment then.
        from matrix.pipelines.measure import measure_pipeline

        cell = Cell(options.pipeline, options.precision, options.side, options.scale)
        measured = measure_pipeline(
            cell,
            options.workspace.resolve(),
            driver,
            seed=options.seed,
            repeats=options.repeats,
            stage=stage,
            more_lanes=options.lanes,
        )
        write_record(options.record, measured.record)
        stage("write the arrays of the pictures")
        _write_arrays(arrays_path(options.record), measured)
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    stage("done")
    return 0


def _write_arrays(path: Path, measured: "Measurement") -> None:
    from matrix.pipelines.reconstruction import arrays_from

    try:
        write_arrays(path, arrays_from(measured.record.key, measured.frame, measured.Q, measured.x))
    except Exception:
        # The measurement is done and kept: no picture is worth losing it. The report says what is missing.
        print("no pictures of this cell:", file=sys.stderr)
        traceback.print_exc()


def prepare_library() -> None:
    """Import autolens as every measurement needs it: first of all, and free of a person's settings."""
    # A person's PYAUTO_* settings (small datasets, JAX disabled, test mode) would change the likelihood.
    for name in [name for name in os.environ if name.startswith("PYAUTO_")]:
        del os.environ[name]
    # The cell's folder is no workspace and has no version to check.
    os.environ["PYAUTO_SKIP_WORKSPACE_VERSION_CHECK"] = "1"
    flags = os.environ.get("XLA_FLAGS")
    # Before anything imports jax: the library switches JAX to 64 bit only if it comes first.
    with _warning_of_python_left_out():
        importlib.import_module("autolens")
    # Older releases of autoconf put their own flag in place of all others. XLA reads them at its first use.
    if flags is not None:
        os.environ["XLA_FLAGS"] = flags
    settings = json.loads(os.environ.get(SETTINGS_VARIABLE) or "{}")
    if settings:
        put_in_force(settings, Path.cwd() / "settings")


class _WithoutFrame:
    """A stream without the frame in which the library warns of Python 3.11."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._after_frame = False

    def write(self, text: str) -> int:
        """Write the text, unless it is that frame, which comes as one and then its line's end."""
        is_end = self._after_frame and text == "\n"
        self._after_frame = text.startswith("+--") and "PyAuto: Python" in text
        return len(text) if self._after_frame or is_end else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _warning_of_python_left_out() -> Iterator[None]:
    """Leave out the library's warning of Python 3.11 while the body imports it: the driver says it once."""
    stream = sys.stderr
    warnings.filterwarnings("ignore", message="PyAuto: running on ")
    # What the library logs to later may be this stream: it passes everything else on.
    sys.stderr = _WithoutFrame(stream)
    try:
        yield
    finally:
        sys.stderr = stream


def put_in_force(settings: dict[str, Any], folder: Path) -> None:
    """Write a configuration of the library and put it in front of those that its packages bring along.

    Parameters
    ----------
    settings
        What `general.yaml` is to hold, section by section; for what it has not the packages answer.
    folder
        Where the file goes.

    Raises
    ------
    MatrixError
        The library does not read it: its configuration works in another way than is known here.
    """
    import yaml

    folder.mkdir(exist_ok=True)
    write_text(folder / "general.yaml", yaml.safe_dump(settings))
    # Renamed in July 2026; the library has imported the one it uses.
    name = "autonerves" if "autonerves" in sys.modules else "autoconf"
    conf = importlib.import_module(f"{name}.conf")
    conf.instance.push(folder)
    _check_in_force(settings, conf.instance["general"])


def _check_in_force(settings: dict[str, Any], found: Any) -> None:
    for name, value in settings.items():
        if isinstance(value, dict):
            _check_in_force(value, found[name])
        elif found[name] != value:
            raise MatrixError(f"the library's configuration has {name} = {found[name]!r}, not {value!r}.")


def _driver_notes(path: Path) -> dict[str, Any]:
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--provenance: cannot read {path}: {error}.") from error
    if not isinstance(notes, dict) or "key" not in notes:
        raise UsageError(f'--provenance: {path} must hold a JSON object with at least the member "key".')
    return notes


def add_likelihood(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which likelihood a process makes."""
    parser.add_argument("--pipeline", required=True, type=pipeline_argument)
    parser.add_argument("--precision", required=True, choices=get_args(Precision))
    parser.add_argument("--side", required=True, choices=get_args(Side))
    parser.add_argument("--scale", required=True, choices=get_args(Scale))
    parser.add_argument("--workspace", required=True, type=Path, help="root of autolens_workspace_developer")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix.pipelines.cell", description=__doc__)
    add_likelihood(parser)
    parser.add_argument("--record", required=True, type=Path, help="where to write the record")
    parser.add_argument("--provenance", required=True, type=Path, help="JSON notes of the driver, with a key")
    parser.add_argument("--seed", type=int, default=1, help="of the different lanes")
    parser.add_argument("--lanes", type=int, nargs="+", default=(), help="sizes of more batches")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls per program, at least")
    return parser


if __name__ == "__main__":
    sys.exit(main())
