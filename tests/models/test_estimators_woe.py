import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.estimators.woe_scorecard import (
    FeatureBins,
    WoeScorecard,
    information_value,
    nonnegative_logistic,
    variance_inflation,
    weights_of_evidence,
)
from models.validation import auc

GOODS, BADS = [400, 350, 150], [10, 30, 60]


def sample(rows=1500, seed=0):
    """Features: rising risk, falling risk, a hump, a near copy of the first, noise."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, 5))
    X[:, 3] = X[:, 0] + generator.normal(scale=0.02, size=rows)
    log_odds = -1.2 + 1.1 * X[:, 0] - 0.9 * X[:, 1] + 0.8 * (np.abs(X[:, 2]) < 0.5)
    y = generator.random(rows) < 1 / (1 + np.exp(-log_odds))
    X[:, :3][generator.random((rows, 3)) < 0.1] = np.nan
    X[np.isnan(X[:, 0]), 3] = np.nan
    return X, y


X, Y = sample()
SIGNS = [1, -1, 0, 1, None]
CARD = WoeScorecard(signs=SIGNS, seed=3).fit(X, Y)


@parametrize_with_checks([WoeScorecard()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_weights_and_information_value_of_the_methods_paper():
    exact = [1.491655, 0.259511, -1.280934]
    np.testing.assert_allclose(weights_of_evidence(GOODS, BADS, smoothing=0), exact, atol=1e-6)
    assert information_value(GOODS, BADS, smoothing=0) == pytest.approx(1.091931, abs=1e-6)
    np.testing.assert_allclose(weights_of_evidence(GOODS, BADS), [1.457337, 0.257633, -1.272682], atol=1e-6)


def test_fitted_bins_carry_the_same_weights():
    x = np.repeat([1.0, 2.0, 3.0], [410, 380, 210])
    bad = np.concatenate([np.arange(rows) < bads for rows, bads in zip([410, 380, 210], BADS, strict=True)])
    bins = FeatureBins.of(x, bad, sign=1)
    assert bins.cuts.tolist() == [1.0, 2.0]
    assert bins.goods.tolist() == [*GOODS, 0]
    np.testing.assert_allclose(bins.woe, [1.457337, 0.257633, -1.272682, 0], atol=1e-6)
    assert bins.iv == pytest.approx(information_value(GOODS, BADS))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 800), st.sampled_from([1, -1, 0]), st.floats(0.02, 0.9))
def test_bins_are_monotone_large_enough_and_complete(seed, rows, sign, rate):
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 30, rows).astype(float)
    x[generator.random(rows) < 0.1] = np.nan
    bad = generator.random(rows) < rate * (0.5 + x.clip(0, 30) / 60 if seed % 2 else 1)
    bins = FeatureBins.of(x, bad, sign)
    known_goods, known_bads = bins.goods[:-1], bins.bads[:-1]
    shares = known_bads / np.maximum(1, known_goods + known_bads)
    steps = np.diff(shares)
    assert (sign * steps >= 0).all()
    assert (steps >= 0).all() or (steps <= 0).all()
    if len(bins.cuts):
        assert known_goods.min() >= 10
        assert known_bads.min() >= 10
        assert (known_goods + known_bads).min() >= 0.05 * rows
    assert bins.goods.sum() == (~bad).sum()
    assert bins.bads.sum() == bad.sum()


def test_no_value_is_altered_and_a_value_on_a_cut_is_left_of_it():
    bins = CARD.bins_[0]
    assert set(bins.cuts) <= set(X[:, 0])
    np.testing.assert_array_equal(bins.transform(bins.cuts), bins.woe[: len(bins.cuts)])
    assert bins.transform(np.array([np.nan, 1e9])).tolist() == [bins.woe[-1], bins.woe[-2]]


def test_the_free_direction_is_the_one_that_tells_more():
    x = np.arange(1000.0)
    bad = np.random.default_rng(0).random(1000) < 0.8 - x / 2000
    free, falling, rising = (FeatureBins.of(x, bad, sign) for sign in (0, -1, 1))
    np.testing.assert_array_equal(free.cuts, falling.cuts)
    assert free.iv > 0.1
    assert rising.iv < 0.02


@pytest.mark.parametrize(("missing_bads", "is_neutral"), [(4, True), (5, False)])
def test_missing_values_with_few_bads_say_nothing(missing_bads, is_neutral):
    x = np.concatenate([np.repeat([1.0, 2.0], 200), np.full(60, np.nan)])
    bad = np.concatenate([np.arange(200) < 20, np.arange(200) < 90, np.arange(60) < missing_bads])
    bins = FeatureBins.of(x, bad, sign=1)
    assert bins.is_missing_neutral is is_neutral
    assert (bins.woe[-1] == 0) == is_neutral


def test_a_feature_that_is_never_known_is_weak():
    card = WoeScorecard().fit(np.column_stack([np.full(len(Y), np.nan), X[:, 0]]), Y)
    assert [bins.note for bins in card.bins_] == ["weak", "review"]


def test_notes_say_what_became_of_each_feature():
    notes = [bins.note for bins in CARD.bins_]
    assert sorted([notes[0], notes[3]]) == ["collinear", "review"]
    assert notes[1] in {"kept", "review"}
    assert notes[4] == "weak"
    used = [bins.note in {"kept", "review"} for bins in CARD.bins_]
    assert (CARD.coefficients_ > 0).tolist() == used
    assert len(CARD.additive_.units) == sum(used)


def test_a_feature_without_weight_is_noted_unused():
    """Its few telling bins vanish in the rows of other firms."""
    generator = np.random.default_rng(4)
    noise = generator.normal(size=(300, 40))
    y = np.arange(300) % 3 == 0
    card = WoeScorecard().fit(noise, y)
    unused = [column for column, bins in enumerate(card.bins_) if bins.note == "unused"]
    assert unused
    assert (card.coefficients_[unused] == 0).all()


def test_the_score_is_monotone_in_every_signed_feature():
    names = ["a", "b", "c", "d", "e"]
    signs = {name: sign or 0 for name, sign in zip(names, SIGNS, strict=True)}
    assert CARD.to_additive(names).monotone_violations(signs) == {}


def test_it_ranks_and_its_mean_probability_is_the_default_rate():
    X_new, y_new = sample(seed=1)
    assert auc(y_new, CARD.decision_function(X_new)) > 0.74
    assert CARD.predict_proba(X)[:, 1].mean() == pytest.approx(Y.mean(), abs=0.02)


def test_points_are_minus_coefficient_times_weight_of_evidence():
    terms = CARD.additive_.contributions(X)
    used = np.flatnonzero(CARD.coefficients_)
    for unit, column in enumerate(used):
        expected = -CARD.coefficients_[column] * CARD.bins_[column].transform(X[:, column])
        np.testing.assert_array_equal(terms[:, unit], expected)


@settings(max_examples=40)
@given(st.integers(0, len(X) - 1))
def test_a_row_alone_has_the_bits_of_the_batch(row):
    assert CARD.decision_function(X[[row]])[0] == CARD.decision_function(X)[row]


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_folds():
    again, other = (WoeScorecard(signs=SIGNS, seed=seed).fit(X, Y) for seed in (3, 4))
    assert again.additive_.to_json() == CARD.additive_.to_json()
    assert (other.coefficients_ != CARD.coefficients_).any()


def test_coefficients_come_from_rows_of_other_firms():
    """A firm's number foretells its own rows only: in sample it is evidence, across firms it is none."""
    generator = np.random.default_rng(0)
    firms = np.repeat(np.arange(60), 10)
    y = np.repeat(generator.random(60) < 0.4, 10)
    number = firms + generator.normal(scale=0.01, size=600)
    card = WoeScorecard(signs=[1]).fit(number[:, np.newaxis], y, firms)
    pretended = WoeScorecard(signs=[1]).fit(number[:, np.newaxis], y)
    assert card.coefficients_[0] < pretended.coefficients_[0]


