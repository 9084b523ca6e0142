"""Content keys: SHA-256 over texts, files and trees."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from matrix.ground.layout import REPOSITORY_ROOT


def digest(parts: Iterable[str]) -> str:
    """SHA-256 over texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_hash(names: Iterable[str]) -> str:
    """SHA-256 over files and folders of this repository."""
    paths = (REPOSITORY_ROOT / name for name in names)
    return digest(
        tree_hash(path) if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    )


def file_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over files of this repository: where they are in it, and their bytes."""
    return digest(
        word
        for path in paths
        for word in (str(path.relative_to(REPOSITORY_ROOT)), hashlib.sha256(path.read_bytes()).hexdigest())
    )


def tree_hash(folder: Path) -> str:
    """SHA-256 over the relative paths and bytes of all files below `folder`, Git's own aside."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if ".git" in relative.parts or "__pycache__" in relative.parts:
            continue
        if path.is_symlink():
            # Where it leads, and not what is there.
            digest.update(str(relative).encode() + b"\0->" + os.fsencode(path.readlink()) + b"\0")
        elif path.is_file():
            digest.update(str(relative).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
