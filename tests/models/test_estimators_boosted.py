import json

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.additive import AdditiveScore
from models.estimators import boosted_scorecard
from models.estimators.boosted_scorecard import (
    BoostedScorecard,
    _Choice,
    _plainest,
    compile_trees,
    strongest_pairs,
)
from models.validation import auc


def sample(rows=1500, seed=0):
    """Features: rising risk, falling risk, a pair that matters only together, noise; the last is never missing."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, 6))
    log_odds = -1.0 + X[:, 0] - 0.7 * X[:, 1] + 2.5 * (X[:, 2] > 0) * (X[:, 3] > 0)
    X[:, :5][generator.random((rows, 5)) < 0.1] = np.nan
    return X, generator.random(rows) < 1 / (1 + np.exp(-log_odds))


X, Y = sample()
SIGNS = [1, -1, 1, 0, None, 0]
NAMES = ["a", "b", "c", "d", "e", "f"]
SMALL = {"signs": SIGNS, "max_trees": 60, "n_seeds": 2, "learning_rate": 0.15}
CARD = BoostedScorecard(**SMALL).fit(X, Y)


def raw_score(card, rows):
    return np.mean([booster.predict(rows, raw_score=True) for booster in card.boosters_], axis=0)


def grown(rows, y, trees=80, categories="auto", **settings):
    settings = {"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": 1, "min_data_in_leaf": 5} | settings
    return lgb.train(settings, lgb.Dataset(rows, y, params=settings, categorical_feature=categories), trees)


def with_gaps(rows, columns, seed=3, share=0.3):
    """Return the rows with more missing values, and infinitesimal, huge and zero ones."""
    generator = np.random.default_rng(seed)
    rows = rows.copy()
    for column in columns:
        rows[generator.random(len(rows)) < share, column] = np.nan
    rows[generator.random(rows.shape) < 0.05] = 0.0
    rows[generator.random(rows.shape) < 0.05] = 1e12
    rows[generator.random(rows.shape) < 0.05] = -1e12
    return rows


@parametrize_with_checks([BoostedScorecard(max_trees=30, n_seeds=2, learning_rate=0.2)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_tables_equal_the_boosters_to_rounding_missing_values_included():
    assert CARD.depth_ == 2
    unseen = with_gaps(sample(seed=9)[0], columns=range(5))
    np.testing.assert_allclose(CARD.decision_function(unseen), raw_score(CARD, unseen), rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_any_shallow_booster_compiles_exactly(depth, missing):
    generator = np.random.default_rng(depth)
    rows = np.round(generator.normal(size=(800, 4)), 1)
    rows[generator.random(rows.shape) < missing] = np.nan
    y = generator.random(800) < 1 / (1 + np.exp(-np.nan_to_num(rows[:, 0] * rows[:, 1], nan=1.0)))
    booster = grown(rows, y, max_depth=depth, num_leaves=2**depth)
    score = compile_trees([booster.dump_model()], rows)
    unseen = with_gaps(rows, columns=range(4) if missing else ())
    np.testing.assert_allclose(score.log_odds(unseen), booster.predict(unseen, raw_score=True), rtol=0, atol=1e-12)
    on_cuts = np.column_stack([np.resize(np.append(step.cuts[0], 0.0), 50) for step in score.units[:4]])
    on_cuts[np.abs(on_cuts) < 1e-30] = 0.0  # LightGBM reads such values as 0
    np.testing.assert_allclose(score.log_odds(on_cuts), booster.predict(on_cuts, raw_score=True), rtol=0, atol=1e-12)


def test_a_split_of_missing_from_known_values_needs_no_cut():
    generator = np.random.default_rng(0)
    rows = np.where(generator.random((600, 1)) < 0.5, np.nan, generator.normal(size=(600, 1)))
    noisy = np.isnan(rows[:, 0]) ^ (generator.random(600) < 0.2)
    booster = grown(rows, noisy, trees=1, max_depth=1, num_leaves=2)
    score = compile_trees([booster.dump_model()], rows)
    assert not score.units[0].cuts[0].size
    np.testing.assert_allclose(score.log_odds(rows), booster.predict(rows, raw_score=True), rtol=0, atol=1e-12)


def test_a_booster_without_splits_is_a_constant():
    booster = grown(X[:20], Y[:20], trees=3, min_data_in_leaf=50)
    score = compile_trees([booster.dump_model()], X[:20])
    assert score.units == ()
    np.testing.assert_allclose(score.log_odds(X[:20]), booster.predict(X[:20], raw_score=True), rtol=0, atol=1e-12)


def test_paths_of_three_features_are_refused():
    booster = grown(np.nan_to_num(X), Y, trees=20, num_leaves=15)
    with pytest.raises(ValueError, match="features fits no table"):
        compile_trees([booster.dump_model()], X)


def test_splits_of_categories_are_refused():
    codes = np.random.default_rng(0).integers(0, 5, (500, 1)).astype(float)
    booster = grown(codes, codes[:, 0] % 2 == 1, categories=[0], num_leaves=2, max_depth=1)
    with pytest.raises(ValueError, match="cannot compile"):
        compile_trees([booster.dump_model()], codes)


def bins_of(unit, column):
    """Return the bin of each training row on each axis of a unit."""
    return [
        np.where(np.isnan(x), len(cuts) + 1, np.searchsorted(cuts, x))
        for cuts, name in zip(unit.cuts, unit.features, strict=True)
        for x in [X[:, column[name]]]
    ]


def test_tables_are_pure():
    column = {str(position): position for position in range(6)}
    for unit in CARD.additive_.units:
        axes = bins_of(unit, column)
        counts = np.zeros(unit.values.shape)
        np.add.at(counts, tuple(axes), 1)
        weighted = counts * unit.values
        if len(axes) == 1:
            assert abs(weighted.sum()) < 1e-8
        else:
            np.testing.assert_allclose(weighted.sum(axis=0), 0, atol=1e-8)
            np.testing.assert_allclose(weighted.sum(axis=1), 0, atol=1e-8)
    assert CARD.additive_.intercept == pytest.approx(raw_score(CARD, X).mean(), abs=1e-10)


def test_the_pair_that_matters_has_the_strongest_table():
    assert CARD.pairs_[0] == (2, 3)
    pairs = [unit for unit in CARD.additive_.units if len(unit.features) == 2]
    assert {unit.features for unit in pairs} <= {tuple(str(c) for c in pair) for pair in CARD.pairs_}
    assert strongest_pairs(CARD.additive_, X, 1) == ((2, 3),)
    assert len(pairs) > 1


def test_pairs_are_capped():
    card = BoostedScorecard(**SMALL | {"max_pairs": 1}).fit(X, Y)
    assert card.pairs_ == ((2, 3),)
    assert [unit.features for unit in card.additive_.units if len(unit.features) == 2] == [("2", "3")]


def test_a_feature_never_missing_in_training_adds_nothing_when_missing():
    row = X[[0]].copy()
    row[0, 5] = np.nan
    terms = CARD.additive_.contributions(row)[0]
    silent = [term for unit, term in zip(CARD.additive_.units, terms, strict=True) if "5" in unit.features]
    assert silent
    assert not any(silent)


def test_the_score_is_monotone_in_every_signed_feature():
    signs = {name: sign or 0 for name, sign in zip(NAMES, SIGNS, strict=True)}
    assert CARD.to_additive(NAMES).monotone_violations(signs) == {}
    free = BoostedScorecard(**SMALL | {"signs": None}).fit(X, Y).to_additive(NAMES)
    assert free.monotone_violations(signs) != {}


def test_a_violated_sign_falls_back_to_depth_one(monkeypatch):
    monkeypatch.setattr(AdditiveScore, "monotone_violations", lambda *_: {"0": 1.0})
    card = BoostedScorecard(**SMALL).fit(X, Y)
    assert card.depth_ == 1
    assert card.pairs_ == ()
    assert all(len(unit.features) == 1 for unit in card.additive_.units)


def test_depth_one_can_be_asked_for():
    assert BoostedScorecard(**SMALL | {"max_depth": 1}).fit(X, Y).depth_ == 1


@pytest.mark.parametrize(("gain", "depth"), [(-0.1, 1), (0.01, 1), (0.1, 2)])
def test_depth_two_must_be_better_by_a_standard_error(gain, depth):
    shallow = np.tile([0.3, 0.7], 50)
    deep = shallow - gain - np.tile([0.5, -0.5], 50)  # standard error of the difference: .05
    tried = [_Choice(1, 10, shallow), _Choice(2, 10, deep)]
    assert _plainest(tried).depth == depth


def test_many_defaults_need_one_split(monkeypatch):
    monkeypatch.setattr(boosted_scorecard, "ONE_SPLIT_BADS", 100)
    card = BoostedScorecard(**SMALL).fit(X, Y)
    assert auc(Y, card.decision_function(X)) > 0.8


def test_it_ranks_unseen_rows():
    X_new, y_new = sample(seed=1)
    assert auc(y_new, CARD.decision_function(X_new)) > 0.76


@settings(max_examples=40)
@given(st.integers(0, len(X) - 1))
def test_a_row_alone_has_the_bits_of_the_batch(row):
    assert CARD.decision_function(X[[row]])[0] == CARD.decision_function(X)[row]


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_score():
    again, other = (BoostedScorecard(**SMALL | {"seed": seed}).fit(X, Y) for seed in (0, 1))
    assert again.additive_.to_json() == CARD.additive_.to_json()
    assert (other.decision_function(X) != CARD.decision_function(X)).any()


def test_the_score_survives_json():
    named = CARD.to_additive(NAMES)
    loaded = AdditiveScore.from_json(json.loads(json.dumps(named.to_json())))
    np.testing.assert_array_equal(loaded.log_odds(X), CARD.decision_function(X))


def test_folds_keep_firms_together():
    """A firm's own number foretells its rows only; with firms held out, no tree helps."""
    generator = np.random.default_rng(0)
    firms = np.repeat(np.arange(100), 10)
    y = np.repeat(generator.random(100) < 0.4, 10)
    number = firms[:, np.newaxis] + generator.normal(scale=0.01, size=(1000, 1))
    honest, fooled = (BoostedScorecard(**SMALL | {"signs": None}).fit(number, y, groups) for groups in (firms, None))
    assert honest.n_trees_ < fooled.n_trees_


def test_too_few_rows_give_the_mean():
    card = BoostedScorecard().fit(X[:40], Y[:40])
    assert (card.depth_, card.n_trees_, card.boosters_) == (0, 0, ())
    np.testing.assert_allclose(card.predict_proba(X)[:, 1], (Y[:40].sum() + 0.5) / 41)


def test_large_seeds_are_allowed():
    card = BoostedScorecard(**SMALL | {"seed": 2**31 - 1}).fit(X[:200], Y[:200])
    assert np.isfinite(card.decision_function(X)).all()
