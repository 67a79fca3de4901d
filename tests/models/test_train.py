import json
from datetime import date
from functools import cache
from unittest import mock

import numpy as np
import pytest
from scipy.special import expit, logit

from models.artifact import digest, dump, load
from models.calibration import MIN_SLOPE
from models.grades import PD_FLOOR
from models.product import CentralTendency
from models.products import PRODUCTS
from models.report import plain
from models.train import TrainingData, TrainingError, eligible, fit, is_small, select
from models.validation import auc
from tests.models.test_artifact import assert_card_agrees

PRODUCT = PRODUCTS["credit-score"]
EFFECTS = {
    "ln_sales": -0.9,
    "sales_cv": 0.7,
    "zero_months": 0.5,
    "cust_hhi": 0.4,
    "void_rate": 0.4,
    "owner_yrs": -0.4,
    "growth": -0.3,
    "seasonality": 0.0,
    "ln_ticket": 0.0,
}
NAMES = tuple(EFFECTS)


def economy(n_firms, level, seed=0, years=1):
    """Return features, true PDs, defaults and firms of a population with the effects above."""
    generator = np.random.default_rng(seed)
    firm = generator.normal(size=(n_firms, len(NAMES)))
    X = np.concatenate([0.9 * firm + 0.44 * generator.normal(size=firm.shape) for _ in range(years)])
    truth = expit(level + X @ np.array(list(EFFECTS.values())))
    y = generator.random(len(X)) < truth
    groups = [f"firm-{number:05d}" for number in range(n_firms)] * years
    return X, truth, y, groups


def sample(n_firms, level, seed=0, years=1, **options):
    X, _, y, groups = economy(n_firms, level, seed, years)
    X[np.random.default_rng(seed).random(X.shape) < 0.02] = np.nan
    return TrainingData(X=X, names=NAMES, y=y, groups=groups, **options)


LEVELS = {"small": -2.4, "middle": -2.1, "large": -0.6}
SIZES = tuple(LEVELS)


@cache
def fitted(size):
    """Return a model of each size: together they try every estimator, the largest at fewer defaults than usual."""
    n_firms, years, n_folds = {"small": (300, 1, 5), "middle": (450, 2, 5), "large": (600, 1, 2)}[size]
    with mock.patch.multiple("models.train", N_FOLDS=n_folds, LARGE_SAMPLE=180):
        return fit(PRODUCT, sample(n_firms, LEVELS[size], years=years), seed=1)


@pytest.fixture
def quick(monkeypatch):
    """Train with one repeat of the folds and few replicas."""
    monkeypatch.setattr("models.train.SMALL_SAMPLE_REPEATS", 1)
    monkeypatch.setattr("models.train.N_REPLICAS", 39)


@pytest.mark.parametrize(
    ("n_defaults", "names"),
    [
        (0, ("logistic",)),
        (99, ("logistic",)),
        (100, ("logistic", "woe-scorecard")),
        (400, ("logistic", "woe-scorecard")),
        (401, ("woe-scorecard", "boosted-scorecard")),
    ],
)
def test_the_size_rule(n_defaults, names):
    assert eligible(n_defaults) == names


def test_few_rows_are_a_small_sample_however_many_default():
    assert is_small(120, 199)
    assert not is_small(120, 200)
    assert is_small(29, 5_000, small_sample_limit=10)
    assert eligible(120, 199) == ("logistic",)


@pytest.mark.parametrize("size", SIZES)
def test_pds_are_close_to_the_truth_and_rank_the_unseen(size):
    X, truth, y, _ = economy(20_000, LEVELS[size], seed=99)
    pd = fitted(size).score(X).pd
    tolerance = {"small": 0.04, "middle": 0.03, "large": 0.04}[size]
    assert pd.mean() == pytest.approx(truth.mean(), abs=tolerance)
    assert np.abs(pd - truth).mean() < 2.5 * tolerance
    assert auc(y, pd) > auc(y, truth) - 2 * tolerance
    order = np.argsort(pd)
    for fifth in np.array_split(order, 5):
        assert pd[fifth].mean() == pytest.approx(truth[fifth].mean(), abs=3 * tolerance)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("nothing", [np.nan, 0.0])
