"""E46: the stable grade is two or more grades worse than at the last rescoring of an earlier day, or is now D."""

from models.grades import DEFAULTED, notches
from service.alerts.snapshot import Finding, GradeSnapshot, Rule

LEAST_NOTCHES = 2


def check(snapshot: GradeSnapshot) -> list[Finding]:
    """Compare the stable grade with the one before.

    Examples
    --------
    >>> from datetime import date
    >>> days = {"as_of": date(2024, 6, 30), "previous_as_of": date(2024, 3, 31)}
    >>> worse = GradeSnapshot(
    ...     product="credit-score", pd=0.05, stable_grade="11", previous_grade="9", previous_pd=0.02, **days
    ... )
    >>> check(worse)[0].text["en"]
    'grade fell from 9 to 11 (PD 2.0% to 5.0%) between 2024-03-31 and 2024-06-30'
    """
    before, after = snapshot.previous_grade, snapshot.stable_grade
    if before is None or snapshot.previous_pd is None or before == DEFAULTED:
        return []
    fall = notches(before, after)
    if fall < LEAST_NOTCHES and after != DEFAULTED:
        return []
    pds = f"PD {snapshot.previous_pd:.1%}", f"{snapshot.pd:.1%}"
    days = snapshot.previous_as_of, snapshot.as_of
    return [
        Finding(
            severity="H",
            period=str(snapshot.as_of),
            text={
                "en": f"grade fell from {before} to {after} ({pds[0]} to {pds[1]}) between {days[0]} and {days[1]}",
                "zh-CN": f"{days[0]} 至 {days[1]}，评级由 {before} 级降至 {after} 级（{pds[0]} 升至 {pds[1]}）",
            },
            evidence={
                "grade": after,
                "previous_grade": before,
                "notches": fall,
                "pd": snapshot.pd,
                "previous_pd": snapshot.previous_pd,
                "previous_as_of": str(snapshot.previous_as_of),
            },
        )
    ]


RULE = Rule(
    code="grade_drop",
    event="E46",
    en="the stable grade is two or more grades worse than at the last rescoring of an earlier day, or is now D",
    zh="稳定评级较上一次批量评分下降两级或以上，或降为 D 级",
    check=check,
)
