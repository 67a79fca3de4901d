"""What firms owe, to us and to others, who guarantees it, and how it is repaid."""

import polars as pl

from features.kinds.contract import (
    CODE,
    CORRECT_ONE_DAY,
    OF_FIRM,
    Fault,
    Kind,
    Rule,
    Words,
    choice,
    code,
    count,
    day,
    fen,
    flag,
    known_by,
    needed,
    not_before,
    person_or_name,
    share,
    text,
)
from features.kinds.parties import LONGEST_DELAY

_NAMELESS = Fault(
    Words("of a private lender no name is kept: it may be a person's", "民间债权人不保存名称：可能是自然人姓名"),
    Words("give a code of your own as lender, or the word 'private'", "请以贵行代号或 private 填写 lender"),
)
_ABOVE_ZERO = Fault(Words("must be above zero", "必须大于零"), Words("give the whole amount lent", "请填写贷款金额"))

LOAN = Kind(
    "loan",
    1,
    Words("a loan of ours; observed_on is its start", "贷款；发生日期为起始日"),
    (
        *OF_FIRM,
        code("loan_id", "loan", "贷款编号", "L000123"),
        text("product", "loan product", "贷款产品", "credit_score"),
        fen("principal_fen", "amount lent", "贷款本金", "50000000"),
        day("matures_on", "date of maturity", "到期日", "2025-05-31", is_required=False),
    ),
    (
        Rule("principal_fen", pl.col("principal_fen") <= 0, _ABOVE_ZERO),
        Rule(
            "matures_on",
            pl.col("matures_on") <= pl.col("observed_on"),
            Fault(
                Words("not after the loan's start", "不晚于贷款起始日"),
                CORRECT_ONE_DAY,
            ),
            "time",
        ),
    ),
)

INSTALMENT = Kind(
    "instalment",
    1,
    Words("a loan's instalment as known; observed_on is the day it is due", "分期还款；发生日期为应还日"),
    (
        *OF_FIRM,
        code("loan_id", "loan", "贷款编号", "L000123"),
        count("number", "which one, from 1", "期次", "7", low=1, high=1200),
        fen("principal_due_fen", "principal due", "应还本金", "4166667", low=0),
        fen("interest_due_fen", "interest due", "应还利息", "208333", low=0),
        fen("principal_paid_fen", "principal paid so far", "已还本金", "4166667", low=0),
        fen("interest_paid_fen", "interest paid so far", "已还利息", "208333", low=0),
        day("paid_on", "day it was paid in full", "还清日期", "2024-06-05", is_required=False),
    ),
    (known_by("paid_on"),),
    known_after=1,
    known_why=Words("what was not paid on the day it was due shows the day after", "应还日未还的，次日可知"),
)

_SAYS_NOTHING = (
    pl.col("days_past_due").is_null() & pl.col("default_event").is_null() & ~pl.col("is_closed") & ~pl.col("is_undated")
)
REPAYMENT_STATUS = Kind(
    "repayment_status",
    1,
    Words("how a loan, or a firm's debt, stands on a day", "还款状态"),
    (
        *OF_FIRM,
        text("loan_id", "loan; empty: about the firm", "贷款编号", "L000123", is_required=False),
        count("days_past_due", "days past due", "逾期天数", "0", is_required=False, unit="days", high=LONGEST_DELAY),
        fen("balance_fen", "balance", "余额", "42000000", is_required=False, low=0),
        choice(
            "default_event",
            "event that is a default by itself",
            "违约事件",
            "write_off",
            (
                "non_accrual",
                "credit_loss_sale",
                "bankruptcy",
                "distressed_restructuring",
                "write_off",
                "guarantee_paid",
                "cross_default",
                "unspecified",
            ),
            is_required=False,
        ),
        flag("is_closed", "the loan has ended", "是否结清", "false"),
        flag("is_undated", "the event's own date is unknown", "日期是否未知", "false"),
    ),
    (
        Rule(
            "days_past_due",
            _SAYS_NOTHING,
            Fault(
                Words("says nothing", "未说明任何状态"),
                Words("give days_past_due, default_event or is_closed", "请填写逾期天数、违约事件或是否结清"),
            ),
        ),
    ),
)

