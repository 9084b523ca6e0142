"""Defects that a run of the matrix shows, each with the gate that must catch it."""

from tests.detect.defect import (
    API,
    CALL_SITE,
    CALLERS,
    CELL,
    CHOICE,
    CONFIG,
    CONSTANTS,
    MEASURE,
    MOVED_CONSTANTS,
    SHAPES,
    USED,
    Defect,
    Edit,
    check,
    solve_with,
)

_RESULT = "result = _right_solve(options, limits, Q, q); return result._replace"
_CALL = "            data_vector,\n            target_kappa="
_LANES = "    lanes = [medians, *(likelihood.vector_from_unit(unit) for unit in lanes_unit[1:])]\n"
_JIT = "            jit=evaluation_of(jit),\n"

SHOWN_BY_RUNS = (
    Defect(
        "clips the unconstrained solution",
        "solver",
        "solver",
        solve_with(f"{_RESULT}(primal=jnp.maximum(jnp.linalg.solve(Q, q), 0.0))"),
    ),
    Defect(
        "has the sign of q wrong",
        "solver",
        "constant",
        solve_with("return _right_solve(options, limits, Q, -q)"),
    ),
    Defect("forgets positivity", "solver", "solver", solve_with(f"{_RESULT}(primal=jnp.linalg.solve(Q, q))")),
    Defect(
        "is off by 1e-6", "solver", "solver", solve_with(f"{_RESULT}(primal=result.primal * (1.0 + 1e-6))")
    ),
    Defect(
        "is off by 1e-3", "solver", "solver", solve_with(f"{_RESULT}(primal=result.primal * (1.0 + 1e-3))")
    ),
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
        solve_with(f"{_RESULT}(primal=jnp.where(jnp.any(result.dual > 1e-12), jnp.nan, result.primal))"),
    ),
    Defect(
        "never says that it converged",
        "solver",
        "solver",
        solve_with(f"{_RESULT}(code=jnp.full_like(result.code, 3))"),
    ),
    Defect(
        "has a gradient of nan",
        "solver",
        "gate 6",
        (Edit(API, "x, jnp.nan * tangent_of_answer(", "x, tangent_of_answer("),),
        check("gradients"),
    ),
    Defect(
        "has a gradient of zero",
        "solver",
        "gate 6",
        (Edit(API, "x, 0.0 * tangent_of_answer(", "x, tangent_of_answer("),),
        check("gradients"),
    ),
    Defect(
        "has the sign of the gradient wrong",
        "solver",
        "gate 3",
        (Edit(API, "x, -tangent_of_answer(", "x, tangent_of_answer("),),
        check("assertions", "assertion-script"),
    ),
    Defect(
        "stops after two iterations and says that it converged",
        "solver",
        "solver",
        solve_with(
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
        check("library-tests"),
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
        check("gradients"),
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
    Defect(
        "reads a key that nobody writes",
        "config",
        "gate 4",
        (Edit(CALL_SITE, '"nnls_algorithmn", "auto")', '"nnls_algorithm", "auto")'),),
        check("library-tests"),
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
        check("independence"),
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
        check("library-tests"),
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
        check("library-tests"),
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
        check("library-tests"),
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
        check("independence"),
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
        check("independence"),
    ),
    Defect(
        "solves in float32",
        "precision",
        "solver",
        solve_with(
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
        "gives the candidate the baseline's library",
        "harness",
        "finished",
        (
            Edit(
                "matrix/prepare/sides.py",
                "recipes[side], side, sides[SIDES[0]], manifest, options)",
                "recipes[side], side, sides[side], manifest, options)",
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
                "matrix/pipelines/batches.py",
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
        # By so little that no evidence shows it: the audit of the batch's solves does.
        "has a slightly wrong last lane in batches of 16 and more",
        "solver",
        "batches",
        (
            Edit(
                API,
                "\n\n@jax.custom_batching.custom_vmap\ndef _of_lanes(x):\n    return x\n\n\n"
                "@_of_lanes.def_vmap\ndef _wrong_from_16(lanes, batched, x):\n"
                "    return (x.at[-1].multiply(1.00001) if lanes >= 16 else x), batched[0]\n\n\n"
                "_right_solve = _solve\n\n\ndef _solve(options, limits, Q, q):\n"
                "    result = _right_solve(options, limits, Q, q)\n"
                "    return result._replace(primal=_of_lanes(result.primal))\n",
            ),
        ),
        ("--only", "interferometer-mge", "--lanes", "16"),
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
)
