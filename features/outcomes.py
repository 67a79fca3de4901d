"""Training labels: who defaulted within a year of a snapshot, and the matrix of what was known at each snapshot.

Sampling, definition of default and the indeterminate band: methods.md section 1.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from features.as_of import is_known, known, months_after
from features.build import build_matrix
from features.context import build_context
from features.inputs import Inputs
from features.repayment import dated_statuses, in_default, is_default, live_on, live_spans
from features.sufficiency import insufficient

INDETERMINATE_DAYS_PAST_DUE = 30
"""From here up to default, arrears within the horizon make a row neither good nor bad."""


@dataclass(frozen=True)
class Outcomes:
    """Labelled snapshots and what was left out.

    Attributes
    ----------
    frame
        ``firm_id``, ``snapshot_on``, ``is_default``, ``is_undated``; sorted by firm and date.
    dropped
        Firm-years left out, by reason: "no_loan" and "already_in_default" (at the month-end drawn), "indeterminate"
        (30 to 90 days past due in the horizon), "censored" (no default, but neither a status at or after its end
        nor every loan closed within it).
    """

    frame: pl.DataFrame
    dropped: dict[str, int]


def build_outcomes(inputs: Inputs, as_of: date, seed: int, horizon_months: int = 12) -> Outcomes:
    """Label one random month-end a firm-year by default within the horizon, from what is known on a day.

    One month-end T₀ a firm and calendar year is drawn among all whose horizon has passed on ``as_of``, by a hash of
    seed, firm and month: the draw depends neither on the order of rows nor on other firms. It counts if the firm then
    has a live loan and is not in default. Drawing before looking at either matters: a year that ends in default has
    fewer month-ends to choose from, so a draw among those would prefer the months before a default (measured on a
    made-up economy with known PDs: 40% too many).

    An undated outcome gives one snapshot, the day before the import's cut-off.

    Parameters
    ----------
    inputs
        Observations of any dates; firms, loans and repayment statuses are read.
    as_of
        The day of training.
    seed
        Of the draw.
    horizon_months
        Length of the outcome window.

    Examples
    --------
    >>> build_outcomes(Inputs.empty(), date(2024, 6, 30), seed=1).frame.columns
    ['firm_id', 'snapshot_on', 'is_default', 'is_undated']
    """
    seen = known(inputs.only("firm", "loan", "repayment_status"), as_of)
    dated, dropped = _dated(seen, as_of, seed, horizon_months)
    frame = pl.concat([dated, _undated(seen)]).sort("firm_id", "snapshot_on", "is_undated")
    return Outcomes(frame, dropped)


def _dated(seen: Inputs, as_of: date, seed: int, horizon_months: int) -> tuple[pl.DataFrame, dict[str, int]]:
    spans, statuses = live_spans(seen), dated_statuses(seen)
    days = _month_ends(spans, as_of, horizon_months)
    firms = pl.concat([seen.firms["firm_id"], spans["firm_id"]]).unique()
    drawn = _one_a_year(firms.to_frame().join(pl.DataFrame({"on": days}, schema={"on": pl.Date}), how="cross"), seed)
    live = live_on(spans, days).join(drawn, on=["firm_id", "on"], how="semi")
    sample = live.join(in_default(live, statuses), on=["firm_id", "on"], how="anti")
    labelled = _label(sample, spans, statuses, horizon_months)
    is_bad, is_grey, is_censored = (
        pl.col("is_default"),
        pl.col("worst_days") >= INDETERMINATE_DAYS_PAST_DUE,
        ~pl.col("is_observed"),
    )
    dropped = {
        "no_loan": drawn.height - live.height,
        "already_in_default": live.height - sample.height,
        "indeterminate": labelled.filter(~is_bad, is_grey).height,
        "censored": labelled.filter(~is_bad, ~is_grey, is_censored).height,
    }
    kept = labelled.filter(is_bad | ~(is_grey | is_censored))
    return kept.select(
        "firm_id", pl.col("on").alias("snapshot_on"), "is_default", pl.lit(value=False).alias("is_undated")
    ), dropped


def _month_ends(spans: pl.DataFrame, as_of: date, horizon_months: int) -> list[date]:
    """Return the month-ends since the first loan whose horizon has passed."""
    if spans.is_empty():
        return []
    first = spans.select(pl.col("start_on").min().dt.month_start()).item()
    last = months_after(as_of, -horizon_months)
    starts = pl.date_range(first, last, interval="1mo", eager=True) if first <= last else pl.Series([], dtype=pl.Date)
    return [day for day in starts.dt.month_end().to_list() if months_after(day, horizon_months) <= as_of]


def _one_a_year(candidates: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Keep the candidate of least hash for each firm and calendar year."""
    hashed = candidates.with_columns(draw=_draw(candidates, seed), year=pl.col("on").dt.year())
    return (
        hashed.sort("firm_id", "draw", "on")
        .unique(["firm_id", "year"], keep="first", maintain_order=True)
        .select("firm_id", "on")
    )


