"""Files others may have laid a link in place of: neither read nor written."""

import os
from pathlib import Path

import pytest

from matrix.ground.files import LinkError, inside, read_text, write_bytes, write_text
from matrix.ground.hashing import tree_hash


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "secret"
    path.parent.mkdir()
    path.write_text("mine\n")
    return path


@pytest.fixture
def folder(tmp_path: Path, secret: Path) -> Path:
    """A folder with links out of it, to a file and to a folder, and one to nothing."""
    made = tmp_path / "checkout"
    (made / "real").mkdir(parents=True)
    (made / "file").symlink_to(secret)
    (made / "real" / "up").symlink_to(Path("..", "..", "home"))
    (made / "dangling").symlink_to(secret.with_name("new"))
    return made


@pytest.mark.parametrize(
    "name", ["file", "real/up/secret", "real/up", "dangling", "../home/secret", "real/../.."]
)
def test_nothing_is_found_through_a_link(folder: Path, name: str) -> None:
    with pytest.raises(LinkError, match=r"symbolic link|leads out"):
        inside(folder, name)


def test_an_absolute_name_leads_out(folder: Path, secret: Path) -> None:
    with pytest.raises(LinkError, match="leads out"):
        inside(folder, secret)


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", "real", "new.txt") == tmp_path / "link" / "real" / "new.txt"


def test_a_link_is_neither_read_nor_written(folder: Path, secret: Path) -> None:
    for act in (read_text, lambda path: write_text(path, "x"), lambda path: write_bytes(path, b"x")):
        with pytest.raises(LinkError, match=f"{folder / 'file'} is a symbolic link"):
            act(folder / "file")
    assert secret.read_text() == "mine\n"


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(LinkError, match="no plain file"):
        read_text(folder / "pipe")


def test_the_hash_of_a_tree_does_not_depend_on_what_a_link_leads_to(folder: Path, secret: Path) -> None:
    before = tree_hash(folder)
    secret.write_text("other\n")
    assert tree_hash(folder) == before
    (folder / "file").unlink()
    (folder / "file").symlink_to("elsewhere")
    assert tree_hash(folder) != before
