"""The small-sample logistic: expert signs, few features, choices inside the fit, cheap refits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.additive import Line, Replicas
from models.estimators import logistic
from models.estimators.logistic import STRENGTHS, SmallSampleLogistic, candidates
from models.validation import auc

NAMES = tuple("abcdefghij")
SIGNS = (-1, 1, 1, 0, -1, 1, -1, 1, 0, 1)


def sample(n=160, seed=0, missing=0.15):
    """Return firms whose log-odds fall with column 0 and rise with column 2; the other columns are noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES)))
    y = rng.random(n) < expit(-1.2 - 1.5 * X[:, 0] + X[:, 2])
    X[:, 1:][rng.random((n, len(NAMES) - 1)) < missing] = np.nan
    return X, y


def fitted(X, y, groups=None, **parameters):
    return SmallSampleLogistic(**({"signs": SIGNS} | parameters)).fit(X, y, groups)


@parametrize_with_checks([SmallSampleLogistic()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def model():
    return fitted(*sample())


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200))
def test_a_row_has_the_same_bits_alone_and_in_a_batch(model, seed, n):
    X = sample(n, seed, missing=0.4)[0]
    batch = model.decision_function(X)
    row = seed % n
    assert model.decision_function(X[row : row + 1]).tobytes() == batch[row : row + 1].tobytes()


def test_same_arguments_give_the_same_bits():
    X, y = sample()
    one, other = fitted(X, y), fitted(X, y)
    assert one.to_additive(NAMES).to_json() == other.to_additive(NAMES).to_json()
    draws = [model.bootstrap(X, y, names=NAMES, n_replicas=5, seed=4).coefficients for model in (one, other)]
    assert draws[0].tobytes() == draws[1].tobytes()


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_signs_bind_whatever_the_sample_says(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, len(NAMES))), rng.random(60) < 0.4
    signs = dict(zip(NAMES, SIGNS, strict=True))
    if y.any() and not y.all():
        assert fitted(X, y).to_additive(NAMES).monotone_violations(signs, tolerance=0.0) == {}


def test_it_recovers_what_was_planted(model):
    X, y = sample(4000, seed=9)
    slopes = {unit.feature: unit.slope for unit in model.to_additive(NAMES).units}
    assert slopes["a"] < -0.5
    assert slopes["c"] > 0.2
    assert auc(y, model.decision_function(X)) > 0.80


def test_against_the_peer_where_no_sign_binds():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 3))
    y = rng.random(300) < expit(X @ [1.0, -0.5, 0.3] - 1)
    model = fitted(X, y, signs=None)
    lines = {int(unit.feature): unit for unit in model.additive_.units}
    Z = np.column_stack([(np.clip(X[:, j], u.low, u.high) - u.centre) for j, u in sorted(lines.items())])
    Z /= Z.std(axis=0)
    peer = LogisticRegression(C=model.C_, tol=1e-10, max_iter=1000).fit(Z, y)
    assert model.decision_function(X) == pytest.approx(peer.decision_function(Z), abs=1e-4)


def test_gradient_is_exact(monkeypatch):
    seen = {}
    monkeypatch.setattr(logistic, "minimize", lambda f, start, **_: seen.update(f=f) or _Found(start))
    X, y = sample(missing=0.0)
    logistic._fit(X, y, SIGNS, 0.1, weights=np.arange(len(y)) % 3.0)
    point = np.linspace(-0.5, 0.5, 11)
    numeric = approx_fprime(point, lambda b: seen["f"](b)[0], 1e-7)
    assert seen["f"](point)[1] == pytest.approx(numeric, abs=1e-3)


class _Found:
    def __init__(self, x):
        self.x = x


def test_signed_features_come_first_in_the_order_of_the_columns():
    free = [column for column, sign in enumerate(SIGNS) if not sign]
    assert candidates(SIGNS) == [*(column for column in range(len(SIGNS)) if column not in free), *free]
    assert free


def test_features_are_passed_over_for_cause():
    X, y = sample(missing=0.0)
    X[:, 2] = 4.0  # constant
    X[:100, 4] = np.nan  # mostly unknown
    X[:, 1] = np.where(y, -1.0, 1.0) + X[:, 1] / 9  # against its sign
    assert fitted(X, y, max_features=10).selected_[:1] == (0,)
    assert not {1, 2, 4} & set(fitted(X, y, max_features=10).selected_)
    assert len(fitted(X, y, max_features=2).selected_) <= 2


def test_outliers_are_pulled_in():
    X, y = sample(missing=0.0)
    far = X.copy()
    far[0, 0] = 1e9
    at = [[0.5] * len(NAMES)]
    assert fitted(far, y).decision_function(at) == pytest.approx(fitted(X, y).decision_function(at), abs=0.3)


def test_missing_value_has_its_own_constant_where_enough_rows_say_so():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(200, 1))
    y = rng.random(200) < 0.3
    y[:40] = rng.random(40) < 0.8
    few, many = X.copy(), X.copy()
    few[:4], many[:40] = np.nan, np.nan
    constants = [_line(fitted(Z, y, signs=[0])).missing for Z in (few, many)]
    assert constants[0] == 0.0
    assert constants[1] > 0.5


def _line(model):
    (unit,) = model.to_additive(["x"]).units
    assert isinstance(unit, Line)
    return unit


def test_rows_of_a_firm_stay_together():
    X, y = sample(60)
    copies = np.repeat(np.arange(60), 4)
    model = fitted(X[copies], y[copies], groups=copies)
    assert model.C_ in STRENGTHS
    drawn = model.bootstrap(X[copies], y[copies], copies, names=NAMES, n_replicas=30, seed=0)
    alone = model.bootstrap(X[copies], y[copies], names=NAMES, n_replicas=30, seed=0)
    assert drawn.coefficients.std(axis=0)[1:].sum() > 1.3 * alone.coefficients.std(axis=0)[1:].sum()


def test_bootstrap_spreads_around_the_fit():
    X, y = sample(400, missing=0.05)
    model = fitted(X, y)
    replicas = model.bootstrap(X, y, names=NAMES, n_replicas=200, seed=3)
    spread = replicas.log_odds(X[:50])
    low, high = np.quantile(spread, [0.05, 0.95], axis=1)
    point = model.decision_function(X[:50])
    assert np.mean((low <= point) & (point <= high)) > 0.9


def test_all_weights_one_give_the_fitted_score_back():
    X, y = sample(missing=0.4)
    model = fitted(X, y)
    replicas = model.bootstrap(X, y, names=NAMES, n_replicas=1, seed=0)
    itself = Replicas(replicas.basis, model._coefficients[np.newaxis])
    assert itself.log_odds(X)[:, 0] == pytest.approx(model.decision_function(X))


def test_bootstrap_draws_again_where_a_class_is_absent():
    X, y = np.arange(20.0)[:, None], np.arange(20) == 19
    model = fitted(X, y, signs=[1])
    coefficients = model.bootstrap(X, y, names=["x"], n_replicas=50, seed=0).coefficients
    assert np.isfinite(coefficients).all()


def test_too_little_to_learn_from_gives_a_constant():
    X, y = np.full((6, 2), np.nan), np.array([0, 1, 0, 0, 0, 0])
    model = fitted(X, y, signs=None)
    assert model.to_additive(["a", "b"]).units == ()
    assert model.predict_proba(X)[:, 1] == pytest.approx(1.5 / 7, abs=0.1)
    assert min(STRENGTHS) == model.C_


def test_clone_and_unknown_parameters():
    model = SmallSampleLogistic(signs=[1, 0], max_features=3)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(ValueError, match="signs"):
        model.fit(*sample())
