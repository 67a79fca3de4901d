"""A score is a sum of look-ups: exact terms, the same bits in any batch, plain JSON, monotone or not."""

import json
import math
from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.additive import AdditiveScore, Line, Replicas, Step

NAMES = ("a", "b", "c")
SCORE = AdditiveScore(
    names=NAMES,
    intercept=-1.7,
    units=(
        Step(("a",), (np.array([0.1, 0.3]),), np.array([0.3, -0.1, 0.7, 0.05])),
        Line("b", low=-2.0, high=3.0, centre=0.3, slope=0.7, missing=-0.11),
        Step(
            ("a", "c"),
            (np.array([0.2]), np.array([-1.0, 0.0, 1.0])),
            np.linspace(-1, 1, 15).reshape(3, 5) ** 3,
        ),
        Step(("c",), (np.array([0.5]),), np.array([0.1, 0.2, 0.3])),
    ),
)

cells = st.floats(-4, 4) | st.sampled_from([math.nan, math.inf, -math.inf, 0.1, 0.2, 0.3, -1.0, 0.0, 1.0, 0.5])
matrices = arrays(np.float64, array_shapes(min_dims=1, max_dims=1, max_side=9).map(lambda n: (*n, 3)), elements=cells)


def evaluate(data, row):
    """Twenty lines of plain Python that know nothing of ours."""
    value = dict(zip(data["names"], row, strict=True))
    total = data["intercept"]
    for unit in data["units"]:
        if unit["kind"] == "line":
            x = value[unit["feature"]]
            within = min(max(x, unit["low"]), unit["high"])
            total += unit["missing"] if math.isnan(x) else unit["slope"] * (within - unit["centre"])
            continue
        cell = unit["values"]
        for feature, cuts in zip(unit["features"], unit["cuts"], strict=True):
            x = value[feature]
            cell = cell[-1 if math.isnan(x) else bisect_left(cuts, x)]
        total += cell
    return total


@given(matrices)
def test_plain_python_on_the_exported_json_gives_the_same_bits(X):
    data = json.loads(json.dumps(SCORE.to_json(), allow_nan=False))
    assert SCORE.log_odds(X).tolist() == [evaluate(data, row) for row in X.tolist()]
    assert AdditiveScore.from_json(data).log_odds(X).tobytes() == SCORE.log_odds(X).tobytes()


@given(matrices)
def test_a_row_has_the_same_bits_alone_and_in_a_batch(X):
    replicas = Replicas(SCORE, np.linspace(-1, 2, 35).reshape(7, 5))
    for row in range(len(X)):
        alone = slice(row, row + 1)
        assert SCORE.log_odds(X[alone]).tobytes() == SCORE.log_odds(X)[alone].tobytes()
        assert SCORE.contributions(X[alone]).tobytes() == SCORE.contributions(X)[alone].tobytes()
        assert replicas.log_odds(X[alone]).tobytes() == replicas.log_odds(X)[alone].tobytes()


def test_chunks_do_not_show():
    X = np.random.default_rng(1).normal(size=(10_001, 3))
    whole = SCORE.log_odds(X)
    assert whole.tobytes() == np.concatenate([SCORE.log_odds(part) for part in np.array_split(X, 7)]).tobytes()
    assert whole.tobytes() == SCORE.log_odds(np.asfortranarray(X)).tobytes()


@given(matrices)
def test_terms_add_up_from_left_to_right(X):
    total = np.full(len(X), SCORE.intercept)
    for term in SCORE.contributions(X).T:
        total += term
    assert total.tobytes() == SCORE.log_odds(X).tobytes()


def test_a_value_on_a_cut_falls_left_and_missing_has_its_own_bin():
    step = AdditiveScore(("a",), 0.0, (Step(("a",), (np.array([1.0]),), np.array([10.0, 20.0, 30.0])),))
    X = np.array([[1.0], [np.nextafter(1.0, 2)], [np.inf], [-np.inf], [np.nan]])
    assert step.log_odds(X).tolist() == [10.0, 20.0, 20.0, 10.0, 30.0]


def test_scaling_scales_every_term():
    X = np.random.default_rng(2).normal(size=(50, 3))
    assert SCORE.scaled(0.4, 1.3).log_odds(X) == pytest.approx(0.4 + 1.3 * SCORE.log_odds(X))
    replicas = Replicas(SCORE, np.ones((2, 5)))
    assert replicas.scaled(0.4, 1.3).log_odds(X) == pytest.approx(0.4 + 1.3 * replicas.log_odds(X))


