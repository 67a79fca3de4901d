"""Rating events of the library transitionMatrix (open-risk): what grade a firm had from when on.

``Time`` is not in years: it is the share passed of the 2,415 days from 1999-05-21 to 2005-12-30, as every value and
the dated file in the source's repository show. docs/adapters/ratings.md says more.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

from features.kinds.credit import EXTERNAL_RATING
from features.kinds.parties import FIRM
from service.imports.adapters.common import CHECK_SOURCE, filled_in, one_of, rows_of, settled, whole
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.checks import Check, split
from service.imports.chunks import Advance, fault, no_rejects

FILE = "rating_events.csv"
COLUMNS = ("ID", "Time", "State")
BEGINS_ON, DAYS = date(1999, 5, 21), 2_415
STATES = tuple(str(state) for state in range(9))
DEFAULT, WITHDRAWN = "7", "8"
AGENCY = "open-risk"
_NO_NUMBER = fault("not the number of a firm", "不是企业编号", *CHECK_SOURCE)
_NO_TIME = fault("not a share of the time, 0 to 1", "不是 0 至 1 之间的时间比例", *CHECK_SOURCE)


def read(folder: Path, options: Options, advance: Advance) -> Iterator[Batch]:
    """Read the firms that the events are about, then the events.

    Raises
    ------
    ImportFailedError
        If the file is absent, damaged or lacks a column.
    """
    chunk = whole(folder / FILE, COLUMNS, advance)
    checks = [
        *filled_in(*COLUMNS),
        Check("ID", ~pl.col("ID").str.contains("^[0-9]{1,9}$"), _NO_NUMBER),
        Check("Time", ~_time().is_between(0, 1) | _time().is_null(), _NO_TIME),
        one_of("State", STATES),
    ]
    texts, bad = split(chunk.rows, checks, FILE)
    rejects = pl.concat([chunk.rejects, bad])
    (ratings,) = settled(FILE, rejects, [(EXTERNAL_RATING, _ratings(texts))], options.today)
    yield Batch(FILE, FIRM, _firms(ratings.rows), no_rejects(), 0)
    yield ratings


def _firms(ratings: pl.DataFrame) -> pl.DataFrame:
    firms = ratings.unique("firm_id", keep="first", maintain_order=True)
    name = pl.format("Rated firm {}", pl.col("firm_id").str.strip_prefix("ratings-"))
    begun = pl.lit(BEGINS_ON)
    return rows_of(FIRM, firms, firm_id=pl.col("firm_id"), observed_on=begun, known_on=begun, name=name)


def _ratings(texts: pl.DataFrame) -> pl.DataFrame:
    """Date the events; of several on a firm's day the later ones become known a day later each, to keep their order."""
    day = pl.lit(BEGINS_ON) + pl.duration(days=(_time() * DAYS).round().cast(pl.Int64))
    events = texts.with_columns(day=day).with_columns(place=pl.int_range(pl.len()).over("ID", "day"))
    return rows_of(
        EXTERNAL_RATING, events, firm_id=pl.format("ratings-{}", "ID"), observed_on=pl.col("day"),
        known_on=pl.col("day") + pl.duration(days=pl.col("place")), agency=pl.lit(AGENCY), grade=pl.col("State"),
        is_default=pl.col("State") == DEFAULT, is_withdrawn=pl.col("State") == WITHDRAWN,
    )  # fmt: skip


def _time() -> pl.Expr:
    is_number = pl.col("Time").str.contains(r"^[0-9]{1,3}(\.[0-9]{1,20})?(e-[0-9]{1,2})?$")
    return pl.when(is_number).then(pl.col("Time")).cast(pl.Float64, strict=False)


ADAPTER = Adapter(
    name="ratings",
    summary="Rating events of open-risk's transitionMatrix: a folder with rating_events.csv, as it is.",
    left_out=(),
    files=lambda folder: [folder / FILE],
    read=read,
)
