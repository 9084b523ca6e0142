"""Defects to plant, one at a time, in a copy of this repository, each with the gate that must catch it."""

from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.releases import KNOWN

API = "solver/_api.py"
CALL_SITE = "matrix/prepare/change/templates/inversion_util.py"
CALLERS = "matrix/prepare/change/templates/abstract_inversion.py"
CONFIG = "matrix/prepare/change/config.py"
CHOICE = "matrix/prepare/change/templates/choice/inversion_util.py"
USED = "matrix/prepare/change/templates/choice/abstract_inversion.py"
SHAPES = "matrix/prepare/change/shapes.py"
# What is vendored only where the call site called jaxnnls itself: the last release of that shape shows it.
OF_THE_OLDER_SHAPE = (CALL_SITE, CALLERS, CONFIG)
OLDER, NEWEST = "2026.7.9.1", KNOWN[0]
MEASURE = "matrix/pipelines/measure.py"
CELL = "matrix/pipelines/cell.py"
CONSTANTS = "matrix/prepare/embedded/generations.py"
PIPELINE = ("--only", "interferometer-mge")


@dataclass(frozen=True)
class Edit:
    """Replace `old`, which occurs once in the file, by `new`; without `old`, append `new`."""

    file: str
    new: str
    old: str = ""

    def plant(self, repository: Path) -> None:
        """Make the edit in the copy.

        Raises
        ------
        ValueError
            The file no longer holds what is to be replaced: the catalogue must follow the code.
        """
        path = repository / self.file
        text = path.read_text(encoding="utf-8")
        if not self.old:
            path.write_text(text + self.new, encoding="utf-8")
            return
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} holds {self.old!r} {text.count(self.old)} times, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


MOVED_CONSTANTS = Edit(CONSTANTS, "scale, 1.001 * value)\n", "scale, value)\n")


@dataclass(frozen=True)
class Defect:
    """One planted defect.

    Attributes
    ----------
    area
        solver, call site, config, dependency, precision, constants, artifacts or harness.
    gate
        What must catch it: a gate of a pipeline, the first words of a gate of the change, or "tests".
    run
        What to run: options of the matrix, or the path of the tests.
    release
        On which release; empty for the newest that has what is planted.
    """

    name: str
    area: str
    gate: str
    edits: tuple[Edit, ...]
    run: tuple[str, ...] = PIPELINE
    release: str = ""

    @property
    def on(self) -> str:
        """The release that the defect is shown on."""
        older = any(edit.file in OF_THE_OLDER_SHAPE for edit in self.edits)
        return self.release or (OLDER if older else NEWEST)


def _solve(body: str) -> tuple[Edit, ...]:
    """Wrap the one place where every form of the solver gets its answer."""
    return (Edit(API, f"\n\n_right_solve = _solve\n\n\ndef _solve(options, limits, Q, q):\n    {body}\n"),)


