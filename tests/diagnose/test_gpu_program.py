"""XLA's compiler for GPUs, fetched and run where no GPU is: launches, loops and host callbacks."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from matrix.diagnose.gpu_program.compiler import TARGETS, VARIABLES, compiler_for
from matrix.diagnose.gpu_program.record import GpuProgram, GpuProgramRecord
from matrix.diagnose.gpu_program.session import program_table
from matrix.diagnose.hlo_audit.levels import Level
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.environments import install_beside
from tests.factory import make_record

PROGRAM = """
import dataclasses, json, sys
import jax, jax.numpy as jnp, numpy as np
import solver
from matrix.diagnose.gpu_program.compiler import compiled_for
from matrix.diagnose.hlo_audit.levels import levels

def likelihood(Q, q):
    sorted_q = jax.pure_callback(np.sort, q, q, vmap_method="sequential")
    return solver.solve_nnls_forward(Q, q) @ sorted_q

lanes = int(sys.argv[2])
Q, q = (jax.ShapeDtypeStruct((lanes, *shape), jnp.float64) for shape in ((40, 40), (40,)))
program = compiled_for(sys.argv[1], jax.vmap(likelihood), Q, q)
print(json.dumps([dataclasses.asdict(level) for level in levels(program.as_text())]))
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "compiler"
    install_beside(Path(sys.executable), folder, *compiler_for(jax.__version__))
    return folder


@pytest.mark.skipif(
    sys.platform != "linux", reason="XLA's compiler for NVIDIA GPUs is published for Linux alone"
)
@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_with_a_callback_is_compiled_for_a_gpu(compiler: Path, target: str) -> None:
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))},
        **VARIABLES,
        "JAX_ENABLE_X64": "True",
        "JAX_PLATFORM_NAME": "cpu",
        "PYTHONPATH": f"{compiler}{os.pathsep}{REPOSITORY_ROOT}",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, target, "3"],
        cwd=compiler.parent,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [Level(**level) for level in json.loads(done.stdout.splitlines()[-1])]
    assert found[0].launches["kernel"] > 0
    (calling,) = (level for level in found if "xla_ffi_python_gpu_callback" in level.launches)
    # Lane after lane on the host, while the solver factorises all lanes in one call.
    assert (calling.depth, calling.trips) == (1, 3)
    factorising = [level for level in found if "cusolver_potrf_ffi" in level.launches]
    assert factorising
    assert all(level.trips != 3 for level in factorising)


def test_an_old_jax_is_replaced_and_a_new_one_kept() -> None:
    assert "jax==0.9.2" in compiler_for("0.7.1")
    assert not any(word.startswith("jax==") for word in compiler_for("0.9.2"))
    assert compiler_for("0.11.0")[0] == "jax-cuda12-plugin==0.11.0"


def test_the_table_shows_both_programs_level_by_level() -> None:
    made = make_record()
    once = Level(0, 1, {"fft": 2, "kernel": 30}, 3 * 1024**2)
    looped = Level(1, 3, {"callback": 1}, 0)
    record = GpuProgramRecord(
        cell=dataclasses.replace(made.cell, pipeline="imaging-delaunay", side="baseline"),
        target="A100",
        programs=(
            GpuProgram(1, 1.0, 5 * 1024**2, (once,), "1.hlo.txt"),
            GpuProgram(
                3,
                1.0,
                15 * 1024**2,
                (once, looped, Level(1, None, {"kernel": 4}, 0), Level(2, 1, {}, 0)),
                "3.hlo.txt",
            ),
        ),
        precision=made.precision,
        provenance=dataclasses.replace(made.provenance, packages={"jax": "0.10.2", "autolens": "2026.7.9.1"}),
    )
    heading, *lines = program_table(record).splitlines()
    assert "imaging-delaunay-fp64-baseline" in heading
    assert "compiled for an NVIDIA A100 (JAX 0.10.2, autolens 2026.7.9.1)" in heading
    assert [line.strip() for line in lines] == [
        "1 lane(s): 5 MiB temporary",
        "once: 2 fft, 30 kernel; results of 3.0 MiB",
        "3 lane(s): 15 MiB temporary",
        "once: 2 fft, 30 kernel; results of 3.0 MiB",
        "3 times: 1 callback; results of 0.0 MiB",
        "loop, as long as it takes: 4 kernel; results of 0.0 MiB",
        "a branch: nothing; results of 0.0 MiB",
    ]
