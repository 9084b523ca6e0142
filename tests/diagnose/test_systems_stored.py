"""Systems from files: float64 in good shape, or refused with the file's name, whatever is in it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.diagnose.systems.stored import stored_systems
from matrix.ground.errors import UsageError

K = 6
ROWS, COLUMNS = np.tril_indices(K)
Q_LOWER = np.where(ROWS == COLUMNS, 10.0, 1.0)
GOOD: dict[str, Any] = {"Q_lower": Q_LOWER, "q": np.arange(1.0, 7.0), "dense": np.array([0, 1])}


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    return np.where(np.arange(array.size) == 2, value, array)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"Q_lower": Q_LOWER.astype(">f8"), "q": GOOD["q"].astype(">f8")},
        {"Q_lower": Q_LOWER.astype(np.float32)},
        {"Q_lower": Q_LOWER.astype(int), "q": GOOD["q"].astype(int)},
        {"q": np.ma.masked_less(GOOD["q"], 3.0)},
        {"dense": np.array([], dtype=float)},
        {"dense": np.array([1], dtype=np.uint8)},
    ],
)
def test_numbers_of_any_kind_become_float64(tmp_path: Path, changed: dict[str, Any]) -> None:
    np.savez_compressed(tmp_path / "one.npz", **{**GOOD, **changed})
    (system,) = stored_systems(tmp_path)
    assert system.Q.dtype == system.q.dtype == np.dtype("=f8")
    assert system.Q.shape == (K, K)
    assert np.array_equal(system.Q, system.Q.T)
    assert system.Q[1, 0] == 1.0
    assert list(system.q) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert all(type(column) is int for column in system.dense)


@pytest.mark.parametrize(
    "changed",
    [
        {"q": GOOD["q"][:, None]},
        {"q": GOOD["q"].astype(complex)},
        {"q": spoilt(GOOD["q"], np.nan)},
        {"q": spoilt(GOOD["q"], np.inf)},
        {"q": np.array([], dtype=float), "Q_lower": np.array([], dtype=float)},
        {"q": GOOD["q"].astype(str)},
        {"q": GOOD["q"] > 0},
        {"Q_lower": spoilt(Q_LOWER, np.nan)},
        {"Q_lower": np.asarray(1.0)},
        {"Q_lower": Q_LOWER[:-1]},
        {"Q_lower": np.array([1.0])},
        {"Q_lower": -Q_LOWER},
        {"Q_lower": spoilt(Q_LOWER, 0.0)},
        {"dense": np.array([0.0, 1.0])},
        {"dense": np.array([0, K])},
        {"dense": np.array([-1])},
        {"dense": np.array([1, 1])},
        {"dense": np.array([[0, 1]])},
        {"dense": np.array(None)},
    ],
)
def test_what_is_no_system_is_refused_with_its_file(tmp_path: Path, changed: dict[str, Any]) -> None:
    np.savez_compressed(tmp_path / "odd.npz", **{**GOOD, **changed})
    with pytest.raises(UsageError, match=r"odd\.npz is no system"):
        stored_systems(tmp_path)


@pytest.mark.parametrize("damage", ["pointer", "empty", "truncated", "flipped"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "odd.npz"
    np.savez_compressed(path, **GOOD)
    whole = path.read_bytes()
    middle = len(whole) // 3
    path.write_bytes(
        {
            "pointer": b"version https://git-lfs.github.com/spec/v1\n",
            "empty": b"",
            "truncated": whole[: len(whole) // 2],
            # A single byte may be one that nobody reads.
            "flipped": whole[:middle] + bytes(one ^ 0xFF for one in whole[middle:-middle]) + whole[-middle:],
        }[damage]
    )
    with pytest.raises(UsageError, match=r"odd\.npz is no system"):
        stored_systems(tmp_path)
