"""Read values of Thrift's compact protocol as nested dicts of field numbers, each of the type that it must have.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any, Final

_TRUE, _FALSE, _BYTE, _I16, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12
FLAG: Final = frozenset({_TRUE, _FALSE})
BYTE: Final = frozenset({_BYTE})
INT: Final = frozenset({_I16, 5, _I64})
"""Whole numbers of any width: they are written alike."""
DOUBLE: Final = frozenset({_DOUBLE})
TEXT: Final = frozenset({_BINARY})
Shape = frozenset[int] | list[Any] | dict[int, Any] | None
"""What a value must be: one of types, a list of a shape, a struct of shapes by field number; None: anything."""
_DEEPEST, _LAST_FIELD = 24, 32_767
_STRUCT_COSTS = 4
"""Values for which a struct counts besides its fields: it takes a byte, and becomes a dict."""


class TooManyError(Exception):
    """There are more values than the data may have."""


class Compact:
    """Values of Thrift's compact protocol.

    A value of another type than its field's is refused: a reader that goes by field numbers alone would take the bytes
    for something else. So are a field that stands twice and a number too long, of which readers cut bits off.

    Parameters
    ----------
    most
        Values that the data may have, a struct counting for several: they bound the work and the memory.

    Attributes
    ----------
    at
        How many bytes are read.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._left, self.at = data, most, 0

    def struct(self, shape: dict[int, Any], depth: int = 0) -> dict[int, Any]:
        """Read a struct; doubles, maps and fields that the shape does not have are passed over, and are None.

        Raises
        ------
        IndexError
            If the data ends before it does.
        ValueError
            If it is none, or not of the shape.
        TooManyError
            If it has too many values.
        """
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        self._spend(_STRUCT_COSTS)
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            if field in found or not 0 < field <= _LAST_FIELD:
                raise ValueError("no such field, or twice")
            self._spend(1)
            kind, expected = head & 15, shape.get(field)
            is_flag = kind in FLAG and expected in {None, FLAG}
            value = kind == _TRUE if is_flag else self._value(kind, expected, depth + 1)
            if expected is not None:
                found[field] = value
        return found

    def _value(self, kind: int, shape: Shape, depth: int) -> Any:
        if not _fits(kind, shape):
            raise ValueError("not of its type")
        if kind == _STRUCT:
            return self.struct(shape if isinstance(shape, dict) else {}, depth)
        if kind in {_LIST, _SET}:
            return self._list(shape[0] if isinstance(shape, list) else None, depth)
        if kind == _MAP:
            return self._map(depth)
        if kind in {_BINARY, _DOUBLE}:
            text = self._text(self._unsigned() if kind == _BINARY else 8)
            return text if kind == _BINARY else None
        if not _TRUE <= kind <= _I64:
            raise ValueError("no such type")
        return self._signed() if kind > _BYTE else self._byte()

    def _list(self, shape: Shape, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        self._spend(count)
        return [self._value(head & 15, shape, depth + 1) for _ in range(count)]

    def _map(self, depth: int) -> None:
        count = self._unsigned()
        self._spend(2 * count)
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._value(kinds >> 4, None, depth + 1)
            self._value(kinds & 15, None, depth + 1)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooManyError

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                raise ValueError("a number too long")
        if value >= 1 << 64:
            raise ValueError("a number too long")
        return value

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _text(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise IndexError("a text too long")
        self.at += count
        return self._data[self.at - count : self.at]


def _fits(kind: int, shape: Shape) -> bool:
    if isinstance(shape, dict):
        return kind == _STRUCT
    if isinstance(shape, list):
        return kind == _LIST
    return shape is None or kind in shape
