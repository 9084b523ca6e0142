"""Defects that no run shows, each with the tests that must catch it."""

from tests.detect.defect import API, CALL_SITE, ENVIRONMENTS, GATES, RESULTS, Defect, Edit

SHOWN_BY_TESTS = (
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
        "leaves jaxnnls in setup_colab.py",
        "dependency",
        "tests",
        (Edit("matrix/prepare/change/dependencies.py", "", '    "*/setup_colab.py",\n'),),
        ("tests/prepare/change/test_companion.py",),
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
        "keeps a side's environment though a package in it has another version",
        "harness",
        "tests",
        (
            Edit(
                ENVIRONMENTS,
                "    key = _key(side, recipe, str(base_python), content)\n",
                '    key = _key(side, recipe, f"{base_python} {json.dumps(description, sort_keys=True)}", '
                "content)\n",
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
        "leaves a gate out for one pipeline",
        "gates",
        "tests",
        (
            Edit(
                GATES,
                "    verdicts = [\n"
                "        apply(gate, side, evidence)\n"
                "        for gate, side in gates\n"
                '        if (gate, evidence.pipeline) != ("constant", "imaging-delaunay")\n'
                "    ]\n",
                "    verdicts = [apply(gate, side, evidence) for gate, side in gates]\n",
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
                "    passed = any(status.outcome is JobOutcome.PASSED for status in statuses)\n",
                "    passed = all(status.outcome is JobOutcome.PASSED for status in statuses)\n",
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
    Defect(
        "starts a cell with what an earlier one compiled, so that compiling costs nothing",
        "harness",
        "tests",
        (
            Edit(
                "matrix/execute/local.py",
                "",
                "    shutil.rmtree(compiled_folder(plan, cell), ignore_errors=True)\n",
            ),
        ),
        ("tests/execute/test_local.py", "-k", "starts_with_nothing"),
    ),
    Defect(
        "takes loading a compiled program for compiling it",
        "harness",
        "tests",
        (
            Edit(
                "matrix/pipelines/programs.py", "    if program.found and False:\n", "    if program.found:\n"
            ),
        ),
        ("tests/pipelines/test_programs.py", "-k", "another_process_compiled"),
    ),
    Defect(
        "runs in a pair what another machine compiled",
        "harness",
        "tests",
        (
            Edit(
                "matrix/execute/variables.py",
                '"compiled", cell.key)',
                '"compiled", machine_word(), cell.key)',
            ),
        ),
        ("tests/execute/test_local.py", "-k", "another_machine"),
    ),
    Defect(
        "believes a pair of which one side found its programs compiled",
        "harness",
        "tests",
        (
            Edit(
                "matrix/records/pair.py",
                "            if not pair.baseline.found and pair.candidate.found:\n",
                "            if set(pair.baseline.found) != set(pair.candidate.found):\n",
            ),
        ),
        ("tests/report/test_pairs.py",),
    ),
    Defect(
        "counts a trial as right whose interval lacks what is true",
        "harness",
        "tests",
        (Edit("matrix/records/null.py", "ratio.holds(1.0)", "ratio.holds(self.truth(name))"),),
        ("tests/execute/test_pair_processes.py", "-k", "lacks_the_truth"),
    ),
    Defect(
        "merges a run as old as what it is made of",
        "merge",
        "tests",
        (Edit("matrix/commands/report.py", "timedelta(seconds=0)", "timedelta(seconds=1)"),),
        ("tests/commands/test_report.py", "-k", "newer_than"),
    ),
)
