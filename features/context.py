"""Whole-population tables of one day, built once and read by online and batch scoring alike."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import polars as pl

from features.as_of import known, latest, months_after
from features.inputs import Inputs
from features.repayment import dated_statuses, in_default, live_spans

FORMAT = 2
_FORMATS = (1, FORMAT)
"""What can be read: 1 knew no published PDs."""
CONTEXT_KINDS = ("firm", "loan", "repayment_status")
"""The kinds of observations that a context is built from."""
PUBLISHED: Final = {"firm_id": pl.String(), "pd": pl.Float64()}
"""Columns of published PDs: one row a firm."""


@dataclass(frozen=True, kw_only=True)
class PublishedPds:
    """The last PDs published, and recorded, before a day: what may be known of another firm's PD.

    Attributes
    ----------
    runs
        Ids of the rescorings that they were published by, the newest first; a firm's PD is that of the first that
        has one. Each is of an earlier day, so no score reads a PD of its own run.
    pds
        ``firm_id``, ``pd``. A context that is read back has none: its runs tell where they are.
    median
        Of all of them (the lower of two); None if there are none.
    clusters
        ``cluster``, ``median`` of each cluster's firms, sorted by cluster.
    """

    runs: tuple[str, ...]
    pds: pl.DataFrame | None
    median: float | None
    clusters: pl.DataFrame


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
    published
        The PDs of other firms that were known on the day.
    """

    as_of: date
    obligors: int
    defaults: int
    clusters: pl.DataFrame
    published: PublishedPds

    @property
    def published_median(self) -> float:
        """Median of the published PDs; NaN if there are none."""
        return float("nan") if self.published.median is None else self.published.median

    def with_pds(self, pds: pl.DataFrame) -> "Context":
        """Return the context with the published PDs of the firms that matter: ``firm_id``, ``pd``."""
        return replace(self, published=replace(self.published, pds=pds))

    @property
    def default_rate(self) -> float:
        """Defaults per obligor of the population; NaN without obligors."""
        return self.defaults / self.obligors if self.obligors else float("nan")

    def to_json(self) -> str:
        """Return the canonical JSON text: equal contexts have equal bytes.

        Examples
        --------
        >>> build_context(Inputs.empty(), date(2024, 6, 30)).to_json()
        '{"as_of":"2024-06-30","clusters":[],"defaults":0,"format":2,"obligors":0,"published":null}'
        """
        payload = {
            "format": FORMAT,
            "as_of": self.as_of.isoformat(),
            "obligors": self.obligors,
            "defaults": self.defaults,
            "clusters": [list(row) for row in self.clusters.rows()],
            "published": _published_json(self.published),
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
        if payload.get("format") not in _FORMATS:
            raise ValueError(f"context format {payload.get('format')!r} where {FORMAT} is expected")
        published = payload.get("published") or {"runs": [], "median": None, "clusters": []}
        return cls(
            as_of=date.fromisoformat(payload["as_of"]),
            obligors=payload["obligors"],
            defaults=payload["defaults"],
            clusters=pl.DataFrame(payload["clusters"], schema=_CLUSTERS, orient="row"),
            published=PublishedPds(
                runs=tuple(published["runs"]),
                pds=None if published["runs"] else pl.DataFrame(schema=PUBLISHED),
                median=published["median"],
                clusters=pl.DataFrame(published["clusters"], schema=_MEDIANS, orient="row"),
            ),
        )


_CLUSTERS = {"cluster": pl.String(), "obligors": pl.Int64(), "defaults": pl.Int64()}
_MEDIANS = {"cluster": pl.String(), "median": pl.Float64()}


def _published_json(published: PublishedPds) -> dict[str, Any] | None:
    """Write what a context keeps of published PDs: by which runs, and their medians; the PDs are those runs' rows."""
    if not published.runs:
        return None
    return {
        "runs": list(published.runs),
        "median": published.median,
        "clusters": [list(row) for row in published.clusters.rows()],
    }


def build_context(inputs: Inputs, as_of: date, pds: pl.DataFrame | None = None, runs: Sequence[str] = ()) -> Context:
    """Count obligors and defaults of the last 12 months by cluster, from what was known on a day.

    Only dated statuses count: an undated label says nothing about a year. Firms already in default when the 12
    months began are not at risk and count nowhere.

    Parameters
    ----------
    inputs
        Observations of the whole population; later ones are left out here. Invoices and persons are not read.
    as_of
        The day.
    pds
        ``firm_id``, ``pd``: the last published and recorded before the day.
    runs
        Ids of the rescorings that published them, the newest first.
    """
    seen = known(inputs.only(*CONTEXT_KINDS), as_of)
    obligors = _obligors(seen, as_of)
    members = latest(seen.firms, ["firm_id"]).filter(pl.col("cluster").is_not_null())
    clusters = (
        members.join(obligors, on="firm_id")
        .group_by("cluster")
        .agg(pl.len().cast(pl.Int64).alias("obligors"), pl.col("has_defaulted").sum().cast(pl.Int64).alias("defaults"))
        .sort("cluster")
    )
    return Context(
        as_of=as_of,
        obligors=obligors.height,
        defaults=int(obligors["has_defaulted"].sum()),
        clusters=clusters,
        published=_published(members, pl.DataFrame(schema=PUBLISHED) if pds is None else pds, runs),
    )


def _published(members: pl.DataFrame, pds: pl.DataFrame, runs: Sequence[str]) -> PublishedPds:
    """Take the medians of published PDs: order statistics, so that they are exact in any order."""
    median = pl.col("pd").quantile(0.5, "lower")
    return PublishedPds(
        runs=tuple(runs),
        pds=pds,
        median=pds.select(median).item(),
        clusters=members.select("firm_id", "cluster")
        .join(pds, on="firm_id")
        .group_by("cluster")
        .agg(median.alias("median"))
        .sort("cluster"),
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
