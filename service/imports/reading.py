"""Open a file of rows by whatever reader there is for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal

from service.imports.chunks import Advance, Chunk, ImportFailedError
from service.imports.csv_reader import read_stream

Format = Literal["csv", "xlsx", "ndjson", "parquet"]


@dataclass(frozen=True)
class Reading:
    """How a file is read; None: told by its content."""

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


def read(
    raw: IO[bytes],
    file: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    advance: Advance,
    reading: Reading = Reading(),
) -> Iterator[Chunk]:
    """Read an open file, plain or gzipped, chunk by chunk.

    Raises
    ------
    ImportFailedError
        If it cannot be read.
    """
    if reading not in {Reading(), Reading("csv")}:
        raise ImportFailedError(f"{file}: only CSV in UTF-8, parted by commas, can be read.")
    start = raw.read(2)
    raw.seek(0)
    is_gzipped = start == b"\x1f\x8b" or file.endswith(".gz")
    return read_stream(raw, file, required, advance, optional, is_gzipped=is_gzipped)
