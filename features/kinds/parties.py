"""Who firms are, who stands behind them, and what people consented to."""

from typing import Final

import polars as pl

from features.kinds.contract import (
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

NOTHING_ON_FILE: Final = "none"
LONGEST_DELAY: Final = 20_000

FIRM = Kind(
    "firm",
    1,
    Words("what a firm is", "企业概况"),
    (
        *OF_FIRM,
        text("name", "name", "企业名称", "Luqiao Fittings Co."),
        text("industry", "trade", "行业", "valves", is_required=False),
        text("cluster", "industrial cluster", "产业集群", "Yuhuan valves", is_required=False),
        text("place", "place", "所在地", "Yuhuan", is_required=False),
        day("founded_on", "date of foundation", "成立日期", "2009-04-01", is_required=False),
        flag("is_lead", "is a lead firm of its cluster", "是否龙头企业", "false", is_required=False),
    ),
    (known_by("founded_on", is_later=False),),
    table="firm_observation",
)

CAPITAL = Kind(
    "capital",
    1,
    Words("a firm's registered capital", "注册资本"),
    (
        *OF_FIRM,
        fen("registered_fen", "registered capital", "注册资本", "500000000", low=0),
        fen("paid_in_fen", "capital paid in", "实缴资本", "200000000", is_required=False, low=0),
    ),
    known_after=30,
    known_why=Words("the registry shows what firms report within 20 working days", "企业信息于 20 个工作日内公示"),
)

PERSON = Kind(
    "person",
    1,
    Words("a person behind a firm", "企业相关人员"),
    (
        *OF_FIRM,
        code("person_id", "pseudonym, never a person's name or number", "人员代号", "P000123"),
        choice("role", "role in the firm", "角色", "owner", ("owner", "legal_representative", "manager", "guarantor")),
        day("trade_since", "in this trade since", "入行日期", "2001-01-01", is_required=False),
    ),
    (known_by("trade_since", is_later=False),),
    table="person_observation",
)

_UNTOLD = Fault(
    Words("of an unknown holder no name is kept: it may be a person's", "持有人类型不明时不保存名称：可能是自然人姓名"),
    Words("leave holder empty, or say what the holder is", "请将 holder 留空，或注明持有人类型"),
)

OWNERSHIP = Kind(
    "ownership",
    1,
    Words("a share in a firm, and who controls it", "股权与控制关系"),
    (
        *OF_FIRM,
        choice(
            "holder_kind", "what the holder is", "持有人类型", "firm", ("firm", "person", "state", "fund", "unknown")
        ),
        text(
            "holder",
            "code or name of a holder that is no person",
            "持有人代码或名称（非自然人）",
            "F000456",
            is_required=False,
        ),
        code("person_id", "pseudonym of a person who holds", "人员代号", "", is_required=False),
        share("share_bp", "share of the capital", "持股比例", "6000"),
        share("voting_bp", "share of the votes, if another", "表决权比例", "6000", is_required=False),
        share("pledged_bp", "part of the share that is pledged or frozen", "质押或冻结比例", "0", is_required=False),
        flag("is_controller", "controls the firm", "是否实际控制", "true"),
        day("ended_on", "day the holding ended", "终止日期", "2024-06-10", is_required=False),
    ),
    (
        needed("person_id", pl.col("holder_kind") == "person", "of a person who holds", "持有人为自然人"),
        needed("holder", pl.col("holder_kind").is_in(["firm", "state", "fund"]), "of who holds", "持有人非自然人"),
        *person_or_name(pl.col("holder_kind") == "person", "holder"),
        Rule("holder", (pl.col("holder_kind") == "unknown") & pl.col("holder").is_not_null(), _UNTOLD, is_secret=True),
        not_before("ended_on"),
        known_by("ended_on"),
    ),
    known_after=30,
    known_why=Words("the registry shows what firms report within 20 working days", "企业信息于 20 个工作日内公示"),
)

RELATION = Kind(
    "relation",
    1,
    Words("a relation of a firm's to another firm or a person", "企业关系"),
    (
        *OF_FIRM,
        choice(
            "relation",
            "what the other is to the firm, as: the firm ... the other",
            "关系（企业对对方）",
            "invests_in",
            ("invests_in", "owned_by", "supervises", "supervised_by", "executive_of", "executed_by", "branch_of",
             "has_branch", "lends_to", "borrows_from", "sells_to", "buys_from", "same_controller", "other"),
        ),
        choice("partner_kind", "what the other is", "对方类型", "firm", ("firm", "person")),
        text("partner", "the other's code or name; of a person: none", "对方代码或名称", "F000456", is_required=False),
        code("person_id", "pseudonym of a person", "人员代号", "", is_required=False),
        text("label", "what the source calls it", "来源称谓", "invest", is_required=False),
        fen("amount_fen", "amount invested or lent", "投资或借款金额", "300000000", is_required=False, low=0),
        day("ended_on", "day it ended", "终止日期", "2024-06-10", is_required=False),
    ),
    (
        needed("person_id", pl.col("partner_kind") == "person", "of a person", "对方为自然人"),
        needed("partner", pl.col("partner_kind") == "firm", "of a firm", "对方为企业"),
        *person_or_name(pl.col("partner_kind") == "person", "partner"),
        not_before("ended_on"),
        known_by("ended_on"),
    ),
    known_after=30,
    known_why=Words("the registry shows what firms report within 20 working days", "企业信息于 20 个工作日内公示"),
)  # fmt: skip

CONSENT = Kind(
    "consent",
    1,
    Words("what a person, or the firm, consented to or refused", "授权同意"),
    (
        OF_FIRM[0],
        day("observed_on", "day it was given, withdrawn or refused", "同意或撤回日期", "2024-05-31"),
        OF_FIRM[2],
        code("person_id", "whose; empty: the firm's own", "人员代号（空：企业自身）", "P000123", is_required=False),
        choice(
            "scope",
            "what may be used, or done",
            "授权范围",
            "owner_data",
            ("owner_data", "bureau", "automated_decision"),
        ),
        choice(
            "purpose",
            "what for; further purposes come with what uses them",
            "用途",
            "credit_assessment",
            ("credit_assessment",),
        ),
        flag("is_given", "true: given; false: withdrawn or refused", "是否同意", "true"),
    ),
)
"""Append-only: a withdrawal is a later row."""

_IS_NONE = pl.col("record") == NOTHING_ON_FILE
_HAS_NONE = Fault(
    Words("nothing on file has no such", "record 为 none 时不应有此项"),
    Words("leave it empty, or name the record", "请留空，或填写具体记录类型"),
)

PERSONAL_RECORD = Kind(
    "personal_record",
    1,
    Words("a negative record of a person behind a firm", "个人不良记录"),
    (
        OF_FIRM[0],
        day("observed_on", "day the record began; of none: day of asking", "起始日期", "2021-03-15"),
        OF_FIRM[2],
        code("person_id", "pseudonym, never a person's name or number", "人员代号", "P000123"),
        choice(
            "record",
            "negative record of the person; none: asked, and nothing is on file",
            "不良记录类型（none：已查询，无记录）",
            "late_payment",
            ("late_payment", "write_off", "judgment", "enforcement", "guarantee_called", NOTHING_ON_FILE),
        ),
        count("days_past_due", "most days past due", "最高逾期天数", "45", is_required=False, unit="days",
              high=LONGEST_DELAY),
        day("ended_on", "day it ended; empty: still running", "终止日期", "2021-06-15", is_required=False),
    ),
    (
        needed("days_past_due", pl.col("record") == "late_payment", "of a late payment", "类型为逾期"),
        Rule("days_past_due", _IS_NONE & pl.col("days_past_due").is_not_null(), _HAS_NONE),
        Rule("ended_on", _IS_NONE & pl.col("ended_on").is_not_null(), _HAS_NONE),
        not_before("ended_on"),
        known_by("ended_on"),
    ),
    known_why=Words("the bureau is asked that day; that a payment was so late is known when it was",
                    "当日查询；逾期天数届满时方知"),
    known_with=(pl.col("observed_on") + pl.duration(days=pl.col("days_past_due").clip(0, LONGEST_DELAY)),),
)  # fmt: skip
"""A record is one firm's person, record and ``observed_on``; a later row of the same record carries its end.

A row of ``none`` says that the bureau was asked on a day and had nothing; it ends no record.
"""
