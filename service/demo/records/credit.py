"""Instalments, debts to others, guarantees, funds and ratings."""

import numpy as np
import polars as pl

from features.kinds.credit import (
    DEBT_ELSEWHERE,
    EXTERNAL_RATING,
    FUND_MEMBERSHIP,
    GUARANTEE,
    INSTALMENT,
    LOAN,
)
from service.demo.lending import TERM
from service.demo.records.ground import Flags, Ground, chosen, dates, in_yuan, later, of_rows
from service.demo.window import Days, Ints

_RATE = 0.06
_MONTH_LATE = 30
_IN_A_RING, _RING = 0.4, 4
_IN_A_FUND = 0.2
_RATED = 0.15
_GRADES = ("AA", "A", "BBB", "BB", "B", "CCC", "CC", "C")
_LENDERS = ("台州银行", "泰隆银行", "民泰银行", "工商银行", "农业银行", "远东租赁")
_LENDER_KINDS = ("bank", "bank", "bank", "bank", "bank", "leasing")


def instalment(ground: Ground, _: np.random.Generator) -> pl.DataFrame:
    """Return the twelve instalments of each loan, interest each month and the principal with the last.

    An instalment is paid on its day where the status of that day is not late, some days later where it is a little
    late, and else on the first month end on which the loan is not late any more, if there is one. Those that were not
    paid on their day have a row from the day after, and another once they are paid.
    """
    due = _due(ground)
    is_late = (pl.col("days") > 0).fill_null(value=False)
    soon = pl.col("due_on") + pl.duration(days=pl.col("days"))
    paid_on = pl.when(~is_late).then("due_on").when(pl.col("days") < _MONTH_LATE).then(soon).otherwise("cured_on")
    rows = due.with_columns(
        principal_due_fen=pl.when(pl.col("number") == TERM).then("principal_fen").otherwise(0),
        interest_due_fen=(pl.col("principal_fen") * _RATE / 12).round().cast(pl.Int64),
        paid_on=paid_on,
    )
    nothing, amounts = pl.lit(0, dtype=pl.Int64), ("principal", "interest")
    unpaid = rows.filter(is_late).with_columns(
        known_on=pl.col("due_on").dt.offset_by("1d"), paid_on=pl.lit(None, dtype=pl.Date),
        **{f"{part}_paid_fen": nothing for part in amounts},
    )  # fmt: skip
    paid = rows.filter(pl.col("paid_on").is_not_null()).with_columns(
        known_on=pl.col("paid_on"), **{f"{part}_paid_fen": pl.col(f"{part}_due_fen") for part in amounts}
    )
    columns = INSTALMENT.schema.keys()
    both = pl.concat([part.rename({"due_on": "observed_on"}).select(columns) for part in (unpaid, paid)])
    return both.filter(pl.col("known_on") <= ground.window.end_on)


def _due(ground: Ground) -> pl.DataFrame:
    """Return each loan's due days, with the days past due then and the next month end that was not late."""
    inputs = ground.economy.inputs
    seen = inputs.repayment_statuses.filter(pl.col("loan_id").is_not_null()).select(
        *("loan_id", "observed_on"),
        days="days_past_due",
        is_lost=pl.col("default_event").is_in(["write_off", "credit_loss_sale"]),
    )
    worst = seen.group_by("loan_id", "observed_on").agg(
        pl.col("days").max(), pl.col("is_lost").fill_null(value=False).any()
    )
    fine = worst.filter(pl.col("days") == 0, ~pl.col("is_lost")).sort("observed_on")
    numbers = pl.DataFrame({"number": np.arange(1, TERM + 1)})
    due = (
        inputs.loans.select("firm_id", "loan_id", "principal_fen", start="observed_on")
        .join(numbers, how="cross", maintain_order="left")
        .with_columns(due_on=pl.col("start").dt.offset_by(pl.format("{}mo", "number")).dt.month_end())
        .filter(pl.col("due_on") <= ground.window.end_on)
        .join(worst.rename({"observed_on": "due_on"}), on=["loan_id", "due_on"], how="left", maintain_order="left")
    )
    cured = due.sort("due_on").join_asof(
        fine.select("loan_id", due_on="observed_on", cured_on="observed_on"), on="due_on", by="loan_id",
        strategy="forward", check_sortedness=False,
    )  # fmt: skip
    # Nothing is on record of the time before the window, when they were paid; nor after a loan was written off.
    first = ground.window.month_ends(np.zeros(1, dtype=np.int64)).astype(object)[0]
    is_there = pl.col("days").is_not_null() | (pl.col("due_on") < first)
    return cured.filter(is_there).sort("firm_id", "loan_id", "number")


