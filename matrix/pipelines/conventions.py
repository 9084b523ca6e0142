"""What a pipeline takes from its workspace's script: over-sampling, the mesh's class, its instrument.

Upstream changed the first two in 2026, and with them the constants. The script says which its constant was
made with.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import INSTRUMENTS, Instrument
from matrix.catalogue.releases import order_of
from matrix.ground.errors import UsageError

# The adaptive mesh whose transform is the empirical rank CDF of the traced pixels, by its two names.
RANK_CDF = "RectangularAdaptDensity"
_RANK_CDF_SINCE = {"2026.8.22.1": "RectangularBilinearAdaptDensity"}
# In these releases the old name is another mesh (PyAutoArray#402, #461), and the rank CDF is not there.
_ANOTHER_MESH = ("2026.7.27.1", "2026.8.20.1")
_RINGS_SINCE = "2026.9.8.1"
_SAID_OF_INSTRUMENTS = ("pixel_scale", "mask_radius", "real_space_shape")


@dataclass(frozen=True)
class Rings:
    """Over-sampling in rings about the centre: sub-pixels a side within each radius, the last one beyond.

    Attributes
    ----------
    sizes
        One more than there are radii.
    radii
        In arcsec.
    """

    sizes: tuple[int, ...]
    radii: tuple[float, ...]


def rings_from(script: Path, release: str) -> Rings:
    """The over-sampling that a script names; where it names none, that of the release's time.

    Parameters
    ----------
    script
        A pipeline's script in the developer workspace; it may be missing.
    release
        Of autolens.

    Raises
    ------
    UsageError
        The script names several, or is not Python.
    """
    named = set(_named_rings(script))
    if len(named) > 1:
        raise UsageError(f"{script} over-samples the light in {len(named)} ways: {sorted(map(str, named))}.")
    if named:
        return named.pop()
    recent = order_of(release) >= order_of(_RINGS_SINCE)
    return Rings((4, 2, 2) if recent else (4, 2, 1), (0.3, 0.6))


def mesh_name_from(wanted: str, script: Path, release: str, available: Collection[str]) -> str:
    """The name that a pipeline's mesh has in the library at hand.

    Parameters
    ----------
    wanted
        As the catalogue has it.
    script, release
        As for `rings_from`.
    available
        Names of the library's meshes.

    Raises
    ------
    UsageError
        The release has no such mesh, or another one of that name.
    """
    if wanted == RANK_CDF:
        first, last = (order_of(bound) for bound in _ANOTHER_MESH)
        if first <= order_of(release) <= last:
            raise UsageError(
                f"autolens {release} has no rank-CDF mesh: from {_ANOTHER_MESH[0]} to {_ANOTHER_MESH[1]} "
                f"{RANK_CDF} names another mesh. Choose an earlier or a later release with --release."
            )
        named = _mesh_names(script).intersection(available, (RANK_CDF, *_RANK_CDF_SINCE.values()))
        if len(named) == 1:
            return named.pop()
        for since, name in _RANK_CDF_SINCE.items():
            wanted = name if order_of(release) >= order_of(since) else wanted
    if wanted not in available:
        raise UsageError(
            f"autolens {release} has no mesh {wanted!r}, which this pipeline and its constant are defined "
            "with. Choose a release that has it with --release."
        )
    return wanted


def instrument_from(script: Path, name: str) -> Instrument:
    """An instrument as a script's table `INSTRUMENTS` has it; what that does not say is the catalogue's.

    Parameters
    ----------
    script
        A pipeline's script in the developer workspace; it may be missing.
    name
        Of the instrument.

    Raises
    ------
    UsageError
        The script is not Python.
    """
    said = _instruments(script).get(name, {})
    return replace(INSTRUMENTS[name], **{fact: said[fact] for fact in _SAID_OF_INSTRUMENTS if fact in said})


def _instruments(script: Path) -> dict[str, Any]:
    """By instrument what a script's table says of it; nothing where it has none."""
    for node in _parsed(script).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INSTRUMENTS":
            table = _literal(node.value)
            return table if isinstance(table, dict) else {}
    return {}


def _named_rings(script: Path) -> Iterator[Rings]:
    for node in ast.walk(_parsed(script)):
        if isinstance(node, ast.Call):
            literal = {word.arg: _literal(word.value) for word in node.keywords}
            sizes, radii = literal.get("sub_size_list"), literal.get("radial_list")
            if isinstance(sizes, list) and isinstance(radii, list):
                yield Rings(tuple(sizes), tuple(radii))


def _mesh_names(script: Path) -> set[str]:
    nodes = [node for node in ast.walk(_parsed(script)) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if ast.unparse(node.value) in ("al.mesh", "aa.mesh")}


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _parsed(script: Path) -> ast.Module:
    if not script.is_file():
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(script.read_bytes())
    except SyntaxError as error:
        raise UsageError(f"{script}, line {error.lineno}: not valid Python ({error.msg}).") from error