def _draw(candidates: pl.DataFrame, seed: int) -> pl.Series:
    """Hash seed, firm and date to 64 bits: SHA-256 of seed and firm, then the splitmix64 finaliser with the day."""
    firms = candidates["firm_id"].unique(maintain_order=True)
    digests = [hashlib.sha256(f"{seed}:{firm}".encode()).digest()[:8] for firm in firms]
    codes = pl.DataFrame({"firm_id": firms, "code": np.array([int.from_bytes(d, "big") for d in digests], np.uint64)})
    z = candidates.join(codes, on="firm_id", how="left", maintain_order="left")["code"].to_numpy()
    with np.errstate(over="ignore"):
        z = z + candidates["on"].cast(pl.Int32).cast(pl.UInt64).to_numpy() * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return pl.Series(z ^ (z >> np.uint64(31)), dtype=pl.UInt64)


def _label(sample: pl.DataFrame, spans: pl.DataFrame, statuses: pl.DataFrame, horizon_months: int) -> pl.DataFrame:
    """Add ``is_default``, ``worst_days`` past due in the horizon and ``is_observed`` to its end.

    A firm whose loans were all repaid and closed within the horizon has been observed: it can default no more.
    """
    windows = sample.with_columns(end_on=pl.col("on").dt.offset_by(f"{horizon_months}mo"))
    after = windows.join(
        statuses.select("firm_id", "observed_on", "is_default", "days_past_due"), on="firm_id", how="left"
    ).filter(pl.col("observed_on") > pl.col("on"))
    in_window = pl.col("observed_on") <= pl.col("end_on")
    facts = after.group_by("firm_id", "on").agg(
        (pl.col("is_default") & in_window).any(),
        pl.when(in_window).then("days_past_due").max().alias("worst_days"),
        (pl.col("observed_on") >= pl.col("end_on")).any().alias("is_observed"),
    )
    is_repaid = pl.col("is_closed") & (pl.col("end_on_right") <= pl.col("end_on"))
    repaid = (
        windows.join(spans, on="firm_id")
        .filter(
            pl.col("start_on") <= pl.col("on"),
            pl.col("end_on_right").is_null() | (pl.col("end_on_right") > pl.col("on")),
        )
        .group_by("firm_id", "on")
        .agg(is_repaid.all().alias("is_repaid"))
    )
    return (
        windows.join(facts, on=["firm_id", "on"], how="left")
        .join(repaid, on=["firm_id", "on"], how="left")
        .with_columns(
            pl.col("is_default").fill_null(value=False),
            pl.col("worst_days").fill_null(0),
            pl.col("is_observed").fill_null(value=False) | pl.col("is_repaid").fill_null(value=False),
        )
    )


def _undated(seen: Inputs) -> pl.DataFrame:
    """Return one row a firm and cut-off, its snapshot the day before."""
    rows = seen.repayment_statuses.filter("is_undated").with_columns(is_default=is_default())
    return (
        rows.group_by("firm_id", "observed_on")
        .agg(pl.col("is_default").any())
        .select(
            "firm_id",
            (pl.col("observed_on") - timedelta(days=1)).alias("snapshot_on"),
            "is_default",
            pl.lit(value=True).alias("is_undated"),
        )
    )