def debt_elsewhere(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what firms owe to others at midyear and at the year's end, as the registry says a month later."""
    firm, month = ground.each(ground.month_ends_of(6, 12))
    firm, month = firm[ground.elsewhere[firm] > 0], month[ground.elsewhere[firm] > 0]
    lender = rng.integers(len(_LENDERS), size=ground.n)[firm]
    limit = ground.elsewhere[firm]
    days = np.where(rng.random(len(firm)) < 0.7, ground.late[firm, month], 0)
    on = ground.window.month_ends(month)
    return ground.table(
        DEBT_ELSEWHERE, firm, on, later(rng, on, 20, 35), lender=chosen(_LENDERS, lender),
        lender_kind=chosen(_LENDER_KINDS, lender), debt_kind=pl.Series(np.where(lender == 5, "lease", "loan")),
        reference="Z-" + ground.codes.str.slice(8, 9).gather(firm), limit_fen=limit,
        balance_fen=in_yuan(limit * rng.uniform(0.6 + 0.3 * ground.tension[firm, month], 1.0)),
        matures_on=dates(ground.window.month_ends(month + 1 + firm % 12)), days_past_due=days,
        five_class=chosen(("normal", "special_mention", "substandard", "doubtful", "loss"),
                          np.searchsorted([0, 90, 180, 360], days)),
        collateral=pl.Series(np.where(firm % 3 == 0, "mortgage", "guarantee")),
    )  # fmt: skip


def _rings(ground: Ground, rng: np.random.Generator) -> Ints:
    """Return the firm that guarantees each, or -1: of every four that stand together, in a circle or in a chain."""
    clusters = ground.firms["cluster"].rank("dense").to_numpy()
    order = np.lexsort((rng.random(ground.n), clusters))
    order = order[rng.random(ground.n)[order] < _IN_A_RING]
    guarantor = np.full(ground.n, -1)
    for start in range(0, len(order) - _RING + 1, _RING):
        ring = order[start : start + _RING]
        if len(set(clusters[ring].tolist())) == 1:
            guarantor[ring] = np.roll(ring, -1)
            if start // _RING % 2:
                guarantor[ring[-1]] = -1
    return guarantor


def guarantee(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return who guarantees the loans: firms in circles and chains, owners, and funds for their members."""
    loans, firm = _lent(ground)
    ring, owner_signs, fund = _rings(ground, rng), rng.random(ground.n) < 0.5, _funds(ground)
    by_firm, by_owner, by_fund = (
        np.flatnonzero(ring[firm] >= 0),
        np.flatnonzero(owner_signs[firm] & ground.owners.is_not_null().to_numpy()[firm]),
        np.flatnonzero(fund[firm]),
    )
    joint: dict[str, object] = {"guarantee_type": "joint", "share_type": "common"}
    general: dict[str, object] = {"guarantee_type": "general", "share_type": "several"}
    others = ground.codes.gather(np.maximum(ring, 0)[firm[by_firm]])
    given = (
        ("F", by_firm, 10_000, {"guarantor_kind": "firm", **joint, "guarantor": others}),
        ("P", by_owner, 10_000, {"guarantor_kind": "person", **joint, "person_id": ground.owners[firm[by_owner]]}),
        ("B", by_fund, 8_000, {"guarantor_kind": "fund", **general, "guarantor": _fund_names(ground)[firm[by_fund]]}),
    )
    parts = []
    for mark, rows, coverage, who in given:
        lent = loans[rows]
        on = np.asarray(lent["observed_on"].to_numpy(), dtype="datetime64[D]")
        matures = np.asarray(lent["matures_on"].to_numpy(), dtype="datetime64[D]")
        columns = who | {
            "contract_id": "G" + lent["loan_id"] + mark, "loan_id": lent["loan_id"], "coverage_bp": coverage,
            "cap_fen": lent["principal_fen"] * coverage // 10_000, "ends_on": dates(matures + 730),
        }  # fmt: skip
        parts += [
            ground.table(GUARANTEE, firm[rows], on, on, **columns),
            _released(ground, rng, firm[rows], on, matures, columns),
        ]
    return pl.concat(parts)


def _lent(ground: Ground) -> tuple[pl.DataFrame, Ints]:
    """Return the loans, and the firm of each."""
    loans = ground.economy.inputs.loans.select(LOAN.schema.keys()).sort("loan_id")
    places = pl.DataFrame({"firm_id": ground.codes, "place": np.arange(ground.n)})
    return loans, loans.join(places, on="firm_id", how="left", maintain_order="left")["place"].to_numpy()


def _released(
    ground: Ground, rng: np.random.Generator, firm: Ints, on: Days, matures: Days, columns: dict[str, object]
) -> pl.DataFrame:
    """Return that most guarantees of loans that ended in time were released then."""
    month = (matures.astype("datetime64[M]") - ground.window.end.astype("datetime64[M]")).astype(int)
    month = month + ground.window.months - 1
    is_over = (month < ground.window.months) & (rng.random(len(firm)) < 0.8)
    is_over &= ground.fails[firm] > month
    rows = np.flatnonzero(is_over)
    return ground.table(
        GUARANTEE, firm[rows], on[rows], matures[rows], released_on=dates(matures[rows]), **of_rows(columns, rows)
    )


def _fund_names(ground: Ground) -> pl.Series:
    return ground.firms["place"].fill_null("本地") + "互助担保基金"


def _funds(ground: Ground) -> Flags:
    """Tell which firms are members of their place's fund: every fifth, the same ones for every kind."""
    return np.asarray(np.arange(ground.n) % round(1 / _IN_A_FUND) == 0)


def fund_membership(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return the members of the funds as they joined; some leave."""
    firm = np.flatnonzero(_funds(ground))
    on = ground.begun[firm]
    paid = in_yuan(0.005 * ground.annual[firm]) + 1_000_000
    columns = {
        "fund": _fund_names(ground).gather(firm), "joined_on": dates(on), "contribution_fen": paid,
        "deposit_fen": paid // 2, "limit_fen": 10 * paid,
    }  # fmt: skip
    joined = ground.table(FUND_MEMBERSHIP, firm, on, on, **columns)
    left = on + rng.integers(300, 900, len(firm)).astype("timedelta64[D]")
    leaving = np.flatnonzero((rng.random(len(firm)) < 0.1) & (left <= ground.window.end))
    gone = ground.table(
        FUND_MEMBERSHIP,
        firm[leaving],
        left[leaving],
        left[leaving],
        left_on=dates(left[leaving]),
        **of_rows(columns, leaving),
    )
    return pl.concat([joined, gone])


def external_rating(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return yearly ratings of some firms: what the agency sees of the default probability, and defaults."""
    is_rated = rng.random(ground.n) < _RATED
    firm, month = ground.each(ground.month_ends_of(4))
    firm, month = firm[is_rated[firm]], month[is_rated[firm]]
    is_default = ground.fails[firm] <= month
    mark = 3 - 1.2 * ground.strength[firm] + 2.5 * ground.tension[firm, month] + 0.5 * rng.standard_normal(len(firm))
    on = ground.window.month_ends(month)
    grade = chosen((*_GRADES, "D"), np.where(is_default, len(_GRADES), np.rint(mark).clip(0, 7)).astype(np.int64))
    return ground.table(
        EXTERNAL_RATING, firm, on, later(rng, on, 1, 20), agency=chosen(("中诚信", "联合资信"), firm % 2), grade=grade,
        is_default=is_default, is_withdrawn=False,
    )  # fmt: skip
