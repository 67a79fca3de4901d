"""Templates: in every format a file of one valid row, and no cell that a spreadsheet takes for something else."""

import json
import re
from io import BytesIO

import polars as pl
import pytest
from python_calamine import CalamineWorkbook

from features.kinds import KINDS
from service.imports.checks import typed
from service.imports.columns import columns_of
from service.imports.mapping_file import parse_mapping
from service.imports.readers import read
from service.imports.template import template_of
from tests.service.imports.test_kinds import TODAY, example

_UNITS = ("fen", "bp")


def check(kind, rows: pl.DataFrame) -> None:
    """Check that a template's texts are one row that can be loaded."""
    texts = rows.select(pl.all().cast(pl.String)).with_columns(line=pl.lit(2, dtype=pl.Int64))
    assert rows.columns == list(kind.schema)
    good, rejects = typed(texts, kind, "f", TODAY)
    assert (good.height, rejects.rows()) == (1, [])


def sheets(content: bytes) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_filelike(BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_template_is_a_valid_row(kind):
    check(kind, pl.read_csv(template_of(kind, "csv"), infer_schema=False))
    (row,) = template_of(kind, "ndjson").decode().splitlines()
    check(kind, pl.DataFrame([{k: str(v).lower() if isinstance(v, bool) else v for k, v in json.loads(row).items()}]))
    parquet = pl.read_parquet(template_of(kind, "parquet"))
    assert parquet.schema == kind.schema
    check(kind, parquet)
    rows, about = sheets(template_of(kind, "xlsx")).values()
    assert all(isinstance(cell, str) for row in [*rows, *about] for cell in row)
    check(kind, pl.DataFrame([rows[1]], schema=rows[0], orient="row"))
    assert [row[0] for row in about[1:]] == list(kind.schema)
    assert [row[1] == "yes 是" for row in about[1:]] == [c.is_required and c.name != "known_on" for c in kind.columns]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("format_", ["csv", "xlsx", "ndjson", "parquet"])
def test_the_door_reads_what_it_wrote(kind, format_):
    names = columns_of(kind)
    (chunk,) = read(BytesIO(template_of(kind, format_)), f"t.{format_}", *names, lambda _: None)
    good, rejects = typed(chunk.rows, kind, "f", TODAY)
    assert (good.height, rejects.rows(), chunk.rejects.rows()) == (1, [], [])
    assert kind.check(good).rows() == kind.check(typed(example(kind), kind, "f", TODAY)[0]).rows()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_mapping_template_maps_each_column_to_itself(kind):
    mapping = parse_mapping(template_of(kind, "yaml"), "m.yaml")
    assert mapping.kind is kind
    assert mapping.columns == {name: name for name in kind.schema}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_a_mapping_template_suggests_is_of_the_kind_and_can_be_used(kind):
    lines = template_of(kind, "yaml").decode().splitlines()
    used = "\n".join(re.sub(r"^# (?=[a-z]+:|  )", "", line) for line in lines)
    mapping = parse_mapping(used.encode(), "m")
    assert mapping.dates.keys() == {c.name for c in kind.columns if c.dtype == pl.Date}
    assert mapping.values.keys() == {c.name for c in kind.columns if c.choices or c.dtype == pl.Boolean}
    assert mapping.units == {c.name: {"fen": "yuan", "bp": "percent"}[c.unit] for c in kind.columns if c.unit in _UNITS}
    assert mapping.reading.encoding == "gb18030"


def test_a_template_is_the_same_each_time():
    assert template_of(KINDS["loan"], "xlsx") == template_of(KINDS["loan"], "xlsx")
