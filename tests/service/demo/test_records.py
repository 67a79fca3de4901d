"""Rows of every kind for an economy: valid, the same for the same seed, and in step with invoices and loans."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from features.kinds import KINDS
from service.demo.economy import generate
from service.demo.records import generate_records
from service.demo.records.ground import Ground
from service.demo.window import Window
from service.imports.checks import canonical_checks, split

WINDOW = {"end_on": date(2026, 6, 30), "months": 42}


@pytest.fixture(scope="module")
def economy():
    return generate(300, 3, invoices_per_firm_month=4.0, **WINDOW)


@pytest.fixture(scope="module")
def records(economy):
    return generate_records(economy, 3, **WINDOW)


@pytest.fixture(scope="module")
def ground(economy):
    return Ground.of(economy, Window(WINDOW["end_on"], WINDOW["months"]), 3)


def test_every_kind_has_rows_that_an_import_would_take_each_once(economy, records):
    frames = economy.inputs.frames() | records
    assert list(frames) == list(KINDS)
    for name, frame in frames.items():
        kind = KINDS[name]
        lines = kind.check(frame).with_row_index("line").with_columns(pl.col("line").cast(pl.Int64))
        rows, rejects = split(lines, canonical_checks(lines, kind, WINDOW["end_on"]), name)
        assert (rows.height, rejects.rows()) == (frame.height, [])
        assert rows.height > 0
        if name in records:
            assert rows.select(pl.exclude("line", "known_on")).is_unique().all(), name


def test_the_same_seed_gives_the_same_rows(economy, records):
    again, other = (generate_records(economy, seed, **WINDOW) for seed in (3, 4))
    for name, frame in records.items():
        assert frame.equals(again[name]), name
    assert not records["event"].equals(other["event"])


def test_news_takes_its_time(records):
    lags = {name: (frame["known_on"] - frame["observed_on"]).dt.total_days() for name, frame in records.items()}
    assert lags["financial_statement"].is_between(60, 125).all()
    assert lags["tax_bill"].is_between(10, 151).all()
    assert lags["account_month"].is_between(1, 3).all()
    assert lags["event"].min() >= 2


def _invoiced(economy, direction="output"):
    rows = economy.inputs.invoices.filter(pl.col("direction") == direction, ~pl.col("is_void"))
    return rows.with_columns(on=pl.col("observed_on").dt.month_end())


def test_statements_and_tax_returns_state_the_invoiced_sales(economy, records):
    sales = _invoiced(economy).group_by("firm_id", year=pl.col("on").dt.year()).agg(pl.col("net_fen").sum())
    stated = (
        records["financial_statement"]
        .with_columns(year=pl.col("observed_on").dt.year())
        .join(sales, on=["firm_id", "year"], how="left")
    )
    assert ((stated["revenue_fen"] - stated["net_fen"]).abs() <= 100).all()
    vat = records["tax_bill"].filter(pl.col("tax") == "vat")
    declared = vat.group_by("firm_id", year=pl.col("observed_on").dt.year()).agg(
        pl.col("declared_sales_fen").sum(), pl.len()
    )
    whole = declared.filter(pl.col("len").is_in([4, 12])).join(sales, on=["firm_id", "year"])
    assert whole.height > 300
    assert (whole["declared_sales_fen"] == whole["net_fen"]).all()
    assert (vat["due_fen"] == vat["paid_fen"] + vat["arrears_fen"]).all()


def test_electricity_and_accounts_follow_sales_and_balances_follow_turnover(economy, records):
    sales = _invoiced(economy).group_by("firm_id", observed_on="on").agg(pl.col("net_fen").sum())
    for kind, column in (("utility_bill", "quantity"), ("account_month", "credits_fen")):
        both = records[kind].join(sales, on=["firm_id", "observed_on"]).filter(pl.col("net_fen") > 0)
        busy = both.filter(pl.len().over("firm_id") >= 24)
        within = busy.group_by("firm_id").agg(r=pl.corr(column, "net_fen"))["r"]
        assert within.fill_nan(None).median() > 0.3, kind
    months = records["account_month"].sort("firm_id", "observed_on")
    before = pl.col("closing_balance_fen").shift(1).over("firm_id")
    moved = months.select(before + pl.col("credits_fen") - pl.col("debits_fen") - pl.col("closing_balance_fen"))
    assert moved.to_series().drop_nulls().eq(0).all()


def test_instalments_are_paid_as_the_statuses_say(economy, records):
    rows, statuses = records["instalment"], economy.inputs.repayment_statuses
    assert set(rows["loan_id"]) <= set(economy.inputs.loans["loan_id"])
    seen = statuses.select("loan_id", "observed_on", days="days_past_due").unique()
    first = rows.sort("known_on").unique(["loan_id", "number"], keep="first").join(seen, on=["loan_id", "observed_on"])
    on_time = (first["paid_on"] == first["observed_on"]).fill_null(value=False)
    assert (on_time == (first["days"] == 0)).all()
    assert 0 < on_time.not_().sum() < first.height / 5
    paid = rows.filter(pl.col("paid_on").is_not_null())
    assert (paid["principal_paid_fen"] == paid["principal_due_fen"]).all()
    principals = rows.group_by("loan_id").agg(pl.col("principal_due_fen").max(), pl.col("number").max())
    ended = principals.filter(pl.col("number") == 12).join(economy.inputs.loans, on="loan_id")
    assert (ended["principal_due_fen"] == ended["principal_fen"]).all()


def test_guarantees_among_firms_are_circles_and_chains(records):
    rows = records["guarantee"].filter(pl.col("guarantor_kind") == "firm")
    edges = dict(rows.select("firm_id", "guarantor").unique().rows())

    def ends(start: str) -> bool:
        seen, at = {start}, edges.get(start)
        while at is not None and at not in seen:
            seen.add(at)
            at = edges.get(at)
        return at is None

    closed = [firm for firm in edges if not ends(firm)]
    assert 4 <= len(closed) < len(edges)
    assert all(debtor != guarantor for debtor, guarantor in edges.items())


def test_trouble_comes_before_defaults(ground, records):
    failing = pl.DataFrame({"firm_id": ground.codes, "fails": ground.fails}).filter(pl.col("fails") < 42)
    month = (pl.col("observed_on").dt.year() - 2023) * 12 + pl.col("observed_on").dt.month() - 1
    bad = records["event"].filter(pl.col("event").is_in(["sued", "sued_by_lender", "judgment_lost", "tax_arrears"]))
    left = bad.join(failing, on="firm_id").with_columns(left=pl.col("fails") - month).filter(pl.col("left") > 0)
    near = left.filter(pl.col("left") <= 9).height / (failing.height * 9)
    far = (bad.height - left.filter(pl.col("left") <= 9).height) / (ground.n * 42)
    assert near > 3 * far
    assert ground.tension.max() == 1


def test_officers_are_lenient_each_in_its_way_and_see_something(ground, records):
    rows = records["soft_assessment"].with_columns(mean=pl.mean_horizontal(pl.col("^q[0-9]+$")))
    by_officer = rows.group_by("officer").agg(pl.col("mean").mean())["mean"]
    assert by_officer.len() == 12
    assert by_officer.std() > 0.3
    strength = pl.DataFrame({"firm_id": ground.codes, "strength": ground.strength})
    assert np.corrcoef(rows.join(strength, on="firm_id").select("mean", "strength").to_numpy().T)[0, 1] > 0.3


def test_claims_were_checked_by_the_invoices(records):
    checked = records["soft_claim"].filter(pl.col("outcome") != "open")
    assert set(checked["outcome"]) == {"confirmed", "refuted"}
    assert (checked["checked_on"] >= checked["observed_on"]).all()
    made = records["soft_claim"].filter(pl.col("outcome") == "open")
    assert set(checked["claim_id"]) <= set(made["claim_id"])


def test_figures_of_places_are_the_sums_of_trades(records):
    of = ["place", "observed_on", "statistic"]
    trades = (
        records["industry_statistic"].filter(pl.col("statistic") == "firms").group_by(of).agg(pl.col("value").sum())
    )
    both = records["place_statistic"].join(trades, on=of, suffix="_of_trades")
    assert both.height > 5
    assert (both["value"] == both["value_of_trades"]).sum() >= both.height - 2
