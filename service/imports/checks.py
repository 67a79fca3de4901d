"""Turn text columns into a kind's typed columns; a row that cannot be is rejected, with column, value and reason."""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import polars as pl

from features.kinds.contract import CODE, SHORT, Column, Fault, Group, Kind, Rule
from service.firms.use_cases import check_firm_key
from service.imports.chunks import HIDDEN, REJECTS, fault, hidden, said, shown
from service.kit.personal_id import BETWEEN, CONTROL, PSEUDONYM, SHAPE, holds_national_id, looks_personal

_MANY_DIGITS = BETWEEN.join([r"\d"] * 15)
_checked = lru_cache(100_000)(check_firm_key)
"""A large file names the same firms in each of its chunks. Keys that are refused are not remembered."""
FIRST_DAY, LAST_DAY = date(1800, 1, 1), date(2200, 12, 31)
"""Of every column of days; a day beyond is a slip of the pen, or stands for none."""
SERIAL = r"^[1-7][0-9]{4}(\.[0-9]+)?$"
"""Of days from 1927 to 2119, as spreadsheets count them; five digits are a day in no format that a mapping takes."""
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_BREAKS = r"[\x00-\x1f\x7f-\x9f]"
NUMBER = r"^[+-]?[0-9]{1,16}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?$"

REQUIRED = fault("a value is required", "必填", "fill it in", "请填写")
_EXPECTED: dict[type[pl.DataType], Fault] = {
    pl.Date: fault(
        "not a date YYYY-MM-DD", "不是 YYYY-MM-DD 格式的日期",
        "write it like 2024-05-31, or give its format under 'dates' in a mapping (--map)",
        "请写成 2024-05-31，或在映射文件（--map）的 dates 中说明格式",
    ),
    pl.Boolean: fault(
        "not true or false", "不是 true 或 false",
        "write true or false, or list what stands there under 'values' in a mapping (--map)",
        "请写 true 或 false，或在映射文件（--map）的 values 中列出该取值",
    ),
    pl.Int64: fault(
        "not a whole number", "不是整数",
        "write digits alone, money in fen; or give its unit under 'units' in a mapping (--map)",
        "请只写数字，金额以分为单位；或在映射文件（--map）的 units 中说明单位",
    ),
    pl.Float64: fault(
        "not a number", "不是数字", "write digits with a point, without separators of thousands",
        "请写带小数点的数字，不用千位分隔符",
    ),
    pl.String: fault("not text", "不是文本", "write text", "请写文本"),
}  # fmt: skip
NO_SUCH_DAY = fault("there is no such day", "没有这一天", "check month and day", "请核对月和日")
SERIAL_DAY = fault(
    "a number by which a spreadsheet counts days, not a date", "是表格软件的日期序号，而非日期",
    "give the column a date format in Excel and save the file again, or write it as text like 2024-05-31",
    "请在 Excel 中将该列设为日期格式后重新保存，或以文本写成 2024-05-31",
)  # fmt: skip
_CODE = fault(
    "up to 64 letters, digits, '.', '_', ':' or '-'", "最多 64 个字母、数字或“._:-”",
    "leave out other characters, blanks too", "请去掉其他字符（包括空格）",
)  # fmt: skip
_CONTROL = fault(
    "has control characters", "含控制字符", "write it on one line, without tabs", "请写在一行之内，不含制表符"
)
_SPOILT_TEXT = r"^(?:[0-9](?:\.[0-9]+)?[Ee]\+[0-9]+|#(?:REF!|N/A|VALUE!|NAME\?|DIV/0!|NUM!|NULL!))$"
_SPOILT = fault(
    "what a spreadsheet leaves of a long number, or its sign of an error",
    "是电子表格对长数字的缩写或其错误标记",
    "format the column as text in the spreadsheet, enter the values anew, and export it again",
    "请在电子表格中将该列设为文本格式，重新录入后再导出",
)
_INVISIBLE = fault(
    "has invisible characters", "含不可见字符", "type it anew instead of copying it", "请重新键入，不要复制粘贴"
)
_FUTURE = fault("lies in the future", "晚于今天", "give the day on which it was known", "请填写得知的日期")
_TOO_EARLY = fault(
    "known before it was true", "可知日期早于发生日期", "correct one of the two days", "请更正其中一个日期"
)
_FAR = fault(
    f"not between {FIRST_DAY} and {LAST_DAY}", f"不在 {FIRST_DAY} 与 {LAST_DAY} 之间",
    "correct the day; leave it empty if there is none", "请更正日期；若无日期，请留空",
)  # fmt: skip
_ERASABLE = fault(
    "is, looks like or holds a national identity number, or looks like a passport's or mobile telephone's, which"
    " is never kept; give a pseudonym",
    "是、形似或含有身份证号，或形似护照号、手机号，系统从不保存；请使用代号",
    "enter the person over HTTP, which gives a pseudonym, and use that",
    "请通过接口登记人员，并使用其代号",
)
_NAME = fault(
    "not a code; a person's name is never kept", "不是代号；系统从不保存自然人姓名",
    "give a pseudonym: up to 64 letters, digits, '.', '_', ':' or '-'", "请填写代号：最多 64 个字母、数字或“._:-”",
)  # fmt: skip
_CAPITALS = fault(
    "a pseudonym that was made here, in another form", "系统生成的代号，但写法不同",
    "write it as it was made: in small letters, with nothing before it", "请按原样填写：小写字母，前面不加任何字符",
)  # fmt: skip
PERSONAL = fault(
    "holds a person's identity number, which is never kept; people are entered over HTTP",
    "含有个人身份证号，系统从不保存；人员须通过接口登记",
    "remove the number",
    "请删去该号码",
)


