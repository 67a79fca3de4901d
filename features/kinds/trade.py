"""What firms sell, buy, stock and are owed."""

from datetime import date

import polars as pl

from features.kinds.contract import (
    KNOWN_ON,
    OBSERVED_ON,
    OF_FIRM,
    Kind,
    Words,
    adds_up,
    choice,
    day,
    fen,
    flag,
    known_by,
    not_before,
    number,
    text,
)

INVOICE = Kind(
    "invoice",
    1,
    Words("a VAT invoice", "增值税发票"),
    (
        *OF_FIRM,
        choice(
            "direction",
            "output: the firm sells; input: the firm buys",
            "方向（销项 output、进项 input）",
            "output",
            ("output", "input"),
        ),
        text("number", "invoice number", "发票号码", "11459356", is_required=False),
        text("counterparty", "buyer or seller", "交易对方", "B03711"),
        flag(
            "has_linked_codes",
            "the counterparty has one code as buyer and as seller",
            "交易对方购销代码是否一致",
            "true",
        ),
        fen("net_fen", "amount without VAT; a credit note is negative", "不含税金额", "940171"),
        fen("vat_fen", "VAT", "税额", "159829"),
        fen("gross_fen", "amount with VAT", "价税合计", "1100000"),
        flag("is_void", "void", "是否作废", "false"),
    ),
    (
        adds_up(
            "gross_fen",
            pl.col("net_fen") + pl.col("vat_fen"),
            "amount and VAT do not add up to the total",
            "不含税金额与税额之和不等于价税合计",
            within=1,
        ),
    ),
    earliest=date(1990, 1, 1),
)

COUNTERPARTY_TAG = Kind(
    "counterparty_tag",
    1,
    Words("what a counterparty is, whoever trades with it", "交易对方标签"),
    (
        text("counterparty", "the counterparty, as invoices name it", "交易对方", "B03711"),
        OBSERVED_ON,
        KNOWN_ON,
        choice(
            "tag",
            "what it is",
            "标签（central_government 中央政府、local_government 地方政府、central_soe 央企、local_soe 地方国企、"
            "listed 上市公司、financial_institution 金融机构、lead_firm 龙头企业、foreign 外资）",
            "central_soe",
            ("central_government", "local_government", "central_soe", "local_soe", "listed", "financial_institution",
             "lead_firm", "foreign"),
        ),
        text("name", "its name", "名称", "State Grid", is_required=False),
        day("ended_on", "day it ceased to be so", "终止日期", "2024-06-10", is_required=False),
    ),
    (not_before("ended_on"), known_by("ended_on")),
    known_after=60,
    known_why=Words("lists of such firms come out within two months", "相关名单于两个月内公布"),
)  # fmt: skip

INVENTORY = Kind(
    "inventory",
    1,
    Words("goods in stock on a day", "存货"),
    (
        *OF_FIRM,
        text("item", "what it is", "品名", "brass rod"),
        text("lot", "lot or warehouse receipt", "批次或仓单号", "W-2024-0071", is_required=False),
        text("warehouse", "where it lies", "仓库", "Yuhuan bonded 2", is_required=False),
        number("quantity", "how much", "数量", "12.5", low=0),
        text("unit", "of what", "单位", "t"),
        fen("value_fen", "value at that day's price", "当日价值", "68000000", low=0),
        text("pledged_to", "to whom it is pledged", "质押权人", "Bank A", is_required=False),
    ),
    known_after=15,
    known_why=Words("firms send the lender their lists within half a month", "企业于半月内报送清单"),
)

RECEIVABLE = Kind(
    "receivable",
    1,
    Words("what a firm is owed on a day", "应收账款"),
    (
        *OF_FIRM,
        text("counterparty", "who owes", "付款方", "B03711"),
        text("invoice_number", "invoice", "发票号码", "11459356", is_required=False),
        day("issued_on", "day it arose", "形成日期", "2024-03-31"),
        day("due_on", "day it is due by its terms", "到期日", "2024-06-30", is_required=False),
        fen("amount_fen", "amount at first", "原金额", "1100000", low=0),
        fen("open_fen", "amount still open on that day", "未付余额", "1100000", low=0),
        day("paid_on", "day the last of it was paid", "付清日期", "2024-06-10", is_required=False),
        flag("is_confirmed", "the debtor has confirmed it", "是否确权", "true"),
        text("pledged_to", "to whom it is pledged", "质押权人", "Bank A", is_required=False),
    ),
    (
        not_before("observed_on", "issued_on"),
        not_before("due_on", "issued_on"),
        not_before("paid_on", "issued_on"),
        known_by("paid_on"),
    ),
    known_after=15,
    known_why=Words("firms send the lender their lists within half a month", "企业于半月内报送清单"),
)
