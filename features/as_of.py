"""What was knowable on a date: the only place that filters by time."""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

import polars as pl

from features.inputs import Inputs

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def is_known(as_of: date) -> pl.Expr:
    """Return the predicate of rows that had happened and were known on a date."""
    return (pl.col("known_on") <= as_of) & (pl.col("observed_on") <= as_of)


def known(inputs: Inputs, as_of: date) -> Inputs:
    """Keep the observations that had happened and were known on a date.

    Parameters
    ----------
    inputs
        Observations of any dates.
    as_of
        The date, included.

    Examples
    --------
    >>> known(Inputs.empty(), date(2024, 6, 30)).firms.height
    0
    """
    return inputs.filter(is_known(as_of))


def latest(frame: Frame, keys: Sequence[str]) -> Frame:
    """Keep the newest observation of each key.

    Rows of one ``observed_on`` are ordered by ``known_on`` and then by all other columns, so that the choice
    never depends on the order of rows.

    Examples
    --------
    >>> rows = {"firm_id": ["a", "a"], "observed_on": [date(2024, 1, 1), date(2024, 2, 1)]}
    >>> latest(pl.DataFrame(rows).with_columns(known_on="observed_on", name=pl.lit("x")), ["firm_id"]).height
    1
    """
    first = [*keys, "observed_on", "known_on"]
    rest = [name for name in frame.collect_schema() if name not in first]
    is_descending = [name not in keys for name in first + rest]
    return frame.sort(first + rest, descending=is_descending, nulls_last=True).unique(
        keys, keep="first", maintain_order=True
    )


def months_ago(column: str, as_of: date) -> pl.Expr:
    """Return how many whole months before a date each row lies (Int32).

    0 is the month that ends on ``as_of``, ``(as_of - 1 month, as_of]``; 1 the month before it, and so on. Dates
    of the same day of month as ``as_of`` open a new month; where a month is too short for that day, its last day
    does.

    Examples
    --------
    >>> days = pl.DataFrame({"on": [date(2024, 3, 31), date(2024, 3, 1), date(2024, 2, 29), date(2023, 3, 31)]})
    >>> days.select(ago=months_ago("on", date(2024, 3, 31)))["ago"].to_list()
    [0, 0, 1, 12]
    """
    on = pl.col(column).dt
    months = (as_of.year - on.year()) * 12 + (as_of.month - on.month().cast(pl.Int32))
    return months - (on.day() > as_of.day).cast(pl.Int32)


def months_after(on: date, months: int) -> date:
    """Return the date some months later (earlier if negative), on the month's last day where it is too short.

    Examples
    --------
    >>> months_after(date(2024, 3, 31), -1), months_after(date(2024, 1, 15), 12)
    (datetime.date(2024, 2, 29), datetime.date(2025, 1, 15))
    """
    moved: date = pl.Series([on]).dt.offset_by(f"{months}mo").item()
    return moved
