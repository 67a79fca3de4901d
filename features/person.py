"""Features of the people behind a firm; of whom nobody is here who did not consent (features/consent.py)."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import latest
from features.context import Context
from features.inputs import Inputs
from features.kinds.parties import NOTHING_ON_FILE
from features.policy import PERSONAL_RECORD_YEARS, UNSTATED_DAYS_PAST_DUE
from features.spec import ValueFormat, feature

DAYS_A_YEAR = 365.25
RECORD_KEY = ("firm_id", "person_id", "record", "observed_on")
"""What makes rows of ``personal_record`` one record: the newest known row says whether and when it ended."""


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
    """Return the newest row of each owner; what else a person is to the firm does not matter."""
    return latest(inputs.persons.lazy().filter(pl.col("role") == "owner"), ["firm_id", "person_id"])


def _bureau(inputs: Inputs, as_of: date) -> pl.LazyFrame:
    """Return ``worst_days`` past due on record of each firm's owners; null unless it is known of every one of them."""
    worst = _worst_days(inputs.personal_records.lazy(), as_of)
    per_owner = _owners(inputs).join(worst, on=["firm_id", "person_id"], how="left")
    is_known = pl.col("worst_days").is_not_null().all()
    return per_owner.group_by("firm_id").agg(pl.when(is_known).then(pl.col("worst_days").max()).alias("worst_days"))


def _worst_days(rows: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Return ``worst_days`` of each person of whom there is any row; 0 where none of them counts."""
    worst = rows.group_by(RECORD_KEY).agg(pl.col("days_past_due").max().fill_null(UNSTATED_DAYS_PAST_DUE))
    records = latest(rows, RECORD_KEY).drop("days_past_due").join(worst, on=RECORD_KEY)
    days = pl.when(_counts(as_of)).then("days_past_due").otherwise(0)
    return records.group_by("firm_id", "person_id").agg(days.max().alias("worst_days"))


def _counts(as_of: date) -> pl.Expr:
    """Return the predicate of negative records that may still be held against a person on a day."""
    leaves_on = pl.col("ended_on").dt.offset_by(f"{12 * PERSONAL_RECORD_YEARS}mo")
    is_negative = pl.col("record") != NOTHING_ON_FILE
    return is_negative & (pl.col("ended_on").is_null() | (leaves_on > as_of))


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
    """Years in the trade of the owner, the longest of several; the newest row of each owner counts.

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
    due it counts as 91 (UNSTATED_DAYS_PAST_DUE). Of one person, record and day it began, the newest known row says when
    it ended, and the most days of any known row count. Unknown unless every owner (who that is, the consent to
    owner_data tells) consented to bureau and has a row: a record, also one that no longer counts, or none.
    """
    return pl.col("worst_days")
