"""The families of systems are what their names say, and the bench's verdict on them names what is not so."""

import dataclasses

import numpy as np
import pytest

from matrix.checks.inside.systems import system_from
from matrix.diagnose.bench.families import family_findings, pairs
from matrix.diagnose.bench.measuring import spread_of
from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.families import (
    Case,
    duplicated,
    families,
    in_other_units,
    production,
    rank_deficient,
    with_empty_rows,
    without_structure,
)
from matrix.pipelines.kkt import kkt_residuals
from tests.solver.problems import rounding

K = 24
CASES = list(families([K]))


def unit(Q: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.where(np.diag(Q) > 0, np.diag(Q), 1))
    return Q / np.outer(scale, scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_is_a_problem_that_has_an_optimum(case: Case) -> None:
    for system in case.systems:
        assert system.Q.shape == (K, K)
        assert system.q.shape == (K,)
        if case.name.endswith(("nan", "inf")) and system is case.systems[-1]:
            assert not (np.isfinite(system.Q).all() and np.isfinite(system.q).all())
            continue
        np.testing.assert_allclose(system.Q, system.Q.T, rtol=0, atol=1e-12 * np.abs(system.Q).max())
        lowest = np.linalg.eigvalsh(unit(system.Q.astype(float)))[0]
        assert lowest >= -rounding(K, K, system.Q.dtype.type)
        assert set(case.told or ()) <= set(range(K))


def test_every_family_is_there_and_each_case_once() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {name.split(",")[0] for name in names} == {
        "production",
        "no structure",
        "duplicates",
        "two lights",
        "empty rows",
        "rank deficient",
        "units",
        "hint",
        "float32",
        "batch",
    }


def test_families_have_sizes_of_their_own() -> None:
    assert {case.systems[0].K for case in families([12, 15])} == {12, 15}


def test_a_weaker_regularisation_leaves_the_source_worse_conditioned() -> None:
    conditions = [
        np.linalg.cond(unit(production(140, strength).Q)[46:, 46:]) for strength in (1.0, 1e-3, 1e-6)
    ]
    assert conditions[0] < 1e4
    assert conditions == sorted(conditions)
    assert np.linalg.cond(unit(production(140, 1.0).Q)[:46, :46]) > 1e8


def test_two_lights_are_two_collinear_blocks() -> None:
    one, two = (unit(production(60, 1.0, lights=lights).Q) for lights in (1, 2))
    # Neighbouring Gaussians about one centre are almost the same, across the blocks they are not.
    assert np.diag(one, 1)[:19].min() > 0.9
    assert np.diag(two, 1)[[*range(9), *range(10, 19)]].min() > 0.7
    assert two[9, 10] < 0.1


def test_share_and_size_of_duals_are_as_asked() -> None:
    made = system_from("ill", 40, 1e4, free=0.1, dual=1e-2)
    assert made.positive.sum() == 4
    assert max(kkt_residuals(made.Q, made.q, made.x)[:3]) < 1e-12
    z = (made.Q @ made.x - made.q)[~made.positive]
    assert z.max() == pytest.approx(1e-2 * np.diag(made.Q).max(), rel=0.6)
    assert z.max() < 2e-2 * np.diag(made.Q).max()


def test_copies_are_exact_or_near() -> None:
    def nearest(noise: float) -> float:
        Q = unit(duplicated(30, noise).Q)
        return float(1 - np.abs(Q - np.eye(30)).max())

    assert abs(nearest(0.0)) < 1e-14
    assert 1e-8 < nearest(1e-3) < 1e-5


def test_ranks_rows_and_units() -> None:
    assert np.linalg.matrix_rank(rank_deficient(30, 0.5).Q) == 15
    empty = with_empty_rows(production(30, 1.0))
    assert np.flatnonzero(~empty.Q.any(axis=1)).tolist() == [9, 19, 29]
    assert not empty.q[[9, 19, 29]].any()
    plain = without_structure(30, 1e3)
    other = in_other_units(plain, 8)
    np.testing.assert_allclose(unit(other.Q), unit(plain.Q), rtol=1e-12, atol=1e-14)
    assert np.ptp(np.log10(np.diag(other.Q))) > 16


def row(solver: str, system: str = "s", **changes: object) -> BenchRow:
    """A measurement on a small system; ours takes a unit of time."""
    made = BenchRow(
        "families", system, 50, 1, solver, 1.0, 1.0, 1.0, 1e-15, 0.0, None, None, (1.0, 1.1), True
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def said(*rows: BenchRow) -> dict[str, str]:
    return {
        before.split(" (")[0]: after
        for before, after in (one.rsplit(": ", 1) for one in family_findings(rows))
    }


def test_a_tenth_more_is_allowed_on_small_systems_and_nothing_on_large_ones() -> None:
    for size, quotient, slow in ((50, 0.95, False), (50, 0.9, True), (100, 0.99, True), (100, 1.0, False)):
        found = said(row("ours", K=size), row("jaxnnls", K=size, times_ours=quotient, spread=None))
        expected = f"s, K = {size} ({quotient:.2f}x, {quotient:.2f}-{quotient:.2f})" if slow else "none"
        assert found["slower than jaxnnls"] == expected
        assert found["perhaps slower than jaxnnls"] == "none"


def test_what_the_interval_leaves_open_is_no_verdict() -> None:
    found = said(row("ours"), row("jaxnnls", times_ours=0.95, spread=(0.8, 1.2)))
    assert found["slower than jaxnnls"] == "none"
    assert found["perhaps slower than jaxnnls"] == "s, K = 50 (0.95x, 0.80-1.20)"


def test_the_interval_holds_the_median_and_not_the_outliers() -> None:
    quotients = [0.1, *np.linspace(1.0, 1.2, 29), 30.0]
    low, high = spread_of(quotients)
    assert 1.0 < low < 1.1 < high < 1.2
    assert spread_of([3.0, 1.0, 2.0]) == (1.0, 3.0)


def test_the_last_line_is_about_speed() -> None:
    assert family_findings([row("ours"), row("jaxnnls")])[-1].startswith("slower than jaxnnls")


def test_an_answer_that_only_jaxnnls_reaches_is_named() -> None:
    worse = row("ours", residual=1e-8, certified=False)
    assert said(worse, row("jaxnnls"))["not certified where jaxnnls is"] == "s, K = 50"
    both = said(worse, row("jaxnnls", certified=False))
    assert both["not certified where jaxnnls is"] == "none"
    assert both["certified"] == "ours 0 of 1, jaxnnls 0"


def test_a_batch_is_held_against_its_lanes_alone() -> None:
    lanes = [row("ours", f"b: lane {lane} alone", milliseconds=time) for lane, time in enumerate((1.0, 3.0))]
    for time, same, slow in ((5.9, True, False), (6.6, False, True)):
        batch = row("ours", "b", lanes=2, milliseconds=time, as_alone=same)
        found = said(batch, row("jaxnnls", "b", lanes=2), *lanes)
        assert found["batches over 2x their slowest lane, per lane"] == (
            "b, K = 50 (2.2x)" if slow else "none"
        )
        assert found["batches with other answers than alone"] == ("none" if same else "b, K = 50")


def test_lanes_alone_are_no_pair() -> None:
    assert [pair.label for pair in pairs([row("ours"), row("jaxnnls"), row("ours", "s: lane 0 alone")])] == [
        "s, K = 50"
    ]
