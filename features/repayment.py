"""Who had a live loan and who was in default on a date, from loans and dated repayment statuses."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from features.inputs import DAYS_PAST_DUE_AT_DEFAULT, Inputs

CURE_MONTHS = 6
"""Months without a new sign of default, shown by a later status, that end a default (methods.md section 1)."""


def is_default() -> pl.Expr:
    """Return the predicate of repayment statuses that are a default: an event, or more than 90 days past due.

    Examples
    --------
    >>> rows = {"default_event": [None, "write_off", None], "days_past_due": [90, None, 91]}
    >>> pl.DataFrame(rows).select(is_default())["default_event"].to_list()
    [False, True, True]
    """
    return pl.col("default_event").is_not_null() | (pl.col("days_past_due").fill_null(0) > DAYS_PAST_DUE_AT_DEFAULT)


def dated_statuses(inputs: Inputs) -> pl.DataFrame:
    """Return the statuses whose own date is known, with ``is_default``.

    Of one loan and date only what was known last counts: a correction takes the place of what it corrects.
    """
    dated = inputs.repayment_statuses.filter(~pl.col("is_undated"))
    is_newest = pl.col("known_on") == pl.col("known_on").max().over("firm_id", "loan_id", "observed_on")
    return dated.filter(is_newest).with_columns(is_default=is_default())


def live_spans(inputs: Inputs) -> pl.DataFrame:
    """Return when each loan was live: ``firm_id``, ``start_on``, ``end_on`` (excluded, null if open), ``is_closed``.

    A loan starts at its first sign of life and ends when a status closes it (``is_closed``); without one, at its
    maturity or last status, whichever is later; without a maturity it stays open. A status that names a loan we
    have no row of counts as a loan; so does one that names none, if the firm has no other.
    """
    loans = inputs.loans.group_by("firm_id", "loan_id").agg(
        pl.col("observed_on").min().alias("start_on"), pl.col("matures_on").max()
    )
    statuses = (
        dated_statuses(inputs)
        .group_by("firm_id", "loan_id")
        .agg(
            pl.col("observed_on").min().alias("first_status_on"),
            pl.col("observed_on").max().alias("last_status_on"),
            pl.col("observed_on").filter(pl.col("is_closed")).min().alias("closed_on"),
        )
    )
    both = loans.join(statuses, on=["firm_id", "loan_id"], how="full", coalesce=True, nulls_equal=True)
    expected_end = pl.when(pl.col("matures_on").is_not_null()).then(pl.max_horizontal("matures_on", "last_status_on"))
    is_named = pl.col("loan_id").is_not_null()
    return both.filter(is_named | ~is_named.any().over("firm_id")).select(
        "firm_id",
        start_on=pl.min_horizontal("start_on", "first_status_on"),
        end_on=pl.coalesce("closed_on", expected_end),
        is_closed=pl.col("closed_on").is_not_null(),
    )


def in_default(candidates: pl.DataFrame, statuses: pl.DataFrame) -> pl.DataFrame:
    """Keep the candidates (``firm_id``, ``on``) that were in default on their date.

    A firm is in default while one of its loans is; a loan is from a status that says so until a status of the same
    loan is seen at least six months after the last such one. Statuses about the firm count as a loan of their own.
    """
    named = statuses.with_columns(pl.col("loan_id").fill_null(""))
    failed = named.filter("is_default").select("firm_id", "loan_id").unique()
    joined = _last_before(candidates.join(failed, on="firm_id"), named.filter("is_default"), "last_default_on")
    joined = _last_before(joined, named, "last_status_on")
    cured_on = pl.col("last_default_on").dt.offset_by(f"{CURE_MONTHS}mo")
    return joined.filter(pl.col("last_status_on") < cured_on).select(candidates.columns).unique()


def _last_before(candidates: pl.DataFrame, events: pl.DataFrame, name: str) -> pl.DataFrame:
    dates = events.select("firm_id", "loan_id", pl.col("observed_on").alias(name)).unique().sort(name)
    return candidates.sort("on").join_asof(
        dates, left_on="on", right_on=name, by=["firm_id", "loan_id"], strategy="backward", check_sortedness=False
    )


def live_on(spans: pl.DataFrame, dates: Sequence[date]) -> pl.DataFrame:
    """Return the firms with a live loan on each date: ``firm_id``, ``on``, without repeats."""
    days = pl.DataFrame({"on": dates}, schema={"on": pl.Date})
    return (
        spans.join(days, how="cross")
        .filter((pl.col("start_on") <= pl.col("on")) & (pl.col("end_on").is_null() | (pl.col("on") < pl.col("end_on"))))
        .select("firm_id", "on")
        .unique()
    )
