"""Read of a Parquet file's footer what it will unpack to, before anything unpacks it.

The footer is a struct of Thrift's compact protocol; here it is read as nested dicts of field numbers.
Source: https://github.com/apache/parquet-format (parquet.thrift) and Thrift's compact protocol specification.
"""

import struct
from io import SEEK_END
from typing import IO, Any

from service.imports.chunks import ImportFailedError
from service.imports.readers.contract import MOST_RATIO, UNSUSPECTED

MAGIC = b"PAR1"
MOST_FOOTER = 1 << 24
MOST_GROUP = 1 << 29
"""Bytes to which a row group may unpack: one is held at a time."""
ROWS_PER_BYTE, UNSUSPECTED_ROWS = 10, 1_000_000
_ROW_COUNT, _GROUPS, _GROUP_BYTES, _GROUP_ROWS = 3, 4, 2, 3
_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 11, 12
_DEEPEST = 24


def check_footer(raw: IO[bytes], file: str) -> int:
    """Check that a file is no bomb by what its footer says, and return the number of its rows.

    Raises
    ------
    ImportFailedError
        If it is damaged, or unpacks to too much.
    """
    size = raw.seek(0, SEEK_END)
    raw.seek(max(0, size - 8))
    length, magic = struct.unpack("<I4s", raw.read(8)) if size >= 12 else (0, b"")
    if magic != MAGIC or not 0 < length <= size - 12:
        raise _damaged(file, "its footer is not whole")
    if length > MOST_FOOTER:
        raise ImportFailedError(f"{file}: its footer is longer than {MOST_FOOTER:,} bytes. Send it in parts.")
    raw.seek(size - 8 - length)
    try:
        footer = _Compact(raw.read(length)).struct(0)
        groups = [(group[_GROUP_BYTES], group[_GROUP_ROWS]) for group in footer.get(_GROUPS, [])]
        rows, promised = footer[_ROW_COUNT], sum(number for _, number in groups)
        unpacked = [number for number, _ in groups]
        total = sum(unpacked)
        is_sound = min([rows, *unpacked, 0]) == 0 and rows == promised
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        raise _damaged(file, "its footer cannot be read") from None
    if not is_sound:
        raise _damaged(file, "its footer contradicts itself")
    if max(unpacked, default=0) > MOST_GROUP:
        raise ImportFailedError(
            f"{file}: a row group of it unpacks to more than {MOST_GROUP:,} bytes. Write it with smaller row groups."
        )
    if total > max(UNSUSPECTED, size * MOST_RATIO) or rows > max(UNSUSPECTED_ROWS, size * ROWS_PER_BYTE):
        raise ImportFailedError(f"{file}: it unpacks to {total:,} bytes and {rows:,} rows, as only a bomb does.")
    return int(rows)


def _damaged(file: str, why: str) -> ImportFailedError:
    return ImportFailedError(f"{file}: the Parquet file is damaged: {why}. Make it or send it again.")


class _Compact:
    """Values of Thrift's compact protocol; each takes a byte at least, so the footer's length bounds the work."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[field] = kind == _TRUE if kind in {_TRUE, _FALSE} else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRUCT:
            return self.struct(depth)
        if kind in {_LIST, _SET}:
            return self._list(depth)
        if kind == _MAP:
            return self._map(depth)
        if kind in {_BINARY, _DOUBLE}:
            return self._skip(self._unsigned() if kind == _BINARY else 8)
        if not _TRUE <= kind <= _I64:
            raise ValueError("no such type")
        return self._signed() if kind > _BYTE else self._byte()

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _map(self, depth: int) -> None:
        count = self._unsigned()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._value(kinds >> 4, depth + 1)
            self._value(kinds & 15, depth + 1)

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, count: int) -> None:
        if count > len(self._data) - self._at:
            raise ValueError("a text too long")
        self._at += count
