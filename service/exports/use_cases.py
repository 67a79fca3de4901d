"""Write what the ledger knows of a kind to a file, in a fixed order, slice by slice; it goes on record."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Final

import polars as pl

from features.kinds.contract import Kind
from service.audit.use_cases import append
from service.errors import InvalidPayload
from service.exports.writers import Form
from service.firms.use_cases import count_known, read_known
from service.kit.db import TenantSession

SLICE_ROWS: Final = 200_000
"""Rows that are in memory at a time, or one firm's if it has more."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was written: rows, and the SHA-256 of the file."""

    rows: int
    sha256: bytes


class TooManyRows(InvalidPayload):
    """The rows are more than the file, or the answer, may hold."""

    code = "too-many-rows"
    title = "There are too many rows for this"


def export_kind(
    session: TenantSession,
    kind: Kind,
    form: Form,
    file: BinaryIO,
    known_by: date,
    *,
    most_rows: int | None = None,
    instead: str = "",
    progress: Progress = lambda *_: None,
) -> Exported:
    """Write the rows of a kind that were known on a day.

    The columns stand in the kind's order, and the rows in the order of the columns: firms by the bytes of their keys,
    then by the days, then by whatever else there is. The same rows give the same bytes.

    Parameters
    ----------
    file
        An empty one, to write and to read.
    most_rows, instead
        How many rows the caller takes, and what to do if there are more; the form may hold fewer still.
    progress
        Called with the kind's name, rows done and rows in all.

    Raises
    ------
    TooManyRows
        If there are more rows than that; nothing is written then.
    """
    counts = count_known(session, kind, known_by)
    total = sum(counts.values())
    if most_rows is not None and total > most_rows:
        raise TooManyRows(f"There are {total:,} rows of '{kind.name}', and {most_rows:,} are the most here. {instead}")
    if form.most_rows is not None and total > form.most_rows:
        raise TooManyRows(
            f"There are {total:,} rows of '{kind.name}', and a file in {form.ending.upper()} holds {form.most_rows:,}. "
            "Export CSV, NDJSON or Parquet."
        )
    rows = 0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for keys in _slices(counts, SLICE_ROWS):
            frame = read_known(session, kind, known_by, keys)
            rows += frame.height
            progress(kind.name, rows, total)
            yield frame

    form.write(frames(), kind, file)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
    facts: dict[str, str | int | bool | None] = {
        "format": form.ending,
        "kind": kind.name,
        "known_by": known_by.isoformat(),
        "rows": rows,
    }
    append(session, "export.made", f"export:{digest.hex()}", facts, after=digest)
    return Exported(rows, digest)


def _slices(counts: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Part firms, in order, into slices of at most so many rows, or of one firm."""
    keys: list[str] = []
    rows = 0
    for key, count in counts.items():
        if keys and rows + count > most:
            yield keys
            keys, rows = [], 0
        keys.append(key)
        rows += count
    if keys:
        yield keys
