"""What people say of firms: officers, associations, peers, and the firms themselves."""

import polars as pl

from features.kinds.contract import (
    LONG,
    OF_FIRM,
    Kind,
    Words,
    choice,
    code,
    count,
    day,
    known_by,
    needed,
    not_before,
    text,
)

SOFT_QUESTIONS = tuple(f"q{number:02}" for number in range(1, 13))
DIGITAL_QUESTIONS = tuple(f"d{number:02}" for number in range(1, 13))

SOFT_ASSESSMENT = Kind(
    "soft_assessment",
    1,
    Words("an officer's assessment of a firm, by the instrument; observed_on is the day of the visit", "软信息评估"),
    (
        *OF_FIRM,
        code("officer", "who assessed, under a code", "评估人代号", "O017"),
        choice("instrument", "version of the questions", "问卷版本", "soft-1", ("soft-1",)),
        choice("occasion", "why", "评估缘由（application 申请、review 复查、rotation 轮换复评）", "review",
               ("application", "review", "rotation")),
        *(
            count(name, f"answer to question {int(name[1:])}, 1 to 7; empty: not seen", f"第 {int(name[1:])} 题（1-7）",
                  "5", is_required=False, low=1, high=7)
            for name in SOFT_QUESTIONS
        ),
        text("note", "what was seen, in words", "访谈记录", "New line of presses at work, two shifts.",
             is_required=False, most=LONG),
    ),
)  # fmt: skip

SOFT_CLAIM = Kind(
    "soft_claim",
    1,
    Words("what a note claims, so that it can be checked", "软信息主张"),
    (
        *OF_FIRM,
        code("claim_id", "claim, under a code", "主张代号", "K000123"),
        code("officer", "who noted it", "记录人代号", "O017"),
        text("claim", "the claim", "主张内容", "Orders will rise by a fifth within the half-year", most=LONG),
        choice("proxy", "what would show it", "衡量指标", "sales",
               ("sales", "orders", "customers", "headcount", "wages", "power", "stock", "debt", "cash", "other")),
        count("expected_bp", "change expected of it", "预期变动", "2000", is_required=False, unit="bp", low=-10_000,
              high=100_000),
        count("horizon_months", "within how many months", "期限", "6", unit="months", low=1, high=60),
        choice("check_source", "by what it is checked", "核验来源", "invoices",
               ("invoices", "accounts", "payroll", "utility_bills", "tax", "registry", "visit")),
        choice("outcome", "what the check found", "核验结果", "open", ("open", "confirmed", "refuted")),
        day("checked_on", "day of the check", "核验日期", "2024-06-10", is_required=False),
    ),
    (
        needed("checked_on", pl.col("outcome") != "open", "of a claim that was checked", "主张已核验"),
        not_before("checked_on"),
        known_by("checked_on"),
    ),
)  # fmt: skip

ASSOCIATION_ACT = Kind(
    "association_act",
    1,
    Words("what an association did about a member, as the lender was told", "行业协会措施"),
    (
        *OF_FIRM,
        text("association", "which association", "协会", "Luqiao shoe guild"),
        choice("act", "what it did", "措施", "sanction",
               ("sanction", "warning", "expulsion", "commendation", "admission")),
        count("severity", "1 light to 3 severe", "程度（1-3）", "2", low=1, high=3),
        text("words", "what for", "事由", "Sold under the guild's agreed quality", is_required=False, most=LONG),
        day("ended_on", "day it ended", "终止日期", "2024-06-10", is_required=False),
    ),
    (not_before("ended_on"), known_by("ended_on")),
    table="association_act_observation",
    known_after=30,
    known_why=Words("associations tell the lender month by month", "协会按月通报"),
)  # fmt: skip

PEER_REPORT = Kind(
    "peer_report",
    1,
    Words("what another firm says of a firm; hearsay until verified, and never part of a PD before", "同业反映"),
    (
        *OF_FIRM,
        text("reporter", "who says so, under a code", "反映人代号", "F000456"),
        choice(
            "report",
            "what is reported",
            "反映内容",
            "late_payment",
            ("late_payment", "quality_dispute", "praise", "other"),
        ),
        text("words", "in words", "详情", "Pays two months late since spring", is_required=False, most=LONG),
        code("verified_by", "who verified it, under a code; empty: nobody", "核实人代号", "O017", is_required=False),
        day("verified_on", "day it was verified", "核实日期", "2024-06-10", is_required=False),
    ),
    (
        needed("verified_on", pl.col("verified_by").is_not_null(), "of a report that was verified", "反映已核实"),
        not_before("verified_on"),
        known_by("verified_on"),
    ),
    table="peer_report_observation",
)

DIGITAL_MATURITY = Kind(
    "digital_maturity",
    1,
    Words("a firm's answers on how digital it is, in three stages", "数字化成熟度问卷"),
    (
        *OF_FIRM,
        choice("instrument", "version of the questions", "问卷版本", "digital-1", ("digital-1",)),
        *(
            count(name, f"answer to question {int(name[1:])}, 0 to 4", f"第 {int(name[1:])} 题（0-4）", "3",
                  is_required=False, high=4)
            for name in DIGITAL_QUESTIONS
        ),
    ),
)  # fmt: skip
