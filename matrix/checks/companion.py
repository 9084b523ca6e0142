"""The companion edit: a patch for each package elsewhere in the stack that still declares jaxnnls."""

import difflib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from matrix.ground.errors import MatrixError
from matrix.ground.files import inside, read_text, write_text
from matrix.prepare.change import drop_dependency, packaging_files
from matrix.prepare.checkout.sdist import fetch_sdist, unpack_sdist
from matrix.records.check import CheckRecord
from matrix.run.plan import Plan

RESIDUAL = "residual: "


def write_patches(plan: Plan, independence: CheckRecord) -> dict[str, str]:
    """Write `companion/NAME.patch` into the run's folder for every residual of the independence check.

    Returns
    -------
    dict
        For each, under "companion of NAME", the patch's path in the run's folder, or why there is none.
    """
    facts = {}
    for found in independence.items:
        if found.name.startswith(RESIDUAL):
            name, version = found.name.removeprefix(RESIDUAL).split()
            facts[f"companion of {name}"] = _write_patch(plan, name, version)
    return facts


def _write_patch(plan: Plan, name: str, version: str) -> str:
    try:
        archive = fetch_sdist(name, version, plan.cache / "sdist")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            unpack_sdist(archive, folder)
            patch = "".join(_differences(folder))
    except MatrixError as error:
        return f"not made: {error}"
    if not patch:
        return f"not made: the source archive of {name} {version} declares no requirement on jaxnnls"
    path = Path("companion") / f"{name}.patch"
    write_text(inside(plan.folder, path), patch)
    return str(path)


def _differences(folder: Path) -> Iterator[str]:
    for name in packaging_files(folder):
        before = read_text(inside(folder, name))
        after = drop_dependency(name, before)
        yield from difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