@dataclass(frozen=True)
class TrainingStack:
    """Matrix rows of labelled snapshots, one under the other; n rows by date and firm, p features.

    Attributes
    ----------
    X
        Shape (n, p), float64, NaN where unknown.
    missing
        Shape (n, p), bool; where the raw value was unknown.
    names
        Features; length p.
    y
        Shape (n,), int8; 1 is default.
    groups
        Firm of each row; length n.
    snapshot_on
        Date of each row; length n.
    is_undated
        Shape (n,), bool; rows whose default has no date of its own.
    dropped
        Labelled rows left out: "unknown_firm" (no row of the firm known at the snapshot), "insufficient_data".
    """

    X: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    y: npt.NDArray[np.int8]
    groups: list[str]
    snapshot_on: list[date]
    is_undated: npt.NDArray[np.bool_]
    dropped: dict[str, int]


def stack_training(
    inputs: Inputs,
    outcomes: pl.DataFrame,
    names: Sequence[str],
    *,
    requirements: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> TrainingStack:
    """Compute the features of labelled snapshots, each from what was known on its own day.

    Parameters
    ----------
    inputs
        Observations of the whole population.
    outcomes
        ``Outcomes.frame``.
    names
        Features, in the order of the columns.
    requirements
        Names of the gates (``sufficiency.REQUIREMENTS``) a row must pass at its snapshot, as it must to be scored.
    progress
        Called with (dates done, dates in all) after each snapshot date.

    Examples
    --------
    >>> labels = build_outcomes(Inputs.empty(), date(2024, 6, 30), seed=1).frame
    >>> stack_training(Inputs.empty(), labels, ["ln_sales"]).X.shape
    (0, 1)
    """
    mine = inputs.of_firms(outcomes["firm_id"].unique().to_list())
    dates = outcomes["snapshot_on"].unique().sort().to_list()
    parts, dropped = [_Part.empty(len(names))], {"unknown_firm": 0, "insufficient_data": 0}
    for done, day in enumerate(dates, start=1):
        labels = outcomes.filter(pl.col("snapshot_on") == day)
        part = _snapshot(inputs, mine, labels, names, requirements, dropped)
        parts.append(part)
        if progress is not None:
            progress(done, len(dates))
    labels = pl.concat([part.labels for part in parts])
    return TrainingStack(
        X=np.concatenate([part.values for part in parts]),
        missing=np.concatenate([part.missing for part in parts]),
        names=tuple(names),
        y=labels["is_default"].cast(pl.Int8).to_numpy(),
        groups=labels["firm_id"].to_list(),
        snapshot_on=labels["snapshot_on"].to_list(),
        is_undated=labels["is_undated"].to_numpy(),
        dropped=dropped,
    )


@dataclass(frozen=True)
class _Part:
    labels: pl.DataFrame
    values: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, width: int) -> "_Part":
        schema = {
            "firm_id": pl.String,
            "snapshot_on": pl.Date,
            "is_default": pl.Boolean,
            "is_undated": pl.Boolean,
        }
        return cls(pl.DataFrame(schema=schema), np.empty((0, width)), np.empty((0, width), bool))


def _snapshot(
    inputs: Inputs,
    mine: Inputs,
    labels: pl.DataFrame,
    names: Sequence[str],
    requirements: Sequence[str],
    dropped: dict[str, int],
) -> _Part:
    """Compute one date's rows, and count what it drops."""
    day: date = labels["snapshot_on"][0]
    some = mine.of_firms(labels["firm_id"].unique().to_list()).filter(is_known(day))
    matrix = build_matrix(some, build_context(inputs, day), names, day)
    rows = labels.join(
        pl.DataFrame({"firm_id": matrix.firm_ids}, schema={"firm_id": pl.String}).with_row_index("row"), on="firm_id"
    )
    dropped["unknown_firm"] += labels.height - rows.height
    if requirements:
        gates = insufficient(some, day, requirements).filter(pl.col("missing").list.len() == 0)
        kept = rows.join(gates, on="firm_id", how="semi")
        dropped["insufficient_data"] += rows.height - kept.height
        rows = kept
    rows = rows.sort("firm_id", "is_undated")
    index = rows["row"].to_numpy()
    return _Part(rows.drop("row"), matrix.values[index], matrix.missing[index])
