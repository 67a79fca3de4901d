"""Policy data: figures that a law or the lender sets and no data can tell, each with its source, in one place."""

from dataclasses import dataclass
from typing import Final

from features.inputs import DAYS_PAST_DUE_AT_DEFAULT

PERSONAL_RECORD_YEARS: Final = 5
"""A negative record of a person leaves the features so many years after it ended."""
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
)
"""Every figure, for the generated reference."""
