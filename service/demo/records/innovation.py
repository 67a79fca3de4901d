"""Patents, research and training."""

import numpy as np
import polars as pl

from features.kinds.innovation import PATENT, RESEARCH, TRAINING
from service.demo.records.ground import Flags, Ground, chosen, dates, in_yuan, later, of_rows, sparse
from service.demo.window import Ints

_INVENTIVE = 0.18
_TYPES = ("utility_model", "design", "invention")
_MARKS = ("2", "3", "1")
_TITLES = ("一种快换模具", "一种防滑鞋底", "一种阀芯结构", "一种纽扣注塑装置")
_SUBJECTS = ("数控编程", "安全生产", "质量管理", "跨境电商")


def _inventive(ground: Ground) -> Flags:
    """Tell which firms do research: the largest of their clusters, the same ones for every kind."""
    return np.asarray(ground.annual >= np.quantile(ground.annual, 1 - _INVENTIVE))


def patent(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return patents as filed, and most of them as granted a year or two later."""
    firm, month = ground.drawn(rng, 0.03 * _inventive(ground)[:, None])
    filed = later(rng, ground.window.month_starts(month), 0, 27)
    sort = rng.choice(3, len(firm), p=[0.6, 0.25, 0.15])
    year = pl.Series(filed.astype("datetime64[Y]").astype(int) + 1970).cast(pl.String)
    serial = pl.Series(rng.permutation(len(firm))).cast(pl.String).str.zfill(7)
    columns = {
        "number": "ZL" + year + chosen(_MARKS, sort) + serial + ".X", "patent_type": chosen(_TYPES, sort),
        "filed_on": dates(filed), "title": chosen(_TITLES, rng.integers(len(_TITLES), size=len(firm))),
    }  # fmt: skip
    known = later(rng, filed, 30, 60)
    new = ground.table(PATENT, firm, filed, known, state="filed", **columns)
    granted = later(rng, filed, 240, 700)
    rows = np.flatnonzero(rng.random(len(firm)) < 0.8)
    old = ground.table(
        PATENT, firm[rows], granted[rows], later(rng, granted[rows], 5, 30), state="granted", **of_rows(columns, rows)
    )
    return pl.concat([new, old])


def _years(ground: Ground, is_one: Flags) -> tuple[Ints, Ints]:
    """Return the firms that are meant, with each last month of a calendar year that lies within the window."""
    ends = ground.month_ends_of(12)
    firm, month = ground.each(ends[ends >= 11])
    return firm[is_one[firm]], month[is_one[firm]]


def research(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what inventive firms spend a year: two to five hundredths of their sales."""
    firm, month = _years(ground, _inventive(ground))
    sales = np.maximum(ground.summed(ground.sales, firm, month, 12), 0)
    on = ground.window.month_ends(month)
    return ground.table(
        RESEARCH, firm, on, later(rng, on, 60, 120), period_from=dates(ground.window.month_starts(month - 11)),
        spend_fen=in_yuan(sales * rng.uniform(0.02, 0.05, len(firm))), staff=1 + sales // 1_500_000_000,
        new_product_sales_fen=in_yuan(sales * rng.uniform(0.05, 0.35, len(firm))),
        partner=sparse(chosen(("温州大学", "浙江工业大学"), firm % 2), rng.random(len(firm)) < 0.3),
    )  # fmt: skip


def training(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what some firms teach their people in a year."""
    firm, month = _years(ground, rng.random(ground.n) < 0.3)
    people = 2 + rng.poisson(ground.annual[firm] / 1_000_000_000)
    hours = 4 * rng.integers(2, 12, len(firm))
    on = ground.window.month_ends(month)
    return ground.table(
        TRAINING, firm, on, later(rng, on, 10, 60), period_from=dates(ground.window.month_starts(month - 11)),
        subject=chosen(_SUBJECTS, rng.integers(len(_SUBJECTS), size=len(firm))), participants=people, hours=hours,
        spend_fen=people * hours * 3_000,
    )  # fmt: skip
