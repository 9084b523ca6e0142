"""What failed: nearest to the cause first, with whose failure it is, and a command that runs it again."""

import dataclasses
from pathlib import Path

from matrix.gates import CHANGE, Blame, Outcome, Verdict, judge
from matrix.report.html.problems import named, problems_of, rerun_command, whose
from matrix.run.plan import OwnDataset, PlannedCheck
from tests.factory import EVIDENCE, evaluation, make_plan, make_record


def failed(gate: str, blame: Blame = Blame.NONE, side: str | None = None, pipeline: str = CHANGE) -> Verdict:
    return Verdict(gate, pipeline, side, Outcome.FAIL, f"{gate} failed", {}, blame)  # type: ignore[arg-type]


def test_wrong_solve_comes_before_the_evidences_that_follow_from_it(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    baseline, candidate = make_record(side="baseline"), make_record()
    wrong = dataclasses.replace(
        candidate,
        nnls=tuple(dataclasses.replace(lane, complementarity=1e-3) for lane in candidate.nnls),
        evaluations=dataclasses.replace(candidate.evaluations, jit=evaluation(EVIDENCE * 1.01)),
    )
    records = {record.cell.name: record for record in (baseline, wrong)}
    verdicts = judge(plan, records, {})
    (problem,) = problems_of(plan, verdicts)
    assert (problem.first.gate, problem.first.blame) == ("solver", Blame.REGRESSED)
    assert "KKT residual 1.0e-03" in problem.first.message
    assert "under Solver below" in problem.reading
    assert {"constant", "candidate_vs_baseline"} <= {verdict.gate for verdict in problem.others}
    count = sum(verdict.blame is Blame.REGRESSED for verdict in verdicts)
    assert whose(verdicts).startswith(f"{count} of ")


def test_regressions_come_before_what_the_baseline_shares_and_the_change_last(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, pipelines=("imaging-mge", "imaging-delaunay"))
    verdicts = [
        failed("gate 3: NNLS assertions"),
        failed("constant", Blame.BASELINE_TOO, "candidate", "imaging-mge"),
        failed("constant", Blame.REGRESSED, "candidate", "imaging-delaunay"),
        failed("gate 6: finite gradients"),
    ]
    problems = problems_of(plan, verdicts)
    assert named(problems).startswith("constant on imaging-delaunay, constant on imaging-mge, gate 3")
    assert named(problems).endswith(" and 1 more")
    assert [(problem.first.pipeline, problem.first.gate) for problem in problems] == [
        ("imaging-delaunay", "constant"),
        ("imaging-mge", "constant"),
        (CHANGE, "gate 3: NNLS assertions"),
        (CHANGE, "gate 6: finite gradients"),
    ]


def test_baseline_is_blamed_only_where_it_fails() -> None:
    shared = failed("constant", Blame.BASELINE_TOO, "candidate", "imaging-mge")
    assert whose([shared, failed("constant", side="baseline", pipeline="imaging-mge")]) == (
        "the baseline fails as well"
    )
    assert whose([failed("candidate_vs_baseline", pipeline="imaging-mge")]) == ""


def test_failed_gate_of_the_change_has_its_checks_as_command_and_the_log_of_the_one_it_names(
    tmp_path: Path,
) -> None:
    checks = tuple(
        PlannedCheck(check=check, side="candidate", scale="production", key="k")
        for check in ("assertions", "assertion-script")
    )
    plan = make_plan(tmp_path, checks=checks)
    for check in checks:
        plan.check_folder(check).mkdir(parents=True)
        (plan.check_folder(check) / "log.txt").write_text(f"what {check.check} said\n")
    verdict = dataclasses.replace(failed("gate 3: NNLS assertions"), message="assertion-script: exit code 1")
    (problem,) = problems_of(plan, [verdict])
    assert "--check assertions --check assertion-script" in problem.command
    assert problem.failures[0].log == "what assertion-script said"
    (summing_up,) = problems_of(plan, [failed("gate 1: evidence constants")])
    assert (summing_up.command, summing_up.failures[0].log_path) == ("", None)


def test_same_first_failure_is_one_problem_and_says_what_each_pipeline_found(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, pipelines=("imaging-mge", "imaging-delaunay", "imaging-pixelization"))
    alike = [
        dataclasses.replace(failed("solver", Blame.REGRESSED, "candidate", name), message=message)
        for name, message in zip(plan.pipelines, ("1e-3", "1e-3", "2e-3"), strict=True)
    ]
    other = failed("constant", Blame.REGRESSED, "candidate", "imaging-mge")
    (problem,) = problems_of(plan, [*alike, other])
    assert problem.messages == {
        "1e-3": ["imaging-mge", "imaging-delaunay"],
        "2e-3": ["imaging-pixelization"],
    }
    assert problem.others == [other]
    assert named([problem]) == "solver on 3 pipelines"
    assert "--only imaging-mge --only imaging-delaunay --only imaging-pixelization" in problem.command
    apart = [alike[0], dataclasses.replace(alike[1], side="baseline")]
    assert len(problems_of(plan, apart)) == 2


def test_command_names_the_commits_that_were_judged(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    assert "--ref" not in rerun_command(plan, "--only", "imaging-mge")
    cloned = plan.model_copy(update={"source": "mirror"})
    command = rerun_command(cloned, "--only", "imaging-mge")
    assert f"--ref PyAutoArray={'0' * 12}" in command
    assert "--mirror FOLDER-OF-CLONES" in command


def test_command_gives_the_data_that_the_named_pipelines_read(tmp_path: Path) -> None:
    datasets = {
        "hst": OwnDataset(given="/data/my lens", files={"data.fits": "0"}),
        "sma": OwnDataset(given="/data/sma", files={"data.fits": "1"}),
        "jwst": OwnDataset(given="dataset_setup/imaging.py", files={"data.fits": "2"}, simulated=True),
    }
    plan = make_plan(tmp_path, datasets=datasets)
    assert "--dataset 'hst=/data/my lens'" in (command := rerun_command(plan, "--only", "imaging-mge"))
    assert "sma=" not in command
    # Simulated data are simulated again.
    assert "--dataset" not in rerun_command(plan, "--only", "imaging-mge@jwst")
    assert "--dataset" not in rerun_command(plan, "--check", "gradients")
