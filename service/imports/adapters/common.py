"""What the readers of folders share: small files in one piece, a kind's rows, and one verdict a row of a file."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from features.kinds.contract import Kind
from service.imports.adapters.contract import Batch
from service.imports.checks import REQUIRED, Check, canonical_checks, split
from service.imports.chunks import Advance, Chunk, fault, no_rejects
from service.imports.readers.csv import read_csv

CHECK_SOURCE = ("compare with the source", "请与来源核对")
NO_DAY = fault("not a date YYYY-MM-DD", "不是 YYYY-MM-DD 格式的日期", *CHECK_SOURCE)


def whole(path: Path, columns: tuple[str, ...], advance: Advance) -> Chunk:
    """Read a file in one piece, for the files of a source whose size is known to be small.

    Returns
    -------
    Chunk
        ``line`` and the columns, as text without blanks around it; a text that is empty is null.

    Raises
    ------
    ImportFailedError
        If the file is absent, damaged or lacks a column.
    """
    empty = pl.DataFrame(schema={"line": pl.Int64(), **dict.fromkeys(columns, pl.String())})
    chunks = [Chunk(empty, no_rejects()), *read_csv(path, columns, advance)]
    texts = pl.concat([chunk.rows for chunk in chunks]).with_columns(pl.col(columns).str.strip_chars())
    rows = texts.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in columns)
    return Chunk(rows, pl.concat([chunk.rejects for chunk in chunks]))


def filled_in(*columns: str) -> list[Check]:
    """Return the checks that columns have a value."""
    return [Check(name, pl.col(name).is_null(), REQUIRED) for name in columns]


def one_of(column: str, words: Sequence[str]) -> Check:
    """Return the check that a column has one of the source's words."""
    listed = ", ".join(words)
    strange = fault(f"not one of {listed}", f"不是以下之一：{listed}", *CHECK_SOURCE)
    return Check(column, ~pl.col(column).is_in(list(words)), strange)


def rows_of(kind: Kind, texts: pl.DataFrame, *, known_on: pl.Expr, **values: pl.Expr) -> pl.DataFrame:
    """Return rows of a kind: ``line`` and all its columns in order; what is not given is empty.

    A source says when its rows were known: whoever made an adapter knows, and no usual day is taken.

    Examples
    --------
    >>> from features.kinds.credit import EXTERNAL_RATING
    >>> rows_of(EXTERNAL_RATING, pl.DataFrame({"line": [2]}), known_on=pl.lit(None), agency=pl.lit("A")).row(0)
    (2, None, None, None, 'A', None, None, None)
    """
    values["known_on"] = known_on
    columns = (values.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in kind.schema.items())
    return texts.select("line", *columns)


def settled(
    file: str, rejects: pl.DataFrame, tables: Sequence[tuple[Kind, pl.DataFrame]], today: date
) -> Iterator[Batch]:
    """Yield a file's rows kind by kind: a row of the file is loaded in all its kinds, or rejected once.

    Parameters
    ----------
    rejects
        Rows of the file that are known to be bad.
    tables
        Rows of several kinds, each with the ``line`` it came from. With the first kind the file's rows are counted,
        so it has one of every good row.
    """
    found = [split(rows, canonical_checks(rows, kind, today), file)[1] for kind, rows in tables]
    bad = pl.concat([rejects, *found]).unique("line", keep="first", maintain_order=True).sort("line")
    for number, (kind, rows) in enumerate(tables):
        good = rows.filter(~pl.col("line").is_in(bad["line"].to_list()))
        if number == 0:
            yield Batch(file, kind, good, bad, len(good) + len(bad))
        else:
            yield Batch(file, kind, good, no_rejects(), 0)
