"""What a firm's books, bills and accounts say."""

from functools import reduce
from operator import add, sub

import polars as pl

from features.kinds.contract import (
    OF_FIRM,
    PERIOD_FROM,
    PERIOD_IN_ORDER,
    Column,
    Kind,
    Rule,
    Words,
    adds_up,
    choice,
    code,
    count,
    day,
    fen,
    flag,
    known_by,
    not_before,
    number,
    text,
)

_ROUNDING = 50
"""Statements are kept in yuan: each rounded amount, a part or the sum itself, may be half a yuan off."""


_EXAMPLE_YUAN = {
    "cash": 1_200_000, "notes_receivable": 300_000, "accounts_receivable": 2_500_000, "prepayments": 200_000,
    "other_receivables": 100_000, "inventories": 1_700_000, "current_assets": 6_000_000, "fixed_assets": 3_500_000,
    "intangible_assets": 400_000, "deferred_expenses": 100_000, "noncurrent_assets": 4_000_000, "assets": 10_000_000,
    "short_loans": 2_000_000, "accounts_payable": 1_500_000, "advances": 200_000, "wages_payable": 150_000,
    "taxes_payable": 100_000, "other_payables": 50_000, "current_liabilities": 4_000_000, "long_loans": 500_000,
    "noncurrent_liabilities": 500_000, "liabilities": 4_500_000, "paid_in_capital": 3_000_000,
    "surplus_reserve": 500_000, "retained_profit": 2_000_000, "equity": 5_500_000, "revenue": 12_000_000,
    "cost": 9_000_000, "surcharges": 60_000, "selling_expenses": 500_000, "admin_expenses": 1_200_000,
    "finance_expenses": 140_000, "interest_expense": 130_000, "operating_profit": 1_100_000, "other_income": 50_000,
    "other_expenses": 30_000, "profit_before_tax": 1_120_000, "income_tax": 280_000, "net_profit": 840_000,
    "depreciation": 350_000, "operating_cash_flow": 900_000, "investing_cash_flow": -400_000,
    "financing_cash_flow": -200_000,
}  # fmt: skip
"""One firm's statement, which adds up; what is not named is zero."""


def _line(name: str, en: str, zh: str, *, is_required: bool = False) -> Column:
    return fen(f"{name}_fen", en, zh, str(100 * _EXAMPLE_YUAN.get(name, 0)), is_required=is_required)


def _sums_to(total: str, parts: tuple[str, ...], en: str, zh: str, *, less: tuple[str, ...] = ()) -> Rule:
    """Make the rule that lines, less others, add up to a total, but for what their rounding may do."""
    added, taken = ([pl.col(f"{name}_fen") for name in names] for names in (parts, less))
    within = max(2 * _ROUNDING, _ROUNDING * (len(added) + len(taken) + 1))
    return adds_up(f"{total}_fen", reduce(sub, taken, reduce(add, added)), en, zh, within=within)


