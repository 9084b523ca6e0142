"""The workspaces' own JAX scripts, run as they are on copies, with the workspaces' own rules."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from matrix.catalogue.pipelines import PIPELINES
from matrix.checks.rules import Rules, read_rules
from matrix.checks.workplace import CheckError, Workplace
from matrix.execute.local import KILLED, exit_reason
from matrix.ground.files import read_text
from matrix.records.check import Item

LIKELIHOODS = "jax_likelihood_functions"
_VALUE = r"[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+|nan|inf)"
_NUMBER = re.compile(rf"(?<![\w.]){_VALUE}(?![\w.])", re.IGNORECASE)
# What depends on the machine or the moment and not on the likelihood: seconds, bytes, factors.
_MEASURED = re.compile(
    rf"(?:\b(?:in|after|took) )?(?<![\w.])(?:{_VALUE}|\d+) ?(?:[mµun]?s|sec|[kMG]i?B|x|×)(?!\w)"
)
_TIMING = re.compile(r"\b(?:time|elapsed|speed-?up|seconds|per call|took)\b", re.IGNORECASE)
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d|^(?:INFO|WARNING|DEBUG)\b")
_RAISED = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b")
_LONGEST_LABEL = 60
_LONGEST_REASON = 300


def run_scripts(place: Workplace) -> tuple[Item, ...]:
    """Run the test workspace's smoke list and likelihood scripts, and the developer's pipelines.

    A script that an interrupted run of the same check brought to its end is not run again.
    """
    items = {item.name: item for item in place.kept_items()}
    scripts = tuple(_all_scripts(place))
    for number, (workspace, script, rules, arguments) in enumerate(scripts, 1):
        name = script_name(workspace, script)
        if name not in items:
            place.say(f"{number} of {len(scripts)}, {name}")
            item = run_script(place, workspace, script, rules, arguments)
            items[item.name] = item
            # What was killed may have been killed together with us: after an interruption it is run again.
            place.keep_items(item for item in items.values() if not item.message.startswith(KILLED))
    return tuple(items.values())


def _all_scripts(place: Workplace) -> Iterator[tuple[Path, Path, Rules, Sequence[str]]]:
    """Every script with the copy of its workspace, that workspace's rules, and the script's arguments."""
    plan = place.plan
    assert plan.test_workspace is not None
    test = place.copy(plan.test_workspace, "test-workspace")
    rules = read_rules(test)
    for script in likelihood_scripts(test, rules):
        yield test, script, rules, ()
    developer = place.copy(plan.workspace, "developer-workspace")
    # Only our stand-ins know the smaller scale; upstream's scripts have one size.
    arguments = ("--scale", plan.scale) if plan.source == "embedded" else ()
    rules = read_rules(developer)
    for pipeline in PIPELINES.values():
        yield developer, Path(pipeline.script), rules, arguments


def script_name(workspace: Path, script: Path) -> str:
    """What reports call a script."""
    return f"{workspace.name}: {script.as_posix()}"


def likelihood_scripts(workspace: Path, rules: Rules) -> list[Path]:
    """The smoke list's scripts, then the likelihood scripts that are not in it, relative to the workspace."""
    listed = [Path("scripts", name) for name in rules.smoke]
    folder = workspace / "scripts" / LIKELIHOODS
    found = sorted(path.relative_to(workspace) for path in folder.rglob("*.py"))
    # Simulators are run by the scripts that need their data.
    kept = (path for path in found if path.name != "__init__.py" and not path.stem.startswith("simulator"))
    return list(dict.fromkeys([*listed, *kept]))


def run_script(
    place: Workplace, workspace: Path, script: Path, rules: Rules, arguments: Sequence[str]
) -> Item:
    """Run one script from the workspace's root and note how it ended and the numbers it printed."""
    name = script_name(workspace, script)
    reason = rules.reason_left_out(script)
    if reason is not None:
        return Item(name, "skipped", f"left out by the workspace's own rules: {reason}")
    if not (workspace / script).is_file():
        return Item(name, "skipped", "the workspace has no such script")
    ours = place.variables()
    variables = rules.environment(script, ours)
    # Ours again, whatever the rules say: nothing is written outside our folder.
    variables |= {key: ours[key] for key in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")}
    variables["PYAUTO_SKIP_WORKSPACE_VERSION_CHECK"] = "1"
    stem = "-".join(script.with_suffix("").parts[1:])
    log, errors = place.folder / f"{stem}.out.txt", place.folder / f"{stem}.err.txt"
    try:
        exit_code = place.run([place.python, script, *arguments], workspace, variables, log, errors)
    except CheckError as error:
        return Item(name, "failed", str(error))
    output = read_text(log, errors="replace")
    if exit_code != 0:
        return Item(
            name, "failed", _reason(exit_code, read_text(errors, errors="replace")), printed_numbers(output)
        )
    lines = output.strip().splitlines()
    return Item(
        name,
        "passed",
        lines[-1][:_LONGEST_REASON] if lines else "it printed nothing",
        printed_numbers(output),
    )


def printed_numbers(output: str) -> dict[str, float]:
    """The numbers a script printed, by the text around them; seconds, bytes and log lines left out.

    Each gets the line's text with # for its numbers, and how many such came before.
    """
    found: dict[str, float] = {}
    seen: dict[str, int] = {}
    for label, number in _labelled(output):
        seen[label] = seen.get(label, 0) + 1
        found[f"{label} [{seen[label]}]"] = number
    return found


def _labelled(output: str) -> Iterator[tuple[str, float]]:
    for line in output.splitlines():
        text = _MEASURED.sub("", line)
        if _TIMING.search(text) or _LOGGED.search(text):
            continue
        label = " ".join(_NUMBER.sub("#", text).split())[:_LONGEST_LABEL]
        for match in _NUMBER.finditer(text):
            yield label, float(match.group())


def _reason(exit_code: int, errors: str) -> str:
    """The exit code in words, with the last error; its message may begin on the lines after its name."""
    lines = errors.splitlines()
    raised = [number for number, line in enumerate(lines) if _RAISED.match(line)]
    if not raised:
        return exit_reason(exit_code)[:_LONGEST_REASON]
    message = " ".join(" ".join(lines[raised[-1] :]).split())
    return f"{exit_reason(exit_code)}: {message}"[:_LONGEST_REASON]
