"""Statements, tax, electricity, accounts and products: the invoices, as others see them."""

import numpy as np
import polars as pl

from features.kinds.books import ACCOUNT_MONTH, FINANCIAL_STATEMENT, PRODUCT_HELD, TAX_BILL, UTILITY_BILL
from service.demo.records.ground import Ground, chosen, dates, in_yuan, later, sparse
from service.demo.window import Days, Floats, Ints

_VAT = 0.13
_LENDING_RATE = 0.055
_SMALL_YUAN = 3_000_000
_PER_KWH = 0.72
_PRODUCTS = {"payroll": 0.5, "deposit": 0.3, "acquiring": 0.25, "bill": 0.2, "wealth": 0.15}


def financial_statement(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return a statement of each calendar year: revenue is what was invoiced, debt what the loans and debts say."""
    firm, month = ground.each(ground.month_ends_of(12)[ground.month_ends_of(12) >= 11])
    revenue = in_yuan(ground.summed(ground.sales, firm, month, 12))
    is_there = (revenue > 0) & (ground.first[firm] <= month - 11)
    firm, month, revenue = firm[is_there], month[is_there], revenue[is_there]
    tension = ground.tension[firm, month]
    on = ground.window.month_ends(month)
    profit = _profit(rng, ground, firm, month, revenue)
    balance = _balance(rng, ground, firm, month, revenue)
    flows = {
        "depreciation_fen": in_yuan(0.1 * balance["fixed_assets_fen"]),
        "operating_cash_flow_fen": in_yuan(
            profit["net_profit_fen"] + 0.03 * revenue * rng.normal(0.5 - 2 * tension, 1.0)
        ),
        "investing_cash_flow_fen": -in_yuan(0.08 * balance["fixed_assets_fen"]),
        "financing_cash_flow_fen": in_yuan(0.01 * revenue * rng.standard_normal(len(firm))),
    }
    return ground.table(
        FINANCIAL_STATEMENT, firm, on, later(rng, on, 60, 125),
        period_from=dates(ground.window.month_starts(month - 11)), is_audited=ground.annual[firm] > 2_000_000_000,
        **profit, **balance, **flows,
    )  # fmt: skip


def _profit(rng: np.random.Generator, ground: Ground, firm: Ints, month: Ints, revenue: Ints) -> dict[str, Ints]:
    """Return the lines from revenue to net profit, which add up."""
    own = rng.normal(0.0, 0.03, ground.n)
    cost = in_yuan(revenue * (0.80 + own[firm] + 0.15 * ground.tension[firm, month]).clip(0.5, 1.1))
    surcharges, selling, admin = (
        in_yuan(revenue * part * rng.uniform(0.7, 1.3, len(firm))) for part in (0.005, 0.03, 0.07)
    )
    interest = in_yuan(_LENDING_RATE * (ground.owed[firm, month] + ground.elsewhere[firm]))
    finance = interest + in_yuan(0.001 * revenue)
    operating = revenue - cost - surcharges - selling - admin - finance
    other_income, other_expenses = (in_yuan(revenue * rng.exponential(0.002, len(firm))) for _ in range(2))
    before_tax = operating + other_income - other_expenses
    tax = in_yuan(np.where(revenue < 10 * _SMALL_YUAN * 100, 0.05, 0.25) * np.maximum(before_tax, 0))
    return {
        "revenue_fen": revenue, "cost_fen": cost, "surcharges_fen": surcharges, "selling_expenses_fen": selling,
        "admin_expenses_fen": admin, "finance_expenses_fen": finance, "interest_expense_fen": interest,
        "operating_profit_fen": operating, "other_income_fen": other_income, "other_expenses_fen": other_expenses,
        "profit_before_tax_fen": before_tax, "income_tax_fen": tax, "net_profit_fen": before_tax - tax,
    }  # fmt: skip


def _balance(rng: np.random.Generator, ground: Ground, firm: Ints, month: Ints, revenue: Ints) -> dict[str, Ints]:
    """Return the balance sheet, which balances: equity is what assets are more than liabilities."""
    tension = ground.tension[firm, month]

    def part(of_revenue: Floats | float) -> Ints:
        return in_yuan(revenue * of_revenue * rng.uniform(0.6, 1.4, len(firm)))

    current = {
        "cash": part(0.06 * (1 - 0.7 * tension)), "notes_receivable": part(0.02),
        "accounts_receivable": part(0.16 * (1 + 0.6 * tension)), "prepayments": part(0.01),
        "other_receivables": part(0.01), "inventories": part(0.10 * (1 + 0.5 * tension)),
    }  # fmt: skip
    noncurrent = {"fixed_assets": part(0.25), "intangible_assets": part(0.02), "deferred_expenses": part(0.01)}
    owed = {
        "short_loans": in_yuan(ground.owed[firm, month] + ground.elsewhere[firm]),
        "accounts_payable": part(0.12 * (1 + 0.5 * tension)), "advances": part(0.01), "wages_payable": part(0.01),
        "taxes_payable": part(0.005), "other_payables": part(0.01),
    }  # fmt: skip
    assets, liabilities = sum(current.values()) + sum(noncurrent.values()), sum(owed.values())
    equity = np.asarray(assets - liabilities)
    paid_in = ground.paid_in[firm]
    surplus = in_yuan(0.1 * np.maximum(equity - paid_in, 0))
    totals = {
        "current_assets": sum(current.values()), "noncurrent_assets": sum(noncurrent.values()), "assets": assets,
        "current_liabilities": liabilities, "noncurrent_liabilities": np.zeros_like(revenue),
        "liabilities": liabilities, "equity": equity, "paid_in_capital": paid_in,
        "capital_reserve": np.zeros_like(revenue), "surplus_reserve": surplus,
        "retained_profit": equity - paid_in - surplus,
    }  # fmt: skip
    # The parts of current assets are added up by the kind's rule only where all of them are given.
    empty = dict.fromkeys(
        ("short_investments", "dividends_receivable", "interest_receivable", "other_current_assets"),
        np.zeros_like(revenue),
    )
    return {f"{name}_fen": np.asarray(line) for name, line in (current | noncurrent | owed | totals | empty).items()}


def tax_bill(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return VAT returns, monthly or of small firms quarterly, and the year's income tax with the firm's grade."""
    is_small = ground.annual < _SMALL_YUAN * 100
    months = np.arange(ground.window.months)
    firm, month = ground.each(months)
    is_quarter = np.isin(month, ground.month_ends_of(3, 6, 9, 12)) & (month >= 2)
    keep = ~is_small[firm] | is_quarter
    firm, month = firm[keep], month[keep]
    length = np.where(is_small[firm], 3, 1)
    sales, vat = (
        np.where(length == 3, ground.summed(amounts, firm, month, 3), ground.summed(amounts, firm, month, 1))
        for amounts in (ground.sales, _vat_due(ground.vat))
    )
    on = ground.window.month_ends(month)
    paid, arrears = _paid(rng, vat, ground.tension[firm, month])
    monthly = ground.table(
        TAX_BILL, firm, on, later(rng, on, 10, 20), period_from=dates(ground.window.month_starts(month - length + 1)),
        tax="vat", declared_sales_fen=sales, due_fen=vat, paid_fen=paid, arrears_fen=arrears,
    )  # fmt: skip
    return pl.concat([monthly, _income_tax(ground, rng)])


def _vat_due(vat: Ints) -> Ints:
    """Return what is due each month: VAT paid on purchases beyond that on sales is carried on."""
    due, carried = np.empty_like(vat), np.zeros(len(vat), dtype=np.int64)
    for month in range(vat.shape[1]):
        owed = vat[:, month] + carried
        due[:, month], carried = np.maximum(owed, 0), np.minimum(owed, 0)
    return due


def _paid(rng: np.random.Generator, due: Ints, tension: Floats) -> tuple[Ints, Ints]:
    """Return what of a tax is paid, and what is in arrears: firms in trouble do not pay all."""
    is_short = rng.random(len(due)) < 0.01 + 0.4 * tension
    paid = np.where(is_short, (due * rng.uniform(0.0, 0.8, len(due))).astype(np.int64), due)
    return paid, due - paid


def _income_tax(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    ends = ground.month_ends_of(12)
    firm, month = ground.each(ends[ends >= 11])
    sales = ground.summed(ground.sales, firm, month, 12)
    due = in_yuan(0.01 * np.maximum(sales, 0))
    tension = ground.tension[firm, month]
    paid, arrears = _paid(rng, due, tension)
    mark = -ground.strength[firm] + 2 * tension + 0.6 * rng.standard_normal(len(firm))
    on = ground.window.month_ends(month)
    return ground.table(
        TAX_BILL, firm, on, later(rng, on, 130, 151), period_from=dates(ground.window.month_starts(month - 11)),
        tax="corporate_income", declared_sales_fen=sales, due_fen=due, paid_fen=paid, arrears_fen=arrears,
        tax_grade=chosen(("A", "B", "M", "C", "D"), np.searchsorted([-0.4, 1.0, 1.4, 2.6], mark)),
    )  # fmt: skip


def utility_bill(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return a monthly bill for electricity: some for the works as such, the rest as sales go."""
    firm, month = ground.each(np.arange(ground.window.months))
    intensity = np.exp(rng.normal(-3.0, 0.4, ground.n))
    base = 0.02 * ground.annual / 12 / 100
    sales = np.maximum(ground.sales[firm, month], 0) / 100
    quantity = np.round((base[firm] + sales * intensity[firm]) * np.exp(0.1 * rng.standard_normal(len(firm))), 1)
    on = ground.window.month_ends(month)
    is_paid = rng.random(len(firm)) >= 0.01 + 0.3 * ground.tension[firm, month]
    paid = later(rng, on, 6, 24)
    known = np.where(is_paid, paid + 1, on + 40)
    return ground.table(
        UTILITY_BILL, firm, on, known, period_from=dates(ground.window.month_starts(month)), utility="electricity",
        meter="D" + ground.codes.str.slice(8, 9).gather(firm), quantity=quantity,
        amount_fen=np.rint(quantity * _PER_KWH * 100).astype(np.int64), paid_on=sparse(dates(paid), is_paid),
    )  # fmt: skip


def account_month(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return an account's months: a share of what customers pay comes in, and the balance is what stays of it."""
    share = rng.uniform(0.3, 0.95, ground.n)
    sold = np.maximum(ground.sales, 0) * (1 + _VAT)
    before = np.concatenate([sold[:, :1], sold[:, :-1]], axis=1)
    credits_ = np.rint(share[:, None] * (0.4 * sold + 0.6 * before)).astype(np.int64)
    wanted = 0.05 * share[:, None] * ground.annual[:, None] * (1 - 0.8 * ground.tension)
    wanted = np.rint(wanted * np.exp(0.3 * rng.standard_normal(wanted.shape))).astype(np.int64)
    debits, closing = np.zeros_like(credits_), np.zeros_like(credits_)
    balance = wanted[:, 0]
    for place in range(ground.window.months):
        debits[:, place] = np.maximum(balance + credits_[:, place] - wanted[:, place], 0)
        balance = balance + credits_[:, place] - debits[:, place]
        closing[:, place] = balance
    firm, month = ground.each(np.arange(ground.window.months))
    on = ground.window.month_ends(month)
    into, out = credits_[firm, month], debits[firm, month]
    payroll = np.where(rng.random(ground.n) < _PRODUCTS["payroll"], 0.12, 0.0)
    return ground.table(
        ACCOUNT_MONTH, firm, on, later(rng, on, 1, 3), account_id="A" + ground.codes.str.slice(8, 9).gather(firm),
        account_kind="basic", credits_fen=into, debits_fen=out, closing_balance_fen=closing[firm, month],
        credit_count=1 + into // 3_000_000, debit_count=1 + out // 2_500_000,
        payroll_fen=np.minimum(in_yuan(payroll[firm] * ground.annual[firm] / 12), out),
        mean_balance_fen=np.rint(closing[firm, month] * rng.uniform(0.7, 1.3, len(firm))).astype(np.int64),
    )  # fmt: skip


def product_held(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what firms have with the bank: an account each, the loans that there are, and others by choice."""
    begun, firm = ground.begun, np.arange(ground.n)
    parts = [ground.table(PRODUCT_HELD, firm, begun, begun, product_type="account")]
    for name, held in _PRODUCTS.items():
        holders = np.flatnonzero(rng.random(ground.n) < held)
        since = later(rng, begun[holders], 0, 300)
        parts.append(ground.table(PRODUCT_HELD, holders, since, since, product_type=name))
        leaving = np.flatnonzero((rng.random(len(holders)) < 0.5) & (ground.fails[holders] < ground.window.months))
        parts.append(_left(ground, holders[leaving], since[leaving], name))
    loans = ground.economy.inputs.loans.filter(pl.col("known_on") <= ground.window.end_on)
    lent = loans.select(
        "firm_id", "observed_on", "known_on", product_type=pl.lit("loan"), contract_id="loan_id",
        ended_on=pl.lit(None, dtype=pl.Date),
    ).select(PRODUCT_HELD.schema.keys())  # fmt: skip
    return pl.concat([*parts, lent])


def _left(ground: Ground, firm: Ints, since: Days, name: str) -> pl.DataFrame:
    """Return that products ended some months before the firm's default."""
    ended = ground.window.month_ends(ground.fails[firm] - 2)
    is_later = ended > since
    return ground.table(
        PRODUCT_HELD, firm[is_later], since[is_later], ended[is_later], product_type=name,
        ended_on=dates(ended[is_later]),
    )  # fmt: skip
