"""Each feature against a value worked out by hand. The day is 2024-06-15: month k ends on the 15th."""

from datetime import date
from math import exp, isnan, log, sqrt

import pytest

from features.build import CATALOG
from tests.features.rows import buy, consent, firm, inputs, nothing, person, record, sale, value

NAN = float("nan")
JUNE, MAY, APRIL, MARCH = (date(2024, month, 10) for month in (6, 5, 4, 3))
LAST_YEAR, LAST_JUNE = date(2023, 3, 10), date(2023, 6, 10)
START = date(2022, 6, 20)
OLD = buy(START, 1, "old")
"""The first invoice lies in the 24th month back, so both years are seen."""
OWNERS = [consent(who, scope) for who in "ab" for scope in ("owner_data", "bureau")]

EXAMPLES = [
    ("ln_sales", [sale(JUNE, 700), sale(MAY, 400), sale(MAY, -101)], log(1000)),
    ("ln_sales", [sale(date(2023, 6, 15), 700), buy(JUNE, 5)], 0.0),
    ("ln_sales", [sale(date(2023, 6, 16), 999)], log(1000)),
    ("ln_sales", [sale(JUNE, -50)], 0.0),
    ("ln_sales", [], NAN),
    ("ln_sales_24m", [sale(date(2022, 6, 16), 999)], log(1000)),
    ("ln_sales_24m", [sale(date(2022, 6, 15), 700), buy(JUNE, 5)], 0.0),
    ("growth", [OLD, sale(JUNE, 109), sale(LAST_YEAR, 99)], log(110 / 100)),
    ("growth", [OLD, sale(JUNE, 999), sale(LAST_YEAR, 99)], 0.4),
    ("growth", [OLD, sale(LAST_YEAR, 99)], -1.5),
    ("growth", [sale(JUNE, 109), sale(date(2022, 7, 1), 99)], log(110 / 100)),
    ("growth", [sale(JUNE, 109), sale(date(2022, 7, 16), 99)], NAN),
    ("growth_surge", [OLD, sale(JUNE, 199), sale(LAST_YEAR, 99)], log(2) - 0.4),
    ("growth_surge", [OLD, sale(JUNE, 99), sale(LAST_YEAR, 99)], 0.0),
    ("sales_trend", [sale(JUNE, 49), sale(APRIL, 50), sale(LAST_JUNE, 199), sale(LAST_YEAR, 1)], log(100 / 200)),
    ("sales_trend", [sale(JUNE, 49), sale(date(2023, 4, 20), 199)], NAN),
    ("ln_purchases", [buy(JUNE, 99)], log(100)),
    ("ln_invoices", [sale(JUNE, 5), sale(JUNE, 5), sale(MAY, 7), sale(MAY, -7), sale(LAST_YEAR, 1)], log(4)),
    ("ln_ticket", [sale(JUNE, 9), sale(JUNE, 99), sale(JUNE, 999), sale(JUNE, 9999), sale(JUNE, -5)], log(100)),
    ("sales_cv", [sale(JUNE, 100), sale(MAY, 300), buy(APRIL, 1)], sqrt(7 / 3) / (4 / 3)),
    ("sales_cv", [OLD, sale(JUNE, 100)], sqrt(12)),
    ("sales_cv", [sale(JUNE, 100), sale(MAY, 300)], NAN),
    ("sales_cv", [buy(JUNE, 100), buy(APRIL, 300)], NAN),
    ("purchase_cv", [buy(JUNE, 100), buy(MAY, 300), sale(APRIL, 1)], sqrt(7 / 3) / (4 / 3)),
    ("zero_months", [sale(JUNE, 5), sale(APRIL, 5), sale(MAY, -5), buy(MARCH, 1)], 0.5),
    ("zero_months", [OLD], 1.0),
    ("zero_months_24m", [sale(JUNE, 5), sale(APRIL, 5), sale(MAY, -5), buy(MARCH, 1)], 0.5),
    ("zero_months_24m", [sale(date(2022, 6, 16), 5), sale(JUNE, 5)], 22 / 24),
    ("sales_cv_24m", [sale(JUNE, 100), sale(MAY, 300), buy(APRIL, 1)], sqrt(7 / 3) / (4 / 3)),
    ("sales_cv_24m", [sale(date(2022, 6, 15), 9), sale(JUNE, 100)], sqrt(24)),
    ("zero_months", [sale(JUNE, 5), buy(MAY, 1)], NAN),
    ("sales_gap", [sale(JUNE, 5), sale(date(2024, 6, 12), -5), buy(date(2024, 6, 14), 5)], 5.0),
    ("sales_gap", [buy(JUNE, 5)], NAN),
    ("purchase_gap", [buy(date(2023, 6, 15), 5)], 366.0),
    (
        "seasonality",
        [OLD, sale(JUNE, 20), sale(LAST_JUNE, 30), sale(MAY, 25), sale(APRIL, 15), sale(MARCH, 10)],
        0.9,
    ),
    ("invoice_history", [sale(MARCH, 5), sale(date(2022, 1, 1), 5, void=True)], log(4)),
    (
        "void_rate",
        [
            sale(JUNE, 10, number="1", void=True),
            sale(JUNE, 20, "A"),
            sale(JUNE, -20, "A"),
            sale(JUNE, -20, "A"),
            sale(JUNE, -30, "B"),
            sale(JUNE, 30, "A"),
            buy(JUNE, 5, void=True),
        ],
        (1 + 1) / (1 + 5),
    ),
    ("void_rate", [sale(LAST_YEAR, 20, vat=2), sale(JUNE, -20, vat=-2)], 1.0),
    ("void_rate", [sale(JUNE, 10, void=True)], 1.0),
    ("void_rate", [buy(JUNE, 10)], NAN),
    ("red_amt", [sale(JUNE, 80), sale(MAY, 20), sale(MAY, -25)], 0.25),
    ("red_amt", [sale(JUNE, -25)], NAN),
    ("dilution", [sale(APRIL, 100), sale(JUNE, -25), sale(date(2024, 1, 10), -60)], 0.25),
    ("dilution", [sale(JUNE, 10), sale(JUNE, -25)], 1.0),
    ("cust_hhi", [sale(JUNE, 60, "A"), sale(MAY, 30, "B"), sale(MAY, 10, "C"), sale(MAY, -9, "D")], 0.46),
    ("cust_hhi", [sale(LAST_YEAR, 5)], NAN),
    ("active_cust", [sale(JUNE, 60, "A"), sale(MAY, 30, "B"), sale(MAY, -10, "C")], log(3)),
    ("anchor_share", [sale(JUNE, 60, "A"), sale(MAY, 20, "B"), sale(MAY, 20, "C")], 0.6),
    ("top_cust_tenure", [sale(JUNE, 60, "A"), sale(LAST_JUNE, 1, "A"), sale(START, 90, "B")], 12.0),
    ("top_cust_tenure", [sale(JUNE, 60, "A"), sale(MAY, 60, "B")], 1.0),
    ("cust_churn", [sale(LAST_YEAR, 30, "A"), sale(LAST_YEAR, 10, "B"), sale(JUNE, 1, "B")], 0.75),
    ("cust_churn", [sale(JUNE, 1, "B")], NAN),
    ("loyal_cust", [sale(LAST_YEAR, 1, "A"), sale(JUNE, 30, "A"), sale(JUNE, 70, "B")], 0.3),
    ("loyal_cust", [sale(MAY, 1, "A"), sale(JUNE, 30, "A")], NAN),
    ("supp_hhi", [buy(JUNE, 60, "A"), buy(MAY, 40, "B"), sale(JUNE, 900, "B")], 0.52),
    ("active_supp", [buy(JUNE, 60, "A"), buy(MAY, 40, "B")], log(3)),
    ("top_supp_share", [buy(JUNE, 60, "A"), buy(MAY, 40, "B")], 0.6),
    ("top_supp_tenure", [buy(JUNE, 60, "A"), buy(APRIL, 40, "A"), buy(START, 5, "B")], 2.0),
    ("supp_churn", [buy(LAST_YEAR, 30, "A"), buy(JUNE, 1, "B")], 1.0),
    ("round_trip", [sale(JUNE, 60, "A"), buy(MAY, 30, "A"), buy(MAY, 10, "B")], 0.3),
    ("round_trip", [sale(JUNE, 60, "A"), buy(MAY, 30, "A"), buy(MAY, 10, "B", linked=False)], NAN),
    ("round_trip", [sale(JUNE, 60, "A"), buy(MAY, 40, "A"), buy(LAST_YEAR, 10, "B", linked=False)], 0.4),
    ("vat_burden", [sale(JUNE, 100, vat=13), buy(JUNE, 50, vat=6.5)], 0.065),
    ("vat_burden", [buy(JUNE, 50, vat=6.5)], NAN),
    ("gross_margin", [sale(JUNE, 100), buy(JUNE, 75)], 0.25),
    ("gross_margin", [sale(JUNE, 100), buy(JUNE, 750)], -1.0),
    ("owner_yrs", [*OWNERS, person("a", date(2020, 6, 15)), person("b", date(2004, 6, 15), "manager")], 1461 / 365.25),
    ("owner_yrs", [*OWNERS, person("a", date(2020, 6, 15)), person("b", date(2016, 6, 15))], 2922 / 365.25),
    ("owner_yrs", [*OWNERS, person("a", date(2016, 6, 15)), person("a", date(2020, 6, 15), on=date(2021, 1, 1))], 4.0),
    ("owner_yrs", [*OWNERS, person("a", None)], NAN),
    ("owner_yrs", [person("a", date(2020, 6, 15))], NAN),
    ("owner_dpd", [*OWNERS, person("a", None), record("a", 45), record("a", 30, on=date(2019, 1, 1))], 45.0),
    ("owner_dpd", [*OWNERS, person("a", None)], NAN),
    ("owner_dpd", [*OWNERS, person("a", None), nothing("a")], 0.0),
    ("owner_dpd", [*OWNERS, person("a", None), nothing("b")], NAN),
    ("owner_dpd", [*OWNERS, person("a", None), nothing("a"), record("b", 45)], 0.0),
    ("owner_dpd", [*OWNERS, person("a", None), nothing("a"), record("a", 45)], 45.0),
    ("owner_dpd", [*OWNERS, person("a", None), record("a", 9, date(2018, 5, 1))], 0.0),
    ("owner_dpd", [*OWNERS, person("a", None, "manager"), record("a", 45)], NAN),
    ("firm_age", [firm(founded_on=date(2020, 6, 15), on=date(2021, 1, 1))], 4.0),
    ("firm_age", [firm(founded_on=date(2025, 6, 15), on=date(2021, 1, 1))], NAN),
    ("firm_age", [], NAN),
]


