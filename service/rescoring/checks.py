"""Is a run fit to be published? Pure: from counts and comparisons to findings that a risk manager can read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.grades import DEFAULTED, NAMES
from models.stability import POINTS
from models.validation import PSI_ALARM, PSI_WATCH, Stability
from service.rescoring import policy

Level = Literal["ok", "warn", "fail"]
Matrix = Mapping[tuple[str | None, str | None], int]
_SCALE = [*NAMES, DEFAULTED]


@dataclass(frozen=True)
class Check:
    """One finding about a run.

    Attributes
    ----------
    value, limit
        What was measured, and from what it would be worse than ``ok`` (or, at ``fail``, what it broke); None where
        there is nothing to measure.
    """

    code: str
    level: Level
    value: float | None
    limit: float | None
    text: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the checks look at.

    Attributes
    ----------
    firms, scored, refused
        Of the run: firms when it was prepared, and what became of them by its chunks.
    rows
        Scores that it has.
    refused_before
        Share of firms without a score in the whole run that was published last; None if there was none.
    arrivals
        By kind of observation: rows known since the last published run, then in each period as long before; empty if
        there is nothing to compare with.
    statuses, impossible
        Loans with a repayment status, and those whose balance cannot be.
    matrix
        Firms by grade, before and after.
    """

    firms: int
    scored: int
    refused: int
    rows: int
    refused_before: float | None
    arrivals: Mapping[str, Sequence[int]]
    statuses: int
    impossible: Mapping[str, int]
    matrix: Matrix
    stability: Mapping[str, Stability]


def check(facts: Facts) -> list[Check]:
    """Return every finding, good ones too."""
    return [
        _counts(facts),
        _rows(facts),
        *(_feed(kind, counts) for kind, counts in facts.arrivals.items()),
        _balances(facts),
        _refused(facts),
        _migration(facts.matrix),
        _defaults(facts.matrix),
        *_stability(facts.stability),
    ]


def has_failed(checks: Sequence[Mapping[str, object]]) -> bool:
    """Tell whether some stored finding blocks publishing.

    Examples
    --------
    >>> has_failed([{"code": "counts", "level": "ok"}]), has_failed([{"code": "counts", "level": "fail"}])
    (False, True)
    """
    return any(item["level"] == "fail" for item in checks)


def _finding(code: str, level: Level, value: float | None, limit: float | None, en: str, zh: str) -> Check:
    return Check(code, level, value, limit, {"zh-CN": zh, "en": en})


def _graded(value: float, warn: float, fail: float) -> tuple[Level, float]:
    """Return the level of a value, and the limit that it broke or comes to first."""
    if value > fail:
        return "fail", fail
    return ("warn" if value > warn else "ok"), warn


def _counts(facts: Facts) -> Check:
    done = facts.scored + facts.refused
    has_graded_nobody = facts.scored == 0 and facts.refused > 0
    level: Level = "fail" if done < facts.firms or has_graded_nobody else "ok" if done == facts.firms else "warn"
    late = " (firms were added while it ran)" if level == "warn" else ""
    en = f"{facts.scored:,} scored and {facts.refused:,} refused of {facts.firms:,} firms{late}"
    zh = f"{facts.firms} 家企业中，已评分 {facts.scored} 家，无法评分 {facts.refused} 家"
    return _finding("counts", level, done, facts.firms, en, zh)


def _rows(facts: Facts) -> Check:
    level: Level = "ok" if facts.rows == facts.scored else "fail"
    en = f"the chunks say {facts.scored:,} scores, the table has {facts.rows:,}"
    zh = f"各批次合计 {facts.scored} 条评分，表中有 {facts.rows} 条"
    return _finding("rows", level, facts.rows, facts.scored, en, zh)


def _feed(kind: str, counts: Sequence[int]) -> Check:
    now, earlier = counts[0], [count for count in counts[1:] if count]
    mean = sum(earlier) / len(earlier) if earlier else 0.0
    if mean < policy.FEED_LEAST_ROWS:
        en, zh = f"{kind}: {now:,} rows; too few before to compare with", f"{kind}：{now} 行，此前过少，不作比较"
        return _finding(f"feed_{kind}", "ok", now, None, en, zh)
    least = mean * (1 - policy.FEED_FAIL_PERCENT / 100)
    is_near = abs(now - mean) <= mean * policy.FEED_WARN_PERCENT / 100
    level: Level = "fail" if now < least else "ok" if is_near else "warn"
    en = f"{kind}: {now:,} rows since the last published run, {mean:,.0f} on average in periods as long before"
    zh = f"{kind}：上次发布以来 {now} 行，此前等长时段平均 {mean:.0f} 行"
    return _finding(f"feed_{kind}", level, now, least if level == "fail" else mean, en, zh)


