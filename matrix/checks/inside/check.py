"""Run one check in the environment of its side: `python -m matrix.checks.inside.check`."""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from matrix.checks.inside.watch import ImportWatch
from matrix.ground.errors import UsageError
from matrix.pipelines.cell import prepare_library
from matrix.pipelines.vendored import vendors
from matrix.records import typed_json
from matrix.records.cell import REPLACED, VENDORED
from matrix.records.check import CheckRecord, Item

CHECKS = ("assertions", "gradients", "independence")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the check that the arguments name and write its record."""
    parser = argparse.ArgumentParser(prog="python -m matrix.checks.inside.check", description=__doc__)
    parser.add_argument("--check", required=True, choices=CHECKS)
    parser.add_argument("--side", required=True, choices=("baseline", "candidate"))
    parser.add_argument("--scale", required=True, choices=("production", "smoke"))
    parser.add_argument("--key", required=True)
    parser.add_argument("--record", required=True, type=Path)
    options = parser.parse_args(arguments)
    options.record.unlink(missing_ok=True)
    started = time.monotonic()
    watch = ImportWatch(REPLACED)
    watch.start()
    prepare_library()
    items = _items(options.check, options.scale, watch)
    facts = {
        "python": sys.version.split()[0],
        "autoarray": str(importlib.import_module("autoarray").__file__),
    }
    seconds = time.monotonic() - started
    typed_json.write(
        options.record, CheckRecord(options.check, options.side, options.key, items, facts, seconds)
    )
    return 0


def _items(check: str, scale: str, watch: ImportWatch) -> tuple[Item, ...]:
    # Late, since they import JAX.
    from matrix.checks.inside import assertions, call_site, gradients, independence

    nnls = importlib.import_module(VENDORED) if vendors() else None
    if check == "assertions" and nnls is not None:
        return assertions.measure(nnls, scale, lambda text: print(text, flush=True))
    module = importlib.import_module("autoarray.inversion.inversion.inversion_util")
    settings = importlib.import_module("autoarray").Settings()
    reconstruction, chosen = call_site.as_set(module, settings)
    if check == "gradients":
        return gradients.measure(nnls, reconstruction)
    if nnls is None:
        raise UsageError(f"{check} is a check of the vendored solver, and this change vendors nothing")
    return independence.measure(nnls, reconstruction, chosen, watch)


if __name__ == "__main__":
    sys.exit(main())
