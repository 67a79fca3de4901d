"""Read of a Parquet file's footer and of its pages' headers what it will unpack to, before anything unpacks it.

The footer's totals are only what the file says of itself: libraries make room for what each page's header says.
"""

import struct
from io import SEEK_END
from typing import IO, Any

from service.imports.chunks import ImportFailedError, fault
from service.imports.readers import arrow_schema
from service.imports.readers.contract import MOST_RATIO, UNSUSPECTED
from service.imports.readers.panics import damaged
from service.imports.readers.parquet_shapes import FOOTER, PAGE
from service.imports.readers.thrift import Compact, TooManyError

MAGIC = b"PAR1"
MOST_FOOTER = 1 << 23
BYTES_PER_VALUE, UNSUSPECTED_VALUES, MOST_VALUES = 4, 500_000, 1_000_000
"""Before the footer, for each value in it: five or more where row groups have a hundred rows."""
MOST_DEPTH = 32
"""Of a column in columns."""
COLUMN_BYTES, MOST_COLUMN_BYTES = 400, 1 << 23
"""For each column that a column is in, besides its name, and for all together: some 20,000 columns side by side."""
MOST_HEADER_VALUES = 64
MOST_GROUP = 1 << 29
"""Bytes to which a row group may unpack: one is held at a time."""
ROWS_PER_BYTE, UNSUSPECTED_ROWS = 10, 1_000_000
BYTES_PER_PAGE, UNSUSPECTED_PAGES = 256, 20_000
_ELEMENTS, _ROW_COUNT, _GROUPS, _PAIRS = 2, 3, 4, 5
_NAME, _CHILDREN, _KEY, _TEXT = 4, 5, 1, 2
_CHUNKS, _GROUP_BYTES, _GROUP_ROWS, _COLUMN = 1, 2, 3, 3
_CHUNK_BYTES, _DATA_AT, _DICTIONARY_AT = 7, 9, 11
_UNPACKED, _PACKED, _DATA, _DICTIONARY, _DATA_2, _VALUES = 2, 3, 5, 7, 8, 1
_ENCODING = {_DATA: 2, _DICTIONARY: 2, _DATA_2: 4}
_ENCODINGS = {0, 2, 3, 4, 8, 9}
"""Those in which a page has at least the values that it says: a few bytes of a delta encoding have any number."""
_LOOKS = (1 << 9, 1 << 12, 1 << 16)
"""Bytes in which a page's header is looked for, one after the other."""
_COLUMNS = fault(
    f"it has too many columns, they are nested deeper than {MOST_DEPTH}, or their names are too long",
    f"列数过多、嵌套超过 {MOST_DEPTH} 层或列名过长", "write it with the columns that are needed", "请只写所需的列",
)  # fmt: skip
_ARROW = fault(
    f"its key 'ARROW:schema' has more than {arrow_schema.MOST_BYTES:,} bytes, is nested deeper than"
    f" {arrow_schema.MOST_DEPTH} columns or leads to its parts over and over",
    f"“ARROW:schema”超过 {arrow_schema.MOST_BYTES:,} 字节、嵌套超过 {arrow_schema.MOST_DEPTH} 层或重复引用",
    "write it without that key (pyarrow: store_schema=False), or send it as CSV",
    "请不写该键（pyarrow：store_schema=False），或以 CSV 发送",
)  # fmt: skip
_LONG_HEADER = fault(
    f"a page's header has more than {_LOOKS[-1]:,} bytes or {MOST_HEADER_VALUES} values",
    f"数据页的页头超过 {_LOOKS[-1]:,} 字节或 {MOST_HEADER_VALUES} 个值",
    "write it without statistics of pages, or send it as CSV", "请不写数据页的统计信息，或以 CSV 发送",
)  # fmt: skip
_DELTA = fault(
    "a page of it is in a delta encoding, which hides how much it unpacks to",
    "数据页采用 DELTA 编码，无法预知解压后的大小",
    "write it with plain or dictionary encoding, as of Parquet version 1, or send it as CSV",
    "请采用 PLAIN 或字典编码（Parquet 第 1 版），或以 CSV 发送",
)  # fmt: skip
_UNREADABLE = (IndexError, KeyError, TypeError, ValueError, AttributeError)


def check_footer(raw: IO[bytes], file: str) -> int:
    """Check that a file is no bomb by what its footer and its pages say, and return the number of its rows.

    Raises
    ------
    ImportFailedError
        If it is damaged, or unpacks to too much.
    """
    size = raw.seek(0, SEEK_END)
    raw.seek(max(0, size - 8))
    length, magic = struct.unpack("<I4s", raw.read(8)) if size >= 12 else (0, b"")
    if magic != MAGIC or not 0 < length <= size - 12:
        raise damaged(file, "Parquet", "its footer is not whole")
    if length > MOST_FOOTER:
        words = (f"its footer is longer than {MOST_FOOTER:,} bytes", f"文件尾超过 {MOST_FOOTER:,} 字节")
        raise ImportFailedError(file, fault(*words, "send it in parts", "请分成几个文件"))
    raw.seek(size - 8 - length)
    footer = _footer(raw.read(length), size, file)
    try:
        groups = footer.get(_GROUPS, [])
        rows, promised = footer[_ROW_COUNT], sum(group[_GROUP_ROWS] for group in groups)
        declared = [group[_GROUP_BYTES] for group in groups]
    except _UNREADABLE:
        raise damaged(file, "Parquet", "its footer cannot be read") from None
    if min([rows, *declared, 0]) < 0 or rows != promised:
        raise damaged(file, "Parquet", "its footer contradicts itself")
    _check_size(file, size, declared, rows)
    pages = _Pages(raw, file, size)
    try:
        unpacked = [sum(pages.unpacked(chunk[_COLUMN]) for chunk in group[_CHUNKS]) for group in groups]
    except _UNREADABLE:
        raise damaged(file, "Parquet", "its pages cannot be read") from None
    _check_size(file, size, unpacked, max(rows, pages.most_values))
    return int(rows)