def test_a_feature_that_says_nothing_is_not_used(quick, size, nothing):
    """A lender without consents, or whose owners all have clean records, trains all the same."""
    n_firms, years = {"small": (300, 1), "middle": (450, 2), "large": (600, 1)}[size]
    data = sample(n_firms, LEVELS[size], years=years)
    X = np.column_stack([data.X, np.full(len(data.X), nothing)])
    more = TrainingData(X=X, names=(*NAMES, "owner_dpd"), y=data.y, groups=data.groups)
    with mock.patch.multiple("models.train", N_FOLDS=2, LARGE_SAMPLE=180):
        model = fit(PRODUCT, more, seed=1)
    assert "owner_dpd" not in {name for unit in model.additive.units for name in unit.features}
    X[:, -1] = 45.0
    assert np.isfinite(model.score(X).pd).all()
    json.dumps(plain(model.report), allow_nan=False)


@pytest.mark.parametrize("size", SIZES)
def test_signs_of_the_effects_are_recovered(size):
    kept = {row["name"]: row for row in fitted(size).report["features"]}
    strong = [name for name, effect in EFFECTS.items() if abs(effect) >= (0.7 if size == "small" else 0.4)]
    assert set(strong) <= kept.keys()
    for name in strong:
        assert kept[name]["direction"] == kept[name]["sign"] == np.sign(EFFECTS[name])
    ivs = {name: row["iv"] for name, row in kept.items()}
    assert ivs["ln_sales"] > max(ivs.get(name, 0.0) for name in ("seasonality", "ln_ticket"))
    weights = [row["weight"] for row in fitted(size).report["features"]]
    assert weights == sorted(weights, reverse=True)
    assert fitted(size).report["features"][0]["name"] in {"ln_sales", "sales_cv"}


def test_each_size_gets_its_estimators_and_its_interval():
    tried = {size: [c["estimator"] for c in fitted(size).report["validation"]["candidates"]] for size in SIZES}
    assert tried == {
        "small": ["logistic"],
        "middle": ["logistic", "woe-scorecard"],
        "large": ["woe-scorecard", "boosted-scorecard"],
    }
    kinds = [fitted(size).interval.kind for size in SIZES]
    assert kinds == ["bootstrap", "venn-abers", "venn-abers"]
    assert fitted("small").report["validation"]["repeats"] == 5


@pytest.mark.parametrize("size", SIZES)
def test_intervals_hold_the_pd_and_mostly_the_truth(size):
    X, truth, _, _ = economy(4_000, LEVELS[size], seed=98)
    scores = fitted(size).score(X)
    assert (scores.low >= PD_FLOOR).all()
    assert (scores.low <= scores.pd).all()
    assert (scores.pd <= scores.high).all()
    if size == "small":
        assert ((scores.low <= truth) & (truth <= scores.high)).mean() > 0.6


@pytest.mark.parametrize("size", SIZES)
def test_online_is_batch_and_artifact_and_card_say_the_same(size):
    model = fitted(size)
    X = sample(400, -2.4, seed=5).X
    scores = model.score(X)
    data = dump(model)
    loaded = load(data, digest(data))
    for row in range(0, 400, 57):
        alone = loaded.score(X[row : row + 1])
        for field in ("pd", "low", "high", "points", "grade", "contributions"):
            assert getattr(alone, field)[0].tobytes() == getattr(scores, field)[row].tobytes()
    assert_card_agrees(model, X[:60])


