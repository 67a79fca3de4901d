import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from models.calibration import (
    MIN_SLOPE,
    VennAbers,
    anchor,
    intercept_for,
    logistic_line,
    merged,
    platt,
    prior_shift,
)

few = settings(max_examples=25)

V6_SCORES, V6_LABELS = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8], [0, 0, 1, 0, 1, 1]
samples = st.lists(st.tuples(st.integers(-8, 8).map(lambda k: k / 4), st.booleans()), min_size=1, max_size=25)


def simulated(n, a, b, seed=0):
    generator = np.random.default_rng(seed)
    scores = generator.normal(-1.0, 1.5, n)
    return scores, generator.random(n) < expit(a + b * scores)


def test_logistic_line_recovers_the_truth_and_its_score_equations():
    scores, y = simulated(50_000, -0.7, 0.6)
    a, b = logistic_line(scores, y)
    assert (a, b) == pytest.approx((-0.7, 0.6), abs=0.05)
    residual = y - expit(a + b * scores)
    assert abs(residual.sum()) < 1e-6
    assert abs((residual * scores).sum()) < 1e-6


def test_logistic_line_of_constant_or_separated_scores_is_finite():
    assert logistic_line([2.0, 2.0, 2.0], [1, 0, 0]) == pytest.approx((logit(1 / 3), 0.0))
    a, b = logistic_line([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1])
    assert np.isfinite(a)
    assert b > 5
    a, b = logistic_line([0.0, 1.0, 2.0], [1, 1, 1])
    assert (expit(a), b) == pytest.approx((1.0, 0.0))


def test_logistic_line_survives_scores_of_every_size():
    scores, y = simulated(2_000, 0.0, 1.0)
    for size in (1e-6, 1e6):
        a, b = logistic_line(size * scores, y)
        assert (a, b * size) == pytest.approx(logistic_line(scores, y), rel=1e-6)


def test_platt_keeps_the_mean_and_stays_finite_on_a_separated_sample():
    scores, y = simulated(3_000, -1.0, 0.8)
    a, b = platt(scores, y)
    assert expit(a + b * scores).mean() == pytest.approx(y.mean(), abs=1e-3)
    a, b = platt([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
    assert 0 < b < 5


def test_platt_flattens_a_score_that_ranks_backwards():
    scores, y = simulated(500, 0.0, -1.0)
    a, b = platt(scores, y)
    assert b == MIN_SLOPE
    assert expit(a + b * scores).mean() == pytest.approx(y.mean(), abs=2e-3)


def test_intercept_for_balances_the_mean():
    scores, y = simulated(1_000, 0.5, 1.0)
    delta = intercept_for(scores, y)
    assert expit(scores + delta).mean() == pytest.approx(y.mean(), abs=1e-12)


def test_prior_shift_moves_a_rate():
    shift = prior_shift(0.22, 0.03)
    assert expit(logit(0.22) + shift) == pytest.approx(0.03)
    with pytest.raises(ValueError, match="strictly between"):
        prior_shift(0.0, 0.03)


@few
@given(
    st.lists(st.floats(-15, 15), min_size=1, max_size=30),
    st.floats(0.001, 0.95),
    st.sampled_from([0.0, 0.0005]),
)
def test_anchor_hits_the_central_tendency(log_odds, target, floor):
    delta = anchor(log_odds, target, floor)
    mean = np.maximum(floor, expit(np.array(log_odds) + delta)).mean()
    assert mean == pytest.approx(target, rel=1e-9)


@pytest.mark.parametrize(("rows", "target", "floor"), [([], 0.03, 0.0), ([0.0], 0.0004, 0.0005), ([0.0], 1.0, 0.0)])
def test_anchor_refuses_what_it_cannot_reach(rows, target, floor):
    with pytest.raises(ValueError, match=r"anchor|rate"):
        anchor(rows, target, floor)


def test_venn_abers_v6():
    p0, p1 = VennAbers.fit(V6_SCORES, V6_LABELS).interval([0.25, 0.5])
    assert p0 == pytest.approx([0, 1 / 3], abs=1e-6)
    assert p1 == pytest.approx([0.666667, 1], abs=1e-6)
    assert merged(p0, p1) == pytest.approx([0.4, 0.6], abs=1e-6)


@few
@given(samples, st.lists(st.integers(-24, 24).map(lambda k: k / 8), max_size=5))
def test_venn_abers_is_two_isotonic_regressions(rows, more):
    scores, labels = np.array([row[0] for row in rows]), np.array([int(row[1]) for row in rows])
    queries = np.concatenate([scores, more])
    table = VennAbers.fit(scores, labels)
    for label, bound in zip((0, 1), table.interval(queries), strict=True):
        expected = [
            IsotonicRegression().fit(np.append(scores, query), np.append(labels, label)).predict([query])[0]
            for query in queries
        ]
        assert bound == pytest.approx(expected, abs=1e-9)


@few
@given(samples, st.lists(st.floats(-3, 3), min_size=1, max_size=10))
def test_venn_abers_bounds_are_ordered_and_rise_with_the_score(rows, queries):
    table = VennAbers.fit([row[0] for row in rows], [row[1] for row in rows], max_distinct=6)
    p0, p1 = table.interval(np.sort(queries))
    assert (p0 <= p1).all()
    assert (np.diff(p0) >= 0).all()
    assert (np.diff(p1) >= 0).all()


def test_venn_abers_groups_many_scores_and_stays_valid():
    scores, y = simulated(20_000, -1.0, 1.0)
    table = VennAbers.fit(scores, y)
    assert table.is_grouped
    assert len(table.scores) <= 1000
    fresh, _ = simulated(20_000, -1.0, 1.0, seed=1)
    p0, p1 = table.interval(fresh)
    truth = expit(-1.0 + fresh)
    assert np.abs(merged(p0, p1) - truth).mean() < 0.02
    assert (p1 - p0).mean() < 0.02


def test_venn_abers_shift_is_a_prior_shift_of_both_bounds():
    table = VennAbers.fit(V6_SCORES, V6_LABELS)
    p0, p1 = table.interval([0.35])
    q0, q1 = table.shifted(-2.0).interval([-1.65])
    assert q0 == pytest.approx(expit(logit(p0) - 2))
    assert q1 == pytest.approx(expit(logit(p1) - 2))


def test_venn_abers_survives_json_bit_for_bit():
    scores, y = simulated(300, -1.0, 1.0)
    table = VennAbers.fit(scores, y)
    again = VennAbers.from_json(json.loads(json.dumps(table.to_json())))
    for before, after in zip(table.interval(scores), again.interval(scores), strict=True):
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"scores": []},
        {"scores": [0.2, 0.1]},
        {"scores": [0.1, float("nan")]},
        {"p0": [0.0] * 4},
        {"p0": [0.9] * 5},
        {"p1": [0.5, 0.4, 0.6, 0.7, 1.0]},
        {"p1": [0.5, 0.5, 0.6, 0.7, 1.1]},
    ],
)
def test_venn_abers_refuses_a_table_that_is_none(change):
    good = {"scores": [0.1, 0.2], "p0": [0.0] * 5, "p1": [0.5] * 5, "is_grouped": False}
    with pytest.raises(ValueError, match="Venn-Abers"):
        VennAbers.from_json(good | change)
