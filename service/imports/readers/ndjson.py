"""Read NDJSON: one JSON object a line, numbers with the digits that stand there."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from math import isfinite

import polars as pl

from features.kinds.contract import Fault
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault
from service.imports.readers.content import Content
from service.imports.readers.contract import CHUNK_ROWS, MOST_CHUNK_BYTES, Reading
from service.imports.readers.header import MissingColumnsError
from service.imports.readers.rejected import NUL, Rejected, is_undecodable, not_text
from service.imports.readers.text import Text
from service.kit.numbers import written

_NOT_FINITE = fault("not a finite number", "不是有限的数", "write a finite number, or null", "请填写有限的数，或 null")
_NESTED = fault(
    "a list or an object where one value is expected", "应为单个值，却是列表或对象",
    "write one value; give each part a column of its own", "请填写单个值；各部分请分列填写",
)  # fmt: skip
_TWICE = fault("the key stands twice", "该键出现两次", "leave one of them", "请只保留一个")
_NO_OBJECT = fault(
    "not a JSON object", "不是 JSON 对象", "write one object a line, without a list around them",
    "请每行写一个对象，外面不加列表",
)  # fmt: skip
_LIST = fault("this is a JSON list", "这是 JSON 列表", "write one object a line", "请每行写一个对象，外面不加列表")
_TOO_DEEP = fault("nested too deep", "嵌套过深", "write single values", "请填写单个值")


MOST_OTHERS, LONGEST_OTHER = 100, 1_000
"""Keys that are not wanted, of those that are named."""
_LIST_OF_ROWS = re.compile(rb"\[\s*(\{|$)")
_READABLE = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?")


class _NotFinite(str):
    """What stands in place of a number that is none."""

    __slots__ = ()


class _Twice(dict[str, object]):
    """An object of which some keys stand twice."""

    __slots__ = ("keys_twice",)

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.keys_twice = {name for name in self if names.count(name) > 1} if len(names) < 1000 else set(names)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Twice(pairs)


def _number(digits: str) -> str:
    """Keep a number's digits; of more decimals than are read, write the same number so that it can be read."""
    if _READABLE.fullmatch(digits):
        return digits
    number = float(digits)
    if not isfinite(number):
        return _NotFinite(digits)
    try:
        is_same = Decimal(digits) == Decimal(repr(number))
    except InvalidOperation:
        return digits
    return written(number) if is_same else digits


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=str, parse_constant=_NotFinite)


def read_content(
    content: Content, required: tuple[str, ...], optional: tuple[str, ...], advance: Advance, reading: Reading
) -> Iterator[Chunk]:
    """Read an open file; its rows' numbers are those of its lines.

    Raises
    ------
    ImportFailedError
        If it is damaged, a list of rows, or no row of it has a required key.
    """
    text = Text(content, reading.encoding, has_returns=False)
    if text.encoding != "UTF-8":
        words = (f"NDJSON is UTF-8, and it is {text.encoding}", f"NDJSON 应为 UTF-8，该文件是 {text.encoding}")
        raise ImportFailedError(content.file, fault(*words, "save it as UTF-8", "请以 UTF-8 保存"))
    rows = _Rows(content.file, (*required, *optional))
    position = size = 0
    for block in text.blocks():
        rows.take_in(text, block)
        size += len(block)
        if len(rows) >= CHUNK_ROWS or size >= MOST_CHUNK_BYTES:
            yield rows.chunk()
            size = 0
            advance(content.raw.tell() - position)
            position = content.raw.tell()
    if len(rows) or position == 0:
        yield rows.chunk()
        advance(content.raw.tell() - position)
    absent = [name for name in required if name not in rows.seen]
    if absent and rows.has_objects:
        raise MissingColumnsError(f"{content.file}, every row", absent, rows.seen, has_header=False)


class _Rows:
    """Rows gathered until a chunk is full."""

    def __init__(self, file: str, names: tuple[str, ...]) -> None:
        self._names = names
        self._file, self._rejected = file, Rejected(file)
        self._line, self._has_begun = 0, False
        self._lines: list[int] = []
        self._rows: list[tuple[str | None, ...]] = []
        self.seen: dict[str, None] = {}
        """Keys that are wanted, and the first `MOST_OTHERS` that are not, without those that are too long."""
        self.has_objects = False

    def __len__(self) -> int:
        return len(self._rows) + len(self._rejected)

    def take_in(self, text: Text, block: bytes) -> None:
        for line in block.split(b"\n")[:-1]:
            self._line += 1
            text.check_line(line, self._line)
            if not (stripped := line.strip(b" \t\r")):
                continue
            if not self._has_begun and _LIST_OF_ROWS.match(stripped):
                raise ImportFailedError(self._file, _LIST)
            self._has_begun = True
            row = self._row(line)
            if row is not None:
                self._lines.append(self._line)
                self._rows.append(row)
                self._rejected.good += 1

    def chunk(self) -> Chunk:
        lines, rows = self._lines, self._rows
        self._lines, self._rows = [], []
        schema = dict.fromkeys(self._names, pl.String())
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        numbered = frame.insert_column(0, pl.Series("line", lines, dtype=pl.Int64))
        return Chunk(numbered, self._rejected.take(), tuple(self.seen))

    def _row(self, line: bytes) -> tuple[str | None, ...] | None:
        try:
            found = _DECODER.decode(line.decode())
        except UnicodeDecodeError:
            self._rejected.add(self._line, "", "", not_text("UTF-8"))
            return None
        except json.JSONDecodeError as error:
            words = fault(
                f"not JSON at character {error.pos + 1}: {error.msg}", f"第 {error.pos + 1} 个字符处不是合法的 JSON",
                "write one complete object a line", "请每行写一个完整的对象",
            )  # fmt: skip
            self._rejected.add(self._line, "", "", words)
            return None
        except RecursionError:
            self._rejected.add(self._line, "", "", _TOO_DEEP)
            return None
        if not isinstance(found, dict):
            self._rejected.add(self._line, "", "", _NO_OBJECT)
            return None
        self.has_objects = True
        if not found.keys() <= self.seen.keys():
            self._see(found)
        return self._texts(found)

    def _see(self, found: dict[str, object]) -> None:
        for name in found:
            has_room = len(self.seen) < len(self._names) + MOST_OTHERS and len(name) <= LONGEST_OTHER
            if name in self._names or has_room:
                self.seen[name] = None

    def _texts(self, found: dict[str, object]) -> tuple[str | None, ...] | None:
        texts: list[str | None] = []
        twice = found.keys_twice if isinstance(found, _Twice) else ()
        for name in self._names:
            value = found.get(name)
            if type(value) is str and value.isascii() and "\0" not in value and not twice:
                texts.append(value or None)
                continue
            text, wrong = ("", _TWICE) if name in twice else _text(value)
            if wrong is not None:
                self._rejected.add(self._line, name, _written(value), wrong)
                return None
            texts.append(text or None)
        return tuple(texts)


def _text(value: object) -> tuple[str, Fault | None]:
    """Return a value as text, and what is wrong with it."""
    if value is None:
        return "", None
    if isinstance(value, bool):
        return ("true" if value else "false"), None
    if not isinstance(value, str):
        return "", _NESTED
    if isinstance(value, _NotFinite):
        return value, _NOT_FINITE
    if is_undecodable(value):
        return value, not_text("UTF-8")
    return value, NUL if "\0" in value else None


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
