"""What firms know and learn."""

from features.kinds.contract import (
    OF_FIRM,
    PERIOD_FROM,
    PERIOD_IN_ORDER,
    Kind,
    Words,
    choice,
    count,
    day,
    fen,
    not_before,
    text,
)

PATENT = Kind(
    "patent",
    1,
    Words("a patent of a firm's; observed_on is the day of this state", "专利"),
    (
        *OF_FIRM,
        text("number", "application or patent number", "专利号", "ZL202310001234.5"),
        choice("patent_type", "type", "类型（invention 发明、utility_model 实用新型、design 外观）", "utility_model",
               ("invention", "utility_model", "design")),
        choice("state", "state", "状态", "granted", ("filed", "granted", "lapsed", "transferred")),
        day("filed_on", "day of filing", "申请日", "2023-02-01", is_required=False),
        text("title", "title", "名称", "Quick-change die holder", is_required=False),
    ),
    (not_before("observed_on", "filed_on"),),
    known_after=30,
    known_why=Words("notices of filing and of grant come within a month", "受理通知与授权公告于一个月内可得"),
)  # fmt: skip

RESEARCH = Kind(
    "research",
    1,
    Words("a firm's research of a period", "研发投入"),
    (
        *OF_FIRM,
        PERIOD_FROM,
        fen("spend_fen", "spent on research", "研发费用", "3200000", low=0),
        count("staff", "people in research", "研发人员数", "6", is_required=False),
        fen("new_product_sales_fen", "sales of products younger than three years", "新产品销售额", "21000000",
            is_required=False),
        text("partner", "with whom", "合作单位", "Taizhou University", is_required=False),
    ),
    (PERIOD_IN_ORDER,),
    known_after=152,
    known_why=Words("it is due with the year's tax settlement, by 31 May", "随所得税汇算清缴报送，次年 5 月 31 日截止"),
)  # fmt: skip

TRAINING = Kind(
    "training",
    1,
    Words("a firm's training of a period", "员工培训"),
    (
        *OF_FIRM,
        PERIOD_FROM,
        text("subject", "subject", "培训内容", "CNC programming"),
        count("participants", "people trained", "人数", "12"),
        count("hours", "hours a person", "人均学时", "24", is_required=False, unit="h"),
        fen("spend_fen", "cost", "费用", "180000", is_required=False, low=0),
    ),
    (PERIOD_IN_ORDER,),
    known_after=60,
    known_why=Words("firms report their training within two months of the period", "企业于期后两个月内报送"),
)
