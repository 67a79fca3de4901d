"""Events, documents, and figures of trades and places."""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.kinds.world import DOCUMENT, EVENT, INDUSTRY_STATISTIC, PLACE_STATISTIC
from service.demo.records.ground import Ground, dates, in_yuan, later, numbered, of_rows, sparse
from service.demo.window import Days, Ints


@dataclass(frozen=True)
class _Sort:
    """How often an event is, in a month; how much more often in a default; its amount to sales; how long it lasts."""

    source: str
    event: str
    chance: float
    in_trouble: float
    amount: float = 0.0
    days: int = 0
    cause: str | None = None


_SORTS = (
    _Sort("court", "sued", 0.0020, 20, 0.03, 0, "买卖合同纠纷"),
    _Sort("court", "sued_by_lender", 0.0002, 120, 0.08, 0, "金融借款合同纠纷"),
    _Sort("court", "suing", 0.0020, 2, 0.02, 0, "买卖合同纠纷"),
    _Sort("court", "judgment_lost", 0.0008, 25, 0.03, 0, "买卖合同纠纷"),
    _Sort("court", "enforcement", 0.0003, 90, 0.05, 400),
    _Sort("court", "dishonest_debtor", 0.0001, 120, 0.05, 700),
    _Sort("court", "asset_freeze", 0.0003, 60, 0.06, 365),
    _Sort("registry", "abnormal_operation", 0.0004, 15, 0.0, 120),
    _Sort("registry", "representative_change", 0.0010, 4),
    _Sort("registry", "equity_pledge", 0.0008, 8, 0.10, 365),
    _Sort("registry", "chattel_mortgage", 0.0010, 6, 0.10, 700),
    _Sort("registry", "relocation", 0.0005, 2),
    _Sort("registry", "new_subsidiary", 0.0006, -1),
    _Sort("tax", "tax_arrears", 0.0004, 60, 0.01, 180),
    _Sort("tax", "tax_penalty", 0.0004, 15, 0.002),
    _Sort("tax", "tax_grade_a", 0.0020, -1),
    _Sort("regulator", "penalty", 0.0010, 4, 0.003, 0, "环境保护"),
    _Sort("regulator", "export_licence", 0.0008, -1),
    _Sort("regulator", "title_awarded", 0.0008, -1),
    _Sort("regulator", "subsidy_awarded", 0.0010, -1, 0.005),
    _Sort("market", "winning_bid", 0.0010, -1, 0.05),
    _Sort("market", "framework_contract", 0.0012, -1, 0.20),
    _Sort("market", "equipment_purchase", 0.0020, -0.9, 0.06),
    _Sort("market", "bad_news", 0.0008, 20),
    _Sort("market", "good_news", 0.0012, -0.8),
)
_MARKS = {"court": "浙1003民初", "registry": "市监", "tax": "税", "regulator": "罚", "market": "M"}


