import math
import re
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.actionable import ACTIONABLE
from features.build import CATALOG
from features.spec import ValueFormat
from models.additive import AdditiveScore, Line, Step
from models.grades import MASTER_SCALE, notches, pd_of_log_odds
from models.plan import plan
from tests.models.handmade import NAMES, SCORE, matrix, model

many = settings(max_examples=150)
KNOWN = frozenset()
rows = st.tuples(
    st.floats(8, 22), st.floats(0, 3), st.floats(0, 0.2), st.floats(0.01, 1), st.floats(0, 35) | st.just(math.nan)
).map(np.array)


def of_units(names, intercept, *units):
    score = AdditiveScore(names, intercept, units)
    return model(
        additive=score,
        mean_contributions=np.zeros(len(units)),
        typical=np.full(len(names), np.nan),
    )


MODEL = of_units(NAMES, -2.9, *(unit.scaled(0.25) for unit in SCORE.units))
"""So flat that a grade often takes several changes, and may be out of reach."""


def applied(row, changes, names=NAMES):
    row = row.copy()
    for change in changes:
        assert row[names.index(change.feature)] == change.from_value
        row[names.index(change.feature)] = change.to_value
    return row


def predicted(fitted, row):
    scores = fitted.score(row[np.newaxis])
    return float(scores.points[0]), float(scores.pd[0]), str(scores.grade[0])


PLANS = [(row, plan(MODEL, row, KNOWN)) for row in matrix(400, seed=5) if not np.isnan(row[:4]).any()]


def test_only_features_with_an_expected_direction_are_actionable():
    assert CATALOG.keys() >= ACTIONABLE
    assert all(CATALOG[name].sign for name in ACTIONABLE)
    assert not ACTIONABLE & {"firm_age", "owner_yrs", "cl_dr", "invoice_history"}


@many
@given(rows)
def test_each_change_says_what_the_model_itself_predicts_after_it(row):
    found = plan(MODEL, row, KNOWN)
    assert (found.points, found.pd, found.grade) == predicted(MODEL, row)
    for way in (*found.ways, *([found.best] if found.best else [])):
        before = found.points
        for count, change in enumerate(way.changes, 1):
            points, pd, grade = predicted(MODEL, applied(row, way.changes[:count]))
            assert (change.points, change.pd, change.grade) == (points, pd, grade)
            assert change.gain == pytest.approx(points - before, abs=1e-9)
            before = points


@many
@given(rows)
def test_every_way_of_a_reachable_plan_leads_to_the_next_grade(row):
    found = plan(MODEL, row, KNOWN)
    assume(found.status == "reachable")
    assert notches(found.target_grade, found.grade) == 1
    assert found.ways
    for way in found.ways:
        points, pd, grade = predicted(MODEL, applied(row, way.changes))
        assert notches(grade, found.target_grade) >= 0
        assert pd <= found.target_pd
        assert points >= found.target_points - 1e-9
    assert [way.effort for way in found.ways] == sorted(way.effort for way in found.ways)


@many
@given(rows, st.floats(0.01, 0.999))
def test_no_smaller_step_of_the_same_feature_reaches_it(row, share):
    found = plan(MODEL, row, KNOWN)
    for way in found.ways:
        if len(way.changes) == 1:
            change = way.changes[0]
            for nearer in (
                change.from_value + share * (change.to_value - change.from_value),
                math.nextafter(change.to_value, change.from_value),
            ):
                less = row.copy()
                less[NAMES.index(change.feature)] = nearer
                assert nearer == change.to_value or predicted(MODEL, less)[1] > found.target_pd


@many
@given(rows)
def test_a_feature_without_a_way_of_its_own_has_none_in_its_range(row):
    found = plan(MODEL, row, KNOWN)
    alone = {way.changes[0].feature for way in found.ways if len(way.changes) == 1}
    for column, name in enumerate(NAMES[:4]):
        values = np.linspace(row[column], {1: 0.0, -1: 20.0}[CATALOG[name].sign], 300)
        moved = np.tile(row, (300, 1))
        moved[:, column] = values
        is_better = (values - row[column]) * CATALOG[name].sign <= 0
        reached = MODEL.score(moved[is_better]).pd <= (found.target_pd or -1)
        assert name in alone or not reached.any()