@dataclass(frozen=True, eq=False)
class Check:
    """A reason to reject a row: the column at fault, where it is at fault, and the words.

    ``is_secret``: the value may not be repeated, not even in the list of rejected rows.
    """

    column: str
    is_bad: pl.Expr
    fault: Fault
    is_secret: bool = False


def split(frame: pl.DataFrame, checks: list[Check], file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part rows that pass every check from those that do not; a rejected row names its first fault.

    Parameters
    ----------
    frame
        Rows with ``line`` and the columns that the checks read.

    Returns
    -------
    tuple
        The good rows, and a table of rejects.
    """
    if not checks:
        return frame, pl.DataFrame(schema=REJECTS)
    number = pl.coalesce(
        pl.when(check.is_bad.fill_null(value=False)).then(pl.lit(number, dtype=pl.Int32))
        for number, check in enumerate(checks)
    )
    marked = frame.with_columns(number.alias("__fault"))
    bad = marked.filter(pl.col("__fault").is_not_null())
    rejects = [
        _rejects(bad.filter(pl.col("__fault") == number), checks[number], file)
        for number in bad["__fault"].unique().sort()
    ]
    good = marked.filter(pl.col("__fault").is_null()).drop("__fault")
    return good, pl.concat([pl.DataFrame(schema=REJECTS), *rejects]).sort("line")


def _rejects(rows: pl.DataFrame, check: Check, file: str) -> pl.DataFrame:
    words = zip(("reason", "remedy", "reason_zh", "remedy_zh"), said(check.fault), strict=True)
    texts = rows[check.column].cast(pl.String).fill_null("")
    values = [HIDDEN if check.is_secret else shown(text) for text in texts]
    return rows.select(
        pl.lit(file).alias("file"),
        "line",
        pl.lit(check.column).alias("column"),
        pl.Series("value", values, dtype=pl.String),
        *(pl.lit(text).alias(name) for name, text in words),
    )


def parse_yuan(column: str) -> pl.Expr:
    """Read yuan with at most two decimal places as whole fen (Int64); null where it is not such a number."""
    is_amount = pl.col(column).str.contains(r"^[+-]?[0-9]{1,13}(\.[0-9]{1,2})?$")
    fen = pl.when(is_amount).then(pl.col(column)).cast(pl.Float64, strict=False) * 100
    return fen.round().cast(pl.Int64)


def parse_day(column: str) -> pl.Expr:
    """Read ``YYYY-MM-DD``; null where it is not such a date, as of the year 0, which the calendar does not have."""
    text = pl.col(column)
    is_day = text.str.contains(_DAY) & ~text.str.starts_with("0000")
    return pl.when(is_day).then(pl.col(column)).str.to_date("%Y-%m-%d", strict=False)


def typed(texts: pl.DataFrame, kind: Kind, file: str, today: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Type the columns of a canonical file, and check each row.

    Parameters
    ----------
    texts
        ``line`` and the kind's columns as text; optional columns may be absent, and so may ``known_on``, which
        is then the kind's usual day.
    """
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in kind.schema if name not in texts.columns]
    names = [name for name in texts.columns if name != "line"]
    stripped = texts.with_columns(pl.col(names).str.strip_chars())
    frame = stripped.with_columns(pl.when(pl.col(names) != "").then(pl.col(names))).with_columns(absent)
    values = frame.with_columns(_parse(name, dtype).alias(f"__{name}") for name, dtype in kind.schema.items())
    good, bad = split(values, [check for column in kind.columns for check in _readable(column)], file)
    rows = good.select("line", *(pl.col(f"__{name}").alias(name) for name in kind.schema))
    rows = rows.with_columns(kind.known_on(today))
    fine, wrong = split(rows, canonical_checks(rows, kind, today), file)
    return fine, pl.concat([bad, wrong])


def _readable(column: Column) -> list[Check]:
    """Return what the text of a column must satisfy to be read."""
    name = column.name
    unread = pl.when(pl.col(f"__{name}").is_null()).then(pl.col(name))
    checks = [Check(name, unread.is_not_null(), _EXPECTED[type(column.dtype)])]
    if column.dtype == pl.Date:
        checks[:0] = [
            Check(name, unread.str.contains(_DAY), NO_SUCH_DAY),
            Check(name, unread.str.contains(SERIAL), SERIAL_DAY),
        ]
    if column.is_required and name != "known_on":
        checks.insert(0, Check(name, pl.col(name).is_null(), REQUIRED))
    if column.choices:
        one_of = ", ".join(column.choices)
        strange = fault(
            f"not one of {one_of}",
            f"不是以下之一：{one_of}",
            "write one of them, or list what stands there under 'values' in a mapping (--map)",
            "请填写其中之一，或在映射文件（--map）的 values 中列出该取值",
        )
        checks.append(Check(name, ~pl.col(name).is_in(list(column.choices)), strange))
    return checks


def canonical_checks(rows: pl.DataFrame, kind: Kind, today: date) -> list[Check]:
    """Return what every row of a kind must satisfy, wherever it comes from.

    What may not be repeated is looked for first, lest another fault of the same value show it.
    """
    out_of_time = fault(
        f"not between {kind.earliest} and today", f"不在 {kind.earliest} 与今天之间", "check the day", "请核对日期"
    )
    return [
        Check("observed_on", ~pl.col("observed_on").is_between(kind.earliest, today), out_of_time),
        Check("known_on", pl.col("known_on") < pl.col("observed_on"), _TOO_EARLY),
        Check("known_on", pl.col("known_on") > today, _FUTURE),
        *(_key_checks(rows) if kind.is_of_firms else []),
        *(_person_checks(rows) if "person_id" in kind.schema else []),
        *(_check_of(rule) for rule in kind.rules if rule.is_secret),
        *(check for column in kind.columns for check in _limits(rows, column)),
        *(_check_of(rule) for rule in kind.rules if not rule.is_secret),
    ]


def _check_of(rule: Rule) -> Check:
    return Check(rule.column, rule.is_bad, rule.fault, rule.is_secret)


def _limits(rows: pl.DataFrame, column: Column) -> list[Check]:
    """Return what the values of a column must satisfy, once they are read."""
    name = column.name
    if column.dtype == pl.String:
        most = column.most_characters
        too_long = fault(f"longer than {most} characters", f"超过 {most} 个字符", "shorten it", "请缩短")
        checks = [
            Check(name, pl.col(name).str.contains(_BREAKS), _CONTROL),
            Check(name, pl.col(name).str.contains(CONTROL), _INVISIBLE),
            Check(name, pl.col(name).str.len_chars() > most, too_long),
            Check(name, pl.col(name).str.contains(_SPOILT_TEXT), _SPOILT),
            _impersonal(rows, column),
        ]
        return [*checks, Check(name, ~pl.col(name).str.contains(CODE), _CODE)] if column.is_code else checks
    if column.dtype == pl.Date:
        return [Check(name, ~pl.col(name).is_between(FIRST_DAY, LAST_DAY), _FAR)]
    if column.low is None or column.high is None:
        return []
    low, high = f"{column.low:,.15g}", f"{column.high:,.15g}"
    unit = f" {column.unit}" if column.unit else ""
    out_of_range = fault(
        f"not between {low} and {high}{unit}",
        f"不在 {low} 与 {high}{unit} 之间",
        "check value and unit",
        "请核对数值与单位",
    )
    return [Check(name, ~pl.col(name).is_between(column.low, column.high), out_of_range)]


