import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from models.validation import (
    FrozenBins,
    auc,
    brier,
    calibration,
    delong,
    delong_paired,
    grouped_folds,
    ks,
    ks_bootstrap,
    mean_auc,
    out_of_fold,
    paired_standard_error,
    psi,
    psi_noise_floor,
)

few = settings(max_examples=40)

V15_Y = [1, 1, 1, 0, 0, 0, 0]
V15_SCORE = [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4]
rated = st.lists(st.tuples(st.booleans(), st.integers(-5, 5).map(float)), min_size=2, max_size=40)


def both_classes(rows):
    y, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assume(y.any() and not y.all())
    return y, score


def test_delong_and_ks_v15():
    estimate = delong(V15_Y, V15_SCORE)
    assert estimate.value == pytest.approx(0.875, abs=1e-6)
    assert estimate.standard_error**2 == pytest.approx(0.0219907, abs=1e-7)
    assert (estimate.low, estimate.high) == (pytest.approx(0.584352, abs=1e-6), 1.0)
    assert ks(V15_Y, V15_SCORE) == pytest.approx(0.666667, abs=1e-6)


@few
@given(rated)
def test_auc_is_the_share_of_pairs_in_order(rows):
    y, score = both_classes(rows)
    assert auc(y, score) == pytest.approx(roc_auc_score(y, score))


@few
@given(rated)
def test_reversing_a_score_mirrors_its_auc(rows):
    y, score = both_classes(rows)
    assert auc(y, -score) == pytest.approx(1 - auc(y, score))
    assert ks(y, -score) == pytest.approx(ks(y, score))


@few
@given(rated)
def test_delong_interval_holds_the_auc_within_zero_and_one(rows):
    y, score = both_classes(rows)
    estimate = delong(y, score)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@few
@given(rated)
def test_ks_is_the_largest_gap_of_the_distribution_functions(rows):
    y, score = both_classes(rows)
    gaps = [abs((score[y] <= cut).mean() - (score[~y] <= cut).mean()) for cut in score]
    assert ks(y, score) == pytest.approx(max(gaps))


def test_delong_variance_is_that_of_repeated_samples():
    generator = np.random.default_rng(3)
    estimates = []
    for _ in range(400):
        y = generator.random(150) < 0.3
        estimates.append(delong(y, y + generator.normal(size=150)))
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.1)


def test_a_class_of_one_row_has_no_error_and_an_honest_interval():
    estimate = delong([1, 0, 0], [0.5, 0.2, 0.7])
    assert math.isnan(estimate.standard_error)
    assert (estimate.low, estimate.high) == (0.0, 1.0)
    repeated = mean_auc([1, 0, 0], np.array([[0.5, 0.2, 0.7]]))
    assert (repeated.low, repeated.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("y", "score"), [([1, 1], [0.1, 0.2]), ([0, 0], [0.1, 0.2]), ([1, 0], [0.1, math.nan]), ([1, 0], [0.1])]
)
def test_discrimination_refuses_one_class_and_unknown_scores(y, score):
    with pytest.raises(ValueError, match=r"default|scores"):
        auc(y, score)


def test_paired_test_is_the_difference_and_knows_the_correlation():
    generator = np.random.default_rng(5)
    y = generator.random(2_000) < 0.2
    signal = 1.5 * y + generator.normal(size=2_000)
    near = signal + 0.3 * generator.normal(size=2_000)
    test = delong_paired(y, signal, near)
    assert test.difference == pytest.approx(auc(y, signal) - auc(y, near))
    assert test.standard_error < 0.5 * delong(y, signal).standard_error
    assert test.low < test.difference < test.high
    swapped = delong_paired(y, near, signal)
    assert (swapped.difference, swapped.p_value) == pytest.approx((-test.difference, test.p_value))


def test_paired_test_of_equal_rankings_is_certain_of_no_difference():
    test = delong_paired(V15_Y, V15_SCORE, np.exp(V15_SCORE))
    assert (test.difference, test.standard_error, test.p_value) == (0.0, 0.0, 1.0)


