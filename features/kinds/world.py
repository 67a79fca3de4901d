"""What happens to firms, what documents show it, and what is known of trades and places."""

import polars as pl

from features.kinds.contract import (
    KNOWN_ON,
    LONG,
    OBSERVED_ON,
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
    known_by,
    not_before,
    number,
    text,
)

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
COURT = (
    "sued", "sued_by_lender", "suing", "judgment_lost", "judgment_won", "enforcement", "dishonest_debtor",
    "spending_ban", "enforcement_without_assets", "asset_freeze", "asset_auction", "bankruptcy_petition",
)  # fmt: skip
REGISTRY = (
    "abnormal_operation", "seriously_dishonest", "controller_change", "representative_change", "capital_increase",
    "capital_reduction", "equity_pledge", "equity_freeze", "chattel_mortgage", "mortgage_released", "liquidation",
    "deregistration", "new_subsidiary", "outward_investment", "relocation",
)  # fmt: skip
TAX = ("tax_arrears", "tax_grade_a", "tax_grade_d", "tax_penalty")
REGULATOR = (
    "penalty", "stop_order", "penalty_remediated", "construction_permit", "export_licence", "title_awarded",
    "subsidy_awarded",
)  # fmt: skip
MARKET = (
    "winning_bid", "framework_contract", "equity_round", "listing_filed", "bond_issue", "lease_expiry", "land_won",
    "equipment_purchase", "acquisition", "planned_project", "bad_news", "good_news", "input_price_shock",
    "lead_firm_stop",
)  # fmt: skip
EVENT = Kind(
    "event",
    1,
    Words("what happened to a firm, by court, registry, tax office, regulator or market", "事件"),
    (
        *OF_FIRM,
        choice(
            "source",
            "who says so",
            "来源（court 法院、registry 工商、tax 税务、regulator 监管、market 市场）",
            "court",
            ("court", "registry", "tax", "regulator", "market"),
        ),
        choice("event", "what happened", "事件类型", "sued", (*COURT, *REGISTRY, *TAX, *REGULATOR, *MARKET)),
        text("reference", "case, entry or decision", "案号或文号", "(2024)Zhe1003-1234", is_required=False),
        fen("amount_fen", "amount at stake", "涉及金额", "23000000", is_required=False, low=0),
        text("counterparty", "the other side", "对方", "B03711", is_required=False),
        text("cause", "cause, as the source words it", "事由", "sale contract", is_required=False),
        day("ended_on", "day it ended or was lifted", "终止日期", "2024-06-10", is_required=False),
        text(
            "document_sha256",
            "document that shows it",
            "凭证摘要",
            _SHA256,
            is_required=False,
        ),
    ),
    (
        not_before("ended_on"),
        known_by("ended_on"),
        Rule(
            "event",
            ~pl.any_horizontal(
                *(
                    (pl.col("source") == source) & pl.col("event").is_in(list(events))
                    for source, events in zip(
                        ("court", "registry", "tax", "regulator", "market"),
                        (COURT, REGISTRY, TAX, REGULATOR, MARKET),
                        strict=True,
                    )
                )
            ),
            Fault(
                Words("not an event of this source", "该来源没有此类事件"),
                Words("choose an event of the source, or the source of the event", "请核对来源与事件类型"),
            ),
        ),
    ),
)

DOCUMENT_TYPES = (
    "contract", "invoice", "statement", "tax_return", "bill", "court", "registry", "visit", "photo", "other",
)  # fmt: skip
DOCUMENT = Kind(
    "document",
    1,
    Words("a document about a firm, known by the hash of its file", "文件"),
    (
        *OF_FIRM,
        choice("document_type", "what it is", "类型", "contract", DOCUMENT_TYPES),
        text("title", "title", "标题", "Order of 2024-05"),
        text("media_type", "type of the file", "文件格式", "application/pdf"),
        count("size_bytes", "size of the file", "文件大小", "48213", unit="bytes", high=10**12),
        text("sha256", "SHA-256 of the file, in hexadecimal", "SHA-256",
             _SHA256),
        text("words", "what it shows", "说明", "Order for 40,000 fittings", is_required=False, most=LONG),
    ),
    (
        Rule(
            "sha256",
            ~pl.col("sha256").str.contains("^[0-9a-f]{64}$"),
            Fault(
                Words("not 64 hexadecimal digits in lower case", "不是 64 位小写十六进制数"),
                Words("give the SHA-256 of the file, as sha256sum prints it", "请填写文件的 SHA-256 值"),
            ),
        ),
    ),
    table="document_observation",
)  # fmt: skip

_STATISTIC = (
    OBSERVED_ON,
    KNOWN_ON,
    code("statistic", "what is counted, under a code", "指标代码", "firms"),
    number("value", "its value", "数值", "415"),
    text("unit", "of what", "单位", "firms"),
    text("source", "who published it", "来源", "statistical yearbook 2024"),
)

INDUSTRY_STATISTIC = Kind(
    "industry_statistic",
    1,
    Words("a figure of a trade, everywhere or in a place", "行业统计"),
    (
        text("industry", "trade", "行业", "valves"),
        *_STATISTIC,
        text("place", "place; empty: the whole country", "地区", "Yuhuan", is_required=False),
    ),
    known_after=300,
    known_why=Words("yearbooks come out until October of the next year", "统计年鉴于次年 10 月前出版"),
)

PLACE_STATISTIC = Kind(
    "place_statistic",
    1,
    Words("a figure of a place", "地区统计"),
    (text("place", "place", "地区", "Yuhuan"), *_STATISTIC),
    known_after=300,
    known_why=Words("yearbooks come out until October of the next year", "统计年鉴于次年 10 月前出版"),
)