FINANCIAL_STATEMENT = Kind(
    "financial_statement",
    1,
    Words(
        "a statement by the chart for small enterprises; observed_on is the period's last day",
        "财务报表（小企业会计准则）；发生日期为期末",
    ),
    (
        *OF_FIRM,
        PERIOD_FROM,
        flag("is_audited", "audited", "是否经审计", "false"),
        _line("cash", "cash", "货币资金"),
        _line("short_investments", "short-term investments", "短期投资"),
        _line("notes_receivable", "notes receivable", "应收票据"),
        _line("accounts_receivable", "accounts receivable", "应收账款"),
        _line("prepayments", "prepayments", "预付账款"),
        _line("dividends_receivable", "dividends receivable", "应收股利"),
        _line("interest_receivable", "interest receivable", "应收利息"),
        _line("other_receivables", "other receivables", "其他应收款"),
        _line("inventories", "inventories", "存货"),
        _line("other_current_assets", "other current assets", "其他流动资产"),
        _line("current_assets", "current assets", "流动资产合计"),
        _line("long_bonds", "long-term bond investments", "长期债券投资"),
        _line("long_equity", "long-term equity investments", "长期股权投资"),
        _line("fixed_assets", "fixed assets, net", "固定资产账面价值"),
        _line("construction", "construction in progress", "在建工程"),
        _line("construction_materials", "construction materials", "工程物资"),
        _line("fixed_asset_disposal", "disposal of fixed assets", "固定资产清理"),
        _line("biological_assets", "productive biological assets", "生产性生物资产"),
        _line("intangible_assets", "intangible assets", "无形资产"),
        _line("development_costs", "development costs", "开发支出"),
        _line("deferred_expenses", "long-term deferred expenses", "长期待摊费用"),
        _line("other_noncurrent_assets", "other non-current assets", "其他非流动资产"),
        _line("noncurrent_assets", "non-current assets", "非流动资产合计"),
        _line("assets", "assets", "资产总计", is_required=True),
        _line("short_loans", "short-term loans", "短期借款"),
        _line("notes_payable", "notes payable", "应付票据"),
        _line("accounts_payable", "accounts payable", "应付账款"),
        _line("advances", "advances from customers", "预收账款"),
        _line("wages_payable", "wages payable", "应付职工薪酬"),
        _line("taxes_payable", "taxes payable", "应交税费"),
        _line("interest_payable", "interest payable", "应付利息"),
        _line("profit_payable", "profit payable", "应付利润"),
        _line("other_payables", "other payables", "其他应付款"),
        _line("other_current_liabilities", "other current liabilities", "其他流动负债"),
        _line("current_liabilities", "current liabilities", "流动负债合计"),
        _line("long_loans", "long-term loans", "长期借款"),
        _line("long_payables", "long-term payables", "长期应付款"),
        _line("deferred_income", "deferred income", "递延收益"),
        _line("other_noncurrent_liabilities", "other non-current liabilities", "其他非流动负债"),
        _line("noncurrent_liabilities", "non-current liabilities", "非流动负债合计"),
        _line("liabilities", "liabilities", "负债合计", is_required=True),
        _line("paid_in_capital", "paid-in capital", "实收资本"),
        _line("capital_reserve", "capital reserve", "资本公积"),
        _line("surplus_reserve", "surplus reserve", "盈余公积"),
        _line("retained_profit", "undistributed profit", "未分配利润"),
        _line("equity", "owners' equity", "所有者权益合计", is_required=True),
        _line("revenue", "revenue of the period", "营业收入", is_required=True),
        _line("cost", "cost of sales", "营业成本"),
        _line("surcharges", "taxes and surcharges", "税金及附加"),
        _line("selling_expenses", "selling expenses", "销售费用"),
        _line("admin_expenses", "administrative expenses", "管理费用"),
        _line("finance_expenses", "finance expenses", "财务费用"),
        _line("interest_expense", "of these, interest", "其中：利息费用"),
        _line("investment_income", "investment income", "投资收益"),
        _line("operating_profit", "operating profit", "营业利润"),
        _line("other_income", "non-operating income", "营业外收入"),
        _line("other_expenses", "non-operating expenses", "营业外支出"),
        _line("profit_before_tax", "profit before tax", "利润总额"),
        _line("income_tax", "income tax", "所得税费用"),
        _line("net_profit", "net profit", "净利润", is_required=True),
        _line("depreciation", "depreciation and amortisation of the period", "折旧与摊销"),
        _line("operating_cash_flow", "cash flow from operations", "经营活动现金流量净额"),
        _line("investing_cash_flow", "cash flow from investing", "投资活动现金流量净额"),
        _line("financing_cash_flow", "cash flow from financing", "筹资活动现金流量净额"),
    ),
    (
        PERIOD_IN_ORDER,
        _sums_to("assets", ("liabilities", "equity"), "liabilities and equity are not equal to assets",
                 "负债与所有者权益之和不等于资产总计"),
        _sums_to("assets", ("current_assets", "noncurrent_assets"),
                 "current and non-current assets do not add up to assets", "流动与非流动资产之和不等于资产总计"),
        _sums_to("current_assets",
                 ("cash", "short_investments", "notes_receivable", "accounts_receivable", "prepayments",
                  "dividends_receivable", "interest_receivable", "other_receivables", "inventories",
                  "other_current_assets"),
                 "the parts do not add up to current assets", "各分项之和不等于流动资产合计"),
        _sums_to("liabilities", ("current_liabilities", "noncurrent_liabilities"),
                 "current and non-current liabilities do not add up to liabilities",
                 "流动与非流动负债之和不等于负债合计"),
        _sums_to("equity", ("paid_in_capital", "capital_reserve", "surplus_reserve", "retained_profit"),
                 "the parts do not add up to equity", "各分项之和不等于所有者权益合计"),
        _sums_to("profit_before_tax", ("operating_profit", "other_income"),
                 "operating profit and non-operating items do not add up to profit before tax",
                 "营业利润与营业外收支之和不等于利润总额", less=("other_expenses",)),
        _sums_to("net_profit", ("profit_before_tax",), "profit before tax less income tax is not net profit",
                 "利润总额减所得税费用不等于净利润", less=("income_tax",)),
    ),
    known_after=152,
    known_why=Words("it is due with the year's tax settlement, by 31 May", "随所得税汇算清缴报送，次年 5 月 31 日截止"),
)  # fmt: skip

