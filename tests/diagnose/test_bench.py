"""The benchmark's own parts: timings in turn, batches of one family, systems read as stored."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from matrix.diagnose.bench.factorisations import PANEL, WAYS, backward_error, matrices
from matrix.diagnose.bench.session import DIAGNOSIS
from matrix.diagnose.clock import interleaved_medians
from matrix.diagnose.systems.stored import System, lanes_of, leading, stored_systems, synthetic_system
from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from tests.solver.problems import rounding


def test_calls_are_taken_in_turn_after_a_warm_up() -> None:
    order: list[str] = []
    medians = interleaved_medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert set(medians) == {"a", "b"}


def test_batches_hold_different_systems_of_one_size() -> None:
    def system(name: str, K: int) -> System:
        return System(name, np.eye(K), np.ones(K), ())

    batches = lanes_of([system("a", 3), system("b", 3), system("c", 4), system("d", 3)], lanes=2)
    assert [[s.name for s in batch] for batch in batches] == [["a", "b"]]


def test_stored_systems_are_symmetrised(tmp_path: Path) -> None:
    lower = np.array([2.0, 1.0, 3.0])
    np.savez(tmp_path / "small.npz", Q_lower=lower, q=np.ones(2), dense=np.array([1]))
    (system,) = stored_systems(tmp_path)
    np.testing.assert_array_equal(system.Q, [[2, 1], [1, 3]])
    assert system.dense == (1,)


def test_files_that_are_no_systems_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UsageError, match=r"text\.npz is no system"):
        stored_systems(tmp_path)
    (tmp_path / "text.npz").unlink()
    np.savez(tmp_path / "short.npz", Q_lower=np.ones(5), q=np.ones(3), dense=np.array([], int))
    with pytest.raises(UsageError, match=r"short\.npz is no system.*K \(K \+ 1\) / 2"):
        stored_systems(tmp_path)


def test_a_folder_that_cannot_be_written_ends_the_command_before_it_measures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert DIAGNOSIS.main(["--part", "conditions", "--record", str(tmp_path / "file" / "bench.json")]) == 3
    assert "cannot work in" in capfd.readouterr().err


def test_a_wrong_folder_of_systems_leaves_an_older_record_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "bench.json"
    older.write_text("an older record")
    words = ["--part", "systems", "--systems", str(tmp_path / "nowhere"), "--record", str(older)]
    assert DIAGNOSIS.main(words) == 2
    assert "holds no systems" in capfd.readouterr().err
    assert older.read_text() == "an older record"


def test_synthetic_systems_have_a_collinear_block() -> None:
    system = synthetic_system(140)
    assert system.Q.shape == (140, 140)
    scale = 1 / np.sqrt(np.diag(system.Q))
    scaled = system.Q * scale[:, None] * scale[None, :]
    dense = np.array(system.dense)
    assert np.linalg.cond(scaled[np.ix_(dense, dense)]) > 1e8
    source = np.setdiff1d(np.arange(140), dense)
    assert np.linalg.cond(scaled[np.ix_(source, source)]) < 1e5


def test_leading_columns_keep_what_is_left_of_the_dense_block() -> None:
    system = System("a", np.arange(16.0).reshape(4, 4), np.arange(4.0), (0, 2))
    part = leading(system, 2)
    assert part.name == "a, 2 columns"
    assert part.dense == (0,)
    np.testing.assert_array_equal(part.Q, [[0, 1], [4, 5]])
    np.testing.assert_array_equal(part.q, [0, 1])


@pytest.mark.parametrize("K", [5, PANEL, 2 * PANEL + 17])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_factorise_gives_the_factor(way: str, K: int) -> None:
    A = matrices(2, K, "float64")
    # Condition numbers are about 5, and a factor has entries up to 3.
    np.testing.assert_allclose(WAYS[way](A), np.linalg.cholesky(A), rtol=0, atol=rounding(K, 15))
    assert backward_error(A, WAYS[way](A)) <= rounding(K, 5)
    assert backward_error(A, 1.01 * WAYS[way](A)) > 1e-2


def test_float32_blocks_are_not_rounded_by_a_gpu() -> None:
    program = jax.jit(WAYS["by blocks"]).lower(matrices(2, PANEL + 5, "float32")).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def test_the_command_writes_a_record(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 12))
    Q = A.T @ A
    np.savez(
        tmp_path / "s.npz",
        Q_lower=Q[np.tril_indices(12)],
        q=A.T @ rng.normal(size=30),
        dense=np.array([], int),
    )
    output = tmp_path / "out" / "bench.json"
    words = [
        "--part",
        "systems",
        "--part",
        "gradient",
        "--part",
        "conditions",
        "--part",
        "factorisation",
        "--size",
        "8",
        "--systems",
        str(tmp_path),
        "--columns",
        "9",
        "--repeats",
        "1",
        "--record",
        str(output),
    ]
    # A process of its own: jaxnnls fixes its tolerance by the precision it finds when first imported.
    command = [sys.executable, "-m", "matrix.diagnose", "bench", *words]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    assert record["provenance"]["x64"] is True
    with_gradient = [row["solver"] for row in record["rows"] if row["part"] == "gradient"]
    assert with_gradient == ["ours", "ours, answer alone", "jaxnnls"]
    assert all(row["residual"] <= 1e-9 for row in record["rows"] if row["solver"].startswith("ours"))
    assert len({row["system"] for row in record["rows"] if row["part"] == "conditions"}) == 8
    factorised = [row for row in record["rows"] if row["part"] == "factorisation"]
    assert len(factorised) == 3 * 3 * 2
    rows = {row["solver"]: row for row in record["rows"] if row["part"] == "systems"}
    assert rows["ours"]["K"] == 9
    assert set(rows) == {"ours", "jaxnnls"}
    assert rows["jaxnnls"]["times_ours"] == pytest.approx(
        rows["jaxnnls"]["milliseconds"] / rows["ours"]["milliseconds"]
    )
    assert abs(rows["jaxnnls"]["objective_excess"]) <= 1e-9
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_parts_with_a_bound_end_with_what_breaks_it(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    words = ["--part", "families", "--part", "compile", "--match", "batch", "--size", "6", "--repeats", "1"]
    command = [sys.executable, "-m", "matrix.diagnose", "bench", *words, "--record", str(output)]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("slower than jaxnnls")
    assert "batches with other answers than alone: none" in done.stdout
    assert "compiled too slowly" in done.stdout
    rows = json.loads(output.read_text())["rows"]
    batches = [row for row in rows if row["part"] == "families" and row["lanes"] == 3]
    assert [row["solver"] for row in batches] == ["ours", "jaxnnls"] * 4
    assert all(row["certified"] for row in batches if row["solver"] == "ours")
    assert {row["as_alone"] for row in batches if row["solver"] == "ours"} == {True}
    compiled = [row for row in rows if row["part"] == "compile"]
    assert [row["solver"] for row in compiled] == ["ours", "jaxnnls"] * 2
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