def test_replicas_survive_json():
    replicas = Replicas(SCORE, np.random.default_rng(3).normal(size=(3, 5)))
    X = np.random.default_rng(4).normal(size=(20, 3))
    copy = Replicas.from_json(json.loads(json.dumps(replicas.to_json())))
    assert copy.log_odds(X).tobytes() == replicas.log_odds(X).tobytes()


def test_names_can_be_changed():
    renamed = SCORE.renamed(["x", "y", "z"])
    assert [unit.features for unit in renamed.units] == [("x",), ("y",), ("x", "z"), ("z",)]
    with pytest.raises(ValueError, match="3 different names"):
        SCORE.renamed(["x", "y", "y"])


@settings(max_examples=60)
@given(
    arrays(np.float64, (4,), elements=st.floats(-1, 1)),
    arrays(np.float64, (4, 4), elements=st.floats(-1, 1)),
    arrays(np.float64, (3, 4), elements=st.floats(-1, 1)),
)
def test_monotone_check_equals_brute_force(main, first, second):
    a, b, c = np.array([0.0, 1.0]), np.array([0.5, 1.5]), np.array([0.5])
    score = AdditiveScore(
        NAMES,
        0.0,
        (Step(("a",), (a,), main), Step(("a", "b"), (a + 0.2, b), first), Step(("c", "a"), (c, a + 0.4), second)),
    )
    along = [-1.0, 0.1, 0.3, 0.9, 1.1, 1.3, 2.0]
    wrong = 0.0
    for partner_b in (0.0, 1.0, 2.0, np.nan):
        for partner_c in (0.0, 1.0, np.nan):
            path = score.log_odds(np.array([[x, partner_b, partner_c] for x in along]))
            wrong = max(wrong, float(-np.diff(path).min()))
    found = score.monotone_violations({"a": 1, "b": 0}, tolerance=1e-12)
    assert found.get("a", 0.0) == pytest.approx(max(wrong, 0.0), abs=1e-11)


def test_monotone_check_of_lines():
    lines = AdditiveScore(("a",), 0.0, (Line("a", 0.0, 4.0, 0.0, 1.0, 0.0), Line("a", 2.0, 3.0, 0.0, -1.5, 9.0)))
    assert lines.monotone_violations({"a": 1}) == {"a": 0.5}
    assert lines.monotone_violations({"a": -1}) == {"a": 1.0}
    assert lines.monotone_violations({"a": 0}) == {}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Step(("a",), (np.array([2.0, 1.0]),), np.zeros(4)), "increasing"),
        (lambda: Step(("a",), (np.array([np.nan]),), np.zeros(3)), "finite"),
        (lambda: Step(("a",), (np.array([1.0]),), np.zeros(4)), "do not fit"),
        (lambda: Step(("a",), (np.array([1.0]),), np.array([0.0, np.inf, 0.0])), "values must be finite"),
        (lambda: Step(("a", "a"), (np.array([1.0]),) * 2, np.zeros((3, 3))), "different"),
        (lambda: Line("a", 1.0, 0.0, 0.0, 1.0, 0.0), "low <= high"),
        (lambda: Line("a", 0.0, math.inf, 0.0, 1.0, 0.0), "finite"),
        (lambda: AdditiveScore(("a",), 0.0, (Line("b", 0.0, 1.0, 0.0, 1.0, 0.0),)), "not columns"),
        (lambda: AdditiveScore(("a",), math.nan, ()), "intercept"),
        (lambda: AdditiveScore(("a", "a"), 0.0, ()), "twice"),
        (lambda: SCORE.log_odds(np.zeros((2, 4))), "3 columns"),
        (lambda: SCORE.contributions(np.zeros(3)), "3 columns"),
        (lambda: Replicas(SCORE, np.zeros((2, 3))), "do not fit"),
        (lambda: Replicas(SCORE, np.full((2, 5), np.nan)), "finite"),
        (lambda: AdditiveScore.from_json(SCORE.to_json() | {"units": [{"kind": "tree"}]}), "unknown kind"),
    ],
)
def test_what_is_no_score_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
