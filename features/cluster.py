"""Features of a firm's industrial cluster, read from the day's context."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import latest
from features.context import Context
from features.inputs import Inputs
from features.spec import ValueFormat, feature

PRIOR_OBLIGORS = 50
"""M of methods.md section 5: obligor-years' worth of trust in the population's rate."""


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the "cluster" table: the counts of each firm's cluster and the population's default rate."""
    del as_of
    if "cluster" in wanted:
        yield (
            latest(inputs.firms.lazy(), ["firm_id"])
            .select("firm_id", "cluster")
            .filter(pl.col("cluster").is_not_null())
            .join(context.clusters.lazy(), on="cluster", how="left")
            .select(
                "firm_id",
                pl.col("obligors", "defaults").fill_null(0),
                pl.lit(context.default_rate).alias("population_default_rate"),
            )
        )


@feature(
    tables=("cluster",),
    unit="share",
    family="cluster",
    sign=+1,
    missing="C",
    value_format=ValueFormat.PERCENT,
    en="default rate of the cluster",
    zh="所在产业集群违约率",
    worse_en="defaults in the firm's cluster are frequent",
    worse_zh="所在产业集群违约率偏高",
    better_en="defaults in the firm's cluster are rare",
    better_zh="所在产业集群违约率较低",
    source="methods.md sections 1 and 5",
    fallback=lambda context: context.default_rate,
)
def cl_dr() -> pl.Expr:
    """(D + M m) / (N + M): the cluster's defaults per obligor over 12 months, shrunk to the population's.

    D of N firms at risk defaulted (``context.build_context``), m is the population's rate, M = 50. Without a
    cluster m itself, flagged; unknown where the population shows no obligor at all.
    """
    return (pl.col("defaults") + PRIOR_OBLIGORS * pl.col("population_default_rate")) / (
        pl.col("obligors") + PRIOR_OBLIGORS
    )
