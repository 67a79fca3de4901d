"""Capital, owners and relations."""

import numpy as np
import polars as pl

from features.kinds.parties import CAPITAL, OWNERSHIP, RELATION
from service.demo.records.ground import Ground, dates, later, sparse
from service.demo.window import Days, Ints

_RAISES = 0.04
_HELD_BY_A_FIRM = 0.12


def capital(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return registered and paid-in capital; a few firms later have twice as much registered."""
    firm, begun = np.arange(ground.n), ground.begun
    known = ground.table(CAPITAL, firm, begun, begun, registered_fen=ground.registered, paid_in_fen=ground.paid_in)
    raising = np.flatnonzero(rng.random(ground.n) < _RAISES)
    left = ground.window.months - ground.first[raising]
    on = ground.window.month_ends(ground.first[raising] + (rng.random(len(raising)) * left).astype(np.int64))
    more = ground.table(
        CAPITAL, raising, on, later(rng, on, 10, 40), registered_fen=2 * ground.registered[raising],
        paid_in_fen=ground.paid_in[raising],
    )  # fmt: skip
    return pl.concat([known, more])


def _holders(ground: Ground, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return some firms, and the other firm that holds a minority of each."""
    held = np.flatnonzero(rng.random(ground.n) < _HELD_BY_A_FIRM)
    holder = (held + rng.integers(1, ground.n, len(held))) % ground.n
    return held, holder


def ownership(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return who holds each firm: its owner the most, another firm a part of some, nobody known the rest."""
    held, holder = _holders(ground, rng)
    begun, firm = ground.begun, np.arange(ground.n)
    minority = np.zeros(ground.n, dtype=np.int64)
    minority[held] = 500 * rng.integers(2, 9, len(held))
    own = np.where(rng.random(ground.n) < 0.5, 10_000, 500 * rng.integers(12, 20, ground.n)) - minority
    is_known = ground.owners.is_not_null().to_numpy()
    pledged = np.where(rng.random(ground.n) < 0.05, 500 * rng.integers(1, 8, ground.n), 0)
    owners = ground.table(
        OWNERSHIP, firm, begun, begun, share_bp=own, is_controller=True, person_id=ground.owners,
        holder_kind=pl.Series(np.where(is_known, "person", "unknown")), pledged_bp=pledged,
    )  # fmt: skip
    firms = ground.table(
        OWNERSHIP, held, begun[held], later(rng, begun[held], 0, 30), holder_kind="firm",
        holder=ground.codes.gather(holder), share_bp=minority[held], is_controller=False,
    )  # fmt: skip
    rest = np.flatnonzero(own + minority < 10_000)
    others = ground.table(
        OWNERSHIP, rest, begun[rest], begun[rest], holder_kind="unknown", is_controller=False,
        share_bp=(10_000 - own - minority)[rest],
    )  # fmt: skip
    return pl.concat([owners, firms, others])


def relation(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return whom a firm sells most to within the cluster, its owner as its head, and firms under one controller."""
    begun = ground.begun
    with_owner = np.flatnonzero(ground.owners.is_not_null().to_numpy())
    heads = ground.table(
        RELATION, with_owner, begun[with_owner], begun[with_owner], relation="executed_by", partner_kind="person",
        person_id=ground.owners.gather(with_owner), label="法定代表人",
    )  # fmt: skip
    largest, buyer, on = _largest_buyers(ground)
    sales = ground.table(
        RELATION, largest, on, later(rng, on, 1, 30), relation="sells_to", partner_kind="firm", partner=buyer
    )
    pairs = rng.permutation(ground.n)[: 2 * (ground.n // 20)].reshape(-1, 2)
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    since = np.maximum(begun[one], begun[other])
    over, is_over = later(rng, since, 400, 900), rng.random(len(one)) < 0.1
    together = ground.table(
        RELATION, one, since, np.where(is_over, over, since), relation="same_controller", partner_kind="firm",
        partner=ground.codes.gather(other), ended_on=sparse(dates(over), is_over),
    )  # fmt: skip
    return pl.concat([heads, sales, together])


def _largest_buyers(ground: Ground) -> tuple[Ints, pl.Series, Days]:
    """Return firms, the member that each sold most to, and the day of the first sale."""
    places = pl.DataFrame({"firm_id": ground.codes, "place": np.arange(ground.n)})
    sold = ground.economy.inputs.invoices.filter(pl.col("direction") == "output", ~pl.col("is_void"))
    pairs = (
        sold.join(ground.firms.select(counterparty="firm_id"), on="counterparty", how="semi")
        .group_by("firm_id", "counterparty")
        .agg(pl.col("net_fen").sum(), pl.col("observed_on").min())
        .sort(["firm_id", "net_fen", "counterparty"], descending=[False, True, False])
        .unique("firm_id", keep="first", maintain_order=True)
        .join(places, on="firm_id", how="left", maintain_order="left")
    )
    on = np.asarray(pairs["observed_on"].to_numpy(), dtype="datetime64[D]")
    return pairs["place"].to_numpy(), pairs["counterparty"], on
