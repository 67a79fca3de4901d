import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from models.grades import (
    DEFAULTED,
    FACTOR,
    MASTER_SCALE,
    NAMES,
    OFFSET,
    PD_FLOOR,
    STEP,
    grade_of,
    notches,
    pd_of,
    pd_of_log_odds,
    points_of,
    share_per_grade,
    stable_grade,
)

few = settings(max_examples=40)

pds = st.floats(0.0, 1.0)
grades = st.sampled_from(NAMES)


def test_points_to_double_the_odds_v1():
    assert pytest.approx(28.853901, abs=1e-6) == FACTOR
    assert pytest.approx(487.122876, abs=1e-6) == OFFSET
    assert float(points_of(logit(0.02))) == pytest.approx(599.417073, abs=1e-6)
    assert float(points_of(-math.log(100.0)) - points_of(-math.log(50.0))) == pytest.approx(20.0)


def test_attribute_points_add_up_to_the_score_v1():
    alpha, terms = 3.0, (0.8 * 0.5, 1.1 * -0.4)
    points = [FACTOR * (term + alpha / 2) + OFFSET / 2 for term in terms]
    assert points == pytest.approx([298.38385, 274.14657], abs=1e-5)
    assert float(points_of(-(alpha + sum(terms)))) == pytest.approx(572.53042, abs=1e-5)
    assert float(pd_of(sum(points))) == pytest.approx(0.049266, abs=1e-6)


def test_master_scale_is_fifteen_equal_steps_in_log_odds():
    assert pytest.approx(0.450207, abs=1e-6) == STEP
    assert [grade.name for grade in MASTER_SCALE] == [str(number) for number in range(1, 16)]
    assert MASTER_SCALE[0].low == PD_FLOOR
    assert MASTER_SCALE[-1].high == 1.0
    lows = [logit(grade.low) for grade in MASTER_SCALE] + [logit(0.30)]
    assert np.diff(lows) == pytest.approx([STEP] * 15)
    middles = [(low + high) / 2 for low, high in pairwise(lows)]
    assert [logit(grade.pd) for grade in MASTER_SCALE] == pytest.approx(middles)


def test_grades_hold_their_bounds():
    for grade in MASTER_SCALE:
        assert grade_of(grade.pd) == grade.name
        assert grade_of(grade.high) == grade.name
    for grade in MASTER_SCALE[1:]:
        assert grade_of(np.nextafter(grade.low, 1.0)) == grade.name


@few
@given(st.lists(pds, max_size=20))
def test_grade_of_an_array_is_grade_of_each(values):
    assert grade_of(np.array(values)).tolist() == [grade_of(value) for value in values]


@few
@given(pds, pds)
def test_a_higher_pd_never_has_a_better_grade(a, b):
    low, high = sorted((a, b))
    assert notches(grade_of(low), grade_of(high)) >= 0


@pytest.mark.parametrize("pd", [-0.01, 1.01, math.nan])
def test_grade_of_refuses_what_is_no_pd(pd):
    with pytest.raises(ValueError, match="between 0 and 1"):
        grade_of(pd)


@few
@given(st.floats(-30, 30))
def test_points_pd_and_grade_are_one_function(log_odds):
    pd = float(pd_of_log_odds(log_odds))
    assert pd == max(PD_FLOOR, float(expit(log_odds)))
    assert float(pd_of(points_of(log_odds))) == pytest.approx(pd, rel=1e-12)


def test_notches_count_default_as_one_beyond_the_worst_grade():
    assert notches("1", DEFAULTED) == 15
    assert notches("7", "7") == 0
    with pytest.raises(KeyError):
        notches("1", "16")


@few
@given(grades, pds)
def test_stable_grade_is_the_grade_or_the_previous_one_within_a_quarter_step(previous, pd):
    stable = stable_grade(previous, pd)
    assert stable in {previous, grade_of(pd)}
    if stable != grade_of(pd):
        held = MASTER_SCALE[NAMES.index(previous)]
        margin = 0.25 * STEP + 1e-9
        assert logit(held.low) - margin <= logit(pd) <= logit(held.high) + margin


def test_stable_grade_moves_once_the_margin_is_passed():
    edge = logit(MASTER_SCALE[4].high)
    inside, outside = float(expit(edge + 0.24 * STEP)), float(expit(edge + 0.26 * STEP))
    assert (stable_grade("5", inside), stable_grade("5", outside)) == ("5", "6")
    better = logit(MASTER_SCALE[4].low)
    inside, outside = float(expit(better - 0.24 * STEP)), float(expit(better - 0.26 * STEP))
    assert (stable_grade("5", inside), stable_grade("5", outside)) == ("5", "4")
    assert stable_grade("15", 0.99) == "15"
    assert stable_grade("1", PD_FLOOR) == "1"


@few
@given(st.lists(st.tuples(st.none() | grades, pds), max_size=20))
def test_stable_grades_of_many_are_those_of_each(rows):
    previous, values = [row[0] for row in rows], [row[1] for row in rows]
    together = stable_grade(previous, np.array(values))
    assert together.tolist() == [stable_grade(name, pd) for name, pd in rows]


def test_default_and_no_score_have_no_memory():
    assert stable_grade(None, 0.02) == stable_grade(DEFAULTED, 0.02) == grade_of(0.02)


def test_share_per_grade_flags_concentration_above_thirty_percent():
    rows = share_per_grade(["3"] * 3 + ["4"] * 4 + ["D"] * 3)
    assert [row.grade for row in rows] == list(NAMES)
    assert {row.grade: row.share for row in rows if row.count} == {"3": 0.3, "4": 0.4, "D": 0.3}
    assert [row.grade for row in rows if row.is_concentrated] == ["4"]
    assert all(row.share == 0 for row in share_per_grade([]))