def _key_checks(rows: pl.DataFrame) -> list[Check]:
    faults: dict[str, list[str]] = {}
    for key in rows["firm_id"].drop_nulls().unique():
        try:
            _checked(key)
        except ValueError as error:
            faults.setdefault(str(error), []).append(key)
    return [
        Check(
            "firm_id",
            pl.col("firm_id").is_in(keys),
            fault(
                reason,
                "企业编号无效",
                "give the unified social credit code, or a local id",
                "请填写统一社会信用代码或本行编号",
            ),
        )
        for reason, keys in faults.items()
    ]


def _person_checks(rows: pl.DataFrame) -> list[Check]:
    """Return what a pseudonym must be: no number or name of a person, and ours in one form, so that it is erased."""
    person_id = pl.col("person_id")
    plain = [text for text in rows["person_id"].drop_nulls().unique() if _is_plain_id(text)]
    is_ours = person_id.str.contains(rf"^{PSEUDONYM}$")
    return [
        Check("person_id", person_id.is_in(plain), _ERASABLE, is_secret=True),
        Check("person_id", ~person_id.str.contains(CODE), _NAME, is_secret=True),
        Check("person_id", person_id.str.contains(rf"^(?i:(urn:uuid:)?{PSEUDONYM})$") & ~is_ours, _CAPITALS),
    ]


def _impersonal(rows: pl.DataFrame, column: Column) -> Check:
    """Return the check that a text holds no person's number: of notes, none of the old form either."""
    is_note, texts = column.most_characters > SHORT, rows[column.name].drop_nulls()
    is_ascii = texts.str.len_bytes() == texts.str.len_chars()
    ascii_ones, others = texts.filter(is_ascii), texts.filter(~is_ascii).unique()
    like = ascii_ones.filter(ascii_ones.str.contains(_MANY_DIGITS if is_note else SHAPE)).unique()
    like.extend(others.filter(others.str.normalize("NFKC").str.contains(_MANY_DIGITS)))
    numbers = [text for text in like if holds_national_id(text, or_old=is_note)]
    return Check(column.name, pl.col(column.name).is_in(numbers), PERSONAL, is_secret=True)


def _is_plain_id(text: str) -> bool:
    if re.fullmatch(PSEUDONYM, text):
        return False
    return looks_personal(text) or hidden(text) != text


def _parse(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date:
        return parse_day(name)
    if dtype == pl.Boolean:
        lower = pl.col(name).str.to_lowercase()
        return pl.when(lower.is_in(["true", "1"])).then(True).when(lower.is_in(["false", "0"])).then(False)
    if dtype == pl.Int64:
        return pl.col(name).cast(pl.Int64, strict=False)
    if dtype == pl.Float64:
        is_number = pl.col(name).str.contains(NUMBER)
        return pl.when(is_number).then(pl.col(name)).cast(pl.Float64, strict=False) + 0.0
    return pl.col(name)


def groups_of(kind: Kind) -> dict[str, Group]:
    """Return what the reasons of canonical checks are about: the English reason -> its group, where it is not a value.

    Examples
    --------
    >>> from features.kinds import KINDS
    >>> groups_of(KINDS["loan"])["lies in the future"]
    'time'
    """
    of_time = (_TOO_EARLY.reason.en, _FUTURE.reason.en, _FAR.reason.en, f"not between {kind.earliest} and today")
    return {**dict.fromkeys(of_time, "time"), **{rule.fault.reason.en: rule.group for rule in kind.rules}}
