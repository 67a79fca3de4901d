import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import CATALOG
from models.additive import AdditiveScore, Line, Step
from models.grades import points_of
from models.reasons import explain as explain_in_json
from models.reasons import points_to_mean, top_units

few = settings(max_examples=25)

NAMES = ("ln_sales", "growth", "sales_cv", "zero_months", "cust_hhi", "void_rate", "owner_yrs", "growth_surge")


def line(name, slope):
    return Line(name, low=-10.0, high=10.0, centre=0.0, slope=slope, missing=0.3)


def pair(first, second, values):
    return Step((first, second), (np.array([0.0]), np.array([0.0])), np.array(values, dtype=float))


SCORE = AdditiveScore(
    NAMES,
    -3.0,
    (
        *(line(name, float(CATALOG[name].sign or 1)) for name in NAMES[:-1]),
        pair("ln_sales", "cust_hhi", [[0.1, 0.9, 0.2], [-0.4, 0.3, 0.2], [0.0, 0.1, 0.0]]),
    ),
)
rows_of_values = st.lists(
    st.lists(st.integers(-8, 8).map(lambda k: k / 4), min_size=len(NAMES), max_size=len(NAMES)),
    min_size=1,
    max_size=8,
)


def explain(*args, **options):
    return [json.loads(reasons) for reasons in explain_in_json(*args, **options).texts]


def families_of(unit):
    return {CATALOG[name].family for name in unit.features}


def chosen_by_the_rule(points, units, top=4):
    chosen, used = [], set()
    for unit in sorted(range(len(units)), key=lambda unit: points[unit]):
        if points[unit] != 0 and not used & families_of(units[unit]) and len(chosen) < top:
            chosen.append(unit)
            used |= families_of(units[unit])
    return chosen


@few
@given(rows_of_values)
def test_differences_from_the_mean_add_up_to_the_points(rows):
    terms = SCORE.contributions(np.array(rows))
    mean = terms.mean(axis=0)
    mean_points = points_of(SCORE.intercept + mean.sum())
    own = points_of(SCORE.log_odds(np.array(rows)))
    assert points_to_mean(terms, mean).sum(axis=1) == pytest.approx(own - mean_points, abs=1e-9)


@few
@given(rows_of_values)
def test_top_units_follow_the_rule_row_by_row(rows):
    terms = SCORE.contributions(np.array(rows))
    points = points_to_mean(terms, terms.mean(axis=0))
    found = top_units(points, SCORE.units)
    for own, units in zip(points, found.tolist(), strict=True):
        assert [unit for unit in units if unit >= 0] == chosen_by_the_rule(own, SCORE.units)


@few
@given(rows_of_values)
def test_reasons_are_ranked_one_a_family_and_ready_for_json(rows):
    X = np.array(rows)
    points = points_to_mean(SCORE.contributions(X), np.zeros(len(SCORE.units)))
    for reasons in explain(SCORE, points, X, np.median(X, axis=0)):
        json.dumps(reasons, allow_nan=False)
        own = [reason["points"] for reason in reasons]
        assert own == sorted(own)
        families = [CATALOG[name].family for reason in reasons for name in set(reason["features"])]
        singles = [reason for reason in reasons if len(reason["features"]) == 1]
        assert len(singles) <= len(set(families))
        assert all(set(reason["text"]) == {"zh-CN", "en"} and all(reason["text"].values()) for reason in reasons)


def one_reason(score, x, typical, **options):
    points = points_to_mean(score.contributions(x), np.zeros(len(score.units)))
    return explain(score, points, x, typical, **options)[0][0]


def test_a_bad_value_is_named_with_the_worse_phrase_and_the_typical_value():
    score = AdditiveScore(("zero_months",), 0.0, (line("zero_months", 1.0),))
    reason = one_reason(score, np.array([[0.5]]), np.array([0.1]))
    feature = CATALOG["zero_months"]
    assert reason["code"] == "zero_months"
    assert reason["value"] == [0.5]
    assert reason["points"] == pytest.approx(-14.426950)
    assert reason["text"]["en"] == f"{feature.worse_en} ({feature.en}: 50%; typically 10%)"
    assert reason["text"]["zh-CN"] == f"{feature.worse_zh}（{feature.zh}：50%，典型值：10%）"


