"""Features of the people behind a firm; of whom nobody is here who did not consent (features/consent.py)."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import latest
from features.consent import consenting
from features.context import Context
from features.inputs import Inputs
from features.policy import PERSONAL_RECORD_YEARS, UNSTATED_DAYS_PAST_DUE
from features.spec import ValueFormat, feature

DAYS_A_YEAR = 365.25
RECORD_KEY = ("firm_id", "person_id", "record", "observed_on")
"""What makes rows of ``personal_record`` one record, of which the newest known row counts."""


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the "owner" table: since when the firm's longest-serving owner has been in the trade; and "bureau"."""
    del context
    if "owner" in wanted:
        yield (
            _owners(inputs).filter(pl.col("trade_since") <= as_of).group_by("firm_id").agg(pl.col("trade_since").min())
        )
    if "bureau" in wanted:
        yield _bureau(inputs, as_of)


def _owners(inputs: Inputs) -> pl.LazyFrame:
    return latest(inputs.persons.lazy(), ["firm_id", "person_id"]).filter(pl.col("role") == "owner")


def _bureau(inputs: Inputs, as_of: date) -> pl.LazyFrame:
    """Return ``worst_days`` past due on record of each firm's owners, of those who let the bureau be asked."""
    asked = _owners(inputs).join(consenting(inputs.consents, "bureau").lazy(), on=["firm_id", "person_id"], how="semi")
    records = latest(inputs.personal_records.lazy(), RECORD_KEY).filter(_counts(as_of))
    days = pl.col("days_past_due").fill_null(UNSTATED_DAYS_PAST_DUE)
    worst = records.group_by("firm_id", "person_id").agg(days.max().alias("worst_days"))
    return (
        asked.join(worst, on=["firm_id", "person_id"], how="left")
        .group_by("firm_id")
        .agg(pl.col("worst_days").fill_null(0).max())
    )


def _counts(as_of: date) -> pl.Expr:
    """Return the predicate of records that may still be held against a person on a day."""
    leaves_on = pl.col("ended_on").dt.offset_by(f"{12 * PERSONAL_RECORD_YEARS}mo")
    return pl.col("ended_on").is_null() | (leaves_on > as_of)


@feature(
    tables=("owner",),
    unit="years",
    family="owner",
    sign=-1,
    missing="B",
    value_format=ValueFormat.YEARS,
    en="owner's years in the trade",
    zh="实际控制人从业年限",
    worse_en="the owner is new to the trade",
    worse_zh="实际控制人从业时间较短",
    better_en="the owner has long been in the trade",
    better_zh="实际控制人从业经验丰富",
    source="methods.md section 1",
)
def owner_yrs() -> pl.Expr:
    """Years in the trade of the owner, the longest of several; the newest row of each person counts.

    Unknown without the owner's consent to owner_data.
    """
    return (pl.col("as_of") - pl.col("trade_since")).dt.total_days() / DAYS_A_YEAR


@feature(
    tables=("bureau",),
    unit="days",
    family="owner",
    sign=+1,
    missing="B",
    value_format=ValueFormat.DAYS,
    en="owner's worst days past due on record",
    zh="实际控制人征信最高逾期天数",
    worse_en="the owner has negative records at the credit bureau",
    worse_zh="实际控制人征信有不良记录",
    better_en="the owner's credit record is clean",
    better_zh="实际控制人征信记录良好",
    source="methods.md section 1; docs/reference/policy.md",
)
def owner_dpd() -> pl.Expr:
    """Most days past due in the negative records of the owner, the worst of several; 0 where none counts.

    A record counts while it runs and for less than five years after its end (PERSONAL_RECORD_YEARS); without days past
    due it counts as 91 (UNSTATED_DAYS_PAST_DUE). Of one person, record and day it began, the newest known row counts.
    Unknown unless an owner consented both to owner_data, which tells who the owner is, and to bureau.
    """
    return pl.col("worst_days")