def _balances(facts: Facts) -> Check:
    wrong = sum(facts.impossible.values())
    limit = facts.statuses * policy.BALANCE_FAIL_PERCENT / 100
    level: Level = "fail" if wrong > limit else "warn" if wrong else "ok"
    en = (
        f"of {facts.statuses:,} loans with a status, {facts.impossible['above_principal']:,} owe more than the"
        f" principal, {facts.impossible['owed_after_end']:,} owe something after their end,"
        f" {facts.impossible['of_no_loan']:,} are of no loan known"
    )
    zh = (
        f"{facts.statuses} 笔有还款状态的贷款中，余额高于本金 {facts.impossible['above_principal']} 笔，"
        f"结清后仍有余额 {facts.impossible['owed_after_end']} 笔，无对应贷款 {facts.impossible['of_no_loan']} 笔"
    )
    return _finding("balances", level, wrong, limit, en, zh)


def _refused(facts: Facts) -> Check:
    total = facts.scored + facts.refused
    share = facts.refused / total if total else 0.0
    if facts.refused_before is None or total < policy.LEAST_FIRMS:
        en, zh = f"{share:.1%} of the firms without a score", f"无法评分企业占 {share:.1%}"
        return _finding("refused", "ok", share, None, en, zh)
    before = facts.refused_before
    level, points = _graded(100 * (share - before), policy.REFUSED_WARN_POINTS, policy.REFUSED_FAIL_POINTS)
    en = f"{share:.1%} of the firms without a score, {before:.1%} in the last published run"
    zh = f"无法评分企业占 {share:.1%}，上次发布为 {before:.1%}"
    return _finding("refused", level, share, before + points / 100, en, zh)


def _migration(matrix: Matrix) -> Check:
    both = {
        (_SCALE.index(before), _SCALE.index(after)): firms
        for (before, after), firms in matrix.items()
        if before is not None and after is not None
    }
    total = sum(both.values())
    far = sum(firms for (before, after), firms in both.items() if abs(after - before) > policy.MIGRATION_NOTCHES)
    if total < policy.LEAST_FIRMS:
        en, zh = f"{total:,} firms had a grade before: too few to judge", f"{total} 家企业此前有评级，过少，不作评判"
        return _finding("migration", "ok", None, None, en, zh)
    share = far / total
    level, limit = _graded(100 * share, policy.MIGRATION_WARN_PERCENT, policy.MIGRATION_FAIL_PERCENT)
    en = f"{far:,} of {total:,} firms ({share:.1%}) move by more than {policy.MIGRATION_NOTCHES} grades"
    zh = f"{total} 家企业中 {far} 家（{share:.1%}）评级变动超过 {policy.MIGRATION_NOTCHES} 级"
    return _finding("migration", level, share, limit / 100, en, zh)


def _defaults(matrix: Matrix) -> Check:
    after = sum(firms for (_, grade), firms in matrix.items() if grade is not None)
    before = sum(firms for (grade, _), firms in matrix.items() if grade is not None)
    share = sum(firms for (_, grade), firms in matrix.items() if grade == DEFAULTED) / after if after else 0.0
    if min(before, after) < policy.LEAST_FIRMS:
        en, zh = f"{share:.1%} of the scored firms are in default", f"已评分企业中违约占 {share:.1%}"
        return _finding("defaults", "ok", share, None, en, zh)
    share_before = sum(firms for (grade, _), firms in matrix.items() if grade == DEFAULTED) / before
    moved = 100 * abs(share - share_before)
    level, points = _graded(moved, policy.DEFAULT_WARN_POINTS, policy.DEFAULT_FAIL_POINTS)
    en = f"{share:.1%} of the scored firms are in default, {share_before:.1%} before"
    zh = f"已评分企业中违约占 {share:.1%}，此前为 {share_before:.1%}"
    direction = 1 if share >= share_before else -1
    return _finding("defaults", level, share, share_before + direction * points / 100, en, zh)


def _stability(found: Mapping[str, Stability]) -> Iterator[Check]:
    """Yield a finding for the points, and one for the features together: an alarm of theirs blocks nothing by itself.

    The model was made from borrowers; a bank's firms as a whole may well differ from them in this or that.
    """
    if POINTS in found:
        points = found[POINTS]
        level: Level = {"stable": "ok", "watch": "warn", "alarm": "fail"}[points.verdict]  # type: ignore[assignment]
        limit = max(PSI_ALARM if level == "fail" else PSI_WATCH, points.noise_floor)
        en = f"stability index of the points {points.value:.3f}, by chance up to {points.noise_floor:.3f}"
        zh = f"评分稳定性指数 {points.value:.3f}，偶然波动上限 {points.noise_floor:.3f}"
        yield _finding("psi_points", level, points.value, limit, en, zh)
    features = {name: item for name, item in found.items() if name != POINTS}
    if features:
        moved = sorted(
            (name for name in features if features[name].verdict == "alarm"), key=lambda n: -features[n].value
        )
        worst = max(item.value for item in features.values())
        told = ", ".join(f"{name} {features[name].value:.2f}" for name in moved[:5]) or "none"
        en = f"features whose stability index is above {PSI_ALARM} and above chance: {told}"
        zh = f"稳定性指数超过 {PSI_ALARM} 且超出偶然波动的特征：{told if moved else '无'}"
        yield _finding("psi_features", "warn" if moved else "ok", worst, PSI_ALARM, en, zh)
