"""Policy data: how far a run may be from the last before somebody has to look, each with its source."""

from typing import Final

from features.policy import Policy

FEED_PERIODS: Final = 4
FEED_LEAST_ROWS: Final = 100
FEED_WARN_PERCENT: Final = 30
FEED_FAIL_PERCENT: Final = 80
BALANCE_FAIL_PERCENT: Final = 1
MIGRATION_NOTCHES: Final = 2
MIGRATION_WARN_PERCENT: Final = 15
MIGRATION_FAIL_PERCENT: Final = 40
REFUSED_WARN_POINTS: Final = 5
REFUSED_FAIL_POINTS: Final = 20
DEFAULT_WARN_POINTS: Final = 2
DEFAULT_FAIL_POINTS: Final = 10
LEAST_FIRMS: Final = 30
_OWN: Final = "an assumption of this project: set it by the lender's own months"


def _figure(name: str, value: int, unit: str, en: str, zh: str) -> Policy:
    return Policy(name=name, value=value, unit=unit, en=en, zh=zh, source=_OWN)


TOLERANCES: Final[tuple[Policy, ...]] = (
    _figure(
        "FEED_PERIODS", FEED_PERIODS, "periods",
        "earlier periods, as long as the one since the last published run, that a feed's rows are compared with",
        "数据到达量与此前若干个等长时段的平均值比较",
    ),
    _figure(
        "FEED_LEAST_ROWS", FEED_LEAST_ROWS, "rows",
        "a feed that brought fewer on average is not compared: chance moves it",
        "平均行数低于该值的数据不作比较",
    ),
    _figure(
        "FEED_WARN_PERCENT", FEED_WARN_PERCENT, "%",
        "a feed that differs from its average by more is a warning",
        "与平均值相差超过该比例即提示",
    ),
    _figure(
        "FEED_FAIL_PERCENT", FEED_FAIL_PERCENT, "%",
        "a feed that falls short of its average by more did not arrive: publishing is blocked",
        "比平均值少于该比例视为未到达，阻止发布",
    ),
    _figure(
        "BALANCE_FAIL_PERCENT", BALANCE_FAIL_PERCENT, "%",
        "share of loans whose balance cannot be (above the principal, owed after the end, of no loan known) that blocks"
        " publishing; fewer are a warning",
        "余额不可能成立（高于本金、结清后仍有余额、无对应贷款）的贷款占比，超过即阻止发布，不足则提示",
    ),
    _figure(
        "MIGRATION_NOTCHES", MIGRATION_NOTCHES, "grades",
        "a firm that moves by more counts as moved far",
        "评级变动超过该级数视为大幅变动",
    ),
    _figure(
        "MIGRATION_WARN_PERCENT", MIGRATION_WARN_PERCENT, "%",
        "share of firms moved far that is a warning",
        "大幅变动企业占比超过即提示",
    ),
    _figure(
        "MIGRATION_FAIL_PERCENT", MIGRATION_FAIL_PERCENT, "%",
        "share of firms moved far that blocks publishing",
        "大幅变动企业占比超过即阻止发布",
    ),
    _figure(
        "REFUSED_WARN_POINTS", REFUSED_WARN_POINTS, "percentage points",
        "rise of the share of firms without a score, on the last published run, that is a warning",
        "无法评分企业占比较上次发布上升超过即提示",
    ),
    _figure(
        "REFUSED_FAIL_POINTS", REFUSED_FAIL_POINTS, "percentage points",
        "the same, that blocks publishing",
        "同上，超过即阻止发布",
    ),
    _figure(
        "DEFAULT_WARN_POINTS", DEFAULT_WARN_POINTS, "percentage points",
        "change of the share of firms in default, on the last published run, that is a warning",
        "违约企业占比较上次发布变动超过即提示",
    ),
    _figure(
        "DEFAULT_FAIL_POINTS", DEFAULT_FAIL_POINTS, "percentage points",
        "the same, that blocks publishing",
        "同上，超过即阻止发布",
    ),
    _figure(
        "LEAST_FIRMS", LEAST_FIRMS, "firms",
        "of fewer firms, shares are not judged",
        "企业数少于该值时不评判占比",
    ),
)  # fmt: skip
"""Every figure, for the generated reference. The stability index has the usual limits, .10 and .25."""
