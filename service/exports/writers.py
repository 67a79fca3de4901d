"""Write a kind's rows to a file, in a form: the same rows give the same bytes."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count, pairwise
from typing import Any, BinaryIO, Final

import polars as pl
from polars.io.plugins import register_io_source
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from features.kinds.contract import Kind
from service.kit import numbers
from service.kit.formulas import guarded

Frames = Iterable[pl.DataFrame]
MOST_ROWS_IN_A_SHEET: Final = 1_048_575
"""Of a spreadsheet, beside the line of names."""
ROW_GROUP: Final = 100_000
_CREATED: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - XLSX keeps no zone
_FIRST_DAY_OF_SHEETS: Final = date(1900, 3, 1)
"""Before it spreadsheets count days in two ways: 1900 had no 29 February."""
_ESCAPE_AHEAD: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
"""What begins like ``_x0041_``, which XLSX reads as the letter A."""


@dataclass(frozen=True)
class Form:
    """A form of files: what their names end with, what HTTP calls it, how it is written, how many rows it holds."""

    ending: str
    media_type: str
    write: Callable[[Frames, Kind, BinaryIO], None]
    most_rows: int | None = None


def _write_csv(frames: Frames, kind: Kind, file: BinaryIO) -> None:
    """Write UTF-8 with a byte order mark, which spreadsheets need to read Chinese."""
    texts = [guarded(pl.col(name)).alias(name) for name, dtype in kind.schema.items() if dtype == pl.String]
    floats = [numbers.as_text(name) for name, dtype in kind.schema.items() if dtype == pl.Float64]
    kind.empty().write_csv(file, include_bom=True)
    for frame in frames:
        frame.with_columns(*texts, *floats).write_csv(file, include_header=False)


def _write_ndjson(frames: Frames, _: Kind, file: BinaryIO) -> None:
    for frame in frames:
        frame.write_ndjson(file)


def _write_parquet(frames: Frames, kind: Kind, file: BinaryIO) -> None:
    def source(*_: object) -> Iterator[pl.DataFrame]:
        yield from frames

    rows = register_io_source(source, schema=kind.schema)
    rows.sink_parquet(
        file, compression="zstd", compression_level=3, statistics=True, row_group_size=ROW_GROUP, maintain_order=True
    )


def _write_xlsx(frames: Frames, kind: Kind, file: BinaryIO) -> None:
    """Write one sheet, row by row; a cell is a number, a day, true or false, or a text, and never a formula."""
    workbook = Workbook(file, {"constant_memory": True})
    workbook.set_properties({"created": _CREATED})
    sheet = workbook.add_worksheet(kind.name)
    formats = {"day": workbook.add_format({"num_format": "yyyy-mm-dd"}), "part": workbook.add_format()}
    for column, name in enumerate(kind.schema):
        sheet.write_string(0, column, name)
    writers = [_CELLS[type(dtype)] for dtype in kind.schema.values()]
    texts = [guarded(pl.col(name)).alias(name) for name, dtype in kind.schema.items() if dtype == pl.String]
    lines = count(1)
    for frame in frames:
        for row in frame.with_columns(texts).iter_rows():
            line = next(lines)
            for column, value in enumerate(row):
                if value is not None:
                    writers[column](sheet, line, column, value, formats)
    workbook.close()


def _text(sheet: Worksheet, line: int, column: int, value: str, formats: dict[str, Any]) -> None:
    """Write a text; in parts where XlsxWriter would take it for markup of its own, or spreadsheets for an escape."""
    cuts = [match.end() for match in _ESCAPE_AHEAD.finditer(value)]
    if value.startswith("<r>") and value.endswith("</r>"):
        cuts = [1, *cuts]
    if not cuts:
        sheet.write_string(line, column, value)
        return
    parts = [value[begin:end] for begin, end in pairwise([0, *cuts, len(value)])]
    sheet.write_rich_string(line, column, *(item for part in parts for item in (formats["part"], part)))


def _day(sheet: Worksheet, line: int, column: int, value: date, formats: dict[str, Any]) -> None:
    if value < _FIRST_DAY_OF_SHEETS:
        sheet.write_string(line, column, value.isoformat())
    else:
        sheet.write_datetime(line, column, value, formats["day"])


def _whole(sheet: Worksheet, line: int, column: int, value: int, _: dict[str, Any]) -> None:
    sheet.write_number(line, column, value)


def _number(sheet: Worksheet, line: int, column: int, value: float, _: dict[str, Any]) -> None:
    if numbers.is_exact_in_a_cell(value):
        sheet.write_number(line, column, value)
    else:
        sheet.write_string(line, column, numbers.written(value))


def _flag(sheet: Worksheet, line: int, column: int, value: bool, _: dict[str, Any]) -> None:  # noqa: FBT001
    sheet.write_boolean(line, column, value)


_CELLS: Final[dict[type[pl.DataType], Callable[..., None]]] = {
    pl.String: _text,
    pl.Date: _day,
    pl.Int64: _whole,
    pl.Float64: _number,
    pl.Boolean: _flag,
}

FORMS: Final[dict[str, Form]] = {
    "csv": Form("csv", "text/csv", _write_csv),
    "xlsx": Form(
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _write_xlsx,
        MOST_ROWS_IN_A_SHEET,
    ),
    "ndjson": Form("ndjson", "application/x-ndjson", _write_ndjson),
    "parquet": Form("parquet", "application/vnd.apache.parquet", _write_parquet),
}