TAX_BILL = Kind(
    "tax_bill",
    1,
    Words("a tax return or assessment of a period", "纳税申报"),
    (
        *OF_FIRM,
        PERIOD_FROM,
        choice(
            "tax",
            "tax",
            "税种（vat 增值税、corporate_income 企业所得税、individual_income 个人所得税、surcharge 附加税、"
            "stamp 印花税、property 房产税、land_use 土地使用税、social_insurance 社会保险费、other 其他）",
            "vat",
            ("vat", "corporate_income", "individual_income", "surcharge", "stamp", "property", "land_use",
             "social_insurance", "other"),
        ),
        fen("declared_sales_fen", "sales declared", "申报销售额", "98000000", is_required=False),
        fen("due_fen", "tax due", "应纳税额", "1250000"),
        fen("paid_fen", "tax paid by known_on", "已缴税额", "1250000", low=0),
        fen("arrears_fen", "tax in arrears by known_on", "欠缴税额", "0", is_required=False, low=0),
        choice("tax_grade", "the tax authority's grade of the firm", "纳税信用等级", "A", ("A", "B", "M", "C", "D"),
               is_required=False),
    ),
    (PERIOD_IN_ORDER,),
    known_after=30,
    known_why=Words("a return is due, and paid, within the month after the period", "期后一个月内申报并缴款"),
)  # fmt: skip

UTILITY_BILL = Kind(
    "utility_bill",
    1,
    Words("a bill for electricity, water, gas or heat", "水电气费账单"),
    (
        *OF_FIRM,
        PERIOD_FROM,
        choice("utility", "what was used", "类别（electricity 电、water 水、gas 燃气、heat 热力）", "electricity",
               ("electricity", "water", "gas", "heat")),
        text("meter", "meter or account", "户号", "3301-778", is_required=False),
        number("quantity", "kWh of electricity and heat, m3 of water and gas", "用量", "48210.5", low=0),
        fen("amount_fen", "amount of the bill", "金额", "3374700"),
        day("paid_on", "day it was paid", "缴费日期", "2024-06-12", is_required=False),
    ),
    (PERIOD_IN_ORDER, not_before("paid_on", "period_from"), known_by("paid_on")),
    known_after=30,
    known_why=Words("meters are read at the period's end, and billed within the next month", "期末抄表，次月内出账"),
)  # fmt: skip

ACCOUNT_MONTH = Kind(
    "account_month",
    1,
    Words("an account's turnover and balance of a month; observed_on is its last day", "账户月度流水与余额"),
    (
        *OF_FIRM,
        code("account_id", "account, under a code of the lender's", "账户代号", "A000123"),
        choice("account_kind", "what kind of account", "账户类型", "basic", ("basic", "general", "payroll", "deposit")),
        fen("credits_fen", "sum of credits", "贷方发生额", "82000000", low=0),
        fen("debits_fen", "sum of debits", "借方发生额", "79500000", low=0),
        count("credit_count", "number of credits", "贷方笔数", "64", is_required=False),
        count("debit_count", "number of debits", "借方笔数", "81", is_required=False),
        fen("payroll_fen", "wages paid from it", "代发工资额", "12600000", is_required=False, low=0),
        fen("mean_balance_fen", "mean daily balance", "日均余额", "15300000", is_required=False),
        fen("closing_balance_fen", "balance at the end", "期末余额", "17200000"),
    ),
    known_after=3,
    known_why=Words("a month's books of accounts are closed within three days", "账户月度数据于三日内结出"),
)

PRODUCT_HELD = Kind(
    "product_held",
    1,
    Words("a product that a firm has with the lender", "持有产品"),
    (
        *OF_FIRM,
        choice(
            "product_type",
            "type of product",
            "产品类别（account 结算账户、deposit 存款、payroll 代发工资、loan 贷款、bill 票据、guarantee 保函、"
            "acquiring 收单、wealth 理财保险）",
            "payroll",
            ("account", "deposit", "payroll", "loan", "bill", "guarantee", "acquiring", "wealth"),
        ),
        code("contract_id", "contract", "合同号", "C000123", is_required=False),
        day("ended_on", "day it ended", "终止日期", "2024-06-10", is_required=False),
    ),
    (not_before("ended_on"), known_by("ended_on")),
)
