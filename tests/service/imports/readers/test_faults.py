"""What a person sees of a bad value of any format: file, line, column, value, reason and remedy, in two languages."""

import io
import json
from datetime import date

import polars as pl
import pytest

from features.kinds.trade import INVOICE
from service.imports.checks import typed
from service.imports.readers import Reading, read
from tests.service.imports.readers.files import workbook

GOOD = {
    "firm_id": "E1", "observed_on": "2024-05-01", "direction": "output", "number": "7", "counterparty": "B1",
    "has_linked_codes": "false", "net_fen": "1000", "vat_fen": "130", "gross_fen": "1130", "is_void": "false",
}  # fmt: skip
BAD = [
    ("observed_on", "01/05/2024", "not a date YYYY-MM-DD"),
    ("observed_on", "2024年5月1日", "not a date YYYY-MM-DD"),
    ("observed_on", "2024-5-1", "not a date YYYY-MM-DD"),
    ("observed_on", "2024-02-30", "there is no such day"),
    ("observed_on", "45443", "a number by which a spreadsheet counts days, not a date"),
    ("net_fen", "1,000", "not a whole number"),
    ("net_fen", "一千", "not a whole number"),
    ("net_fen", "壹仟元整", "not a whole number"),
    ("net_fen", "１０００", "not a whole number"),
    ("net_fen", "1e999", "not a whole number"),
    ("net_fen", "NaN", "not a whole number"),
    ("net_fen", "=1000", "not a whole number"),
    ("is_void", "是", "not true or false"),
    ("direction", "进项", "not one of output, input"),
    ("counterparty", "a\tb", "has control characters"),
]


def as_csv(rows, encoding):
    quoted = [",".join(f'"{value}"' for value in row.values()) for row in rows]
    return "\n".join([",".join(GOOD), *quoted]).encode(encoding)


def as_parquet(rows):
    data = io.BytesIO()
    pl.DataFrame(rows).write_parquet(data)
    return data.getvalue()


FORMATS = {
    "csv": (lambda rows: as_csv(rows, "utf-8"), 1),
    "gbk": (lambda rows: as_csv(rows, "gbk"), 1),
    "utf-16": (lambda rows: as_csv(rows, "utf-16"), 1),
    "xlsx": (lambda rows: workbook([list(GOOD)], write=lambda _, page: [
        page.write_string(line, column, value)
        for line, row in enumerate(rows, 1) for column, value in enumerate(row.values())]), 1),
    "ndjson": (lambda rows: "\n".join(json.dumps(row) for row in rows).encode(), 0),
    "parquet": (as_parquet, 0),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_every_fault_is_named_in_full(form):
    make, header = FORMATS[form]
    rows = [GOOD, *(GOOD | {column: value} for column, value, _ in BAD), GOOD]
    required = tuple(column.name for column in INVOICE.columns if column.name in GOOD)
    name = "发票.data"
    (chunk,) = read(io.BytesIO(make(rows)), name, required, ("known_on",), lambda _: None, Reading())
    good, rejects = typed(chunk.rows, INVOICE, name, date(2024, 12, 31))
    assert len(chunk.rejects) == 0
    assert good["line"].to_list() == [1 + header, len(rows) + header]
    assert good["gross_fen"].to_list() == [1130, 1130]
    found = {row["line"]: row for row in rejects.to_dicts()}
    for line, (column, value, reason) in enumerate(BAD, 2 + header):
        row = found[line]
        assert (row["file"], row["column"], row["value"], row["reason"]) == (name, column, value, reason)
        assert all(row[word] for word in ("remedy", "reason_zh", "remedy_zh"))
