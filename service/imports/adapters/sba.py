"""Guaranteed loans to small firms of the US Small Business Administration, approved up to 2005.

Amounts are US dollars: a ``_fen`` column holds cents, and is never to be added to yuan. A borrower has no id, so each
loan has a firm of its own. docs/adapters/sba.md says what was mapped to what.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from features.kinds.credit import GUARANTEE, LOAN, REPAYMENT_STATUS
from features.kinds.parties import FIRM
from service.imports.adapters.common import CHECK_SOURCE, NO_DAY, filled_in, one_of, rows_of, settled, whole
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.checks import Check, parse_day, parse_yuan, split
from service.imports.chunks import Advance, fault

FILE = "loans_to_2005.csv.gz"
DAYS = ("approval_date", "disbursement_date", "chg_off_date")
AMOUNTS = ("disbursement_gross", "chg_off_prin_gr", "gr_appv", "sba_appv")
COLUMNS = ("loan_id", "state", "naics", "mis_status", *DAYS, *AMOUNTS)
PAID, CHARGED_OFF = "PIF", "CHGOFF"
NO_TRADE = "0"
PRODUCT, GUARANTOR = "sba", "SBA"
_NO_NUMBER = fault("not a loan number of ten digits", "不是十位贷款编号", *CHECK_SOURCE)
_NO_TRADE = fault("neither a NAICS code of 2 to 6 digits nor 0", "既非 2 至 6 位 NAICS 代码也非 0", *CHECK_SOURCE)
_NO_AMOUNT = fault(
    "not an amount in dollars with at most two decimal places", "不是最多两位小数的金额（美元）", *CHECK_SOURCE
)
_NOT_ABOVE_ZERO = fault("not above zero", "不大于零", *CHECK_SOURCE)
_GUARANTEED_MORE = fault("more is guaranteed than was approved", "担保额大于批准额", *CHECK_SOURCE)


def read(folder: Path, options: Options, advance: Advance) -> Iterator[Batch]:
    """Read the loans, each with its borrower, guarantee and outcome.

    Raises
    ------
    ImportFailedError
        If the file is absent, damaged or lacks a column.
    """
    chunk = whole(folder / FILE, COLUMNS, advance)
    good, bad = split(chunk.rows, _checks(), FILE)
    loans = good.with_columns(
        *(parse_day(name).alias(name) for name in DAYS),
        *(parse_yuan(name).alias(name) for name in AMOUNTS),
        key=pl.format("sba-{}", "loan_id"),
    )
    outcome_on = options.outcome_on or _last_day(loans) + timedelta(days=1)
    tables = [
        (FIRM, _firms(loans)),
        (LOAN, _loans(loans)),
        (GUARANTEE, _guarantees(loans)),
        (REPAYMENT_STATUS, _outcomes(loans, outcome_on)),
    ]
    yield from settled(FILE, pl.concat([chunk.rejects, bad]), tables, options.today)


def _checks() -> list[Check]:
    above_zero = ("disbursement_gross", "gr_appv", "sba_appv")
    return [
        *filled_in(*(name for name in COLUMNS if name != "chg_off_date")),
        Check("loan_id", ~pl.col("loan_id").str.contains("^[0-9]{10}$"), _NO_NUMBER),
        Check("naics", ~pl.col("naics").str.contains("^(0|[0-9]{2,6})$"), _NO_TRADE),
        one_of("mis_status", (PAID, CHARGED_OFF)),
        *(Check(name, pl.col(name).is_not_null() & parse_day(name).is_null(), NO_DAY) for name in DAYS),
        *(Check(name, parse_yuan(name).is_null(), _NO_AMOUNT) for name in AMOUNTS),
        *(Check(name, parse_yuan(name) <= 0, _NOT_ABOVE_ZERO) for name in above_zero),
        Check("sba_appv", parse_yuan("sba_appv") > parse_yuan("gr_appv"), _GUARANTEED_MORE),
    ]


def _last_day(loans: pl.DataFrame) -> date:
    """Return the last day that the book speaks of."""
    days = [day for day in loans.select(pl.col(DAYS).max()).row(0) if day is not None]
    return max(days, default=date(2005, 12, 31))


def _firms(loans: pl.DataFrame) -> pl.DataFrame:
    trade = pl.when(pl.col("naics") != NO_TRADE).then(pl.col("naics"))
    return rows_of(
        FIRM, loans, firm_id=pl.col("key"), observed_on=pl.col("approval_date"), known_on=pl.col("approval_date"),
        industry=trade, place=pl.col("state"),
        name=pl.format("Borrower of SBA loan {}", "loan_id"),
        cluster=pl.concat_str(trade.str.slice(0, 2), pl.col("state"), separator=" "),
    )  # fmt: skip


def _loans(loans: pl.DataFrame) -> pl.DataFrame:
    return rows_of(
        LOAN, loans, firm_id=pl.col("key"), loan_id=pl.col("key"), observed_on=pl.col("disbursement_date"),
        known_on=pl.max_horizontal("disbursement_date", "approval_date"), product=pl.lit(PRODUCT),
        principal_fen=pl.col("disbursement_gross"),
    )  # fmt: skip


def _guarantees(loans: pl.DataFrame) -> pl.DataFrame:
    coverage = (pl.col("sba_appv") * 10_000 / pl.col("gr_appv")).round()
    return rows_of(
        GUARANTEE, loans, firm_id=pl.col("key"), loan_id=pl.col("key"), contract_id=pl.col("key"),
        observed_on=pl.col("approval_date"), known_on=pl.col("approval_date"), guarantor_kind=pl.lit("fund"),
        guarantor=pl.lit(GUARANTOR),
        guarantee_type=pl.lit("general"), share_type=pl.lit("several"), coverage_bp=coverage,
        cap_fen=pl.col("sba_appv"),
    )  # fmt: skip


def _outcomes(loans: pl.DataFrame, outcome_on: date) -> pl.DataFrame:
    """Return charge-offs, dated where the source dates them, and payments in full, which it never dates."""
    is_dated, amount = pl.col("chg_off_date").is_not_null(), pl.col("chg_off_prin_gr")
    charged_off = loans.filter((pl.col("mis_status") == CHARGED_OFF) | is_dated | (amount > 0))
    about = {"firm_id": pl.col("key"), "loan_id": pl.col("key")}
    lost_on = pl.col("chg_off_date").fill_null(outcome_on)
    losses = rows_of(
        REPAYMENT_STATUS, charged_off, **about, observed_on=lost_on, known_on=lost_on,
        balance_fen=pl.when(amount > 0).then(amount), default_event=pl.lit("write_off"),
        is_closed=pl.lit(value=False), is_undated=~is_dated,
    )  # fmt: skip
    paid = rows_of(
        REPAYMENT_STATUS, loans.filter(pl.col("mis_status") == PAID), **about, observed_on=pl.lit(outcome_on),
        known_on=pl.lit(outcome_on),
        is_closed=pl.lit(value=True), is_undated=pl.lit(value=True),
    )  # fmt: skip
    return pl.concat([losses, paid]).sort("line", "observed_on")


ADAPTER = Adapter(
    name="sba",
    summary="SBA guaranteed loans approved up to 2005: a folder with loans_to_2005.csv.gz, as it is. In US dollars.",
    left_out=(
        "weight: of the sample, constant within each outcome, so it is the outcome",
        "bank, bank_state: who lent; the ledger is one lender's",
        "balance_gross: 0 in every row; the balance when the file was made, so an outcome",
        "no_emp, new_exist, create_job, retained_job, franchise_code, urban_rural, rev_line_cr, low_doc: of no kind",
        "approval_fy: follows from approval_date",
    ),
    files=lambda folder: [folder / FILE],
    read=read,
)