DEBT_ELSEWHERE = Kind(
    "debt_elsewhere",
    1,
    Words("what a firm owes to others on a day", "他行债务"),
    (
        *OF_FIRM,
        text("lender", "to whom", "债权人", "Bank B"),
        choice("lender_kind", "what the lender is", "债权人类型", "bank",
               ("bank", "finance_company", "leasing", "microcredit", "private", "bond_holders", "other")),
        choice("debt_kind", "what kind of debt", "债务类型", "loan",
               ("loan", "credit_line", "bill", "letter_of_credit", "lease", "bond", "guarantee_given", "other")),
        text("reference", "contract, as the source names it", "合同编号", "Z-88120", is_required=False),
        fen("limit_fen", "limit agreed", "授信额度", "80000000", is_required=False, low=0),
        fen("balance_fen", "drawn", "余额", "60000000", low=0),
        day("matures_on", "date of maturity", "到期日", "2025-05-31", is_required=False),
        count("days_past_due", "days past due", "逾期天数", "0", is_required=False, unit="days", high=LONGEST_DELAY),
        choice("five_class", "five-class grade",
               "五级分类（normal 正常、special_mention 关注、substandard 次级、doubtful 可疑、loss 损失）", "normal",
               ("normal", "special_mention", "substandard", "doubtful", "loss"), is_required=False),
        text("collateral", "what secures it", "担保方式", "mortgage", is_required=False),
    ),
    (
        Rule("lender", (pl.col("lender_kind") == "private") & ~pl.col("lender").str.contains(CODE), _NAMELESS,
             is_secret=True),
    ),
    known_after=30,
    known_why=Words("it stands in the credit bureau's report of the next month", "次月征信报告中可见"),
)  # fmt: skip

GUARANTEE = Kind(
    "guarantee",
    1,
    Words("a guarantee for a firm's debt; firm_id is the debtor, observed_on its start", "担保；企业为被担保人"),
    (
        *OF_FIRM,
        text("contract_id", "guarantee contract", "担保合同号", "G000123"),
        code("loan_id", "loan of ours; empty: a debt elsewhere", "贷款编号", "L000123", is_required=False),
        choice("guarantor_kind", "what the guarantor is", "担保人类型", "firm",
               ("firm", "person", "fund", "guarantee_company", "association")),
        text("guarantor", "the guarantor's code or name; of a person: none", "担保人代码或名称", "F000456",
             is_required=False),
        code("person_id", "pseudonym of a person who guarantees", "人员代号", "", is_required=False),
        choice("guarantee_type", "general: after the debtor; joint: at once", "保证方式（general 一般、joint 连带）",
               "joint", ("general", "joint")),
        choice("share_type", "several: each a share; common: each all", "共同保证方式（several 按份、common 共同）",
               "common", ("several", "common")),
        share("coverage_bp", "share of the debt that is guaranteed", "担保比例", "8000"),
        fen("cap_fen", "most that is paid", "最高担保额", "40000000", is_required=False, low=0),
        day("ends_on", "last day of the guarantee period", "保证期间届满日", "2026-05-31", is_required=False),
        day("released_on", "day it was released", "解除日期", "2024-06-10", is_required=False),
    ),
    (
        needed("person_id", pl.col("guarantor_kind") == "person", "of a person who guarantees", "担保人为自然人"),
        needed("guarantor", pl.col("guarantor_kind") != "person", "of who guarantees", "担保人非自然人"),
        *person_or_name(pl.col("guarantor_kind") == "person", "guarantor"),
        not_before("ends_on"),
        not_before("released_on"),
        known_by("released_on"),
    ),
    table="guarantee_observation",
    known_after=30,
    known_why=Words("it stands in the credit bureau's report of the next month", "次月征信报告中可见"),
)  # fmt: skip

FUND_MEMBERSHIP = Kind(
    "fund_membership",
    1,
    Words("a firm's membership of a mutual guarantee fund, as it stands", "互助担保基金成员"),
    (
        *OF_FIRM,
        text("fund", "the fund", "基金", "Luqiao mutual"),
        day("joined_on", "member since", "加入日期", "2021-03-01"),
        fen("contribution_fen", "paid into the fund", "出资额", "5000000", low=0),
        fen("deposit_fen", "the member's own deposit as security", "保证金", "2500000", is_required=False, low=0),
        fen("limit_fen", "most that the fund guarantees for it", "担保额度", "50000000", is_required=False, low=0),
        day("left_on", "day it left", "退出日期", "2024-06-10", is_required=False),
    ),
    (not_before("left_on", "joined_on"), known_by("joined_on", is_required=True), known_by("left_on")),
    known_after=30,
    known_why=Words("funds tell the lender of their members month by month", "基金按月报送成员情况"),
)

EXTERNAL_RATING = Kind(
    "external_rating",
    1,
    Words("a rating by somebody else", "外部评级"),
    (
        *OF_FIRM,
        text("agency", "who rates", "评级机构", "Agency A"),
        text("grade", "the grade, as the agency writes it", "级别", "BBB"),
        flag("is_default", "the grade says default", "是否违约级", "false"),
        flag("is_withdrawn", "the rating ends with this row", "是否终止", "false"),
    ),
)
