"""How a file is to be read, where its content does not tell."""

from dataclasses import dataclass
from typing import Literal

Format = Literal["csv", "xlsx", "ndjson", "parquet"]
CHUNK_ROWS = 100_000
"""Rows of a chunk, about."""
MOST_CHUNK_BYTES = 1 << 26
"""Bytes of text of a chunk, about, where its rows are long."""
MOST_UNPACKED = 1 << 28
"""Bytes to which a workbook, or a file that came over HTTP, may unpack; and bytes of texts held at a time."""
MOST_RATIO = 200
"""Bytes out of each byte in, beyond `UNSUSPECTED`: rows of different firms never pack so well, bombs do."""
UNSUSPECTED = 1 << 21


@dataclass(frozen=True)
class Reading:
    """What the reader of a file is told about it.

    Attributes
    ----------
    format
        None: told by the content.
    encoding
        Of CSV: ``utf-8``, ``gb18030`` (or ``gbk``), ``utf-16``, ``utf-16-le``, ``utf-16-be``; None: by the content.
    delimiter
        Of CSV: a comma, semicolon, tab (also the word ``tab``) or vertical bar; None: by the header line.
    sheet
        Of a workbook, its name; None: the first one that is not hidden.
    texts
        Of a workbook, the columns whose cells of something else than text are noted.
    """

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    texts: frozenset[str] = frozenset()
