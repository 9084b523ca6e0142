"""`nox -s profile`: one config's result file and picture in the developer workspace's form, with steps."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.catalogue.pipelines import PIPELINES
from matrix.diagnose.probe.record import ProbeRecord
from matrix.diagnose.sides.driver import (
    add_common_options,
    newest_plan,
    output_folder,
    run_side,
    traced_variables,
)
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.files import write_bytes, write_text
from matrix.ground.options import SessionParser, one_of
from matrix.records.cell import Record
from matrix.refresh.artifacts import plots
from matrix.refresh.artifacts.results import config_document, config_name, heading_of
from matrix.refresh.artifacts.steps import steps_from, with_steps
from matrix.run.kept import kept_record
from matrix.run.plan import Plan

DESCRIPTION = "Write the workspace's result file and picture of one config, with step timings from a probe."


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile; return the exit code (0 done, 2 wrong use, 3 machine)."""
    options = profile_parser().parse_args(arguments)
    return exit_code_of(lambda: profile(options))


def profile(options: argparse.Namespace) -> int:
    """Probe the candidate and join the steps to the record of the same cell; 0 when it is written."""
    console = open_console()
    precision = "mp" if options.use_mixed_precision else "fp64"
    plan = newest_plan(options.root, options.run)
    record = _record(plan, options.pipeline, precision, options.scale)
    folder = output_folder(options.root, "probe", f"{options.pipeline}-{precision}-{options.scale}")
    probed = run_side(
        console,
        plan,
        "probe",
        record.cell,
        folder,
        ProbeRecord,
        details={},
        timeout=options.timeout,
        variables=traced_variables(plan),
    )
    config = options.config_name or config_name(record)
    document = with_steps(config_document(record, config), steps_from(probed))
    target = options.output_dir / f"{config}.json"
    # Result files of the workspace end without a line break.
    write_text(target, json.dumps(document, indent=2))
    write_bytes(target.with_suffix(".png"), plots.draw_config(heading_of(record, config), document))
    console.print(f"written     {target} and its picture; the probe is {folder}")
    return 0


def _record(plan: Plan, pipeline: str, precision: str, scale: str) -> Record:
    """The candidate's finished record of that run."""
    found = None
    if (plan.precision, plan.scale) == (precision, scale):
        found = kept_record(plan, plan.cell(pipeline, "candidate"))
    if found is None:
        session = "matrix-mp" if precision == "mp" else "matrix-fp64"
        raise UsageError(
            f"run {plan.run} has no candidate record of {pipeline} in {precision} at {scale} scale: "
            f"`nox -s {session} -- --scale {scale} --only {pipeline}` makes it; --run names another run."
        )
    return found


def profile_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = SessionParser("profile", DESCRIPTION, "imaging-mge")
    add = parser.add_argument
    add("pipeline", metavar="PIPELINE", type=one_of("pipeline", PIPELINES), help=", ".join(PIPELINES))
    add("--config-name", metavar="NAME", help="e.g. local_cpu_fp64 (default: from the device)")
    add("--use-mixed-precision", action="store_true", help="of a run of matrix-mp")
    add("--output-dir", type=Path, required=True, help="where the two files go")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
