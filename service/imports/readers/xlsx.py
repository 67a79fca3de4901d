"""Read a sheet of a workbook, every cell as text without loss."""

from collections import defaultdict
from collections.abc import Container, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import SEEK_END
from math import isfinite
from typing import Any

import polars as pl
from python_calamine import CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from features.kinds.contract import Fault
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault, no_such, shown
from service.imports.readers.content import Content
from service.imports.readers.contract import CHUNK_ROWS, Reading
from service.imports.readers.header import NO_HEADER, MissingColumnsError, stands_twice
from service.imports.readers.panics import readable
from service.imports.readers.rejected import NUL, Rejected
from service.imports.readers.workbook import check_workbook
from service.imports.readers.workbook_part import Oddities
from service.kit.numbers import written

_NO_SHEET = fault(
    "it has no sheet to read", "没有可读取的工作表", "save it with one, or name a hidden one",
    "请保存一个工作表，或指明隐藏的工作表",
)  # fmt: skip
MOST_DIGITS = 15
"""Significant digits that a spreadsheet keeps of a number."""


def read_content(
    content: Content, required: tuple[str, ...], optional: tuple[str, ...], advance: Advance, reading: Reading
) -> Iterator[Chunk]:
    """Read an open file; its rows have the sheet's row numbers, and the first that is not empty is the header.

    Raises
    ------
    ImportFailedError
        If it is damaged or hostile, or lacks the sheet or a required column.
    """
    raw, file = content.raw, content.file
    workbook = check_workbook(raw, file)
    size = raw.seek(0, SEEK_END)
    raw.seek(0)
    with readable(file, "XLSX"):
        book = CalamineWorkbook.from_filelike(raw)
        sheet = book.get_sheet_by_name(_sheet_name(book, workbook.oddities, file, reading.sheet))
    yield from _Sheet(sheet, workbook.oddities[sheet.name], file, reading.texts).chunks(required, optional)
    advance(size)


def _sheet_name(book: CalamineWorkbook, known: Container[str], file: str, told: str | None) -> str:
    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    names = dict.fromkeys(sheet.name for sheet in sheets if sheet.name in known)
    if told is not None:
        if told not in names:
            wrong = no_such("sheet", "工作表", told, map(shown, names))
            raise ImportFailedError(f"{file}, sheet '{told}'", wrong)
        return told
    visible = [sheet.name for sheet in sheets if sheet.name in names and sheet.visible == SheetVisibleEnum.Visible]
    if not visible:
        raise ImportFailedError(file, _NO_SHEET)
    return visible[0]


class _Sheet:
    def __init__(self, sheet: CalamineSheet, oddities: Oddities, file: str, texts: frozenset[str]) -> None:
        self._sheet, self._oddities, self._file, self._texts = sheet, oddities, file, texts
        self._odd_rows = {row for row, _ in oddities}
        self._first_column = 1 + (sheet.start[1] if sheet.start else 0)
        self._rejected = Rejected(file)
        self._no_texts: defaultdict[str, list[int]] = defaultdict(list)
        self._header: tuple[str, ...] = ()

    def chunks(self, required: tuple[str, ...], optional: tuple[str, ...]) -> Iterator[Chunk]:
        rows = enumerate(self._sheet.iter_rows() if self._sheet.start else (), 1)
        line, cells = next(((line, cells) for line, cells in rows if any(cell != "" for cell in cells)), (1, []))
        self._header = tuple(_name(cell) for cell in cells)
        wanted = self._wanted(line, self._header, required, optional)
        lines: list[int] = []
        texts: list[list[str | None]] = []
        is_begun = False
        for line, cells in rows:
            row = self._row(line, cells, wanted)
            if row is not None:
                lines.append(line)
                texts.append(row)
                self._rejected.good += 1
            if len(lines) + len(self._rejected) >= CHUNK_ROWS:
                yield self._chunk(list(wanted), lines, texts)
                lines, texts, is_begun = [], [], True
        if lines or len(self._rejected) or not is_begun:
            yield self._chunk(list(wanted), lines, texts)

    def _wanted(
        self, line: int, header: tuple[str, ...], required: tuple[str, ...], optional: tuple[str, ...]
    ) -> dict[str, int]:
        place = f"{self._file}, sheet '{self._sheet.name}', row {line}"
        if not header:
            raise ImportFailedError(place, NO_HEADER)
        if missing := [name for name in required if name not in header]:
            raise MissingColumnsError(place, missing, header)
        if repeated := [name for name in (*required, *optional) if header.count(name) > 1]:
            raise ImportFailedError(place, stands_twice(repeated[0]))
        return {name: header.index(name) for name in (*required, *optional) if name in header}

    def _row(self, line: int, cells: list[Any], wanted: dict[str, int]) -> list[str | None] | None:
        """Return a row's texts; None if it is empty, or is rejected for its first wanted cell that cannot be read."""
        is_odd = line in self._odd_rows
        row: list[str | None] = []
        for name, index in wanted.items():
            cell = cells[index]
            if type(cell) is str and not is_odd and "\0" not in cell:
                row.append(cell or None)
                continue
            if type(cell) is not str and name in self._texts:
                self._no_texts[name].append(line)
            place = (line, index + self._first_column)
            text, wrong = _text(cell, place, self._oddities.get(place) if is_odd else None)
            if wrong is not None:
                self._rejected.add(line, name, text, wrong)
                return None
            row.append(text or None)
        return row if any(cell != "" for cell in cells) else None

    def _chunk(self, names: list[str], lines: list[int], texts: list[list[str | None]]) -> Chunk:
        frame = pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String()), orient="row")
        no_texts, self._no_texts = self._no_texts, defaultdict(list)
        rows = frame.insert_column(0, pl.Series("line", lines, dtype=pl.Int64))
        return Chunk(rows, self._rejected.take(), self._header, no_texts)


