"""Features of the firm itself."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import latest
from features.context import Context
from features.inputs import Inputs
from features.spec import ValueFormat, feature

DAYS_A_YEAR = 365.25


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the "firm" table: the newest row of each firm."""
    del context, as_of
    if "firm" in wanted:
        yield latest(inputs.firms.lazy(), ["firm_id"]).select("firm_id", "founded_on")


@feature(
    tables=("firm",),
    unit="years",
    family="firm",
    sign=-1,
    missing="B",
    value_format=ValueFormat.YEARS,
    en="age of the firm",
    zh="企业成立年限",
    worse_en="the firm is young",
    worse_zh="企业成立时间较短",
    better_en="the firm is long established",
    better_zh="企业成立时间较长",
    source="standard",
)
def firm_age() -> pl.Expr:
    """Years since foundation; unknown without a date, or with one yet to come."""
    return pl.when(pl.col("founded_on") <= pl.col("as_of")).then(
        (pl.col("as_of") - pl.col("founded_on")).dt.total_days() / DAYS_A_YEAR
    )