@pytest.mark.parametrize("size", SIZES)
def test_reasons_add_up_to_the_points(size):
    model = fitted(size)
    X = sample(50, -2.4, seed=6).X
    scores = model.score(X)
    every = model.reasons(X, scores, top=len(model.additive.units))
    assert all(reasons != "[]" for reasons in every.texts)
    own = -28.853900817779268 * (scores.contributions - model.mean_contributions)
    assert own.sum(axis=1) == pytest.approx(scores.points - model.mean_points, abs=1e-9)


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same_bytes():
    data = sample(300, -2.4)
    first, again, other = (dump(fit(PRODUCT, data, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_estimator_may_be_asked_for_by_name_if_eligible():
    data = sample(900, -2.1)
    model = fit(PRODUCT, data, seed=1, estimator="woe-scorecard")
    assert model.estimator == "woe-scorecard"
    assert model.report["why"] == "woe-scorecard: asked for by name"
    with pytest.raises(TrainingError, match="not eligible") as refusal:
        fit(PRODUCT, data, seed=1, estimator="boosted-scorecard")
    assert refusal.value.code == "not-eligible"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("bias", [{"is_undated": True}, {"is_selected": True}, {"is_undated": "rows"}])
def test_pds_of_a_biased_sample_are_anchored(bias):
    if bias.get("is_undated") == "rows":
        bias = {"is_undated": np.arange(300) == 0}
    data = sample(300, -1.8, **bias)
    model = fit(PRODUCT, data, seed=1)
    assert model.report["pd_basis"] == "anchored"
    assert model.report["anchor"]["rate"] == PRODUCT.central_tendency.rate
    assert model.report["anchor"]["source"] == PRODUCT.central_tendency.source
    assert model.report["anchor"]["delta"] < 0
    assert model.score(data.X).pd.mean() == pytest.approx(PRODUCT.central_tendency.rate, rel=1e-6)


@pytest.mark.usefixtures("quick")
def test_the_central_tendency_and_its_population_may_be_stated():
    stated = CentralTendency(0.05, "ten years of the lender's book")
    population = sample(700, -3.0, seed=8).X
    data = sample(300, -1.8, is_undated=True)
    model = fit(PRODUCT, data, seed=1, central_tendency=stated, reference=population)
    assert model.score(population).pd.mean() == pytest.approx(0.05, rel=1e-6)
    assert model.report["anchor"]["source"] == stated.source
    assert model.report["anchor"]["reference_rows"] == 700
    assert model.typical == pytest.approx(np.nanmedian(population, axis=0))
    scores = model.score(population)
    assert (scores.high < 1).all()
    assert scores.low.mean() < 0.05 < scores.high.mean()


@pytest.mark.usefixtures("quick")
def test_a_venn_abers_interval_moves_with_the_anchor():
    model = fit(PRODUCT, sample(900, -2.1, is_undated=True), seed=1, estimator="logistic")
    assert model.interval.kind == "venn-abers"
    scores = model.score(sample(900, -2.1).X)
    assert scores.pd.mean() == pytest.approx(0.03, rel=1e-6)
    middle = (scores.pd > 0.01) & (scores.pd < 0.2)
    assert np.median(scores.high[middle] - scores.low[middle]) < 0.05


def test_a_dated_sample_is_observed():
    model = fitted("middle")
    assert model.report["pd_basis"] == "observed"
    assert model.report["anchor"] is None


@pytest.mark.usefixtures("quick")
def test_the_report_is_json_and_says_what_was_done():
    days = [date(2023, 1 + row % 12, 28) for row in range(300)]
    steps = []
    data = sample(300, -2.4, snapshot_on=days)
    model = fit(PRODUCT, data, seed=1, versions={"numpy": "x"}, progress=lambda *step: steps.append(step))
    report = model.report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["sample"] | {"default_rate": 0} == {
        "rows": 300,
        "defaults": int(np.sum(data.y)),
        "default_rate": 0,
        "firms": 300,
        "defaulted_firms": int(np.sum(data.y)),
        "first_snapshot_on": "2023-01-28",
        "last_snapshot_on": "2023-12-28",
        "undated_rows": 0,
        "is_selected": False,
    }
    assert report["eligible"] == ["logistic"]
    assert report["why"] == "logistic: the only estimator the size rule admits"
    candidate = report["validation"]["candidates"][0]
    assert candidate["low"] < candidate["auc"] < candidate["high"]
    assert report["calibration"]["slope"] > 0
    assert sum(row["count"] for row in report["grades"]) == 300
    assert report["interval"] == {"kind": "bootstrap", "level": 0.9}
    assert sum(report["score_bins"]["counts"]) == 300
    assert report["units"] == [":".join(unit.features) for unit in model.additive.units]
    assert (report["seed"], report["versions"]) == (1, {"numpy": "x"})
    validation = [step for step in steps if step[0] == "validation"]
    assert validation[0] == ("validation", 0, 5)
    assert validation[-1] == ("validation", 5, 5)
    assert {step[0] for step in steps} == {"validation", "fit", "interval"}


def test_installed_versions_are_recorded():
    assert set(fitted("small").versions) == {"lightgbm", "numpy", "polars", "scikit-learn", "scipy"}


def scores_of(**columns):
    return {name.replace("_", "-"): np.asarray(own, dtype=float)[np.newaxis] for name, own in columns.items()}


def test_auto_takes_the_plainest_within_one_paired_standard_error_of_the_best():
    generator = np.random.default_rng(0)
    y = np.arange(2_000) % 5 == 0
    signal = y + 0.5 * generator.normal(size=2_000)
    worse, close = signal + generator.normal(size=2_000), signal + 0.01 * generator.normal(size=2_000)
    names = ("logistic", "woe-scorecard", "boosted-scorecard")
    chosen = select(y, scores_of(logistic=worse, woe_scorecard=close, boosted_scorecard=signal), names)
    assert chosen.name == "woe-scorecard"
    assert "the plainest within" in chosen.why() or "the best out of fold" in chosen.why()
    clear = select(y, scores_of(logistic=worse, boosted_scorecard=signal), names)
    assert clear.name == clear.best == "boosted-scorecard"
    assert "the best out of fold" in clear.why()
    best_first = select(y, scores_of(logistic=signal, woe_scorecard=worse), names)
    assert best_first.why() == "logistic: the best out of fold, and the plainest"
    tied = select(y, scores_of(logistic=worse, woe_scorecard=worse + 1e-9 * signal), names)
    assert tied.name == "logistic"


def test_a_plainer_estimator_just_behind_the_best_is_explained():
    y = np.arange(400) % 4 == 0
    generator = np.random.default_rng(3)
    rough, fine = y + generator.normal(size=(2, 400))
    aucs = (auc(y, rough), auc(y, fine))
    plain_one, best = (rough, fine) if aucs[0] < aucs[1] else (fine, rough)
    chosen = select(y, scores_of(logistic=plain_one, woe_scorecard=best), ("logistic", "woe-scorecard"))
    assert chosen.name == "logistic"
    assert chosen.why().startswith("logistic: the plainest within one paired standard error of the best (woe-sc")


def refusal(**changes):
    data = sample(300, -2.4)
    fields = {"X": data.X, "names": data.names, "y": data.y, "groups": data.groups} | changes
    with pytest.raises(TrainingError) as caught:
        fit(PRODUCT, TrainingData(**fields), seed=1)
    return caught.value


def test_what_cannot_be_learned_from_is_refused_in_words():
    X = sample(300, -2.4).X
    infinite = X.copy()
    infinite[0, 0] = np.inf
    assert refusal(X=infinite).code == "bad-matrix"
    assert refusal(X=X[:, :3]).code == "bad-matrix"
    assert refusal(groups=["a"]).code == "bad-matrix"
    assert "outside the catalogue" in str(refusal(names=("no_such", *NAMES[1:])))
    assert str(refusal(y=np.zeros(300))) == "all 300 rows are without default: both are needed"
    assert refusal(y=np.ones(300)).code == "one-class"
    assert refusal(X=X[:0], y=np.zeros(0), groups=[]).code == "one-class"
    few = refusal(y=np.arange(300) < 9)
    assert few.code == "too-few-defaults"
    assert "9 firms with default" in str(few)
    assert refusal(y=np.arange(300) < 50, groups=["one firm"] * 50 + ["x"] * 250).code == "too-few-defaults"


@pytest.mark.usefixtures("quick")
def test_a_worthless_sample_gives_a_nearly_flat_score():
    data = sample(400, -1.0)
    shuffled = np.random.default_rng(0).permutation(data.y)
    model = fit(PRODUCT, TrainingData(X=data.X, names=NAMES, y=shuffled, groups=data.groups), seed=1)
    pd = model.score(data.X).pd
    assert model.report["calibration"]["slope"] >= MIN_SLOPE
    assert np.abs(logit(pd) - logit(shuffled.mean())).mean() < 0.35


def test_plain_values_are_json():
    value = {"a": np.float64(1.5), "b": (np.nan, np.int64(3)), "c": np.array([[1, 2]]), "d": None, "e": np.True_}
    assert plain(value) == {"a": 1.5, "b": [None, 3], "c": [[1, 2]], "d": None, "e": True}
