"""The patches of docs/extending.md apply to the code as it stands, and do what the page says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.ground.layout import REPOSITORY_ROOT

PAGE = (REPOSITORY_ROOT / "docs" / "extending.md").read_text()
MOST_LINES = 32

PIPELINE = """
import shutil, tempfile
from pathlib import Path
from matrix.catalogue.pipelines import PIPELINES, pipeline_named
from matrix.commands.matrix import matrix_options
from matrix.execute.reservations import peak_bytes
from matrix.gates import judge, judged_in
from matrix.prepare.constants import read_constant
from matrix.prepare.embedded.generations import GENERATIONS, write_generation
from matrix.prepare.sides import DEVELOPER, EMBEDDED
from matrix.refresh.artifacts.results import write_results
from matrix.refresh.artifacts.steps import steps_from
from matrix.report import write_files
from matrix.report.progress import first_guess
from tests.factory import make_plan
from tests.refresh.artifacts.made_up import complete_record
from tests.refresh.artifacts.test_steps import probed
name, like, config = "imaging-uniform", "imaging-pixelization", "local_cpu_fp64"
folder = Path(tempfile.mkdtemp())
assert matrix_options(["fp64", "--only", name]).only == (name,)
assert list(PIPELINES).index(name) < list(PIPELINES).index("imaging-mge")
assert str(pipeline_named(name).script) == "jax_profiling/jit/imaging/uniform.py"
assert peak_bytes(name, "production") == peak_bytes(like, "production")
plan = make_plan(folder, (name,))
assert first_guess(plan.cells[0]) > 0
records = {cell.name: complete_record(name, cell.side) for cell in plan.cells}
verdicts = judge(plan, records, {})
assert len(verdicts) == len(judged_in("fp64"))
assert {verdict.outcome.value for verdict in verdicts} == {"pass"}
assert name in write_files(plan, records, verdicts).read_text()
steps = steps_from(probed(name))
assert steps == steps_from(probed(like))
made = {name: {config: complete_record(name)}}
names = {path.name for path in write_results(folder, made, {(name, config): steps}).paths}
stand_in = folder / DEVELOPER
shutil.copytree(EMBEDDED / DEVELOPER, stand_in)
write_generation(stand_in, GENERATIONS[-1])
assert read_constant(stand_in, like, "smoke", stand_in=True).required
constant = read_constant(stand_in, name, "smoke", stand_in=True)
assert not constant.required and "has no jax_profiling/jit/imaging/uniform.py" in constant.unheld
assert {config + ".json", "comparison.png", "uniform_likelihood_summary_hst_v2026.7.9.1.json"} <= names
"""
INSTRUMENT = """
import tempfile
from pathlib import Path
from matrix.catalogue.pipelines import PIPELINES, pipeline_named, planned_pipelines
from matrix.commands.matrix import matrix_options
from matrix.gates import judge, judged_in
from matrix.report import write_files
from tests.factory import make_plan, make_record
name = "imaging-mge@roman"
assert matrix_options(["fp64", "--only", name]).only == (name,)
assert set(planned_pipelines((name,))) == {*PIPELINES, name}
found = pipeline_named(name)
assert (found.pixel_scale, str(found.dataset)) == (0.11, "jax_profiling/dataset/imaging/roman")
plan = make_plan(Path(tempfile.mkdtemp()), (name, "imaging-mge"))
records = {cell.name: make_record(cell.pipeline, cell.side) for cell in plan.cells}
assert len(records) == 4
verdicts = judge(plan, records, {})
assert len(verdicts) == 2 * len(judged_in("fp64"))
assert name in write_files(plan, records, verdicts).read_text()
"""
REPOSITORY = """
from matrix.ground.layout import MANIFEST
from matrix.prepare.manifest import Role, load_manifest
found = [r.name for r in load_manifest(MANIFEST).repositories if r.role is Role.DEPENDENCY]
assert found == ["PyAutoConf"], found
"""
ALGORITHM = """
import numpy as np
import jax.numpy as jnp
import solver
Q = jnp.array([[2.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 3.0]])
x = solver.solve_nnls_forward(Q, jnp.array([1.0, -1.0, 2.0]), algorithm="coordinate")
reduced = np.linalg.solve([[2.0, 0.3], [0.3, 3.0]], [1.0, 2.0])
np.testing.assert_allclose(x, [reduced[0], 0.0, reduced[1]], rtol=1e-5, atol=1e-12)
"""
GATE = """
import tempfile
from pathlib import Path
from matrix.gates import judge
from tests.factory import EVIDENCE, evaluation, make_plan, make_record
plan = make_plan(Path(tempfile.mkdtemp()))
def outcomes(**changes):
    records = [make_record(side=side, evaluations=changes) for side in ("baseline", "candidate")]
    verdicts = judge(plan, {record.cell.name: record for record in records}, {})
    return {verdict.outcome.value for verdict in verdicts if verdict.gate == "lanes_differ"}
assert outcomes() == {"pass"}
assert outcomes(vmap_lanes=evaluation(*[EVIDENCE] * 3)) == {"fail"}
"""
DIAGNOSIS = """
import contextlib, io
from matrix.diagnose.declaration import names
from tests.docs.commands import handed_over, load_noxfile, main_of
noxfile, sessions = load_noxfile()
((module, *words),) = handed_over(noxfile, sessions["steps"], ["20", "40"])
assert "steps" in names()
with contextlib.redirect_stdout(io.StringIO()) as said:
    assert main_of(module)(words) == 0
(small, _), (large, steps) = (map(int, line.split()) for line in said.getvalue().splitlines())
assert (small, large) == (20, 40) and 0 < steps < 100
assert main_of(module)(["step", "20"]) == 2
"""


@pytest.mark.parametrize(
    ("section", "check"),
    [
        ("A pipeline", PIPELINE),
        ("An instrument", INSTRUMENT),
        ("A repository", REPOSITORY),
        ("An algorithm", ALGORITHM),
        ("A gate", GATE),
        ("A diagnosis", DIAGNOSIS),
    ],
)
def test_patch_applies_and_does_what_the_page_says(tmp_path: Path, section: str, check: str) -> None:
    found = re.search(rf"^## {section}$.*?```diff\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    patch = found[1]
    assert len(re.findall(r"^[+-](?![+-]{2} )", patch, flags=re.MULTILINE)) < MOST_LINES
    for name in ("matrix", "solver", "tests", "docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY_ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("repos.yaml", "noxfile.py"):
        shutil.copy(REPOSITORY_ROOT / name, tmp_path)
    # Above the copy there may be a repository, to which git would apply the patch instead.
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    applied = subprocess.run(
        ["git", "apply", "-"], cwd=tmp_path, input=patch, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{check}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "JAX_ENABLE_X64": "True", "JAX_PLATFORM_NAME": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
