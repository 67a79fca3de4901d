"""Policy data: figures that a law or the lender sets and no data can tell, each with its source, in one place."""

from dataclasses import dataclass
from typing import Final

from features.inputs import DAYS_PAST_DUE_AT_DEFAULT

PERSONAL_RECORD_YEARS: Final = 5
"""A negative record of a person leaves the features so many years after it ended."""
INVOICE_YEARS: Final = 10
"""Years that invoices are kept unless the lender sets more or fewer: none is used for so long."""
SCORE_YEARS: Final = 10
"""Years that scores are kept unless the lender sets more or fewer."""
UNSTATED_DAYS_PAST_DUE: Final = DAYS_PAST_DUE_AT_DEFAULT + 1
"""What a negative record that states no days past due counts as."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One figure as the reference shows it."""

    name: str
    value: int
    unit: str
    en: str
    zh: str
    source: str


_TEN_YEARS: Final = (
    "an assumption of this project: as long as the Anti-Money Laundering Law (反洗钱法, revised in 2024), article 34, "
    "has records of customers' transactions kept; the lender's own vouchers, which are kept for longer "
    "(会计档案管理办法), are not in here"
)

POLICIES: Final[tuple[Policy, ...]] = (
    Policy(
        name="PERSONAL_RECORD_YEARS",
        value=PERSONAL_RECORD_YEARS,
        unit="years",
        en="a person's negative record leaves the features on the day so many years after it ended; while it runs, it "
        "counts",
        zh="个人不良记录自终止之日起满五年即不再使用；尚未终止的一直使用",
        source="State Council Regulation on the Credit Reporting Industry (征信业管理条例), article 16",
    ),
    Policy(
        name="DAYS_PAST_DUE_AT_DEFAULT",
        value=DAYS_PAST_DUE_AT_DEFAULT,
        unit="days",
        en="more days past due than this are a default",
        zh="逾期超过该天数即为违约",
        source="methods.md section 1, Basel",
    ),
    Policy(
        name="UNSTATED_DAYS_PAST_DUE",
        value=UNSTATED_DAYS_PAST_DUE,
        unit="days",
        en="days past due that a person's negative record counts as where it states none, as a judgment may",
        zh="个人不良记录（如判决）未注明逾期天数时，按该天数计",
        source="an assumption of this project: as bad as a default",
    ),
    Policy(
        name="INVOICE_YEARS",
        value=INVOICE_YEARS,
        unit="years",
        en="invoices older than so many whole calendar years are dropped by `clustercredit db maintain`; the lender's "
        "to set, CLUSTERCREDIT_INVOICE_YEARS",
        zh="早于该整数日历年数的发票由 `clustercredit db maintain` 删除；由贷款机构设定（CLUSTERCREDIT_INVOICE_YEARS）",
        source=_TEN_YEARS,
    ),
    Policy(
        name="SCORE_YEARS",
        value=SCORE_YEARS,
        unit="years",
        en="scores as of a day older than so many whole calendar years are dropped likewise, but for those that "
        "something points to; the lender's to set, CLUSTERCREDIT_SCORE_YEARS",
        zh="评分基准日早于该整数日历年数的评分同样删除，仍被引用的除外；由贷款机构设定（CLUSTERCREDIT_SCORE_YEARS）",
        source=_TEN_YEARS,
    ),
)
"""Every figure, for the generated reference."""