def _footer(data: bytes, size: int, file: str) -> dict[int, Any]:
    """Read a footer, of which neither the columns nor the Arrow schema may be nested without end."""
    most = max(UNSUSPECTED_VALUES, min(MOST_VALUES, (size - len(data)) // BYTES_PER_VALUE))
    try:
        footer = Compact(data, most).struct(FOOTER)
        _check_columns(footer[_ELEMENTS], file)
        for pair in footer.get(_PAIRS, []):
            if pair.get(_KEY) == arrow_schema.KEY and _TEXT in pair:
                arrow_schema.check_schema(pair[_TEXT])
    except TooManyError:
        words = (f"its footer has more than {most:,} values", f"文件尾超过 {most:,} 个值")
        remedy = ("write it with larger row groups", "请写成较大的行组")
        raise ImportFailedError(file, fault(*words, *remedy)) from None
    except arrow_schema.TooLargeError:
        raise ImportFailedError(file, _ARROW) from None
    except _UNREADABLE:
        raise damaged(file, "Parquet", "its footer cannot be read") from None
    return footer


def _check_columns(elements: list[dict[int, Any]], file: str) -> None:
    """Check how deep columns are nested, and how long their names are: each has its own copy of those above it."""
    open_ones = [(1, 0)]
    total = 0
    for element in elements:
        count = element.get(_CHILDREN, 0)
        while open_ones and not open_ones[-1][0]:
            open_ones.pop()
        if not open_ones or not 0 <= count <= len(elements):
            raise ValueError("a column of no other")
        left, above = open_ones.pop()
        length = above + COLUMN_BYTES + len(element[_NAME])
        open_ones += [(left - 1, above), (count, length)]
        total += 0 if count else length
        if len(open_ones) > MOST_DEPTH + 2 or total > MOST_COLUMN_BYTES:
            raise ImportFailedError(file, _COLUMNS)


def _check_size(file: str, size: int, groups: list[int], rows: int) -> None:
    total = sum(groups)
    if max(groups, default=0) > MOST_GROUP:
        words = (f"a row group of it unpacks to more than {MOST_GROUP:,} bytes", f"行组解压后超过 {MOST_GROUP:,} 字节")
        raise ImportFailedError(file, fault(*words, "write it with smaller row groups", "请写成较小的行组"))
    if total > max(UNSUSPECTED, size * MOST_RATIO) or rows > max(UNSUSPECTED_ROWS, size * ROWS_PER_BYTE):
        words = (
            f"it unpacks to {total:,} bytes and {rows:,} rows, as only a bomb does",
            f"解压后有 {total:,} 字节、{rows:,} 行，疑为压缩炸弹",
        )
        raise ImportFailedError(file, fault(*words, "send it as CSV", "请以 CSV 发送"))


class _Pages:
    """The pages of a file's columns, of which only the headers are read.

    Attributes
    ----------
    most_values
        Of all columns of row groups so far, the most values in one.
    """

    def __init__(self, raw: IO[bytes], file: str, size: int) -> None:
        self._raw, self._file, self._size = raw, file, size
        self._left, self._count = size, 0
        self.most_values = 0

    def unpacked(self, column: dict[int, Any]) -> int:
        """Return the bytes to which the pages of a column of a row group unpack, its dictionary's too.

        Raises
        ------
        ImportFailedError
            If there are too many pages.
        IndexError, KeyError, TypeError, ValueError
            If they are damaged, or lie outside the column or in another's as well.
        """
        at = column.get(_DICTIONARY_AT, column[_DATA_AT])
        end = at + column[_CHUNK_BYTES]
        self._left -= end - at
        if not 0 <= at <= end <= self._size or self._left < 0:
            raise ValueError("a column outside the file")
        total = values = 0
        while at < end:
            header, at = self._header(at, end)
            at += header[_PACKED]
            held = header.get(_DICTIONARY, {}).get(_VALUES, 0)
            if header[_PACKED] < 0 or at > end or not 0 <= held <= header[_UNPACKED]:
                raise ValueError("a page outside its column, or less than its values")
            self._check_encodings(header)
            total += header[_UNPACKED]
            values += max(header.get(kind, {}).get(_VALUES, 0) for kind in (_DATA, _DATA_2))
        self.most_values = max(self.most_values, values)
        return total

    def _check_encodings(self, header: dict[int, Any]) -> None:
        if not {header[kind][field] for kind, field in _ENCODING.items() if kind in header} <= _ENCODINGS:
            raise ImportFailedError(self._file, _DELTA)

    def _header(self, at: int, end: int) -> tuple[dict[int, Any], int]:
        """Return the header of a page, and where it ends."""
        self._count += 1
        if self._count > max(UNSUSPECTED_PAGES, self._size // BYTES_PER_PAGE):
            words = (f"it has more than {self._count - 1:,} pages", f"超过 {self._count - 1:,} 个数据页")
            raise ImportFailedError(self._file, fault(*words, "write it with larger ones", "请写成较大的数据页"))
        for look in _LOOKS:
            self._raw.seek(at)
            compact = Compact(self._raw.read(min(look, end - at)), MOST_HEADER_VALUES)
            try:
                return compact.struct(PAGE), at + compact.at
            except TooManyError:
                break
            except IndexError:
                if look >= end - at:
                    raise
        raise ImportFailedError(self._file, _LONG_HEADER)
