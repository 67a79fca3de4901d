"""Write exports, and load them again."""

from datetime import date
from pathlib import Path

import polars as pl
import python_calamine

from features.kinds import KINDS
from service.exports.use_cases import Exported, export_kind
from service.exports.writers import FORMS
from service.imports.adapters.contract import Options
from service.imports.use_cases import ImportSummary, import_source
from service.kit.numbers import written

TODAY = date(2026, 11, 27)


def write(session, kind: str, place: Path, known_by: date = TODAY, **options) -> Exported:
    form = FORMS[place.suffix.removeprefix(".")]
    with place.open("w+b") as file:
        return export_kind(session, KINDS[kind], form, file, known_by, **options)


def load(session, kind: str, place: Path) -> ImportSummary:
    summary = import_source(session, kind, place, Options(today=TODAY))
    assert summary.rejects.rows() == []
    return summary


def texts_of(place: Path) -> pl.DataFrame:
    """Return a file's cells as texts."""
    if place.suffix == ".csv":
        return pl.read_csv(place, infer_schema=False)
    if place.suffix == ".xlsx":
        return _cells(place)
    schema = KINDS[place.stem.partition(".")[0]].schema
    rows = pl.read_parquet(place) if place.suffix == ".parquet" else pl.read_ndjson(place, schema=schema)
    return rows.select(
        pl.col(name).map_elements(written, return_dtype=pl.String)
        if dtype == pl.Float64
        else pl.col(name).cast(pl.String)
        for name, dtype in schema.items()
    )


def _cells(place: Path) -> pl.DataFrame:
    with python_calamine.load_workbook(place) as workbook:
        header, *rows = workbook.get_sheet_by_index(0).to_python()
    lines = [[_text(value) for value in (*row, *[""] * (len(header) - len(row)))] for row in rows]
    return pl.DataFrame(lines, schema=dict.fromkeys(header, pl.String()), orient="row")


def _text(value: object) -> str | None:
    if value == "":
        return None
    if isinstance(value, float):
        return written(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
