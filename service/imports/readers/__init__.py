"""Readers of files: CSV, XLSX, NDJSON and Parquet, each into the same chunks of text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import polars as pl

from service.imports.chunks import Advance, Chunk
from service.imports.readers import csv, ndjson, parquet, xlsx
from service.imports.readers.content import Content, format_of, opened
from service.imports.readers.contract import Reading
from service.kit.formulas import unguarded

__all__ = ["Reading", "read", "read_path"]

_READ = {
    "csv": csv.read_content,
    "ndjson": ndjson.read_content,
    "parquet": parquet.read_content,
    "xlsx": xlsx.read_content,
}
_GUARDED = {"csv", "xlsx"}


def read(
    raw: IO[bytes],
    file: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    advance: Advance,
    reading: Reading = Reading(),  # noqa: B008 - it is frozen
) -> Iterator[Chunk]:
    r"""Read an open file chunk by chunk: rows of text, each with its number in the file, and the rows that are none.

    There is at least one chunk, of no rows if the file has none.

    Parameters
    ----------
    raw
        Seekable; it is read from its beginning.
    file
        What messages call it; its ending must not contradict its content.
    required, optional
        Columns to keep; the others are passed over.
    advance
        Called with the number of bytes of the file done since the last call.
    reading
        What the content does not tell.

    Raises
    ------
    ImportFailedError
        If the file is damaged, empty, hostile, of no known format, or lacks a required column.

    Notes
    -----
    Of CSV and XLSX the apostrophe is taken away that keeps spreadsheets from taking a text for a formula
    (`service.kit.formulas.unguarded`), in every column: no number, day or flag begins with one.

    Examples
    --------
    >>> from io import BytesIO
    >>> chunk, = read(BytesIO(b"id,name\nE1,'=A1\n"), "firms.csv", ("id",), ("name", "place"), lambda _: None)
    >>> chunk.rows.rows()
    [(2, 'E1', '=A1')]
    """
    content = Content(raw, file)
    found = format_of(content, reading)
    for chunk in _READ[found](content, required, optional, advance, reading):
        yield replace(chunk, rows=_unguarded(chunk.rows)) if found in _GUARDED else chunk


def read_path(
    path: Path,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    advance: Advance,
    reading: Reading = Reading(),  # noqa: B008 - it is frozen
) -> Iterator[Chunk]:
    """Read a file chunk by chunk, as `read` does.

    Raises
    ------
    ImportFailedError
        If it cannot be opened, and as of `read`.
    """
    with opened(path) as raw:
        yield from read(raw, path.name, required, optional, advance, reading)


def _unguarded(rows: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in rows.columns if name != "line" and rows[name].str.starts_with("'").any()]
    return rows.with_columns(unguarded(pl.col(name)) for name in names)