def _name(cell: object) -> str:
    return _text(cell, (0, 0), None)[0].strip()


def _text(cell: object, place: tuple[int, int], oddity: str | None) -> tuple[str, Fault | None]:
    """Return a cell as text, and what is wrong with it."""
    if oddity is not None:
        return oddity, _no_value(place, oddity)
    if isinstance(cell, str):
        return cell, NUL if "\0" in cell else None
    if isinstance(cell, bool):
        return "true" if cell else "false", None
    if isinstance(cell, float | int):
        return _number(cell, place)
    assert isinstance(cell, date | time | timedelta)
    return _day(cell, place)


def _day(value: date | time | timedelta, place: tuple[int, int]) -> tuple[str, Fault | None]:
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat(), None
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    return str(value), None if is_day else _has_time(place)


def _number(value: float, place: tuple[int, int]) -> tuple[str, Fault | None]:
    if not isfinite(value):
        return str(value), _not_finite(place)
    if value == int(value):
        return str(int(value)), None if abs(value) < 10**MOST_DIGITS else _too_many_digits(place)
    digits = Decimal(repr(value)).as_tuple().digits
    return written(value), _too_many_digits(place) if len(digits) > MOST_DIGITS else None


def cell_name(place: tuple[int, int]) -> str:
    """Return the name of a cell from its row and column, both from 1.

    Examples
    --------
    >>> cell_name((7, 3)), cell_name((1, 27)), cell_name((2, 16384))
    ('C7', 'AA1', 'XFD2')
    """
    row, column = place
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row}"


def _no_value(place: tuple[int, int], error: str) -> Fault:
    cell = cell_name(place)
    if error:
        return fault(
            f"cell {cell} has the error {error}", f"单元格 {cell} 的值是错误 {error}",
            "correct its formula, or write the value", "请更正公式，或直接填写数值",
        )  # fmt: skip
    return fault(
        f"cell {cell} has a formula without a stored value", f"单元格 {cell} 的公式没有保存结果",
        "open the file in a spreadsheet program and save it again", "请用表格软件打开该文件并重新保存",
    )  # fmt: skip


def _has_time(place: tuple[int, int]) -> Fault:
    cell = cell_name(place)
    return fault(
        f"cell {cell} has a time of day or a duration where a day is expected",
        f"单元格 {cell} 应为日期，却含时刻或时长",
        "write the date alone, like 2024-05-31", "请只写日期，如 2024-05-31",
    )  # fmt: skip


def _too_many_digits(place: tuple[int, int]) -> Fault:
    cell = cell_name(place)
    return fault(
        f"cell {cell} has a number of more than {MOST_DIGITS} significant digits, of which a spreadsheet loses some",
        f"单元格 {cell} 的数字超过 {MOST_DIGITS} 位有效数字，表格软件会丢失部分位数",
        "format the column as text and write the value again, or round the number",
        "请将该列设为文本格式后重新填写，或对数字取舍",
    )


def _not_finite(place: tuple[int, int]) -> Fault:
    cell = cell_name(place)
    return fault(
        f"cell {cell} has no finite number",
        f"单元格 {cell} 的值不是有限的数",
        "write a finite number",
        "请填写有限的数",
    )
