"""The shapes of what describes a Parquet file: its footer, and the header of each page.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from typing import Any, Final

from service.imports.readers.thrift import BYTE, DOUBLE, FLAG, INT, TEXT

_EMPTY: dict[int, Any] = {}
_TIME = {1: FLAG, 2: {1: _EMPTY, 2: _EMPTY, 3: _EMPTY}}
_LOGICAL_TYPE = {
    **dict.fromkeys((1, 2, 3, 4, 6, 11, 12, 13, 14, 15, 19), _EMPTY),
    5: {1: INT, 2: INT}, 7: _TIME, 8: _TIME, 10: {1: BYTE, 2: FLAG}, 16: {1: BYTE}, 17: {1: TEXT},
    18: {1: TEXT, 2: INT},
}  # fmt: skip
_ELEMENT = {
    1: INT, 2: INT, 3: INT, 4: TEXT, 5: INT, 6: INT, 7: INT, 8: INT, 9: INT, 10: _LOGICAL_TYPE, 11: INT,
}  # fmt: skip
_PAIR = {1: TEXT, 2: TEXT}
_STATISTICS = {1: TEXT, 2: TEXT, 3: INT, 4: INT, 5: TEXT, 6: TEXT, 7: FLAG, 8: FLAG, 9: INT}
_PLACES = {1: dict.fromkeys(range(1, 9), DOUBLE), 2: [INT]}
_COLUMN = {
    1: INT, 2: [INT], 3: [TEXT], 4: INT, 5: INT, 6: INT, 7: INT, 8: [_PAIR], 9: INT, 10: INT, 11: INT, 12: _STATISTICS,
    13: [{1: INT, 2: INT, 3: INT}], 14: INT, 15: INT, 16: {1: INT, 2: [INT], 3: [INT]}, 17: _PLACES,
}  # fmt: skip
_CIPHER = {1: TEXT, 2: TEXT, 3: FLAG}
_CHUNK = {
    1: TEXT, 2: INT, 3: _COLUMN, 4: INT, 5: INT, 6: INT, 7: INT, 8: {1: _EMPTY, 2: {1: [TEXT], 2: TEXT}}, 9: TEXT,
}  # fmt: skip
_GROUP = {1: [_CHUNK], 2: INT, 3: INT, 4: [{1: INT, 2: FLAG, 3: FLAG}], 5: INT, 6: INT, 7: INT}
FOOTER: Final[dict[int, Any]] = {
    1: INT, 2: [_ELEMENT], 3: INT, 4: [_GROUP], 5: [_PAIR], 6: TEXT, 7: [dict.fromkeys((1, 2), _EMPTY)],
    8: {1: _CIPHER, 2: _CIPHER}, 9: TEXT,
}  # fmt: skip
PAGE: Final[dict[int, Any]] = {
    1: INT, 2: INT, 3: INT, 4: INT, 5: {1: INT, 2: INT, 3: INT, 4: INT, 5: _STATISTICS}, 6: _EMPTY,
    7: {1: INT, 2: INT, 3: FLAG}, 8: {1: INT, 2: INT, 3: INT, 4: INT, 5: INT, 6: INT, 7: FLAG, 8: _STATISTICS},
}  # fmt: skip
