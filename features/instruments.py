"""Questionnaires: what officers and firms are asked, so that two who see the same give the same answer.

Kinds `soft_assessment` and `digital_maturity` hold the answers. A question that changes makes another version of its
instrument: answers to different words are not compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from features.kinds.contract import Words
from features.kinds.soft import DIGITAL_QUESTIONS, SOFT_QUESTIONS

HalfLife = Literal["character", "default", "orders"]
Stage = Literal[1, 2, 3]
HALF_LIVES: Final[dict[HalfLife, int]] = {"character": 24, "default": 12, "orders": 3}
"""Months after which what an answer says weighs half: of character, of order book and stock, and of the rest."""
ENOUGH, REACHED = 3, 2
"""Of a stage's four questions those that must be answered, and the mean answer with which the stage is reached."""
STAGES: Final[dict[Stage, Words]] = {
    1: Words("devices and business", "设备与业务数字化"),
    2: Words("data as an asset", "数据资产化"),
    3: Words("decisions", "决策智能化"),
}
"""Of digital maturity: what is recorded, what is made of the records, and what they decide."""


@dataclass(frozen=True)
class Question:
    """A question, and the behaviour that anchors its scale.

    Attributes
    ----------
    name
        The column of the instrument's kind that holds the answer.
    anchors
        What is seen, by answer; the answers between two anchors lie between them.
    half_life
        How fast the answer ages, by `HALF_LIVES`; None where the instrument says nothing of it.
    stage
        The one of `STAGES` that the question is about; None where the instrument has none.
    """

    name: str
    topic: Words
    words: Words
    anchors: Mapping[int, Words]
    half_life: HalfLife | None = None
    stage: Stage | None = None


@dataclass(frozen=True)
class Instrument:
    """A questionnaire, by name and version.

    Attributes
    ----------
    kind
        The kind of observations that holds the answers.
    low, high
        The least and the greatest answer; the greater, the better the firm stands.
    """

    name: str
    kind: str
    words: Words
    low: int
    high: int
    questions: tuple[Question, ...]


def stage_of(answers: Mapping[str, int | None]) -> Stage | None:
    """Return how far a firm's digital maturity is, by its answers to `digital-1`.

    A stage is reached where the mean of its answers is at least 2, what is done as a rule and not now and then, and so
    is every stage before it. Every firm is in the first. Which one a firm is in is not known, None, as soon as a stage
    that matters has fewer than three of its four questions answered. A better answer never lowers the stage.

    Parameters
    ----------
    answers
        By question, 0 to 4; None, or no such entry: not answered.

    Examples
    --------
    >>> stage_of({f"d{number:02}": 2 for number in range(1, 9)} | {"d09": 4, "d10": 1, "d11": 0})
    2
    >>> stage_of({"d01": 1, "d02": 1, "d03": 0}), stage_of({"d01": 4, "d02": 4}), stage_of(dict.fromkeys(["d01"]))
    (1, None, None)
    """
    reached: Stage = 1
    for stage in STAGES:
        names = [question.name for question in DIGITAL_1.questions if question.stage == stage]
        given = [answer for name in names if (answer := answers.get(name)) is not None]
        if len(given) < ENOUGH:
            return None
        if sum(given) < REACHED * len(given):
            return reached
        reached = stage
    return reached


_Pair = tuple[str, str]


def _soft(number: int, half_life: HalfLife, topic: _Pair, words: _Pair, *anchors: _Pair) -> Question:
    seen = {answer: Words(*pair) for answer, pair in zip((1, 4, 7), anchors, strict=True)}
    return Question(SOFT_QUESTIONS[number - 1], Words(*topic), Words(*words), seen, half_life=half_life)


def _digital(number: int, topic: _Pair, words: _Pair, *anchors: _Pair) -> Question:
    seen = {answer: Words(*pair) for answer, pair in zip((0, 2, 4), anchors, strict=True)}
    stage = list(STAGES)[(number - 1) // 4]
    return Question(DIGITAL_QUESTIONS[number - 1], Words(*topic), Words(*words), seen, stage=stage)


SOFT_1: Final = Instrument(
    "soft-1",
    "soft_assessment",
    Words(
        "What an officer sees at a visit. Answer what was seen or heard, not what is supposed; leave a question empty "
        "rather than guess.",
        "客户经理实地走访所见。只依据所见所闻作答，不作推测；不清楚的题目请留空。",
    ),
    1,
    7,
    (
        _soft(
            1,
            "character",
            ("keeping one's word", "守信"),
            ("Does the owner do what was promised, to the bank and to others?", "企业主对银行和他人是否言出必行？"),
            (
                "At least two promises of the last year were broken, or what was said turned out untrue.",
                "近一年至少两次失信，或所述经查不实。",
            ),
            (
                "Promises are kept, some late, and then only after a reminder.",
                "承诺基本兑现，个别延迟且需提醒。",
            ),
            (
                "Promises are kept to the day, and trouble is told before it is due.",
                "承诺按期兑现，遇到困难提前告知。",
            ),
        ),
        _soft(
            2,
            "character",
            ("conduct in trouble", "逆境表现"),
            (
                "What did the owner do when things last went badly?",
                "上一次经营困难时，企业主如何应对？",
            ),
            (
                "Could not be reached, paid some and hid from others, or moved assets away.",
                "失联、选择性偿付或转移资产。",
            ),
            (
                "Talked with creditors once they came, and cut costs late.",
                "债权人上门后才沟通，压缩开支较晚。",
            ),
            (
                "Went to creditors first with a plan, put in own money and kept to the plan.",
                "主动向债权人提出方案、投入自有资金并履行方案。",
            ),
        ),
        _soft(
            3,
            "default",
            ("openness", "信息披露"),
            (
                "How openly does the firm show its books, orders and other debts?",
                "企业对账簿、订单和其他负债的披露是否坦诚？",
            ),
            (
                "Refuses to show books or the workshop, or a debt came to light elsewhere.",
                "拒绝出示账簿或车间，或从他处发现未披露的负债。",
            ),
            (
                "Shows what is asked for, incomplete at first; other debts are named when asked.",
                "按要求提供但初次不全，询问后说明其他负债。",
            ),
            (
                "Shows books, tax returns and all debts unasked, and they agree with each other.",
                "主动提供账簿、纳税申报和全部负债，且相互一致。",
            ),
        ),
        _soft(
            4,
            "default",
            ("succession", "接班安排"),
            ("Who runs the firm if the owner cannot?", "企业主无法履职时由谁经营？"),
            (
                "Nobody: buyers, suppliers and accounts hang on one person, or heirs quarrel.",
                "无人可接替，客户、供应商和账户系于一人，或家族争产。",
            ),
            (
                "A relative or manager helps in parts of the business; nothing is agreed.",
                "亲属或经理参与部分经营，但无明确安排。",
            ),
            (
                "A named successor runs the business for weeks on end, and banks and buyers know it.",
                "已指定接班人且能连续数周独立经营，银行和客户均知情。",
            ),
        ),
        _soft(
            5,
            "orders",
            ("order book", "在手订单"),
            (
                "For how long do the orders in hand, seen in writing, keep the firm busy?",
                "经查验的书面在手订单可维持多长时间的生产？",
            ),
            (
                "Less than two weeks, or none are shown.",
                "不足两周，或无法出示。",
            ),
            (
                "About two months, as is usual in the trade and season.",
                "约两个月，与行业和季节水平相当。",
            ),
            (
                "Half a year and more, from several buyers, with deposits paid.",
                "半年以上，来自多家客户且已收定金。",
            ),
        ),
        _soft(
            6,
            "orders",
            ("stock", "存货状况"),
            (
                "What does the warehouse look like?",
                "仓库状况如何？",
            ),
            (
                "Dusty goods of earlier seasons, returned lots, or shelves too empty to work.",
                "积压往季产品或退货，或原料不足以开工。",
            ),
            (
                "Goods of this season; some slow lots, and a count that agrees more or less.",
                "以当季产品为主，少量滞销，账实大致相符。",
            ),
            (
                "Moves within weeks, is sorted and labelled, and a sample agrees with the books.",
                "数周内周转，分类标识清楚，抽盘账实相符。",
            ),
        ),
        _soft(
            7,
            "default",
            ("technology", "工艺与设备"),
            (
                "How do process and machines compare with others in the cluster?",
                "工艺和设备与集群同行相比如何？",
            ),
            (
                "Worn machines that stand still often; work that anybody does, at the lowest price.",
                "设备陈旧且经常停机，产品同质、靠低价竞争。",
            ),
            (
                "Machines of the usual age, maintained; products as others have them.",
                "设备年限一般、有维护，产品与同行相近。",
            ),
            (
                "Machines or know-how that few have: own moulds, patents or process, and few rejects.",
                "拥有少数企业具备的设备或工艺（自有模具、专利），次品率低。",
            ),
        ),
        _soft(
            8,
            "default",
            ("labour", "员工队伍"),
            (
                "Do skilled workers stay, and are wages paid in time?",
                "熟练工是否稳定，工资是否按时发放？",
            ),
            (
                "Wages are a month late or more, or key workers left within the quarter.",
                "拖欠工资一个月以上，或近一季骨干流失。",
            ),
            (
                "Wages are paid in time; after each Spring Festival one in five does not return.",
                "按时发薪，春节后约五分之一员工不返岗。",
            ),
            (
                "Most foremen have stayed for five years; wages and insurance are paid to the day.",
                "班组骨干多在岗五年以上，工资社保按日足额缴付。",
            ),
        ),
        _soft(
            9,
            "default",
            ("suppliers' trust", "供应商信任"),
            (
                "On which terms do suppliers deliver?",
                "供应商以何种条件供货？",
            ),
            (
                "Cash in advance only, or suppliers at the gate for their money.",
                "只接受先款后货，或供应商上门催款。",
            ),
            (
                "The usual 30 to 60 days; now and then a delivery is held back.",
                "通常账期 30 至 60 天，偶有暂停供货。",
            ),
            (
                "Longer terms than others get, and suppliers say so when called.",
                "账期长于同行，且经电话向供应商核实。",
            ),
        ),
        _soft(
            10,
            "default",
            ("buyers", "客户关系"),
            (
                "How steady are the ties to the main buyers?",
                "与主要客户的关系是否稳固？",
            ),
            (
                "One buyer takes most, and has cut, disputed or delayed within the half-year.",
                "高度依赖单一客户，且近半年出现减单、争议或拖延付款。",
            ),
            (
                "Three to five buyers for some years, without contracts beyond the order.",
                "三至五家客户合作数年，仅有单笔订单。",
            ),
            (
                "Many buyers for years, with framework contracts or as a listed supplier.",
                "长期客户众多，签有框架协议或列入合格供应商名录。",
            ),
        ),
        _soft(
            11,
            "default",
            ("household finances", "家庭财务"),
            (
                "Are the family's money and the firm's kept apart, and is the family sound?",
                "家庭与企业资金是否分开，家庭财务是否稳健？",
            ),
            (
                "Private lending at high rates, gambling, or guarantees for others that are called.",
                "涉及高利民间借贷、赌博，或对外担保已被追偿。",
            ),
            (
                "Money is mixed now and then; a mortgage or two, all paid in time.",
                "偶有公私混用，有一两笔按揭且正常还款。",
            ),
            (
                "Kept strictly apart; the house is paid off, and savings cover half a year's costs.",
                "公私严格分开，自有房产无贷款，积蓄可覆盖半年开支。",
            ),
        ),
        _soft(
            12,
            "default",
            ("running the business", "经营管理"),
            (
                "Does the owner know the figures, and do others check them?",
                "企业主是否掌握经营数据，并有人复核？",
            ),
            (
                "Cannot name sales, costs or receivables of last month; one person holds all cash.",
                "说不清上月销售、成本和应收款，资金由一人掌管。",
            ),
            (
                "Knows them roughly; a bookkeeper closes the books once a quarter.",
                "大致掌握，会计按季结账。",
            ),
            (
                "Knows margins by product; books close monthly, and who orders does not pay.",
                "掌握各产品毛利，按月结账，采购与付款职责分离。",
            ),
        ),
    ),
)

DIGITAL_1: Final = Instrument(
    "digital-1",
    "digital_maturity",
    Words(
        "How digital a firm is, by its own answers or an officer's: questions 1 to 4 are about devices and business, "
        "5 to 8 about data as an asset, 9 to 12 about decisions.",
        "企业数字化成熟度（企业自评或客户经理填写）：1-4 题为设备与业务，5-8 题为数据资产，9-12 题为决策。",
    ),
    0,
    4,
    (
        _digital(
            1,
            ("machines", "设备联网"),
            ("Do the main machines report what they do?", "主要设备能否自动上报运行数据？"),
            ("None; output is counted by hand.", "不能，产量靠人工统计。"),
            (
                "About half report output or stoppages to a screen or a system.",
                "约一半设备的产量或停机可在看板或系统中查看。",
            ),
            (
                "All key machines report output, stoppages and power, kept for a year.",
                "全部关键设备上报产量、停机和能耗，并保存一年。",
            ),
        ),
        _digital(
            2,
            ("orders and invoices", "订单与开票"),
            (
                "How do orders, deliveries and invoices run?",
                "订单、发货和开票如何处理？",
            ),
            ("On paper, by telephone and chat.", "纸质、电话和聊天软件。"),
            (
                "In a system from order to invoice; some of it is typed in twice.",
                "从订单到开票进入系统，部分需重复录入。",
            ),
            (
                "In one system without retyping; large buyers' orders come in by themselves.",
                "全程一个系统、无需重复录入，大客户订单自动接入。",
            ),
        ),
        _digital(
            3,
            ("stock and materials", "库存与物料"),
            (
                "How is stock recorded?",
                "库存如何记录？",
            ),
            ("In a notebook, or not at all.", "手工记账或不记录。"),
            (
                "In a system, updated at the end of the day; counts differ by some percent.",
                "进入系统、每日更新，盘点差异为百分之几。",
            ),
            (
                "By scanner at each movement; each lot can be traced to order and supplier.",
                "出入库扫码，每批可追溯至订单和供应商。",
            ),
        ),
        _digital(
            4,
            ("accounts and payments", "财务与收付"),
            (
                "How are books, payments and wages kept?",
                "账务、收付款和工资如何处理？",
            ),
            ("By hand or in loose spreadsheets.", "手工或零散表格。"),
            (
                "In accounting software; bank statements are entered by hand each month.",
                "使用财务软件，银行流水按月手工录入。",
            ),
            (
                "Linked with bank, tax and payroll; the month closes within five days.",
                "与银行、税务、工资系统相连，五日内完成月结。",
            ),
        ),
        _digital(
            5,
            ("one place for data", "数据集中"),
            (
                "Is there one place where the firm's data come together?",
                "企业数据是否集中管理？",
            ),
            ("No: each desk has its own files.", "否，各岗位各自保存。"),
            (
                "Sales, stock and books share their codes of products and customers.",
                "销售、库存和账务使用统一的产品和客户编码。",
            ),
            (
                "One store of all data, with codes that everybody uses and somebody in charge.",
                "统一的数据平台和编码，并有专人负责。",
            ),
        ),
        _digital(
            6,
            ("quality of data", "数据质量"),
            (
                "Are data checked?",
                "是否检查数据质量？",
            ),
            ("No; mistakes are found by customers.", "否，错误由客户发现。"),
            (
                "Looked through once a month; mistakes are corrected where they are found.",
                "按月核对，发现错误即更正。",
            ),
            (
                "Rules check each entry; mistakes are counted, and their causes mended.",
                "录入时自动校验，统计错误并从源头改进。",
            ),
        ),
        _digital(
            7,
            ("safe keeping", "数据安全"),
            (
                "Would the data survive a fire, a thief or a virus?",
                "遇火灾、失窃或病毒，数据能否保全？",
            ),
            ("No copies; everybody knows the password.", "无备份，密码人人皆知。"),
            (
                "Copies each week elsewhere; own passwords for each person.",
                "每周异地备份，一人一密码。",
            ),
            (
                "Copies each day, restored once a year as a test; rights by duty, and a log.",
                "每日备份、每年演练恢复，按岗位授权并留有日志。",
            ),
        ),
        _digital(
            8,
            ("data for others", "数据共享"),
            (
                "Do data serve partners and lenders, with consent?",
                "数据能否经授权供合作方和银行使用？",
            ),
            ("No; papers are copied when asked for.", "否，需要时复印材料。"),
            (
                "Files are exported on request: invoices, stock, orders.",
                "可按要求导出发票、库存和订单文件。",
            ),
            (
                "Buyers, suppliers or lenders read agreed data by interface, and it earns terms.",
                "客户、供应商或银行通过接口读取约定数据，并因此获得更优条件。",
            ),
        ),
        _digital(
            9,
            ("planning", "生产计划"),
            (
                "What decides on what is made when?",
                "排产依据是什么？",
            ),
            ("The owner's feeling, and who shouts loudest.", "凭经验和催单。"),
            (
                "A weekly plan from orders and stock in the system, changed by hand.",
                "依据系统订单和库存编制周计划，人工调整。",
            ),
            (
                "A plan that the system makes and renews daily by capacity and due dates.",
                "系统按产能和交期自动排产并每日更新。",
            ),
        ),
        _digital(
            10,
            ("prices and costs", "定价与成本"),
            (
                "Are prices set by costs that are known?",
                "是否依据实际成本定价？",
            ),
            ("By what others ask.", "跟随同行报价。"),
            (
                "By a product's average cost, worked out once a quarter.",
                "依据按季核算的产品平均成本。",
            ),
            (
                "By each order's cost and margin, compared afterwards with what it was.",
                "依据每单成本和毛利，事后复核。",
            ),
        ),
        _digital(
            11,
            ("credit and cash", "信用与现金"),
            (
                "Do data decide who gets credit, and warn of want of cash?",
                "赊销和现金流是否依据数据管理？",
            ),
            ("No; overdue debts are noticed when cash is short.", "否，缺钱时才发现逾期账款。"),
            (
                "An ageing list each month; limits for the largest customers.",
                "按月出具账龄表，对大客户设定额度。",
            ),
            (
                "A limit for each customer, watched daily, and a rolling forecast of cash.",
                "每个客户设有额度并每日监控，滚动预测现金流。",
            ),
        ),
        _digital(
            12,
            ("learning from data", "数据改进"),
            (
                "Did data change what the firm does?",
                "数据是否改变了企业的做法？",
            ),
            ("Nobody can name a case.", "说不出实例。"),
            (
                "One or two cases within the year: a product dropped, a loss found.",
                "一年内有一两例：停产某产品或发现损失。",
            ),
            (
                "Models or trials are routine: demand, rejects, upkeep; what they gain is measured.",
                "常态化使用模型或试验（需求、次品、保养）并衡量收益。",
            ),
        ),
    ),
)

INSTRUMENTS: Final[dict[str, Instrument]] = {instrument.name: instrument for instrument in (SOFT_1, DIGITAL_1)}
