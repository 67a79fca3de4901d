"""What blocks a publication, what is a warning, and what chance may do."""

import pytest

from models.validation import Stability
from service.rescoring import policy
from service.rescoring.checks import Facts, check, has_failed

KINDS = {"above_principal": 0, "owed_after_end": 0, "of_no_loan": 0}


def facts(**changes):
    usual = {
        "firms": 100,
        "scored": 90,
        "refused": 10,
        "rows": 90,
        "refused_before": 0.1,
        "arrivals": {"invoice": [1000, 1000, 900, 1100, 1000]},
        "statuses": 1000,
        "impossible": KINDS,
        "matrix": {("9", "9"): 80, ("9", "10"): 8, ("9", "D"): 1, ("D", "D"): 1, (None, "9"): 0},
        "stability": {"points": Stability(0.02, 0.01, "stable"), "growth": Stability(0.05, 0.01, "stable")},
    }
    return Facts(**(usual | changes))


def levels(**changes):
    return {item.code: item.level for item in check(facts(**changes))}


def test_a_usual_night_is_fit():
    found = check(facts())
    assert {item.level for item in found} == {"ok"}
    assert [item.code for item in found] == [
        "counts",
        "rows",
        "feed_invoice",
        "balances",
        "refused",
        "migration",
        "defaults",
        "psi_points",
        "psi_features",
    ]
    assert all(set(item.text) == {"zh-CN", "en"} for item in found)


@pytest.mark.parametrize(
    ("code", "changes", "level"),
    [
        ("counts", {"scored": 89, "rows": 89}, "fail"),
        ("counts", {"scored": 91, "rows": 91}, "warn"),
        ("rows", {"rows": 91}, "fail"),
        ("feed_invoice", {"arrivals": {"invoice": [199, 1000, 1000, 1000, 1000]}}, "fail"),
        ("feed_invoice", {"arrivals": {"invoice": [650, 1000, 1000, 1000, 1000]}}, "warn"),
        ("feed_invoice", {"arrivals": {"invoice": [1350, 1000, 1000, 1000, 1000]}}, "warn"),
        ("feed_invoice", {"arrivals": {"invoice": [1300, 1000, 1000, 0, 0]}}, "ok"),
        ("feed_invoice", {"arrivals": {"invoice": [0, 99, 99, 99, 99]}}, "ok"),
        ("balances", {"impossible": KINDS | {"above_principal": 1}}, "warn"),
        ("balances", {"impossible": {"above_principal": 4, "owed_after_end": 4, "of_no_loan": 3}}, "fail"),
        ("refused", {"refused_before": 0.04}, "warn"),
        ("refused", {"scored": 50, "refused": 50, "rows": 50, "refused_before": 0.2}, "fail"),
        ("refused", {"refused_before": None}, "ok"),
        ("migration", {"matrix": {("9", "12"): 16, ("9", "9"): 84}}, "warn"),
        ("migration", {"matrix": {("9", "6"): 41, ("9", "9"): 59}}, "fail"),
        ("migration", {"matrix": {("9", "11"): 100}}, "ok"),
        ("migration", {"matrix": {("9", "15"): 29}}, "ok"),
        ("defaults", {"matrix": {("9", "D"): 3, ("9", "9"): 97}}, "warn"),
        ("defaults", {"matrix": {("D", "9"): 11, ("9", "9"): 89}}, "fail"),
        ("psi_points", {"stability": {"points": Stability(0.15, 0.01, "watch")}}, "warn"),
        ("psi_points", {"stability": {"points": Stability(0.3, 0.01, "alarm")}}, "fail"),
        ("psi_features", {"stability": {"growth": Stability(0.9, 0.01, "alarm")}}, "warn"),
    ],
)
def test_levels(code, changes, level):
    assert levels(**changes)[code] == level


def test_an_empty_bank_and_a_first_run_have_nothing_to_compare_with():
    nothing = {"arrivals": {}, "statuses": 0, "matrix": {}, "stability": {}, "refused_before": None}
    assert set(levels(firms=0, scored=0, refused=0, rows=0, **nothing).values()) == {"ok"}


def test_a_run_that_graded_nobody_is_not_published_by_itself():
    nothing = {"arrivals": {}, "statuses": 0, "matrix": {}, "stability": {}, "refused_before": None}
    assert levels(firms=416, scored=0, refused=416, rows=0, **nothing)["counts"] == "fail"


def test_only_a_failure_blocks():
    assert not has_failed([{"level": "ok"}, {"level": "warn"}])
    assert has_failed([{"level": "ok"}, {"level": "fail"}])


def test_every_tolerance_is_in_the_reference():
    figures = {name: value for name, value in vars(policy).items() if name.isupper() and isinstance(value, int)}
    assert {item.name: item.value for item in policy.TOLERANCES} == figures
    assert all(item.source and item.zh and item.en for item in policy.TOLERANCES)
