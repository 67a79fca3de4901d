import json

import numpy as np
import pytest
from scipy.special import expit

from models.grades import PD_FLOOR, grade_of, points_of
from models.reasons import points_to_mean
from tests.models.handmade import NAMES, SCORE, bootstrap_interval, matrix, model, venn_abers_interval

FIELDS = ("pd", "low", "high", "points", "grade", "contributions")


@pytest.fixture(params=[bootstrap_interval, venn_abers_interval], ids=["bootstrap", "venn-abers"])
def fitted(request):
    return model(request.param())


def test_one_row_is_the_same_bits_alone_or_among_ten_thousand(fitted):
    X = matrix(10_001)
    together = fitted.score(X)
    for row in range(0, len(X), 501):
        alone = fitted.score(X[row : row + 1])
        for field in FIELDS:
            assert getattr(alone, field)[0].tobytes() == getattr(together, field)[row].tobytes()


def test_layout_and_order_of_the_matrix_change_no_bit(fitted):
    X = matrix(300)
    whole, turned = fitted.score(X), fitted.score(np.asfortranarray(X)[::-1])
    for field in FIELDS:
        assert getattr(turned, field)[::-1].tobytes() == getattr(whole, field).tobytes()


def test_points_pd_grade_and_interval_hang_together(fitted):
    X = matrix(2_000)
    scores = fitted.score(X)
    log_odds = SCORE.log_odds(X)
    assert (scores.pd == np.maximum(expit(log_odds), PD_FLOOR)).all()
    assert (scores.points == points_of(log_odds)).all()
    assert (scores.grade == grade_of(scores.pd)).all()
    assert (scores.low >= PD_FLOOR).all()
    assert (scores.low <= scores.pd).all()
    assert (scores.pd <= scores.high).all()
    assert (scores.high <= 1).all()
    assert scores.interval_kind == fitted.interval.kind


def test_bootstrap_bounds_are_the_fifth_and_ninety_fifth_of_ninety_nine_replicas():
    fitted, X = model(bootstrap_interval(99)), matrix(50)
    pds = np.sort(expit(fitted.interval.replicas.log_odds(X)), axis=1)
    scores = fitted.score(X)
    assert scores.low == pytest.approx(np.minimum(pds[:, 4], scores.pd))
    assert scores.high == pytest.approx(np.maximum(pds[:, 94], scores.pd))


def test_bounds_of_a_single_replica_are_itself():
    fitted, X = model(bootstrap_interval(1)), matrix(5)
    low, high = fitted.interval.bounds(X, SCORE.log_odds(X))
    assert low.tolist() == high.tolist()


def test_reasons_count_from_the_reference_population(fitted):
    X = matrix(20)
    scores = fitted.score(X)
    points = points_to_mean(scores.contributions, fitted.mean_contributions)
    assert points.sum(axis=1) == pytest.approx(scores.points - fitted.mean_points, abs=1e-9)
    for own, text in zip(points, fitted.reasons(X, scores).texts, strict=True):
        reasons = json.loads(text)
        assert reasons[0]["points"] == own.min()
        assert 1 <= len(reasons) <= 4
    assert len(json.loads(fitted.reasons(X, scores, top=1).texts[0])) == 1


def test_no_rows_give_no_scores(fitted):
    scores = fitted.score(np.empty((0, len(NAMES))))
    assert [len(getattr(scores, field)) for field in FIELDS] == [0] * 6
    assert fitted.reasons(np.empty((0, len(NAMES))), scores).texts == []


def test_a_model_refuses_parts_that_do_not_fit(fitted):
    with pytest.raises(ValueError, match="columns"):
        fitted.score(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="mean contribution"):
        model(mean_contributions=np.zeros(2))
    with pytest.raises(ValueError, match="typical"):
        model(typical=np.zeros(2))