def _check(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--check", name))


# Nothing planted: once with everything that a defect below is caught by, then as often as one likes with
# what takes less than a minute.
QUICK_CHECKS = ("independence", "gradients")
ALL_CHECKS = ("assertions", "assertion-script", "library-tests", *QUICK_CHECKS)
CLEAN = (*PIPELINE, *_check(*ALL_CHECKS))
CLEAN_AGAIN = Defect("clean tree again", "", "", (), (*PIPELINE, *_check(*QUICK_CHECKS)))


def clean_on(release: str) -> Defect:
    """Nothing planted, on one release: what the defects shown on it are held against."""
    return Defect(f"clean tree, {release}", "", "", (), CLEAN, release)


_RESULT = "result = _right_solve(options, limits, Q, q); return result._replace"
_CALL = "            data_vector,\n            target_kappa="
_JIT = "            jit=evaluation_of(jit),\n"

DEFECTS = (
    Defect(
        "clips the unconstrained solution",
        "solver",
        "solver",
        _solve(f"{_RESULT}(primal=jnp.maximum(jnp.linalg.solve(Q, q), 0.0))"),
    ),
    Defect(
        "has the sign of q wrong", "solver", "constant", _solve("return _right_solve(options, limits, Q, -q)")
    ),
    Defect("forgets positivity", "solver", "solver", _solve(f"{_RESULT}(primal=jnp.linalg.solve(Q, q))")),
    Defect("is off by 1e-6", "solver", "solver", _solve(f"{_RESULT}(primal=result.primal * (1.0 + 1e-6))")),
    Defect("is off by 1e-3", "solver", "solver", _solve(f"{_RESULT}(primal=result.primal * (1.0 + 1e-3))")),
    Defect(
        "accepts a loose tolerance and stops there",
        "solver",
        "solver",
        (
            Edit("solver/_certificate.py", "return 1e-2 if", "return 1e-9 if"),
            Edit("solver/_interior.py", "READY_AT = -1.0\n", "READY_AT = 0.02\n"),
        ),
    ),
    Defect(
        "returns nan as soon as one unknown is at the bound",
        "solver",
        "finite",
        _solve(f"{_RESULT}(primal=jnp.where(jnp.any(result.dual > 1e-12), jnp.nan, result.primal))"),
    ),
    Defect(
        "never says that it converged",
        "solver",
        "solver",
        _solve(f"{_RESULT}(code=jnp.full_like(result.code, 3))"),
    ),
    Defect(
        "has a gradient of nan",
        "solver",
        "gate 6",
        (Edit(API, "x, jnp.nan * tangent_of_answer(", "x, tangent_of_answer("),),
        _check("gradients"),
    ),
    Defect(
        "has a gradient of zero",
        "solver",
        "gate 6",
        (Edit(API, "x, 0.0 * tangent_of_answer(", "x, tangent_of_answer("),),
        _check("gradients"),
    ),
    Defect(
        "has the sign of the gradient wrong",
        "solver",
        "gate 3",
        (Edit(API, "x, -tangent_of_answer(", "x, tangent_of_answer("),),
        _check("assertions", "assertion-script"),
    ),
    Defect(
        "stops after two iterations and says that it converged",
        "solver",
        "solver",
        _solve(
            "early = limits._replace(max_iter=jnp.minimum(limits.max_iter, 2))\n"
            "    result = _right_solve(options, early, Q, q)\n"
            "    return result._replace(code=jnp.full_like(result.code, ResultCode.CERTIFIED))"
        ),
    ),
    Defect(
        "hands the solver another q",
        "call site",
        "solver",
        (Edit(CALL_SITE, "            data_vector * 1.01,\n            target_kappa=", _CALL),),
    ),
    # Solved as it should be, so that only the other side tells.
    Defect(
        "is handed another q",
        "call site",
        "candidate_vs_baseline",
        (
            Edit(
                SHAPES,
                "        tree.edit(callers.PATH, choice.offer_in_callers)\n"
                "        kept = 'data_vector=self.data_vector,'\n"
                "        tree.edit(callers.PATH, lambda text: text.replace(kept, f'{kept[:-1]} * 1.01,'))\n",
                "        tree.edit(callers.PATH, choice.offer_in_callers)\n",
            ),
        ),
    ),
    # A wrong column costs time, never correctness: no evidence can tell, the library's own test does.
    Defect(
        "passes the columns of the system before edge pixels are taken out",
        "call site",
        "gate 4",
        (Edit(CALLERS, "        if not edge_zeroed:\n", "        if edge_zeroed:\n"),),
        _check("library-tests"),
    ),
    Defect(
        "call site still imports jaxnnls",
        "call site",
        "finished",
        (
            Edit(
                CALL_SITE,
                "        import jaxnnls as nnls\n",
                "        from autoarray.inversion import nnls\n",
            ),
        ),
    ),
    Defect(
        "call site leaves the gradient out",
        "call site",
        "gate 6",
        (Edit(CONFIG, '"nnls_forward_only",\n        "true",', '"nnls_forward_only",\n        "false",'),),
        _check("gradients"),
    ),
    Defect(
        "stops after one iteration by default",
        "config",
        "solver",
        (
            Edit(CONFIG, '"nnls_max_iter",\n        "1",', '"nnls_max_iter",\n        "null",'),
            Edit(CONFIG, '        ALGORITHM,\n        "pdip",', '        ALGORITHM,\n        "auto",'),
        ),
    ),
    # The packaged file hides a default in the code until a workspace brings a file of its own.
    Defect(
        "has other defaults in the code than in the packaged file",
        "config",
        "tests",
        (
            Edit(CALL_SITE, '"nnls_max_iter", 1)', '"nnls_max_iter", None)'),
            Edit(CALL_SITE, '"nnls_algorithm", "pdip")', '"nnls_algorithm", "auto")'),
        ),
        ("tests/prepare/change/test_config.py",),
    ),
    Defect(
        "reads a key that nobody writes",
        "config",
        "gate 4",
        (Edit(CALL_SITE, '"nnls_algorithmn", "auto")', '"nnls_algorithm", "auto")'),),
        _check("library-tests"),
    ),
    Defect(
        "falls back to jaxnnls in silence",
        "dependency",
        "gate 5",
        (
            Edit(
                CALL_SITE,
                "        try:\n            import jaxnnls as nnls\n        except ImportError:\n"
                "            from autoarray.inversion import nnls\n",
                "        from autoarray.inversion import nnls\n",
            ),
        ),
        _check("independence"),
    ),
    Defect(
        "ignores the third value where there is no mapper",
        "call site",
        "finished",
        (
            Edit(
                USED,
                'positive_only_solver == "nnls" and self.use_jax and self.has(cls=Mapper):',
                'positive_only_solver == "nnls" and self.use_jax:',
            ),
        ),
    ),
    Defect(
        "leaves a key of `stats` out",
        "call site",
        "gate 4",
        (Edit(CHOICE, "", '        stats["iterations"] = iterations\n'),),
        _check("library-tests"),
    ),
    Defect(
        "shifts the edge pixels that are zeroed by one",
        "call site",
        "gate 4",
        (
            Edit(
                SHAPES,
                "        tree.edit(callers.PATH, choice.offer_in_callers)\n"
                "        kept = 'reconstruction.at[ids_to_keep'\n"
                "        tree.edit(callers.PATH, lambda text: text.replace(f'{kept}]', f'{kept} + 1]'))\n",
                "        tree.edit(callers.PATH, choice.offer_in_callers)\n",
            ),
        ),
        _check("library-tests"),
    ),
    Defect(
        "takes the fifty iterations of the interior-point solver for its own",
        "call site",
        "gate 4",
        (
            Edit(
                CHOICE,
                "    max_iter = 50 if settings is None or settings.nnls_max_iter is None else "
                "settings.nnls_max_iter\n",
                "    max_iter = None if settings is None else settings.nnls_max_iter\n",
            ),
        ),
        _check("library-tests"),
    ),
    Defect(
        "leaves jaxnnls in setup_colab.py",
        "dependency",
        "tests",
        (Edit("matrix/prepare/change/dependencies.py", "", '    "*/setup_colab.py",\n'),),
        ("tests/prepare/change/test_companion.py",),
    ),
    Defect(
        "has the library declare jaxnnls",
        "dependency",
        "gate 5",
        (
            Edit(
                "matrix/prepare/change/dependencies.py",
                '        return text.replace("dependencies = [", \'dependencies = ["jaxnnls",\', 1)\n',
                "        return text\n",
            ),
        ),
        _check("independence"),
    ),
    Defect(
        "leaves jaxnnls in the candidate's environment",
        "dependency",
        "gate 5",
        (
            Edit(
                "matrix/prepare/environments.py",
                "                pass\n",
                "                write_blocker(folder)\n",
            ),
        ),
        _check("independence"),
    ),
    Defect(
        "solves in float32",
        "precision",
        "solver",
        _solve(
            "loose = limits._replace(solver_tol=jnp.full((), 1e-4, jnp.float32))\n"
            "    result = _right_solve(options, loose, Q.astype(jnp.float32), q.astype(jnp.float32))\n"
            "    return jax.tree.map(lambda a: a.astype(Q.dtype) if a.dtype == jnp.float32 else a, result)"
        ),
    ),
    Defect(
        "imports JAX first and does not switch it to 64 bit",
        "precision",
        "precision",
        (
            Edit("matrix/execute/local.py", '"JAX_ENABLE_X64": "False"', '"JAX_ENABLE_X64": "True"'),
            Edit(
                CELL,
                '    importlib.import_module("jax")\n    importlib.import_module("autolens")',
                '    importlib.import_module("autolens")',
            ),
        ),
    ),
    Defect(
        "computes in the library's mixed precision under an fp64 label",
        "precision",
        "precision",
        (Edit(MEASURE, "workspace, mixed=True)", 'workspace, mixed=cell.precision == "mp")'),),
    ),
    Defect(
        "labels a float32 evidence as float64",
        "precision",
        "precision",
        (Edit(MEASURE, "            jit=evaluation_of(np.float64(np.float32(jit))),\n", _JIT),),
    ),
    Defect(
        "has another constant in the workspace",
        "constants",
        "constant",
        (MOVED_CONSTANTS,),
    ),
    Defect(
        "has the constant under another name",
        "constants",
        "constant",
        (
            Edit(
                CONSTANTS,
                "value)\n        write_text(script, text.replace('_SMOKE = ', '_SMALL = '))",
                "value)\n        write_text(script, text)",
            ),
        ),
    ),
    Defect(
        "writes the step-by-step value as the batch's",
        "artifacts",
        "tests",
        (
            Edit(
                "matrix/refresh/artifacts/results.py",
                'values["vmap_first_element"] = evaluations.jit.values[0] * 2',
                'values["vmap_first_element"] = evaluations.vmap_equal.values[0]',
            ),
        ),
        ("tests/refresh/artifacts/test_results.py",),
    ),
    Defect(
        "leaves a result file of an older run as it is",
        "artifacts",
        "tests",
        (
            Edit(
                "matrix/refresh/artifacts/results.py",
                "    if not text.exists():\n        write_text(text, json.dumps(document, indent=2))\n",
                "    write_text(text, json.dumps(document, indent=2))\n",
            ),
        ),
        ("tests/refresh/artifacts/test_results.py",),
    ),
    Defect(
        "blesses a drift that nobody accepted",
        "artifacts",
        "tests",
        (Edit("matrix/refresh/artifacts/drift.py", "    if change <= 1.0:", "    if change <= tolerance:"),),
        ("tests/refresh/artifacts/test_drift.py",),
    ),
    Defect(
        "ends with 0 and without a record",
        "harness",
        "finished",
        (Edit(CELL, "        pass\n", "        write_record(options.record, measured.record)\n"),),
    ),
    Defect(
        "tap changes the answer it looks at",
        "harness",
        "solver",
        (Edit("matrix/pipelines/audit.py", "return Audited(value * 1.001, Q", "return Audited(value, Q"),),
    ),
    # At smoke scale lanes are closer to each other than vmap_vs_jit tolerates: the audited program tells.
    Defect(
        "gives every lane the medians' value",
        "harness",
        "solver",
        (
            Edit(
                MEASURE,
                "vmap_lanes=evaluation_of(*[vmap_lanes[0]] * LANES)",
                "vmap_lanes=evaluation_of(vmap_lanes)",
            ),
        ),
    ),
    Defect(
        "stops the clock before the program is done",
        "harness",
        "finished",
        (
            Edit(
                "matrix/pipelines/programs.py",
                "        return self.executable(parameters)",
                "        return jax.block_until_ready(self.executable(parameters))",
            ),
        ),
    ),
    Defect(
        "takes an older record for this run's",
        "harness",
        "tests",
        (
            Edit(
                "matrix/run/kept.py",
                "    answers = named in (None, planned)",
                "    answers = record.key == cell.key and named in (None, planned)",
            ),
        ),
        ("tests/execute/test_local.py",),
    ),
    Defect(
        "takes a record of other commits than planned",
        "harness",
        "tests",
        (
            Edit(
                "matrix/run/kept.py",
                "    if not planned:\n",
                '    if record.provenance.driver.get("checkouts") != planned:\n',
            ),
        ),
        ("tests/execute/test_local.py",),
    ),
    Defect(
        "gives the candidate the baseline's library",
        "harness",
        "finished",
        (
            Edit(
                "matrix/prepare/sides.py",
                "recipe, side, baseline.path, options.base_python",
                "recipe, side, checkout.path, options.base_python",
            ),
        ),
    ),
    # The suite's tests, and with them JUnit, then say pass: the verdicts decide all the same.
    Defect(
        "takes every failing gate for a pass, with another constant in the workspace",
        "harness",
        "constant",
        (
            Edit(
                "matrix/suite/test_matrix.py",
                "    if verdict.outcome is not Outcome.NOT_RUN:\n        return\n",
                "    if verdict.outcome is Outcome.PASS:\n        return\n",
            ),
            MOVED_CONSTANTS,
        ),
    ),
    Defect(
        "has a tolerance of ten per cent in every gate that holds paths together",
        "harness",
        "tests",
        (
            Edit(
                "matrix/gates/pipelines.py",
                "differences[worst] <= 0.1, message, numbers)\n\n\ndef _verdict",
                "differences[worst] <= tolerance, message, numbers)\n\n\ndef _verdict",
            ),
        ),
        ("tests/gates/test_pipelines.py",),
    ),
)
