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
ENVIRONMENTS = "matrix/prepare/environments.py"
GATES = "matrix/gates/pipelines.py"
RESULTS = "matrix/refresh/artifacts/results.py"
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
        solver, call site, config, dependency, precision, constants, artifacts, harness, audit, gates, report,
        merge or hpc.
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
_LANES = "    lanes = [medians, *(likelihood.vector_from_unit(unit) for unit in lanes_unit[1:])]\n"
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
            Edit("matrix/execute/variables.py", '"JAX_ENABLE_X64": "False"', '"JAX_ENABLE_X64": "True"'),
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
    Defect(
        "calls a solve certified by a tolerance of its own, whatever was asked for",
        "solver",
        "tests",
        (
            Edit(
                API,
                "seen.certificate.worst <= 1e-9, ResultCode.CERTIFIED",
                "seen.certificate.worst <= limits.solver_tol, ResultCode.CERTIFIED",
            ),
        ),
        ("tests/solver/test_certificate.py",),
    ),
    Defect(
        "keeps jaxnnls in setup_colab.py though it looks there",
        "dependency",
        "tests",
        (
            Edit(
                "matrix/prepare/change/dependencies.py",
                '    if DISTRIBUTION not in text.lower() or name.endswith("setup_colab.py"):\n',
                "    if DISTRIBUTION not in text.lower():\n",
            ),
        ),
        ("tests/prepare/change/test_companion.py",),
    ),
    Defect(
        "gives every lane the medians and says that they are different",
        "harness",
        "comparable",
        (Edit(MEASURE, "    lanes = [medians] * LANES\n", _LANES),),
    ),
    Defect(
        "draws every lane at the same point",
        "harness",
        "comparable",
        (
            Edit(
                MEASURE,
                "return ((0.5,) * parameters,) * lanes\n",
                "return ((0.5,) * parameters, *(tuple(map(float, draw)) for draw in draws))\n",
            ),
        ),
    ),
    Defect(
        "notes the single call's time as the batch's",
        "harness",
        "comparable",
        (
            Edit(
                MEASURE,
                "Timings(eager_s, jit_timing, jit_timing, LANES)",
                "Timings(eager_s, jit_timing, vmap_timing, LANES)",
            ),
        ),
    ),
    Defect(
        "times the single call once more in the batch's place",
        "harness",
        "comparable",
        (
            Edit(
                MEASURE,
                "    vmap_lanes = batched(batch)\n"
                "    _, vmap_timing = timed(single, likelihood.parameters(medians), repeats, steady_s)\n",
                "    vmap_lanes, vmap_timing = timed(batched, batch, repeats, steady_s)\n",
            ),
        ),
    ),
    Defect(
        "draws other lanes on the candidate",
        "harness",
        "comparable",
        (
            Edit(
                MEASURE,
                '    seed += cell.side == "candidate"\n    lanes_unit = lanes_from(',
                "    lanes_unit = lanes_from(",
            ),
        ),
    ),
    Defect(
        "lets the candidate's XLA have other flags",
        "harness",
        "comparable",
        (
            Edit(
                CELL,
                '    if "candidate" in sys.argv:\n'
                '        os.environ["XLA_FLAGS"] += " --xla_cpu_enable_fast_math=false"\n'
                '    flags = os.environ.get("XLA_FLAGS")\n',
                '    flags = os.environ.get("XLA_FLAGS")\n',
            ),
        ),
    ),
    Defect(
        "keeps a side's environment though a package in it has another version",
        "harness",
        "tests",
        (
            Edit(
                ENVIRONMENTS,
                "    key = _key(side, recipe, str(base_python), library_hash)\n",
                '    key = _key(side, recipe, f"{base_python} {json.dumps(description, sort_keys=True)}", '
                "library_hash)\n",
            ),
        ),
        ("tests/prepare/test_environments.py",),
    ),
    Defect(
        "takes the size of an unknown for the unknown",
        "audit",
        "tests",
        (
            Edit(
                "matrix/pipelines/kkt.py",
                "    size = np.abs(x / scale)\n",
                "    size = x / scale\n",
            ),
        ),
        ("tests/pipelines/test_kkt.py",),
    ),
    Defect(
        "leaves the gradient of positive unknowns out of the residual",
        "audit",
        "tests",
        (
            Edit(
                "matrix/pipelines/kkt.py",
                "np.minimum(np.abs(size), np.maximum(gradient, 0.0))",
                "np.minimum(np.abs(size), np.abs(gradient))",
            ),
        ),
        ("tests/pipelines/test_kkt.py",),
    ),
    Defect(
        "audits the first lane in place of each",
        "audit",
        "comparable",
        (
            Edit(
                MEASURE,
                "    firsts = (np.stack([all_[0]] * LANES) for all_ in (systems, vectors, answers))\n"
                "    systems, vectors, answers = firsts\n"
                "    lanes = lane_solves(",
                "    lanes = lane_solves(",
            ),
        ),
    ),
    Defect(
        "leaves a gate out for one pipeline",
        "gates",
        "tests",
        (
            Edit(
                GATES,
                "    verdicts = [\n"
                "        apply(gate, side, evidence)\n"
                "        for gate, side in judged_in(evidence.precision)\n"
                '        if (gate, evidence.pipeline) != ("constant", "imaging-delaunay")\n'
                "    ]\n",
                "    verdicts = [apply(gate, side, evidence) "
                "for gate, side in judged_in(evidence.precision)]\n",
            ),
        ),
        ("tests/gates/test_pipelines.py",),
    ),
    Defect(
        "compares only the packages that both sides have",
        "gates",
        "tests",
        (
            Edit(
                "matrix/gates/comparable.py",
                "    apart = [name for name in theirs if name in ours and ours[name] != theirs[name]]\n",
                "    apart = [name for name in dict.fromkeys((*theirs, *ours)) "
                "if ours.get(name) != theirs.get(name)]\n",
            ),
        ),
        ("tests/gates/test_comparable.py",),
    ),
    Defect(
        "judges a side by the other's record",
        "gates",
        "tests",
        (
            Edit(
                GATES,
                '    record = evidence.records.get("baseline")\n    if record is not None:\n',
                "    record = evidence.records.get(side)\n    if record is not None:\n",
            ),
        ),
        ("tests/gates/test_pipelines.py",),
    ),
    Defect(
        "shows each side's time in the other's column",
        "report",
        "tests",
        (
            Edit(
                "matrix/report/rows.py",
                'candidate")),\n            _milliseconds(seconds_of(pairs, pipeline, BATCH, "baseline")),\n',
                'baseline")),\n            _milliseconds(seconds_of(pairs, pipeline, BATCH, "candidate")),\n',
            ),
        ),
        ("tests/report/test_report.py",),
    ),
    Defect(
        "shows the single call's time as one lane's in the summary",
        "report",
        "tests",
        (
            Edit(
                "matrix/report/summary.py",
                'f"{timings.jit.median_s * 1e3:.1f}",\n            f"{record.memory',
                'f"{timings.vmap_lane_s * 1e3:.1f}",\n            f"{record.memory',
            ),
        ),
        ("tests/report/test_report.py",),
    ),
    Defect(
        "writes what was not run as passed into junit.xml",
        "report",
        "tests",
        (
            Edit(
                "matrix/report/junit.py",
                "        case Outcome.INCONCLUSIVE:\n",
                "        case Outcome.NOT_RUN | Outcome.INCONCLUSIVE:\n",
            ),
        ),
        ("tests/report/test_report.py",),
    ),
    Defect(
        "says of every result file that it is not of mixed precision",
        "artifacts",
        "tests",
        (
            Edit(
                RESULTS,
                '"use_mixed_precision": False,\n        "autolens',
                '"use_mixed_precision": record.precision.mixed,\n        "autolens',
            ),
            Edit(
                RESULTS,
                '"use_mixed_precision": False,\n        "configuration',
                '"use_mixed_precision": record.precision.mixed,\n        "configuration',
            ),
        ),
        ("tests/refresh/artifacts/test_results.py",),
    ),
    Defect(
        "writes a batch's time as one lane's",
        "artifacts",
        "tests",
        (Edit(RESULTS, '"per_call": timings.vmap.median_s', '"per_call": timings.vmap_lane_s'),),
        ("tests/refresh/artifacts/test_results.py",),
    ),
    Defect(
        "merges the two sides of a pipeline from two places",
        "merge",
        "tests",
        (Edit("matrix/commands/report.py", "        if len(homes) > 2:\n", "        if len(homes) > 1:\n"),),
        ("tests/commands/test_report.py",),
    ),
    Defect(
        "merges runs that were planned with other constants",
        "merge",
        "tests",
        (
            Edit(
                "matrix/commands/report.py",
                "",
                '        "constants": {name: constant.value for name, constant in plan.constants.items()},\n',
            ),
        ),
        ("tests/commands/test_report.py",),
    ),
    Defect(
        "takes one passed job for all",
        "hpc",
        "tests",
        (
            Edit(
                "matrix/commands/hpc.py",
                "    passed = any(status.outcome is Outcome.PASSED for status in statuses)\n",
                "    passed = all(status.outcome is Outcome.PASSED for status in statuses)\n",
            ),
        ),
        ("tests/commands/test_hpc.py",),
    ),
    Defect(
        "takes a job that Slurm calls completed for passed without its record",
        "hpc",
        "tests",
        (
            Edit(
                "matrix/execute/slurm_outcomes.py",
                "        if record_fault is not None and failure is not None:\n",
                "        if record_fault is not None:\n",
            ),
        ),
        ("tests/hpc/test_outcomes.py",),
    ),
)
