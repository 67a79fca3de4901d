"""Write an empty file of a kind to fill in: its header, one row of examples, and what each column means."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any, Final, Literal

import polars as pl
import xlsxwriter

from features.kinds.contract import Column, Kind

TemplateFormat = Literal["csv", "xlsx", "ndjson", "parquet", "yaml"]
BINARY: Final = ("xlsx", "parquet")
_LONGEST_LIST = 255
"""Characters of the values that Excel offers for a cell."""
_ROWS = 1000
"""Rows of a sheet for which values are offered."""
_TYPES = {
    pl.String(): ("text", "文本"),
    pl.Date(): ("date YYYY-MM-DD", "日期 YYYY-MM-DD"),
    pl.Int64(): ("whole number", "整数"),
    pl.Float64(): ("number", "数字"),
    pl.Boolean(): ("true or false", "true 或 false"),
}
_ABOUT = (
    "column 列名",
    "required 必填",
    "meaning 含义（英文）",
    "meaning in Chinese 含义（中文）",
    "type 类型",
    "unit 单位",
    "values 可选值",
    "least 最小值",
    "most 最大值",
    "example 示例",
)


def template_of(kind: Kind, format_: TemplateFormat) -> bytes:
    """Return a file of a kind that can be imported as it is: a header and one row, the columns' examples.

    As ``yaml``, a mapping that takes each column from one of the same name, to be changed into a bank's own names.

    Examples
    --------
    >>> from features.kinds import KINDS
    >>> template_of(KINDS["patent"], "csv").decode("utf-8-sig").splitlines()[0][:27]
    'firm_id,observed_on,known_o'
    """
    writers: dict[TemplateFormat, Callable[[Kind], bytes]] = {
        "csv": _csv,
        "xlsx": _xlsx,
        "ndjson": _ndjson,
        "parquet": _parquet,
        "yaml": _yaml,
    }
    return writers[format_](kind)


def _is_needed(column: Column) -> bool:
    return column.is_required and column.name != "known_on"


def _choices(column: Column) -> tuple[str, ...]:
    return ("true", "false") if column.dtype == pl.Boolean() else column.choices


def _unit(column: Column) -> str:
    return {"fen": "fen 分", "bp": "bp 基点（万分之一）", "days": "days 天", "months": "months 月"}.get(
        column.unit, column.unit
    )


def _about(column: Column) -> tuple[str, ...]:
    """Return what a reader is told of a column, in the order of `_ABOUT`."""
    low, high = ("" if limit is None else f"{limit:.15g}" for limit in (column.low, column.high))
    required = "yes 是" if _is_needed(column) else "no 否"
    type_, values = " / ".join(_TYPES[column.dtype]), ", ".join(_choices(column))
    return column.name, required, column.en, column.zh, type_, _unit(column), values, low, high, column.example


def example_of(kind: Kind) -> dict[str, Any]:
    """Return a template's row: the columns' examples, as values of their types.

    Examples
    --------
    >>> from features.kinds import KINDS
    >>> example_of(KINDS["patent"])["firm_id"]
    'F000123'
    """
    read: dict[pl.DataType, Callable[[str], Any]] = {
        pl.Date(): date.fromisoformat,
        pl.Boolean(): lambda text: text == "true",
        pl.Int64(): int,
        pl.Float64(): float,
        pl.String(): str,
    }
    return {column.name: read[column.dtype](column.example) if column.example else None for column in kind.columns}


def _csv(kind: Kind) -> bytes:
    frame = pl.DataFrame({column.name: [column.example] for column in kind.columns})
    return frame.write_csv(include_bom=True).encode()


def _ndjson(kind: Kind) -> bytes:
    return (json.dumps(example_of(kind), ensure_ascii=False, default=str) + "\n").encode()


def _parquet(kind: Kind) -> bytes:
    content = BytesIO()
    pl.DataFrame([example_of(kind)], schema=kind.schema).write_parquet(content)
    return content.getvalue()


def _xlsx(kind: Kind) -> bytes:
    """Write a workbook whose cells are all texts: Excel then turns no code into a number and no number into a day."""
    content = BytesIO()
    options = {"in_memory": True, "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        head = {"bold": True, "border": 1, "num_format": "@"}
        heads = {
            True: book.add_format({**head, "bg_color": "#F8CBAD"}),
            False: book.add_format({**head, "bg_color": "#E7E6E6"}),
        }
        _write_rows(book, kind, heads)
        _write_about(book, kind, heads)
    return content.getvalue()


def _write_rows(book: xlsxwriter.Workbook, kind: Kind, heads: dict[bool, Any]) -> None:
    as_text = book.add_format({"num_format": "@"})
    sheet = book.add_worksheet(kind.name[:31])
    sheet.freeze_panes(1, 0)
    sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    for number, column in enumerate(kind.columns):
        sheet.set_column(number, number, max(len(column.name), len(column.example)) + 3, as_text)
        sheet.write_string(0, number, column.name, heads[_is_needed(column)])
        sheet.write_string(1, number, column.example, as_text)
        choices = _choices(column)
        if choices and len(",".join(choices)) <= _LONGEST_LIST:
            sheet.data_validation(1, number, _ROWS, number, {"validate": "list", "source": list(choices)})


def _write_about(book: xlsxwriter.Workbook, kind: Kind, heads: dict[bool, Any]) -> None:
    plain = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
    sheet = book.add_worksheet("columns 列说明")
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, len(_ABOUT) - 1, 22, plain)
    for place, words in enumerate(_ABOUT):
        sheet.write_string(0, place, words, heads[False])
    for number, column in enumerate(kind.columns, 1):
        for place, words in enumerate(_about(column)):
            sheet.write_string(number, place, words, heads[_is_needed(column)] if place == 0 else plain)


_YAML_HEAD = """\
# {en} / {zh}
# 左边是本系统的列名，右边改为贵行文件中的列名；不需要的可选列请删去。详见 docs/import-door.md。
# On the left our columns; on the right put yours, and delete optional ones that you do not have.
kind: {kind}
version: {version}
columns:
"""
_YAML_CONSTANTS = """\
# 每行相同的值，并从 columns 中删去该列 / what every row has; delete the column above then:
# constants: {}  # {known_on: "2024-06-15"}
"""
_YAML_READING = """\
# 文件的读法 / how the file is read:
# reading:
#   format: csv
#   encoding: gb18030
#   delimiter: ","
"""
_YES_NO = {"是": "true", "否": "false"}
_UNITS = {"fen": "yuan", "bp": "percent"}


def _yaml(kind: Kind) -> bytes:
    head = _YAML_HEAD.format(en=kind.words.en, zh=kind.words.zh, kind=kind.name, version=kind.version)
    lines = [
        f"  {c.name}: {c.name}  # {'必填 required; ' if _is_needed(c) else ''}{c.zh} {c.en}"
        + (f" [{c.unit}]" if c.unit else "")
        for c in kind.columns
    ]
    hints = _YAML_CONSTANTS + "".join(_hints(kind)) + _YAML_READING
    return (head + "\n".join(lines) + "\n" + hints).encode()


def _hints(kind: Kind) -> Iterator[str]:
    """Return the sections of a mapping that a kind's columns can have, to be uncommented."""
    values: dict[str, object] = {
        c.name: _YES_NO if c.dtype == pl.Boolean() else {choice: choice for choice in c.choices}
        for c in kind.columns
        if _choices(c)
    }
    dates: dict[str, object] = {c.name: ["%Y%m%d", "%Y年%m月%d日"] for c in kind.columns if c.dtype == pl.Date()}
    units: dict[str, object] = {c.name: _UNITS[c.unit] for c in kind.columns if c.unit in _UNITS}
    yield from _hint("values", "取值对照，左边为贵行的值 / your values on the left, ours on the right", values)
    words = (
        "日期格式，2024-05-31 亦可；每个值须恰好符合其一 / formats of days, or 2024-05-31; each value fits exactly one"
    )
    yield from _hint("dates", words, dates)
    words = "金额单位 fen 分、yuan 元、wan 万元；比例 bp 基点、percent 百分数 / units of money and of shares"
    yield from _hint("units", words, units)


def _hint(section: str, words: str, of: dict[str, object]) -> Iterator[str]:
    if of:
        yield f"# {words}:\n# {section}:\n"
        yield from (f"#   {name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in of.items())