def event(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what happens to firms; what bodes ill is many times more frequent in the nine months before a default."""
    return pl.concat([_events(ground, rng, sort, number) for number, sort in enumerate(_SORTS)])


def _events(ground: Ground, rng: np.random.Generator, sort: _Sort, number: int) -> pl.DataFrame:
    firm, month = ground.drawn(rng, sort.chance * np.maximum(1 + sort.in_trouble * ground.tension, 0.0))
    on = later(rng, ground.window.month_starts(month), 0, 27)
    year = pl.Series(on.astype("datetime64[Y]").astype(int) + 1970).cast(pl.String)
    serial = pl.Series(np.arange(len(firm)) + 1).cast(pl.String).str.zfill(4)
    columns = {
        "source": sort.source, "event": sort.event, "cause": sort.cause,
        "reference": "(" + year + ")" + _MARKS[sort.source] + f"{number:02}-" + serial,
        "amount_fen": in_yuan(sort.amount * ground.annual[firm] * rng.uniform(0.3, 1.7, len(firm)))
        if sort.amount else None,
        "counterparty": sparse(numbered("C", 200, 5).gather(firm % 200), np.full(len(firm), sort.source == "court")),
    }  # fmt: skip
    known = later(rng, on, 2, 30)
    begun = ground.table(EVENT, firm, on, known, **columns)
    ended = on + np.timedelta64(sort.days, "D")
    rows = np.flatnonzero((rng.random(len(firm)) < 0.6) & (sort.days > 30))
    over = ground.table(
        EVENT,
        firm[rows],
        on[rows],
        later(rng, ended[rows], 0, 10),
        ended_on=dates(ended[rows]),
        **of_rows(columns, rows),
    )
    return pl.concat([begun, over])


def document(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return the files behind the year's end: statements of each firm, contracts of loans, photos of some visits."""
    ends = ground.month_ends_of(12)
    firm, month = ground.each(ends[ends >= 11])
    on = ground.window.month_ends(month)
    year = pl.Series(on.astype("datetime64[Y]").astype(int) + 1970).cast(pl.String)
    parts = [
        _files(ground, rng, firm, on, ("statement", "application/pdf", 90), year + " 年度财务报表", "年度报表扫描件")
    ]
    seen, month = ground.drawn(rng, np.full((ground.n, 1), 0.03))
    taken = later(rng, ground.window.month_starts(month), 0, 27)
    titles = pl.Series(["厂区照片"] * len(seen), dtype=pl.String)
    parts.append(_files(ground, rng, seen, taken, ("photo", "image/jpeg", 2), titles, None))
    return pl.concat(parts)


def _files(
    ground: Ground, rng: np.random.Generator, firm: Ints, on: Days, what: tuple[str, str, int], title: pl.Series,
    words: str | None,
) -> pl.DataFrame:  # fmt: skip
    sort, media_type, days = what
    names = [f"{sort}/{code}/{day}" for code, day in zip(ground.codes.gather(firm), on.tolist(), strict=True)]
    hashes = pl.Series([hashlib.sha256(name.encode()).hexdigest() for name in names], dtype=pl.String)
    return ground.table(
        DOCUMENT, firm, on, later(rng, on, days // 2, days), document_type=sort, title=title, media_type=media_type,
        size_bytes=rng.integers(40_000, 3_000_000, len(firm)), sha256=hashes, words=words,
    )  # fmt: skip


def industry_statistic(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return firms, sales and defaults of each trade in each place by quarter, as its firms' rows add up."""
    return _statistics(ground, rng, ["industry", "place"]).select(INDUSTRY_STATISTIC.schema.keys())


def place_statistic(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return the same of each place."""
    return _statistics(ground, rng, ["place"]).select(PLACE_STATISTIC.schema.keys())


def _statistics(ground: Ground, rng: np.random.Generator, of: list[str]) -> pl.DataFrame:
    """Sum up the firms of each group at the end of each quarter; published some weeks later."""
    ends = ground.month_ends_of(3, 6, 9, 12)
    firm, month = ground.each(ends[ends >= 2])
    rows = ground.firms.select(of)[firm].with_columns(
        month=pl.Series(month),
        sales=pl.Series(ground.summed(ground.sales, firm, month, 3)) / 100,
        failed=pl.Series(ground.fails[firm] <= month),
    )
    groups = (
        rows.group_by(*of, "month")
        .agg(
            firms=pl.len().cast(pl.Float64),
            sales=(pl.col("sales") * 100).cast(pl.Int64).sum() / 100,
            defaulted_share=pl.col("failed").cast(pl.Int64).sum() / pl.len(),
        )
        .sort(*of, "month")
    )
    days = ground.window.month_ends(groups["month"].to_numpy())
    dated = groups.with_columns(observed_on=dates(days), known_on=dates(later(rng, days, 18, 45)))
    units = {"firms": "户", "sales": "元", "defaulted_share": "1"}
    parts = [
        dated.select(
            *of, "observed_on", "known_on", statistic=pl.lit(name), value=pl.col(name), unit=pl.lit(unit),
            source=pl.lit("集群统计季报"),
        )
        for name, unit in units.items()
    ]  # fmt: skip
    return pl.concat(parts).filter(pl.col("known_on") <= ground.window.end_on)
