"""The precision audit: finds the results that were computed in float32 under a float64 label."""

import argparse
import dataclasses
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matrix.diagnose.audit.verdicts import JudgedResult, TruePrecision, judged_record, judged_results
from matrix.diagnose.declaration import Diagnosis
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.files import write_json
from matrix.records.cell import Record, RecordError, from_json

SCHEMA = "nnls-matrix/precision-audit"
VERSION = 1
_PLAIN_WIDTH = 180

EPILOG = (
    "Exit codes: 0 nothing float32 found, 1 some file is float32 in truth, 2 no result file to audit, or one "
    "that could not be looked at."
)
CAPTION = (
    "mp files are judged alike: mixed precision touches blurring and curvature, the solve and the log "
    "determinants stay float64"
)


@dataclasses.dataclass(frozen=True)
class FileAudit:
    """The verdict on one file; `judgements` is empty where it is not a result file, or could not be read."""

    path: Path
    verdict: TruePrecision
    reason: str
    judgements: tuple[JudgedResult, ...] = ()


def audit(paths: Sequence[Path]) -> list[FileAudit]:
    """Judge every JSON file in folders, at any depth and in any spelling of `.json`, and every file named.

    Raises
    ------
    UsageError
        A path does not exist, or no JSON file is there.
    """
    files: dict[str, Path] = {}
    unseen: list[OSError] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no {path}: name a folder of result files, or a file.")
        for file in sorted(_json_files(path, unseen)) if path.is_dir() else [path]:
            files.setdefault(os.path.realpath(file), file)
    if not (files or unseen):
        raise UsageError(f"no JSON file in {', '.join(map(str, paths))}: name a folder of result files.")
    closed = [FileAudit(Path(error.filename), TruePrecision.UNREADABLE, str(error)) for error in unseen]
    return [*map(audit_file, files.values()), *closed]


def _json_files(folder: Path, unseen: list[OSError]) -> Iterator[Path]:
    """Yield the JSON files below a folder; folders that cannot be entered go to `unseen`."""
    for place, _, names in os.walk(folder, onerror=unseen.append):
        yield from (Path(place, name) for name in names if name.lower().endswith(".json"))


def audit_file(path: Path) -> FileAudit:
    """Judge one file: upstream's results, its comparisons of several configs, or a record of ours."""
    text = ""
    try:
        content = path.read_bytes()
        # UTF-8, -16 or -32, with or without a byte-order mark.
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        document = json.loads(text)
        if isinstance(document, dict) and document.get("schema") == Record.SCHEMA:
            judgements = [judged_record(from_json(text, str(path)))]
        else:
            judgements = judged_results(path.stem, document)
    except (OSError, ValueError, RecursionError) as error:
        return FileAudit(path, TruePrecision.UNREADABLE, _why_unreadable(text, error))
    except RecordError as error:
        return FileAudit(path, TruePrecision.UNREADABLE, str(error))
    if not judgements:
        return FileAudit(path, TruePrecision.FOREIGN, "holds no log likelihood and names no autolens version")
    found = {judgement.verdict for judgement in judgements}
    verdict = next(verdict for verdict in TruePrecision if verdict in found)
    return FileAudit(path, verdict, _file_reason(judgements), tuple(judgements))


def _why_unreadable(text: str, error: Exception) -> str:
    if text.startswith("version https://git-lfs"):
        return "a Git LFS pointer, its content is not here: git lfs pull"
    if re.search(r"^(<{7} |>{7} )", text, re.MULTILINE):
        return "has the conflict markers of a merge: settle it first"
    return f"cannot be read as JSON: {error}"


def _file_reason(judgements: list[JudgedResult]) -> str:
    if len(judgements) == 1:
        return judgements[0].reason
    names: dict[TruePrecision, list[str]] = {}
    for judgement in judgements:
        names.setdefault(judgement.verdict, []).append(judgement.name)
    return "; ".join(
        f"{verdict}: {', '.join(names[verdict])}" for verdict in TruePrecision if verdict in names
    )


_STYLES = {
    TruePrecision.FLOAT32: "bold red",
    TruePrecision.UNDECIDABLE: "yellow",
    TruePrecision.FLOAT64: "green",
    TruePrecision.UNREADABLE: "bold yellow",
    TruePrecision.FOREIGN: "dim",
}


def print_audit(console: Console, audits: Sequence[FileAudit]) -> None:
    """Print a row per file, then every sign of float32, then the counts."""
    table = Table(title="precision audit", caption=CAPTION)
    for heading in ("file", "labelled", "verdict", "evidence"):
        table.add_column(heading, overflow="fold")
    for audited in audits:
        labels = ", ".join(sorted({judgement.label for judgement in audited.judgements}))
        verdict = f"[{_STYLES[audited.verdict]}]{audited.verdict}[/]"
        table.add_row(escape(str(audited.path)), labels, verdict, escape(audited.reason))
    console.print(table)
    for audited in audits:
        for judgement in audited.judgements:
            if judgement.signs:
                where = f"{audited.path}, {judgement.name}, labelled {judgement.label}:"
                console.print(f"[red]{escape(where)}[/red]", soft_wrap=True)
            for sign in judgement.signs:
                console.print(escape(f"  {sign.path} = {sign.value}: {sign.why}"), soft_wrap=True)
    counts = Counter(audited.verdict for audited in audits)
    console.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in TruePrecision))


def write_audit(path: Path, audits: Sequence[FileAudit]) -> None:
    """Write the verdicts for programs; numbers that are not finite become text.

    Raises
    ------
    EnvironmentFailure
        The file cannot be written.
    """
    document = {"schema": SCHEMA, "version": VERSION, "files": [dataclasses.asdict(item) for item in audits]}
    try:
        write_json(path, _plain(document))
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {path}: {error}. Give --json another place.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _audit(known: argparse.Namespace) -> int:
    audits = audit(known.paths)
    console = Console()
    if not console.is_terminal:
        # A log file or a pipe has no width of its own: give the table what it needs there.
        console.width = _PLAIN_WIDTH
    print_audit(console, audits)
    if known.json is not None:
        write_audit(known.json, audits)
    verdicts = {audited.verdict for audited in audits}
    unreadable = [audited for audited in audits if audited.verdict is TruePrecision.UNREADABLE]
    if unreadable and TruePrecision.FLOAT32 not in verdicts:
        raise UsageError(
            f"{len(unreadable)} of {len(audits)} files could not be looked at, so nobody knows what they "
            f"hold: {', '.join(str(audited.path) for audited in unreadable)}"
        )
    if verdicts == {TruePrecision.FOREIGN}:
        raise UsageError(f"none of the {len(audits)} JSON files is a result file, so nothing was audited.")
    return int(TruePrecision.FLOAT32 in verdicts)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a folder, at any depth, or a file"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there as well")


DIAGNOSIS = Diagnosis(
    name="audit",
    sentence="Tell which results labelled float64 were float32 in truth.",
    example="PATH/results",
    options=_options,
    run=_audit,
)