def test_a_good_value_is_named_with_the_better_phrase():
    score = AdditiveScore(("owner_yrs",), 0.0, (line("owner_yrs", -0.1),))
    reason = one_reason(score, np.array([[9.0]]), np.array([4.0]))
    assert reason["points"] > 0
    assert reason["text"]["en"].startswith(CATALOG["owner_yrs"].better_en)


def test_a_phrase_that_the_value_would_contradict_is_left_out():
    score = AdditiveScore(("zero_months",), 0.0, (line("zero_months", 1.0),))
    points = np.array([[-2.0]])
    reason = explain(score, points, np.array([[0.05]]), np.array([0.1]))[0][0]
    assert reason["text"]["en"] == f"{CATALOG['zero_months'].en}: 5.0%; typically 10%"
    assert CATALOG["zero_months"].worse_zh not in reason["text"]["zh-CN"]


def test_a_feature_free_in_direction_is_named_by_its_effect():
    score = AdditiveScore(("growth_surge",), 0.0, (line("growth_surge", 1.0),))
    reason = one_reason(score, np.array([[0.5]]), np.array([np.nan]))
    assert reason["text"]["en"].startswith(CATALOG["growth_surge"].worse_en)
    assert "typically" not in reason["text"]["en"]
    assert "典型值" not in reason["text"]["zh-CN"]


def test_an_unknown_value_is_said_to_be_unknown():
    score = AdditiveScore(("zero_months",), 0.0, (line("zero_months", 1.0),))
    unknown = one_reason(score, np.array([[np.nan]]), np.array([0.1]))
    assert unknown["value"] == [None]
    assert unknown["text"]["en"] == f"{CATALOG['zero_months'].en}: unknown; typically 10%"
    assert "未知" in unknown["text"]["zh-CN"]
    filled = one_reason(score, np.array([[0.5]]), np.array([0.1]), missing=np.array([[True]]))
    assert filled["value"] == [None]


def test_a_pair_is_named_as_a_pair_and_uses_both_families():
    units = (
        pair("ln_sales", "cust_hhi", [[0.0, 2.0, 0.0], [-2.0, 0.0, 0.0], [0.0] * 3]),
        line("cust_hhi", 1.0),
        line("ln_sales", -1.0),
        line("void_rate", 1.0),
    )
    score = AdditiveScore(NAMES, 0.0, units)
    X = np.zeros((1, len(NAMES)))
    X[0, [0, 4, 5]] = (-1.0, 1.0, 0.5)
    points = points_to_mean(score.contributions(X), np.zeros(4))
    reasons = explain(score, points, X, np.zeros(len(NAMES)))[0]
    assert [reason["code"] for reason in reasons] == ["ln_sales:cust_hhi", "void_rate"]
    first = reasons[0]
    assert first["features"] == ["ln_sales", "cust_hhi"]
    assert first["value"] == [-1.0, 1.0]
    assert CATALOG["ln_sales"].en in first["text"]["en"]
    assert CATALOG["cust_hhi"].zh in first["text"]["zh-CN"]
    assert first["text"]["en"].endswith("raises the risk")
    assert first["text"]["zh-CN"].endswith("抬高了风险")


def test_a_score_without_units_has_no_reasons():
    score = AdditiveScore(NAMES, -3.0, ())
    X = np.zeros((2, len(NAMES)))
    assert explain(score, np.empty((2, 0)), X, X[0]) == [[], []]


def test_ranking_ten_thousand_rows_is_vectorised():
    points = np.random.default_rng(0).normal(size=(10_000, len(SCORE.units)))
    found = top_units(points, SCORE.units)
    for row in range(0, 10_000, 997):
        assert [unit for unit in found[row].tolist() if unit >= 0] == chosen_by_the_rule(points[row], SCORE.units)
