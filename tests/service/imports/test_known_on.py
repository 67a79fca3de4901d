"""A row that does not say when it was known was known by its kind's lag: no model sees what a bank had yet to learn."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.kinds import KINDS
from service.firms.repository import content_sha256
from service.imports.checks import typed
from service.observations.use_cases import WITH_ROUTES
from tests.service.imports.test_kinds import example

TODAY = date(2026, 1, 31)
LAGS = {
    "capital": 30, "ownership": 30, "relation": 30, "financial_statement": 152, "tax_bill": 30, "utility_bill": 30,
    "account_month": 3, "instalment": 1, "debt_elsewhere": 30, "guarantee": 30, "fund_membership": 30,
    "counterparty_tag": 60, "inventory": 15, "receivable": 15, "association_act": 30, "patent": 30, "research": 152,
    "training": 60, "industry_statistic": 300, "place_statistic": 300,
}  # fmt: skip
AT_ONCE = {
    *("firm", "person", "invoice", "loan", "repayment_status", "consent", "personal_record", "product_held"),
    *("external_rating", "soft_assessment", "soft_claim", "peer_report", "digital_maturity", "event", "document"),
}


def known(name, **changes):
    """Return the day on which a row without one is taken to be known, and the columns at fault."""
    rows, rejects = typed(example(KINDS[name], known_on="", **changes), KINDS[name], "file.csv", TODAY)
    return rows["known_on"].to_list(), rejects.select("column", "reason").rows()


def test_every_kind_has_a_lag_and_a_reason():
    assert {name: kind.known_after for name, kind in KINDS.items()} == LAGS | dict.fromkeys(AT_ONCE, 0)
    assert all(KINDS[name].known_why is not KINDS["event"].known_why for name in LAGS)
    assert not set(WITH_ROUTES) & set(LAGS)  # their routes know of no lag


@pytest.mark.parametrize(
    ("name", "changes", "day"),
    [
        ("financial_statement", {"observed_on": "2023-12-31", "period_from": "2023-01-01"}, date(2024, 5, 31)),
        ("tax_bill", {"observed_on": "2024-05-31"}, date(2024, 6, 30)),
        ("soft_claim", {"outcome": "refuted", "checked_on": "2024-09-02"}, date(2024, 9, 2)),
        ("peer_report", {"verified_on": "2024-09-02"}, date(2024, 9, 2)),
        ("ownership", {"ended_on": "2024-06-10"}, date(2024, 6, 30)),
        ("ownership", {"ended_on": "2024-09-02"}, date(2024, 9, 2)),
        ("utility_bill", {"paid_on": "2024-09-02"}, date(2024, 9, 2)),
        ("personal_record", {"ended_on": ""}, date(2021, 3, 15) + timedelta(days=45)),
        ("personal_record", {"record": "none", "days_past_due": "", "ended_on": ""}, date(2021, 3, 15)),
        ("invoice", {}, date(2024, 5, 31)),
        ("industry_statistic", {"observed_on": "2025-12-31"}, TODAY),
        ("event", {"observed_on": "2026-01-31", "ended_on": ""}, TODAY),
    ],
)
def test_what_was_not_said_to_be_known_was_known_by_the_lag(name, changes, day):
    assert known(name, **changes) == ([day], [])


@pytest.mark.parametrize(
    ("name", "changes", "column", "reason"),
    [
        ("soft_claim", {"outcome": "refuted", "checked_on": ""}, "checked_on", "required of a claim that was checked"),
        ("peer_report", {"verified_on": ""}, "verified_on", "required of a report that was verified"),
        ("ownership", {"ended_on": "2026-02-01"}, "ended_on", "after known_on"),
        ("firm", {"founded_on": "2024-06-01"}, "founded_on", "after known_on"),
        ("event", {"observed_on": "2026-02-01", "ended_on": ""}, "observed_on", "and today"),
        ("personal_record", {"days_past_due": str(2**62), "ended_on": ""}, "days_past_due", "between 0 and 20,000"),
    ],
)
def test_a_day_that_is_missing_or_yet_to_come_is_named(name, changes, column, reason):
    rows, ((named, words),) = known(name, **changes)
    assert (rows, named) == ([], column)
    assert reason in words


@pytest.mark.parametrize("name", KINDS)
@given(observed=st.dates(date(1990, 1, 1), TODAY), later=st.integers(0, 900))
def test_a_day_taken_is_no_earlier_than_the_lag_and_no_later_than_today(name, observed, later):
    kind = KINDS[name]
    days = {rule.column for rule in kind.rules if rule.is_later}
    then = observed + timedelta(days=later)
    row = {column: pl.Series([None], dtype=dtype) for column, dtype in kind.schema.items()}
    row |= {"observed_on": [observed]} | {column: [then] for column in days}
    day = pl.DataFrame(row).select(kind.known_on(TODAY)).item()
    assert day == min(max(observed + timedelta(days=kind.known_after), *([then] if days else [observed])), TODAY)
    assert pl.DataFrame(row | {"known_on": [observed]}).select(kind.known_on(TODAY)).item() == observed


@pytest.mark.parametrize("name", KINDS)
def test_a_rows_identity_does_not_depend_on_the_day_it_was_known(name):
    kind = KINDS[name]
    told, taken = (typed(example(kind, **change), kind, "f", TODAY)[0] for change in ({}, {"known_on": ""}))
    assert content_sha256(kind, told).equals(content_sha256(kind, taken))