@pytest.mark.parametrize(("name", "rows", "expected"), EXAMPLES)
def test_by_hand(name, rows, expected):
    assert value(name, *rows) == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)


def test_every_feature_has_an_example():
    assert {name for name, *_ in EXAMPLES} | {"cl_dr", "cust_pd"} == set(CATALOG)


def test_void_row_cancels_the_valid_one():
    rows = [sale(JUNE, 100, number="7", vat=13), sale(MAY, 10, number="8")]
    void = sale(JUNE, 100, number="7", vat=13, void=True, known=date(2024, 6, 14))
    assert value("ln_sales", *rows, void) == pytest.approx(log(11))
    assert value("ln_sales", *rows, void, as_of=date(2024, 6, 13)) == pytest.approx(log(111))


@pytest.mark.parametrize(
    "other",
    [
        sale(JUNE, 100, number="8", void=True),
        sale(JUNE, 100, "B", number="7", void=True),
        sale(JUNE, 100, number="7", vat=1, void=True),
        sale(MAY, 100, number="7", void=True),
        buy(JUNE, 100, "A", number="7", void=True),
        sale(JUNE, 100, number="7", void=True, firm_id="G"),
        sale(JUNE, 100, void=True),
    ],
)
def test_void_row_of_another_invoice_cancels_nothing(other):
    assert value("ln_sales", sale(JUNE, 100, number="7"), sale(JUNE, 100), other) == pytest.approx(log(201))


def test_null_number_never_cancels():
    assert value("ln_sales", sale(JUNE, 99), sale(JUNE, 99, void=True)) == pytest.approx(log(100))


def test_amounts_beyond_64_bit_squares_are_exact():
    trillion = 10**12
    rows = [sale(JUNE, trillion, "A"), sale(MAY, trillion, "B"), sale(APRIL, trillion, "C")]
    assert value("cust_hhi", *rows) == pytest.approx(1 / 3, rel=1e-15)
    assert value("sales_cv", *rows) == 0.0


def test_growth_and_surge_together_are_the_whole():
    rows = [OLD, sale(JUNE, 299), sale(LAST_YEAR, 99)]
    assert exp(value("growth", *rows) + value("growth_surge", *rows)) == pytest.approx(3)


def test_firms_without_invoices_have_a_row():
    assert isnan(value("cust_churn"))
    assert inputs(firm()).invoices.height == 0
