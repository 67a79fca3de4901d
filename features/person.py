"""Features of the people behind a firm."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import latest
from features.context import Context
from features.inputs import Inputs
from features.spec import ValueFormat, feature

DAYS_A_YEAR = 365.25


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the "owner" table: since when the firm's longest-serving owner has been in the trade."""
    del context
    if "owner" in wanted:
        yield (
            latest(inputs.persons.lazy(), ["firm_id", "person_id"])
            .filter(pl.col("role") == "owner", pl.col("trade_since") <= as_of)
            .group_by("firm_id")
            .agg(pl.col("trade_since").min())
        )


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
    """Years in the trade of the owner, the longest of several; the newest row of each person counts."""
    return (pl.col("as_of") - pl.col("trade_since")).dt.total_days() / DAYS_A_YEAR