def test_paired_test_rejects_at_its_level_under_the_null():
    generator = np.random.default_rng(11)
    rejected = 0
    for _ in range(300):
        y = generator.random(120) < 0.3
        a, b = y + generator.normal(size=(2, 120))
        rejected += delong_paired(y, a, b).p_value < 0.1
    assert 0.06 <= rejected / 300 <= 0.14


def test_paired_standard_error_averages_the_variance_of_repeats():
    generator = np.random.default_rng(5)
    y = generator.random(300) < 0.3
    first, second = y + generator.normal(size=(2, 3, 300))
    errors = [delong_paired(y, a, b).standard_error for a, b in zip(first, second, strict=True)]
    assert paired_standard_error(y, first, second) == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_auc_does_not_overflow_on_many_rows():
    y = np.arange(200_000) % 2 == 0
    assert auc(y, np.arange(200_000)) == pytest.approx(0.5, abs=1e-5)
    assert delong(y, y).value == 1.0


def test_ks_bootstrap_resamples_obligors():
    generator = np.random.default_rng(7)
    y = generator.random(300) < 0.3
    score = y + generator.normal(size=300)
    single = ks_bootstrap(y, score, np.arange(300), seed=1, n_replicates=500)
    tenfold = ks_bootstrap(np.tile(y, 10), np.tile(score, 10), np.tile(np.arange(300), 10), seed=1, n_replicates=500)
    assert single.low < single.value < single.high
    assert (tenfold.low, tenfold.high) == pytest.approx((single.low, single.high))
    assert single == ks_bootstrap(y, score, np.arange(300), seed=1, n_replicates=500)


def test_ks_bootstrap_leaves_out_replicates_without_a_class():
    estimate = ks_bootstrap([1, 0, 0], [0.9, 0.1, 0.2], range(3), seed=1, n_replicates=50)
    assert np.isfinite(estimate.standard_error)


def test_brier_of_perfect_and_of_constant_forecasts():
    assert brier([1, 0], [1.0, 0.0]) == 0.0
    assert brier([1, 0, 0, 0], [0.25] * 4) == pytest.approx(0.1875)


def test_calibration_finds_what_was_done_to_the_pds():
    generator = np.random.default_rng(9)
    truth = generator.normal(-2.0, 1.2, 60_000)
    y = generator.random(60_000) < expit(truth)
    fine = calibration(y, expit(truth))
    assert (fine.intercept, fine.slope, fine.in_the_large) == pytest.approx((0, 1, 0), abs=0.05)
    extreme = calibration(y, expit(2 * truth))
    assert extreme.slope == pytest.approx(0.5, abs=0.02)
    low = calibration(y, expit(truth - 0.7))
    assert low.in_the_large == pytest.approx(0.7, abs=0.03)
    assert low.mean_pd < low.default_rate
    with pytest.raises(ValueError, match="strictly between"):
        calibration([1, 0], [1.0, 0.0])


def test_psi_v16():
    before, after = [0.1, 0.2, 0.4, 0.2, 0.1], [0.15, 0.25, 0.35, 0.15, 0.1]
    assert psi(before, after) == pytest.approx(0.052491, abs=1e-6)
    assert psi(np.multiply(1000, before), np.multiply(10, after)) == pytest.approx(0.052491, abs=1e-6)


counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12)


@few
@given(counts)
def test_psi_is_symmetric_finite_and_zero_only_for_equals(pairs):
    a, b = np.array(pairs).T
    assume(a.sum() and b.sum())
    assert 0 <= psi(a, b) == pytest.approx(psi(b, a))
    assert np.isfinite(psi(a, b))
    assert psi(a, a) == 0


def test_psi_of_disjoint_populations_is_large_and_of_nothing_an_error():
    assert psi([50, 0], [0, 50]) > 10
    with pytest.raises(ValueError, match="filled"):
        psi([1, 2], [0, 0])
    with pytest.raises(ValueError, match="filled"):
        psi([1, 2], [1, 2, 3])


