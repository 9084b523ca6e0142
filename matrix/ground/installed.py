"""Which packages a Python has, installed or as working trees; other Pythons are given it as text."""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
from pathlib import Path

PACKAGES = (
    *("autolens", "autogalaxy", "autofit", "autoarray", "autoconf", "autonerves"),
    *("jax", "jaxlib", "jaxnnls", "numpy", "scipy", "numba", "astropy"),
)


def versions() -> dict[str, str]:
    """Version by name of every distribution, and of the stack's packages that are working trees."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        # What an interrupted installation left behind has no name; an import takes the first of a name.
        if name := distribution.metadata["Name"]:
            found.setdefault(re.sub("[-_.]+", "-", name).lower(), distribution.version)
    of_the_stack = {name: version_of(name) for name in PACKAGES}
    found |= {name: version for name, version in of_the_stack.items() if version is not None}
    return dict(sorted(found.items()))


def version_of(name: str) -> str | None:
    """What a package is called by its distribution; of a working tree, what it says when it is imported."""
    installed = _installed_version(name)
    if working_tree(name) is None:
        return installed
    try:
        said = getattr(importlib.import_module(name), "__version__", None)
    except ImportError:
        said = None
    return installed if said is None else str(said)


def working_tree(name: str) -> Path | None:
    """Where a package lies that no distribution brought there; None of an installed one, or of none."""
    folder = _folder_of(name)
    if folder is None:
        return None
    try:
        brought = Path(str(importlib.metadata.distribution(name).locate_file(name)))
    except importlib.metadata.PackageNotFoundError:
        return folder
    return None if brought.resolve() == folder.resolve() else folder


def describe() -> dict[str, object]:
    """This Python, its packages, those that are working trees with their folders, and its PYTHONPATH."""
    trees = {name: tree for name in PACKAGES if (tree := working_tree(name)) is not None}
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "trees": {name: str(tree) for name, tree in trees.items()},
        "path": [folder for folder in path if folder and Path(folder).is_dir()],
    }


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder_of(name: str) -> Path | None:
    try:
        spec = sys.modules[name].__spec__ if name in sys.modules else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


if __name__ == "__main__":
    print(json.dumps(describe()))