def test_too_few_firms_for_folds_give_the_mean():
    card = WoeScorecard().fit(X[:200], Y[:200], Y[:200])
    expected = (Y[:200].sum() + 0.5) / 201
    np.testing.assert_allclose(card.predict_proba(X[:3])[:, 1], expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signs": [1]}, "expected 5 signs"),
        ({"signs": [1, 2, 0, 0, 0]}, "signs are"),
    ],
)
def test_parameters_must_fit_the_matrix(changes, words):
    with pytest.raises(ValueError, match=words):
        WoeScorecard(**changes).fit(X, Y)


def test_names_must_be_one_for_each_feature():
    for names in (["a"], ["a", "a", "b", "c", "d"]):
        with pytest.raises(ValueError, match="different names"):
            CARD.to_additive(names)


def test_labels_of_one_class_are_refused():
    with pytest.raises(ValueError, match="one class"):
        WoeScorecard().fit(X, np.zeros(len(X)))


def test_regression_agrees_with_a_slow_solver():
    generator = np.random.default_rng(2)
    features = generator.normal(size=(200, 3))
    y = generator.random(200) < 1 / (1 + np.exp(-(0.5 + features @ [1.0, -0.8, 0.4])))

    def loss(parameters):
        eta = parameters[0] + features @ parameters[1:]
        return np.sum(np.logaddexp(0, eta) - eta * y) + np.sum(parameters[1:] ** 2)

    slow = minimize(loss, np.zeros(4), method="Powell", bounds=[(-9, 9)] + [(0, 9)] * 3, options={"xtol": 1e-10})
    intercept, beta = nonnegative_logistic(features, y, l2=2.0)
    np.testing.assert_allclose([intercept, *beta], slow.x, atol=1e-4)
    gradient = approx_fprime([intercept, *beta], loss, 1e-7)
    np.testing.assert_allclose(gradient[[0, 1, 3]], 0, atol=1e-3)
    assert beta[1] == 0
    assert gradient[2] > 0


def test_variance_inflation_is_that_of_the_regressions():
    generator = np.random.default_rng(1)
    columns = generator.normal(size=(300, 4))
    columns[:, 3] = columns[:, 0] - columns[:, 1] + generator.normal(scale=0.3, size=300)
    for column, factor in enumerate(variance_inflation(columns)):
        others = np.column_stack([np.ones(300), np.delete(columns, column, axis=1)])
        residual = columns[:, column] - others @ np.linalg.lstsq(others, columns[:, column], rcond=None)[0]
        assert factor == pytest.approx(columns[:, column].var() / residual.var())


def test_variance_inflation_of_constant_and_equal_columns():
    column = np.arange(10.0)
    assert variance_inflation(np.column_stack([column, np.ones(10), 2 * column])).tolist() == [np.inf, 1.0, np.inf]