def test_noise_floor_is_what_one_population_exceeds_one_time_in_twenty():
    assert psi_noise_floor(100, 100, 10) == pytest.approx(0.338, abs=5e-4)
    assert psi_noise_floor(500, 500, 10) == pytest.approx(0.068, abs=5e-4)
    generator = np.random.default_rng(2)
    draws = generator.multinomial(500, [0.1] * 10, size=(2, 2_000))
    values = [psi(a, b) for a, b in zip(*draws, strict=True)]
    assert np.mean(np.array(values) > psi_noise_floor(500, 500, 10)) == pytest.approx(0.05, abs=0.015)


def test_frozen_bins_keep_missing_values_apart_and_do_not_move():
    values = np.append(np.arange(900.0), [np.nan] * 100)
    bins = FrozenBins.of(values, n_bins=9)
    assert bins.counts.tolist() == [100] * 10
    assert bins.compare(values).value == 0
    assert bins.compare(np.arange(900.0)).verdict == "alarm"
    assert bins.compare(np.append(values, np.arange(300.0))).verdict == "watch"
    assert bins.compare(np.full(1000, -1.0)).verdict == "alarm"


def test_frozen_bins_of_ties_and_of_nothing():
    assert FrozenBins.of(np.zeros(10)).counts.tolist() == [10, 0]
    assert FrozenBins.of([0.0] * 9 + [1.0]).counts.tolist() == [9, 1, 0]
    empty = FrozenBins.of([np.nan, np.nan])
    assert empty.counts.tolist() == [0, 2]
    assert empty.compare([1.0]).verdict == "alarm"


def test_small_samples_of_one_population_are_called_stable():
    generator = np.random.default_rng(4)
    bins = FrozenBins.of(generator.normal(size=60))
    stability = bins.compare(generator.normal(size=60))
    assert stability.noise_floor > 0.25
    assert stability.verdict == "stable"


def test_grouped_folds_keep_firms_together_and_spread_defaults():
    generator = np.random.default_rng(8)
    groups = generator.integers(0, 200, 1_000)
    y = generator.random(1_000) < 0.2
    folds = grouped_folds(y, groups, n_folds=5, seed=3)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    rates = [y[folds == fold].mean() for fold in range(5)]
    assert max(rates) - min(rates) < 0.05
    assert (folds == grouped_folds(y, groups, n_folds=5, seed=3)).all()
    assert (folds != grouped_folds(y, groups, n_folds=5, seed=4)).any()


def test_out_of_fold_scores_come_from_models_that_have_not_seen_the_row():
    rows = 40
    X, y, groups = np.arange(float(rows))[:, np.newaxis], np.arange(rows) % 4 == 0, np.arange(rows) // 2
    folds = [grouped_folds(y, groups, n_folds=4, seed=repeat) for repeat in range(2)]
    seen, done = [], []

    def fit(own_X, own_y, own_groups):
        assert len(own_X) == len(own_y) == len(own_groups)
        seen.append(set(own_groups))

        def score(held_out):
            assert not seen[-1] & {int(value) // 2 for value in held_out[:, 0]}
            return held_out[:, 0]

        return score

    scores = out_of_fold(fit, X, y, groups, folds, lambda: done.append(1))
    assert scores.tolist() == [X[:, 0].tolist()] * 2
    assert len(done) == len(seen) == 8


def test_mean_auc_of_repeats_is_no_more_certain_than_one():
    generator = np.random.default_rng(5)
    y = generator.random(300) < 0.3
    scores = y + generator.normal(size=(4, 300))
    together, alone = mean_auc(y, scores), delong(y, scores[0])
    assert together.value == pytest.approx(np.mean([auc(y, score) for score in scores]))
    assert together.standard_error == pytest.approx(alone.standard_error, rel=0.2)
