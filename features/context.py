"""Whole-population tables of one day, built once and read by online and batch scoring alike."""

import json
from dataclasses import dataclass
from datetime import date

import polars as pl

from features.as_of import known, latest, months_after
from features.inputs import Inputs
from features.repayment import dated_statuses, in_default, live_spans

FORMAT = 1
CONTEXT_KINDS = ("firm", "loan", "repayment_status")
"""The kinds of observations that a context is built from."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one day knew of the whole population.

    Attributes
    ----------
    as_of
        The day.
    obligors, defaults
        Firms with a live loan at some time in the last 12 months and not in default when these began, and those
        of them that defaulted since.
    clusters
        The same counts by cluster: ``cluster``, ``obligors``, ``defaults``, sorted by cluster.
    """

    as_of: date
    obligors: int
    defaults: int
    clusters: pl.DataFrame

    @property
    def default_rate(self) -> float:
        """Defaults per obligor of the population; NaN without obligors."""
        return self.defaults / self.obligors if self.obligors else float("nan")

    def to_json(self) -> str:
        """Return the canonical JSON text: equal contexts have equal bytes.

        Examples
        --------
        >>> build_context(Inputs.empty(), date(2024, 6, 30)).to_json()
        '{"as_of":"2024-06-30","clusters":[],"defaults":0,"format":1,"obligors":0}'
        """
        payload = {
            "format": FORMAT,
            "as_of": self.as_of.isoformat(),
            "obligors": self.obligors,
            "defaults": self.defaults,
            "clusters": [list(row) for row in self.clusters.rows()],
        }
        return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Context":
        """Read a context back.

        Raises
        ------
        ValueError
            If the text is of another format.
        """
        payload = json.loads(text)
        if payload.get("format") != FORMAT:
            raise ValueError(f"context format {payload.get('format')!r} where {FORMAT} is expected")
        return cls(
            as_of=date.fromisoformat(payload["as_of"]),
            obligors=payload["obligors"],
            defaults=payload["defaults"],
            clusters=pl.DataFrame(payload["clusters"], schema=_CLUSTERS, orient="row"),
        )


_CLUSTERS = {"cluster": pl.String(), "obligors": pl.Int64(), "defaults": pl.Int64()}


def build_context(inputs: Inputs, as_of: date) -> Context:
    """Count obligors and defaults of the last 12 months by cluster, from what was known on a day.

    Only dated statuses count: an undated label says nothing about a year. Firms already in default when the 12
    months began are not at risk and count nowhere.

    Parameters
    ----------
    inputs
        Observations of the whole population; later ones are left out here. Invoices and persons are not read.
    as_of
        The day.
    """
    seen = known(inputs.only(*CONTEXT_KINDS), as_of)
    obligors = _obligors(seen, as_of)
    clusters = (
        latest(seen.firms, ["firm_id"])
        .filter(pl.col("cluster").is_not_null())
        .join(obligors, on="firm_id")
        .group_by("cluster")
        .agg(pl.len().cast(pl.Int64).alias("obligors"), pl.col("has_defaulted").sum().cast(pl.Int64).alias("defaults"))
        .sort("cluster")
    )
    return Context(
        as_of=as_of,
        obligors=obligors.height,
        defaults=int(obligors["has_defaulted"].sum()),
        clusters=clusters,
    )


def _obligors(seen: Inputs, as_of: date) -> pl.DataFrame:
    """Return ``firm_id``, ``has_defaulted`` of the firms at risk in the 12 months to a day."""
    begin = months_after(as_of, -12)
    statuses = dated_statuses(seen)
    recent = statuses.filter(pl.col("observed_on") > begin)
    spans = live_spans(seen).filter(pl.col("end_on").is_null() | (pl.col("end_on") > begin))
    at_risk = pl.concat([spans.select("firm_id"), recent.select("firm_id")]).unique()
    already = in_default(at_risk.with_columns(on=pl.lit(begin)), statuses)
    defaulted = recent.filter("is_default")["firm_id"].unique()
    return at_risk.join(already, on="firm_id", how="anti").with_columns(
        has_defaulted=pl.col("firm_id").is_in(defaulted.implode())
    )