def test_a_combination_can_spare_none_of_its_changes_and_none_can_be_smaller():
    combined = [(row, found) for row, found in PLANS if found.ways and len(found.ways[0].changes) > 1]
    assert len(combined) > 10
    for row, found in combined:
        for change in found.ways[0].changes:
            end = applied(row, found.ways[0].changes)
            for less in (change.from_value, math.nextafter(change.to_value, change.from_value)):
                end[NAMES.index(change.feature)] = less
                assert predicted(MODEL, end)[1] > found.target_pd


def test_an_unreachable_grade_is_out_of_reach_of_every_corner():
    unreachable = [(row, found) for row, found in PLANS if found.status == "unreachable"]
    assert len(unreachable) > 10
    ends = ([20.0], [0.5, 1.5], [0.05], [0.3, 0.7])
    for row, found in unreachable:
        points, pd, _ = predicted(MODEL, applied(row, found.best.changes))
        assert pd > found.target_pd
        assert found.shortfall == pytest.approx(found.target_points - points, abs=1e-9)
        corners = np.array(
            [[*corner, row[4]] for corner in product(*([x, *e] for x, e in zip(row, ends, strict=False)))]
        )
        signs = np.array([CATALOG[name].sign for name in NAMES])
        is_better = ((corners - row) * signs <= 0)[:, :4].all(axis=1)
        assert MODEL.score(corners[is_better]).points.max() == pytest.approx(points, abs=1e-9)


@many
@given(rows)
def test_only_actionable_known_features_move_and_only_for_the_better(row):
    found = plan(MODEL, row, {"sales_cv"})
    for way in (*found.ways, *([found.best] if found.best else [])):
        for change in way.changes:
            assert change.feature in ACTIONABLE - {"sales_cv"}
            assert (change.to_value - change.from_value) * CATALOG[change.feature].sign < 0
            assert set(change.text) == {"zh-CN", "en"}
    assert not any("owner_yrs" in [c.feature for c in way.changes] for way in found.ways)


def test_the_best_grade_has_an_empty_plan():
    fitted = of_units(("sales_cv",), -9.0, Line("sales_cv", low=0.0, high=1.0, centre=0.0, slope=1.0, missing=0.0))
    found = plan(fitted, np.array([0.5]), KNOWN)
    assert (found.status, found.grade, found.ways, found.best, found.target_grade) == ("best", "1", (), None, None)


def test_a_table_is_left_at_the_nearest_value_of_the_next_bin():
    low, high = MASTER_SCALE[8].pd, MASTER_SCALE[9].pd
    gain = math.log(high / (1 - high)) - math.log(low / (1 - low))
    base = math.log(low / (1 - low))
    values = np.array([0.0, gain, 2 * gain, 0.0])
    fitted = of_units(("void_rate",), base, Step(("void_rate",), (np.array([0.1, 0.2]),), values))
    change = plan(fitted, np.array([0.15]), KNOWN).ways[0].changes[0]
    assert (change.from_value, change.to_value, change.grade) == (0.15, 0.1, "9")
    assert change.text["en"] == "void and fully reversed invoices: from 15% down to 10% or less"
    customers = Step(("active_cust",), (np.log1p([4.5]),), np.array([gain, 0.0, 0.0]))
    change = plan(of_units(("active_cust",), base, customers), np.log1p([3.0]), KNOWN).ways[0].changes[0]
    assert change.to_value == np.nextafter(np.log1p(4.5), np.inf)
    assert change.text["en"] == "active customers: from 3 up to more than 4"
    assert change.text["zh-CN"] == "活跃客户数：由 3 提高到 4 以上（不含）"


def test_a_pair_is_moved_jointly_where_neither_of_its_features_suffices():
    values = np.zeros((3, 3))
    values[1, 0] = values[0, 1] = values[1, 1] = 3.0
    fitted = of_units(
        ("void_rate", "cust_hhi"), -4.0, Step(("void_rate", "cust_hhi"), (np.array([0.1]), np.array([0.5])), values)
    )
    found = plan(fitted, np.array([0.2, 0.9]), KNOWN)
    assert found.status == "reachable"
    assert [(change.feature, change.to_value) for change in found.ways[0].changes] == [
        ("void_rate", 0.1),
        ("cust_hhi", 0.5),
    ]
    assert found.ways[0].changes[0].gain == 0


