"""Features of a firm's customers that are firms of the lender's themselves: what is published of them.

The PD of another firm is the last one that was published, and recorded, before the day (methods.md section 0.5). So no
score reads a PD of its own run, and one published later changes no byte of a score. PDs are weighed as whole numbers
of 1e-9, so that their sum with fen is exact in any order.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

import polars as pl

from features.as_of import latest, months_ago
from features.context import Context
from features.inputs import Inputs
from features.spec import ValueFormat, feature
from features.supply_chain import YEAR, valid_invoices

_NANO: Final = 1_000_000_000


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the "customers" table: 12 months' sales to customers with a published PD, also times that PD.

    Raises
    ------
    ValueError
        If the context names runs and not their PDs.
    """
    if "customers" not in wanted:
        return
    published = context.published
    if published.pds is None:
        raise ValueError("the context names the runs that published PDs: read these first (Context.with_pds)")
    known_pds = published.pds.lazy().select(
        pl.col("firm_id").alias("counterparty"), (pl.col("pd") * _NANO).round().cast(pl.Int128).alias("pd_nano")
    )
    sold = (
        valid_invoices(inputs.invoices)
        .lazy()
        .filter((pl.col("direction") == "output") & (months_ago("observed_on", as_of) < YEAR))
        .filter(pl.col("counterparty") != pl.col("firm_id"))
        .group_by("firm_id", "counterparty")
        .agg(pl.col("net_fen").sum())
        .filter(pl.col("net_fen") > 0)
        .join(known_pds, on="counterparty")
        .group_by("firm_id")
        .agg(
            pl.col("net_fen").sum().alias("rated_sales"),
            (pl.col("net_fen").cast(pl.Int128) * pl.col("pd_nano")).sum().alias("rated_sales_at_risk_nano"),
        )
    )
    of_cluster = (
        latest(inputs.firms.lazy(), ["firm_id"])
        .select("firm_id", "cluster")
        .join(published.clusters.lazy().rename({"median": "cluster_pd"}), on="cluster", how="left")
        .select("firm_id", "cluster_pd")
    )
    yield of_cluster.join(sold, on="firm_id", how="left")


@feature(
    tables=("customers",),
    unit="share",
    family="buyers",
    sign=+1,
    missing="C",
    value_format=ValueFormat.PERCENT,
    en="PD of its customers, by sales",
    zh="客户违约概率（按销售额加权）",
    worse_en="customers are themselves at risk",
    worse_zh="主要客户自身违约风险偏高",
    better_en="customers are sound",
    better_zh="主要客户自身违约风险较低",
    source="methods.md sections 0.5 and 1",
    fallback=lambda context: context.published_median,
    stand_in=pl.col("cluster_pd"),
)
def cust_pd() -> pl.Expr:
    """Σ sales share x PD over the customers that have a published PD, 12 months.

    A PD is the last one published and recorded before the day; the shares are of the sales to customers that have one,
    which are other firms that the lender has scored. Where none has, the median of the published PDs of the firm's
    cluster, else of all, flagged; unknown where nothing was ever published.
    """
    return pl.col("rated_sales_at_risk_nano").cast(pl.Float64) / pl.col("rated_sales") / _NANO
