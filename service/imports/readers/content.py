"""An open file's content: unpacked if it is gzipped, in pieces, and what format it is of."""

import gzip
import re
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import IO, get_args

from service.imports.chunks import ImportFailedError
from service.imports.readers.contract import MOST_RATIO, UNSUSPECTED, Format, Reading

PIECE_BYTES = 1 << 20
_HEAD_PIECES = 4
_GZIP, _ZIP, _PARQUET, _OLE = b"\x1f\x8b", b"PK", b"PAR1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BLANK = b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"
_NAMES: dict[Format, str] = {"csv": "CSV", "xlsx": "XLSX", "ndjson": "NDJSON", "parquet": "Parquet"}
_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".xlsm": "xlsx", ".ndjson": "ndjson",
    ".jsonl": "ndjson", ".json": "ndjson", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
DAMAGE = (OSError, EOFError, zlib.error)
"""What reading a damaged gzipped file raises."""


class Content:
    """A file's content, which is read once from its beginning.

    Parameters
    ----------
    raw
        Seekable.
    file
        What messages call it.
    """

    def __init__(self, raw: IO[bytes], file: str) -> None:
        self.raw, self.file = raw, file
        raw.seek(0)
        self.magic = raw.read(8)
        raw.seek(0)
        self.is_gzipped = self.magic.startswith(_GZIP)
        pieces = self._unpacked() if self.is_gzipped else iter(lambda: raw.read(PIECE_BYTES), b"")
        first: list[bytes] = []
        try:
            first.extend(islice(pieces, _HEAD_PIECES))
        except DAMAGE as error:
            raise damaged(file, 0, error) from None
        self.head = b"".join(first)
        self.is_head_all = len(first) < _HEAD_PIECES
        self.pieces: Iterator[bytes] = chain(first, pieces)

    def _unpacked(self) -> Iterator[bytes]:
        with gzip.GzipFile(fileobj=self.raw) as unpacked:
            size = 0
            while piece := unpacked.read(PIECE_BYTES):
                size += len(piece)
                check_ratio(self.file, self.raw.tell(), size)
                yield piece


def check_ratio(file: str, packed: int, unpacked: int) -> None:
    """Check that bytes read so far do not unpack as only a bomb does.

    Raises
    ------
    ImportFailedError
        If they do.
    """
    if unpacked > max(UNSUSPECTED, packed * MOST_RATIO):
        raise ImportFailedError(
            f"{file}: it unpacks to more than {MOST_RATIO} times its size, as only a bomb does. Send it unpacked."
        )


def damaged(file: str, line: int, error: BaseException) -> ImportFailedError:
    """Say that a file is damaged."""
    return ImportFailedError(f"{file}: the file is damaged after line {line}: {error}. Make it or send it again.")


def format_of(content: Content, reading: Reading) -> Format:
    """Tell a file's format by its first bytes, and check it against its name and against what is told.

    Raises
    ------
    ImportFailedError
        If it is empty, of no format that is read, or another one than its name or ``reading`` says.
    """
    file, head = content.file, content.head
    if not head:
        raise ImportFailedError(f"{file}: the file is empty; a header line is expected. Send the file with its rows.")
    if head.startswith(_OLE):
        raise ImportFailedError(
            f"{file}: it is an Excel file with a password, or an old .xls file. Save it without password as .xlsx."
        )
    if reading.format is not None and reading.format not in get_args(Format):
        raise ImportFailedError(f"There is no format '{reading.format}'. Formats: {', '.join(get_args(Format))}.")
    found = _found(head, reading.format)
    if content.is_gzipped and found in {"xlsx", "parquet"}:
        raise ImportFailedError(f"{file}: {_NAMES[found]} inside gzip. Send it as it is; it is packed already.")
    _compare(file, found, reading.format, "it was to be read as")
    name = PurePosixPath(file.lower())
    if name.suffix == ".gz":
        if not content.is_gzipped:
            raise ImportFailedError(f"{file}: its name says gzip, and its content is not. Rename it or pack it again.")
        name = name.with_suffix("")
    if name.suffix in {".xls", ".xlsb", ".ods"}:
        raise ImportFailedError(f"{file}: {name.suffix} files are not read. Save it as .xlsx or as 'CSV UTF-8'.")
    _compare(file, found, _ENDINGS.get(name.suffix), "its name says")
    _check_words(file, found, reading)
    return found


def _found(head: bytes, told: Format | None) -> Format:
    if head.startswith(_ZIP):
        return "xlsx"
    if head.startswith(_PARQUET):
        return "parquet"
    if told in {"csv", "ndjson"}:
        return told
    start = head[:PIECE_BYTES].lstrip(_BLANK)
    return "ndjson" if start.startswith(b"{") or re.match(rb"\[\s*\{", start) else "csv"


def _compare(file: str, found: Format, said: Format | None, where: str) -> None:
    if said not in {None, found}:
        assert said is not None
        raise ImportFailedError(
            f"{file}: {where} {_NAMES[said]}, and its content is {_NAMES[found]}. Rename it, or save it in the right"
            " format."
        )


def _check_words(file: str, found: Format, reading: Reading) -> None:
    if reading.sheet is not None and found != "xlsx":
        raise ImportFailedError(f"{file}: a {_NAMES[found]} file has no sheets. Leave the sheet's name out.")
    if found != "csv" and (reading.encoding or reading.delimiter):
        raise ImportFailedError(
            f"{file}: only of CSV files encoding and delimiter are told, and it is {_NAMES[found]}. Leave them out."
        )
