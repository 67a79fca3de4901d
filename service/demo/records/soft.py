"""What officers, associations and peers say, and how digital firms are."""

import numpy as np
import polars as pl

from features.kinds.soft import (
    ASSOCIATION_ACT,
    DIGITAL_MATURITY,
    DIGITAL_QUESTIONS,
    PEER_REPORT,
    SOFT_ASSESSMENT,
    SOFT_CLAIM,
    SOFT_QUESTIONS,
)
from service.demo.records.ground import Ground, chosen, dates, later, numbered, of_rows, sparse
from service.demo.window import Floats, Ints

_OFFICERS = 12
_LENIENCY = 0.7
_UNSEEN = 0.08
_CLAIMS = 0.25
_HORIZON = 6
_NOTES = ("新增一条生产线，两班运转", "仓库货物较多，部分积压", "账目清楚，发票齐全", "老板在行业内口碑好")


def soft_assessment(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return a visit a year: each officer has a leniency of its own, and sees some of what is to come."""
    month_of_visit = rng.integers(12, size=ground.n)
    months = np.arange(ground.window.months)
    firm, month = ground.each(months)
    is_visit = month % 12 == month_of_visit[firm]
    firm, month = firm[is_visit], month[is_visit]
    # Officers keep their firms for two years, then change.
    officer = (firm * 7 + month // 24 * 5) % _OFFICERS
    leniency = _LENIENCY * rng.standard_normal(_OFFICERS)
    level = 4.2 + 0.8 * ground.strength[firm] - 1.5 * ground.tension[firm, month] + leniency[officer]
    answers = level[:, None] + 0.9 * rng.standard_normal((len(firm), len(SOFT_QUESTIONS)))
    on = later(rng, ground.window.month_starts(month), 0, 20)
    is_rotation = (month // 24 > 0) & (month % 24 < 12)
    return ground.table(
        SOFT_ASSESSMENT, firm, on, later(rng, on, 0, 5), officer=_officers(officer), instrument="soft-1",
        occasion=pl.Series(np.where(is_rotation, "rotation", np.where(month < 12, "application", "review"))),
        note=sparse(chosen(_NOTES, rng.integers(len(_NOTES), size=len(firm))), rng.random(len(firm)) < 0.5),
        **_answers(rng, answers, SOFT_QUESTIONS, 1, 7),
    )  # fmt: skip


def _officers(officer: Ints) -> pl.Series:
    return numbered("O", _OFFICERS, 3).gather(officer)


def _answers(
    rng: np.random.Generator, level: Floats, names: tuple[str, ...], low: int, high: int
) -> dict[str, pl.Series]:
    """Return whole answers within their range, a few of them not given."""
    whole = np.rint(level).clip(low, high).astype(np.int64)
    is_given = rng.random(level.shape) >= _UNSEEN
    return {name: sparse(whole[:, place], is_given[:, place]) for place, name in enumerate(names)}


def soft_claim(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return claims that sales will grow by so much in half a year, and what the invoices then said of it."""
    firm, month = ground.drawn(rng, np.full((ground.n, 1), _CLAIMS / 12))
    is_early = month >= _HORIZON - 1
    firm, month = firm[is_early], month[is_early]
    expected = 500 * rng.integers(-2, 9, len(firm))
    on = ground.window.month_ends(month)
    columns = {
        "claim_id": numbered("K", len(firm)), "officer": _officers((firm * 7) % _OFFICERS),
        "claim": chosen(("下半年订单预计增长", "新客户已签约，销售将上升", "旺季将至，产能已满"), firm % 3),
        "proxy": "sales", "expected_bp": pl.Series(expected), "horizon_months": _HORIZON, "check_source": "invoices",
    }  # fmt: skip
    made = ground.table(SOFT_CLAIM, firm, on, on, outcome="open", **columns)
    rows = np.flatnonzero(month + _HORIZON < ground.window.months)
    then = month[rows] + _HORIZON
    before, after = (ground.summed(ground.sales, firm[rows], end, _HORIZON) for end in (month[rows], then))
    is_true = after * 10_000 >= before * (10_000 + expected[rows])
    checked = ground.window.month_ends(then)
    outcome = ground.table(
        SOFT_CLAIM, firm[rows], on[rows], later(rng, checked, 1, 20), checked_on=dates(checked),
        outcome=pl.Series(np.where(is_true, "confirmed", "refuted")), **of_rows(columns, rows),
    )  # fmt: skip
    return pl.concat([made, outcome])


def association_act(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return sanctions and warnings, more of them before a default, and commendations of the strong."""
    bad, bad_month = ground.drawn(rng, 0.0015 * (1 + 12 * ground.tension))
    good, good_month = ground.drawn(rng, 0.002 * (ground.strength[:, None] > 0.5) * (1 - ground.tension))
    association = ground.firms["cluster"].fill_null("本地集群") + "协会"
    parts = []
    for firm, month, acts, words in (
        (bad, bad_month, ("warning", "warning", "sanction", "expulsion"), "低于行业约定价格或质量销售"),
        (good, good_month, ("commendation",), "质量与信誉受表彰"),
    ):
        on = later(rng, ground.window.month_starts(month), 0, 27)
        act = rng.integers(len(acts), size=len(firm))
        ended = later(rng, on, 180, 365)
        columns = {
            "association": association.gather(firm), "act": chosen(acts, act), "severity": np.minimum(1 + act, 3),
            "words": words,
        }  # fmt: skip
        parts.append(ground.table(ASSOCIATION_ACT, firm, on, later(rng, on, 3, 30), **columns))
        rows = np.flatnonzero((act == 2) & (len(acts) > 1))
        over = ground.table(
            ASSOCIATION_ACT, firm[rows], on[rows], ended[rows], ended_on=dates(ended[rows]), **of_rows(columns, rows)
        )
        parts.append(over)
    return pl.concat(parts)


def peer_report(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return what peers say: late payments above all of those that will fail; part of it is verified later."""
    firm, month = ground.drawn(rng, 0.003 * (1 + 15 * ground.tension))
    tension = ground.tension[firm, month]
    said = np.where(rng.random(len(firm)) < 0.3 + 0.6 * tension, 0, rng.integers(1, 4, len(firm)))
    on = later(rng, ground.window.month_starts(month), 0, 27)
    columns = {
        "reporter": ground.codes.gather((firm + 1 + rng.integers(ground.n - 1, size=len(firm))) % ground.n),
        "report": chosen(("late_payment", "quality_dispute", "praise", "other"), said),
        "words": chosen(("付款拖延两个月", "产品质量有争议", "合作多年，守信用", "听说在转让厂房"), said),
    }
    heard = ground.table(PEER_REPORT, firm, on, on, **columns)
    rows = np.flatnonzero(rng.random(len(firm)) < 0.4)
    verified = later(rng, on[rows], 5, 40)
    checked = ground.table(
        PEER_REPORT, firm[rows], on[rows], verified, verified_by=_officers((firm[rows] * 7) % _OFFICERS),
        verified_on=dates(verified), **of_rows(columns, rows),
    )  # fmt: skip
    return pl.concat([heard, checked])


def digital_maturity(ground: Ground, rng: np.random.Generator) -> pl.DataFrame:
    """Return yearly answers of some firms, which grow more digital with the years and with their size."""
    is_asked, month_of_year = rng.random(ground.n) < 0.4, rng.integers(12, size=ground.n)
    firm, month = ground.each(np.arange(ground.window.months))
    is_now = is_asked[firm] & (month % 12 == month_of_year[firm])
    firm, month = firm[is_now], month[is_now]
    size = np.log(np.maximum(ground.annual, 1))
    size = (size - size.mean()) / (size.std() or 1.0)
    own = 0.6 * rng.standard_normal(ground.n)
    level = 1.6 + (0.5 * size + own)[firm] + 0.02 * month
    answers = level[:, None] + 0.7 * rng.standard_normal((len(firm), len(DIGITAL_QUESTIONS)))
    on = ground.window.month_ends(month)
    return ground.table(
        DIGITAL_MATURITY, firm, on, later(rng, on, 0, 20), instrument="digital-1",
        **_answers(rng, answers, DIGITAL_QUESTIONS, 0, 4),
    )  # fmt: skip
