"""An open file's content: unpacked if it is gzipped, in pieces, and what format it is of."""

import gzip
import re
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import IO, get_args

from service.imports.chunks import ImportFailedError, fault, no_such
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
AGAIN = ("make it or send it again", "请重新生成或发送")
_RENAME = ("rename it, or save it in the right format", "请改名，或以正确的格式保存")
_EMPTY = fault(
    "the file is empty; a header line is expected", "文件为空，应有表头行", "send the file with its rows",
    "请发送含数据行的文件",
)  # fmt: skip
_OLD_EXCEL = fault(
    "it is an Excel file with a password, or an old .xls file", "是有密码的 Excel 文件，或旧的 .xls 文件",
    "save it without password as .xlsx", "请去掉密码并另存为 .xlsx",
)  # fmt: skip
_NO_GZIP = fault(
    "its name says gzip, and its content is not", "文件名表明是 gzip，内容却不是", "rename it or pack it again",
    "请改名或重新压缩",
)  # fmt: skip
DAMAGE = (OSError, EOFError, zlib.error)
"""What reading a damaged gzipped file raises."""


def opened(path: Path) -> IO[bytes]:
    """Open a file to be read.

    Raises
    ------
    ImportFailedError
        If it cannot be.
    """
    try:
        return path.open("rb")
    except OSError as error:
        words = (f"it cannot be opened: {error.strerror or error}", "无法打开")
        raise ImportFailedError(str(path), fault(*words, "check the path and its rights", "请核对路径与权限")) from None


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
        words = (
            f"it unpacks to more than {MOST_RATIO} times its size, as only a bomb does",
            f"解压后超过原大小的 {MOST_RATIO} 倍，疑为压缩炸弹",
        )
        raise ImportFailedError(file, fault(*words, "send it unpacked", "请发送未压缩的文件"))


def damaged(file: str, line: int, error: BaseException) -> ImportFailedError:
    """Say that a file is damaged."""
    words = (f"the file is damaged after line {line}: {error}", f"文件在第 {line} 行之后已损坏")
    return ImportFailedError(file, fault(*words, *AGAIN))


def format_of(content: Content, reading: Reading) -> Format:
    """Tell a file's format by its first bytes, and check it against its name and against what is told.

    Raises
    ------
    ImportFailedError
        If it is empty, of no format that is read, or another one than its name or ``reading`` says.
    """
    file, head = content.file, content.head
    if not head:
        if _ENDINGS.get(PurePosixPath(file.lower().removesuffix(".gz")).suffix) != "ndjson":
            raise ImportFailedError(file, _EMPTY)
        return "ndjson"
    if head.startswith(_OLE):
        raise ImportFailedError(file, _OLD_EXCEL)
    if reading.format is not None and reading.format not in get_args(Format):
        known = get_args(Format)
        raise ImportFailedError(f"format '{reading.format}'", no_such("format", "格式", reading.format, known))
    found = _found(head, reading.format)
    if content.is_gzipped and found in {"xlsx", "parquet"}:
        words = (f"{_NAMES[found]} inside gzip", f"gzip 中是 {_NAMES[found]} 文件")
        raise ImportFailedError(
            file, fault(*words, "send it as it is; it is packed already", "请直接发送，该格式已压缩")
        )
    _compare(file, found, reading.format, "it was to be read as", "指定的格式是")
    name = PurePosixPath(file.lower())
    if name.suffix == ".gz":
        if not content.is_gzipped:
            raise ImportFailedError(file, _NO_GZIP)
        name = name.with_suffix("")
    if name.suffix in {".xls", ".xlsb", ".ods"}:
        words = (f"{name.suffix} files are not read", f"不读取 {name.suffix} 文件")
        raise ImportFailedError(
            file, fault(*words, "save it as .xlsx or as 'CSV UTF-8'", "请另存为 .xlsx 或“CSV UTF-8”")
        )
    _compare(file, found, _ENDINGS.get(name.suffix), "its name says", "文件名表明是")
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


def _compare(file: str, found: Format, said: Format | None, en: str, zh: str) -> None:
    if said not in {None, found}:
        assert said is not None
        words = (
            f"{en} {_NAMES[said]}, and its content is {_NAMES[found]}",
            f"{zh} {_NAMES[said]}，内容却是 {_NAMES[found]}",
        )
        raise ImportFailedError(file, fault(*words, *_RENAME))


def _check_words(file: str, found: Format, reading: Reading) -> None:
    if reading.sheet is not None and found != "xlsx":
        words = (f"a {_NAMES[found]} file has no sheets", f"{_NAMES[found]} 文件没有工作表")
        raise ImportFailedError(file, fault(*words, "leave the sheet's name out", "请勿指定工作表"))
    if found != "csv" and (reading.encoding or reading.delimiter):
        words = (
            f"only of CSV files encoding and delimiter are told, and it is {_NAMES[found]}",
            f"只有 CSV 文件可指定编码与分隔符，该文件是 {_NAMES[found]}",
        )
        raise ImportFailedError(file, fault(*words, "leave them out", "请勿指定"))
