"""Is there enough data to score a firm at all? Pure gates, each with words for what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from features.as_of import known, months_after
from features.inputs import Inputs
from features.supply_chain import valid_invoices


@dataclass(frozen=True)
class Requirement:
    """One thing that must be known of a firm.

    Attributes
    ----------
    name
        Its code on the wire.
    en, zh
        What is missing when it fails.
    is_met
        Predicate over one row a firm: ``invoice_count``, ``sales_count`` (valid positive output invoices),
        ``first_invoice_on`` and ``six_months_before`` (the day, six months back).
    """

    name: str
    en: str
    zh: str
    is_met: pl.Expr


REQUIREMENTS: dict[str, Requirement] = {
    requirement.name: requirement
    for requirement in (
        Requirement("invoices", "no valid invoice is known", "没有任何有效发票记录", pl.col("invoice_count") >= 1),
        Requirement(
            "invoice_history_6m",
            "the first invoice is less than 6 months old",
            "发票历史不足 6 个月",
            pl.col("first_invoice_on") <= pl.col("six_months_before"),
        ),
        Requirement(
            "sales_invoices_3",
            "fewer than 3 valid sales invoices are known",
            "有效销项发票不足 3 张",
            pl.col("sales_count") >= 3,
        ),
    )
}


def insufficient(inputs: Inputs, as_of: date, requirements: Sequence[str] = tuple(REQUIREMENTS)) -> pl.DataFrame:
    """Tell, for every firm known on a day, which requirements it fails.

    Parameters
    ----------
    inputs
        Observations of any dates; only those known on the day count.
    as_of
        The day.
    requirements
        Names among ``REQUIREMENTS``.

    Returns
    -------
    polars.DataFrame
        ``firm_id`` (sorted) and ``missing`` (list of the failed requirements' names, in the order asked; empty
        if the firm can be scored).

    Examples
    --------
    >>> insufficient(Inputs.empty(), date(2024, 6, 30)).columns
    ['firm_id', 'missing']
    """
    seen = known(inputs, as_of)
    counts = (
        valid_invoices(seen.invoices)
        .group_by("firm_id")
        .agg(
            pl.len().alias("invoice_count"),
            ((pl.col("direction") == "output") & (pl.col("net_fen") > 0)).sum().alias("sales_count"),
            pl.col("observed_on").min().alias("first_invoice_on"),
        )
    )
    checked = [REQUIREMENTS[name] for name in requirements]
    failed = [pl.when(~r.is_met.fill_null(value=False)).then(pl.lit(r.name)) for r in checked]
    return (
        seen.firms.select(pl.col("firm_id").unique().sort())
        .with_columns(six_months_before=pl.lit(months_after(as_of, -6), pl.Date))
        .join(counts, on="firm_id", how="left", maintain_order="left")
        .select("firm_id", missing=pl.concat_list(failed).list.drop_nulls())
    )