def test_what_cannot_move_leaves_nothing_to_do():
    fitted = of_units(("firm_age",), -2.0, Line("firm_age", low=0.0, high=30.0, centre=5.0, slope=-1.0, missing=0.0))
    found = plan(fitted, np.array([4.0]), KNOWN)
    assert found.status == "unreachable"
    assert found.best.changes == ()
    assert found.shortfall == pytest.approx(found.target_points - found.points)


def test_a_difference_that_rounding_hides_is_shown_in_full():
    low = MASTER_SCALE[8].high
    fitted = of_units(
        ("sales_cv",),
        math.log(low / (1 - low)) - 1.0,
        Line("sales_cv", low=0.0, high=2.0, centre=0.0, slope=1.0, missing=0.0),
    )
    text = plan(fitted, np.array([1.0004]), KNOWN).ways[0].changes[0].text["en"]
    assert text == "variation of monthly sales: from 1.00 (1.0004) down to 1.00 (1) or less"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="5 values"):
        plan(MODEL, np.zeros(3), KNOWN)


def ranges(name):
    """Return values of a feature that a firm might have."""
    return {
        ValueFormat.LN_YUAN: (3.0, 24.0),
        ValueFormat.LN_COUNT: (0.0, 8.0),
        ValueFormat.LN_MONTHS: (0.0, 5.0),
        ValueFormat.LN_CHANGE: (-1.5, 1.5),
        ValueFormat.DAYS: (0.0, 900.0),
        ValueFormat.MONTHS: (0.0, 48.0),
        ValueFormat.YEARS: (0.0, 30.0),
    }.get(CATALOG[name].value_format, (0.0, 1.0))


UNITS = {"": 1, "k": 1e3, "m": 1e6, "bn": 1e9, "万元": 1e4, "亿元": 1e8, "元": 1}


def read_back(change, language):
    """Return the worst value that a text lets pass for sufficient."""
    text, form = change.text[language], CATALOG[change.feature].value_format
    is_above = "more than" in text or "不含" in text
    shown = re.split(r"(?: up| down) to (?:more than )?|提高到 |降低到 ", text)[-1]
    if exact := re.search(r"\(([-+.e\d]+)\)", shown):
        return math.nextafter(float(exact[1]), math.inf) if is_above else float(exact[1])
    number, unit = re.match(r"¥?([-+.,\d]+) ?(%|万元|亿元|元|bn|[mk](?!o)|)", shown).groups()
    figure = Decimal(number.replace(",", ""))
    amount = float(figure / 100 if unit == "%" else figure * Decimal(UNITS[unit]))
    if is_above:
        whole = form in {ValueFormat.LN_COUNT, ValueFormat.DAYS}
        amount = amount + 1 if whole else math.nextafter(amount, math.inf)
    return math.log1p(amount) if form.value.startswith("ln_") else amount


@settings(max_examples=400)
@given(st.data(), st.sampled_from(sorted(ACTIONABLE)), st.booleans())
def test_the_figures_of_a_text_suffice(data, name, is_table):
    """Also where a reader takes the rounded figure at its word."""
    low, high = ranges(name)
    sign, numbers = CATALOG[name].sign, st.floats(low, high)
    if is_table:
        cuts = np.array(sorted(data.draw(st.sets(numbers, min_size=1, max_size=3))))
        unit = Step((name,), (cuts,), np.append(sign * 2.0 * np.arange(len(cuts) + 1), 0.0))
    else:
        unit = Line(name, low=low, high=high, centre=(low + high) / 2, slope=sign * 6 / (high - low), missing=0.0)
    row = np.array([data.draw(numbers)])
    fitted = of_units((name,), data.draw(st.floats(-5, -1)), unit)
    found = plan(fitted, row, KNOWN)
    assume(found.status == "reachable")
    for way in found.ways:
        for language in ("en", "zh-CN"):
            worst = read_back(way.changes[0], language)
            pd = pd_of_log_odds(fitted.additive.log_odds(np.array([[worst]])))[0]
            assert pd <= found.target_pd, way.changes[0].text[language]
