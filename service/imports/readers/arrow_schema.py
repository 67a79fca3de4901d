"""Walk the Arrow schema that a Parquet file may hold, before polars does: it follows every path to a field anew.

Two tables that lead to the same one double what is read at each step, and a long chain of them ends the process.

Sources: https://github.com/apache/arrow/blob/main/format/Schema.fbs, https://flatbuffers.dev/internals/
"""

import struct
from base64 import b64decode
from typing import Final

KEY: Final = b"ARROW:schema"
MOST_DEPTH = 32
"""Of a column in columns: real tables have a few."""
MOST_BYTES = 1 << 21
"""Of the schema as the file has it."""
FIELD_BYTES = 24
"""What a field takes about where programs write it, besides its texts."""
BYTES_PER_BYTE = 2
"""What fields may take for each byte of the schema: they take about one, unless they lead to others' parts."""
_STREAMED = b"\xff" * 4
_MESSAGE_HEADER, _SCHEMA_FIELDS = 2, 1
_NAME, _TYPE_NUMBER, _TYPE, _CHILDREN, _METADATA = 0, 2, 3, 5, 6
_TIMESTAMP, _UNION = 10, 14
_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")


class TooLargeError(Exception):
    """The schema is longer or deeper than any table's, or describes more than it has bytes for."""


def check_schema(encoded: bytes) -> None:
    """Check that a schema leads to its parts about once, and not too deep.

    Raises
    ------
    TooLargeError
        If it does not.
    ValueError
        If it is no schema.

    Examples
    --------
    >>> check_schema(b"AAAA")
    Traceback (most recent call last):
    ...
    ValueError: outside the schema
    """
    if len(encoded) > MOST_BYTES:
        raise TooLargeError
    data = b64decode(encoded, validate=True)
    _Schema(data[8:] if data.startswith(_STREAMED) else data).walk()


class _Schema:
    def __init__(self, data: bytes) -> None:
        self._data, self._left = data, BYTES_PER_BYTE * len(data)

    def walk(self) -> None:
        message = self._number(_U32, 0)
        schema = self._follow(message, _MESSAGE_HEADER)
        open_fields = [(field, 1) for field in self._tables(schema, _SCHEMA_FIELDS)] if schema is not None else []
        while open_fields:
            field, depth = open_fields.pop()
            if depth > MOST_DEPTH:
                raise TooLargeError
            self._spend(FIELD_BYTES)
            self._pass_over(field)
            open_fields.extend((child, depth + 1) for child in self._tables(field, _CHILDREN))

    def _pass_over(self, field: int) -> None:
        """Count what a field has besides others: its name, its pairs of texts, and what its type has."""
        self._count(field, _NAME)
        for pair in self._tables(field, _METADATA):
            self._count(pair, 0)
            self._count(pair, 1)
        kind, details = self._place(field, _TYPE_NUMBER), self._follow(field, _TYPE)
        if kind is not None and details is not None and self._data[kind] in {_TIMESTAMP, _UNION}:
            self._count(details, 1, 4 if self._data[kind] == _UNION else 1)

    def _tables(self, table: int, slot: int) -> list[int]:
        start, count = self._count(table, slot, 4)
        places = range(start, start + 4 * count, 4)
        return [place + self._number(_U32, place) for place in places]

    def _count(self, table: int, slot: int, width: int = 1) -> tuple[int, int]:
        """Return where a text's or vector's values begin and how many they are, and count their bytes."""
        at = self._follow(table, slot)
        if at is None:
            return 0, 0
        count = self._number(_U32, at)
        self._spend(4 + count * width)
        return at + 4, count

    def _follow(self, table: int, slot: int) -> int | None:
        at = self._place(table, slot)
        return None if at is None else at + self._number(_U32, at)

    def _place(self, table: int, slot: int) -> int | None:
        """Return where a table has the value of a slot; None if it has none."""
        slots = table - self._number(_I32, table)
        at = 4 + 2 * slot
        offset = self._number(_U16, slots + at) if at + 2 <= self._number(_U16, slots) else 0
        if table + offset >= len(self._data):
            raise ValueError("outside the schema")
        return table + offset if offset else None

    def _number(self, form: struct.Struct, at: int) -> int:
        if not 0 <= at <= len(self._data) - form.size:
            raise ValueError("outside the schema")
        return int(form.unpack_from(self._data, at)[0])

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooLargeError
