"""Who counterparties are, what lies in stock, and what is owed by whom."""

import numpy as np
import polars as pl

from features.kinds.trade import COUNTERPARTY_TAG, INVENTORY, RECEIVABLE
from service.demo.records.ground import YUAN, Ground, chosen, dates, in_yuan, later, sparse

_TAGGED = 60
_TAGS = ("central_soe", "local_soe", "listed", "lead_firm", "foreign", "local_government", "financial_institution",
         "central_government")  # fmt: skip
_STOCKED = 0.25
_RECEIVABLES = 0.03
_TERMS = np.array([30, 60, 90])
_ITEMS = (("黄铜棒", "t", 62_000), ("聚氨酯革", "m", 38), ("铜芯线", "m", 12), ("树脂", "t", 14_000))


def counterparty_tag(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what the largest counterparties outside the clusters are, as it was before the window."""
    traded = (
        ground.economy.inputs.invoices.filter(~pl.col("is_void"))
        .join(ground.firms.select(counterparty="firm_id"), on="counterparty", how="anti")
        .group_by("counterparty")
        .agg(pl.col("net_fen").sum())
        .sort(["net_fen", "counterparty"], descending=[True, False])
        .head(_TAGGED)
    )
    n = traded.height
    on = np.repeat(ground.window.month_ends(np.array([-1])), n)
    names = pl.Series([f"交易对方{place + 1:03}" for place in range(n)], dtype=pl.String)
    return (
        pl.DataFrame(
            {
                "counterparty": traded["counterparty"],
                "observed_on": dates(on),
                "known_on": dates(later(rng, on, 0, 60)),
                "tag": chosen(_TAGS, np.minimum(rng.geometric(0.35, n) - 1, len(_TAGS) - 1)),
                "name": names,
                "ended_on": pl.Series([None] * n, dtype=pl.Date),
            }
        )
        .filter(pl.col("known_on") <= ground.window.end_on)
        .select(COUNTERPARTY_TAG.schema.keys())
    )


def inventory(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return stocks of some firms at the quarters' ends: more of them as sales fail."""
    is_stocked = rng.random(ground.n) < _STOCKED
    firm, month = ground.each(ground.month_ends_of(3, 6, 9, 12))
    firm, month = firm[is_stocked[firm]], month[is_stocked[firm]]
    item = firm % len(_ITEMS)
    price = np.array([price for _, _, price in _ITEMS])[item]
    value = 0.08 * ground.annual[firm] * (1 + 0.6 * ground.tension[firm, month]) * rng.uniform(0.6, 1.4, len(firm))
    quantity = np.round(value / YUAN / price, 2)
    on = ground.window.month_ends(month)
    is_pledged = rng.random(ground.n)[firm] < 0.2
    return ground.table(
        INVENTORY, firm, on, later(rng, on, 2, 15), item=chosen(tuple(name for name, _, _ in _ITEMS), item),
        unit=chosen(tuple(unit for _, unit, _ in _ITEMS), item), quantity=quantity,
        value_fen=in_yuan(quantity * price * YUAN), warehouse=chosen(("一号库", "二号库"), firm % 2),
        lot=sparse("W-" + ground.codes.str.slice(8, 9).gather(firm), is_pledged),
        pledged_to=sparse(chosen(("台州银行",), np.zeros_like(firm)), is_pledged),
    )  # fmt: skip


def receivable(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return some invoices as what is owed: when issued, and once paid; buyers of larger amounts take their time."""
    sold = ground.economy.inputs.invoices.filter(
        pl.col("direction") == "output", ~pl.col("is_void"), pl.col("gross_fen") > 0
    )
    picked = sold.filter(pl.Series(rng.random(sold.height) < _RECEIVABLES))
    n = picked.height
    issued = np.asarray(picked["observed_on"].to_numpy(), dtype="datetime64[D]")
    due = issued + _TERMS[rng.integers(3, size=n)].astype("timedelta64[D]")
    paid = due + np.rint(rng.normal(5, 15, n)).astype(np.int64).clip(-20).astype("timedelta64[D]")
    pledged_to = sparse(chosen(("台州银行",), np.zeros(n, dtype=np.int64)), rng.random(n) < 0.05)
    rows = picked.select(
        "firm_id", "counterparty", invoice_number="number", issued_on="observed_on", amount_fen="gross_fen"
    ).with_columns(due_on=dates(due), is_confirmed=pl.Series(rng.random(n) < 0.3), pledged_to=pledged_to)
    known = later(rng, issued, 1, 10)
    is_paid = paid > known
    first = rows.with_columns(
        observed_on=dates(issued), known_on=dates(known), open_fen="amount_fen", paid_on=pl.lit(None, dtype=pl.Date)
    )
    second = rows.with_columns(
        observed_on=dates(paid), known_on=dates(later(rng, paid, 0, 3)), open_fen=pl.lit(0, dtype=pl.Int64),
        paid_on=dates(paid),
    ).filter(pl.Series(is_paid))  # fmt: skip
    both = pl.concat([part.select(RECEIVABLE.schema.keys()) for part in (first, second)])
    return both.filter(pl.col("known_on") <= ground.window.end_on)
