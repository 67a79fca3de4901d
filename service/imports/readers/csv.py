"""Read CSV: blocks without oddities at once by polars, the others row by row; both give the same."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.kinds.contract import Fault
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault, no_such
from service.imports.readers.content import Content, format_of, opened
from service.imports.readers.contract import CHUNK_ROWS, MOST_CHUNK_BYTES, Reading
from service.imports.readers.csv_blocks import LONGEST_FIELD, Layout, read_block
from service.imports.readers.header import NO_HEADER, MissingColumnsError, stands_twice
from service.imports.readers.rejected import NUL, Rejected, is_undecodable, not_text
from service.imports.readers.text import Text

DELIMITERS = (",", ";", "\t", "|")
_HAS_NUL = fault(
    "columns are missing, and the line has NUL characters", "缺少列，且该行含 NUL 字符", "save it as 'CSV UTF-8'",
    "请另存为“CSV UTF-8”",
)  # fmt: skip
SOURCE = Reading(format="csv", encoding="utf-8", delimiter=",")
"""How files of known sources are read unless they are told to be otherwise."""


def read_csv(
    path: Path,
    required: tuple[str, ...],
    advance: Advance,
    optional: tuple[str, ...] = (),
    reading: Reading = SOURCE,
) -> Iterator[Chunk]:
    """Read a source's file chunk by chunk, each value as it stands there.

    Parameters
    ----------
    path
        A file with a header line, plain or gzipped.
    required, optional
        Columns to keep; the others are passed over.
    advance
        Called with the number of bytes of the file read since the last call.

    Raises
    ------
    ImportFailedError
        If the file is absent, damaged, empty or lacks a required column.
    """
    with opened(path) as raw:
        content = Content(raw, path.name)
        format_of(content, reading)
        yield from read_content(content, required, optional, advance, reading)


def read_content(
    content: Content, required: tuple[str, ...], optional: tuple[str, ...], advance: Advance, reading: Reading
) -> Iterator[Chunk]:
    """Read an open file, as `read_csv` does."""
    text = Text(content, reading.encoding, has_returns=True)
    blocks = text.blocks()
    layout, first = _header(text, blocks, required, optional, _delimiter(reading.delimiter))
    rows = _Rows(text, layout, _Lines(text, blocks, first))
    position = 0
    while chunk := rows.next_chunk():
        yield chunk
        advance(content.raw.tell() - position)
        position = content.raw.tell()


def _delimiter(told: str | None) -> str | None:
    delimiter = "\t" if told == "tab" else told
    if delimiter is not None and delimiter not in DELIMITERS:
        known = (",", ";", "|", "tab")
        raise ImportFailedError(f"delimiter '{told}'", no_such("delimiter", "分隔符", str(told), known))
    return delimiter


def _header(
    text: Text, blocks: Iterator[bytes], required: tuple[str, ...], optional: tuple[str, ...], told: str | None
) -> tuple[Layout, bytes]:
    """Return the layout that the header line says, and what is left of its block."""
    block = next(blocks, b"")
    line = io.StringIO(block.decode(errors="surrogateescape"), newline="").readline()
    text.check_line(line, 1)
    rest = block[len(line.encode(errors="surrogateescape")) :]
    place = f"{text.file}, line 1"
    headers = {mark: _names(line, mark) for mark in ((told,) if told else DELIMITERS)}
    wanted = {*required, *optional}
    delimiter = max(headers, key=lambda mark: (len(wanted.intersection(headers[mark])), len(headers[mark])))
    header = tuple(headers[delimiter])
    if not any(header):
        raise ImportFailedError(place, NO_HEADER)
    if missing := [name for name in required if name not in header]:
        raise ImportFailedError(place, _HAS_NUL) if "\0" in line else MissingColumnsError(place, missing, header)
    if repeated := [name for name in (*required, *optional) if header.count(name) > 1]:
        raise ImportFailedError(place, stands_twice(repeated[0]))
    return Layout(header, tuple(name for name in (*required, *optional) if name in header), delimiter), rest


def _names(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


class _Lines:
    """The lines that are read row by row; a record that spans lines may run on into the blocks that follow."""

    def __init__(self, text: Text, blocks: Iterator[bytes], first: bytes) -> None:
        self._text, self._blocks, self._first = text, blocks, first
        self._lines: list[str] = []
        self._next = 0
        self.number = 1
        self.is_odd = False
        """Whether the block has bytes that are no text, or NUL characters."""

    def next_block(self) -> bytes | None:
        first, self._first = self._first, b""
        return first or next(self._blocks, None)

    def load(self, block: bytes) -> None:
        try:
            text = block.decode()
            self.is_odd = "\0" in text
        except UnicodeDecodeError:
            text = block.decode(errors="surrogateescape")
            self.is_odd = True
        self._lines, self._next = list(io.StringIO(text, newline="")), 0

    def is_spent(self) -> bool:
        return self._next >= len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while self.is_spent():
            block = self.next_block()
            if block is None:
                raise StopIteration
            self.load(block)
        line = self._lines[self._next]
        self._next += 1
        self.number += 1
        self._text.check_line(line, self.number)
        return line


@dataclass
class _Gathered:
    """Rows read one by one."""

    lines: list[int]
    rows: list[list[str]]

    def frame(self, layout: Layout) -> pl.DataFrame:
        columns = dict(zip(layout.header, zip(*self.rows, strict=True), strict=False)) if self.rows else {}
        texts = {name: pl.Series(name, columns.get(name, ()), dtype=pl.String) for name in layout.wanted}
        return pl.DataFrame({"line": pl.Series(self.lines, dtype=pl.Int64), **texts}).with_columns(
            pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in layout.wanted
        )


class _Rows:
    """The rows of a file, and those that are none."""

    def __init__(self, text: Text, layout: Layout, lines: _Lines) -> None:
        self._layout, self._lines = layout, lines
        self._rejected, self._is_begun = Rejected(text.file), False
        self._not_text = not_text(text.encoding)
        self._reader = csv.reader(lines, delimiter=layout.delimiter)

    def next_chunk(self) -> Chunk | None:
        frames: list[pl.DataFrame] = []
        rows = size = 0
        while rows + len(self._rejected) < CHUNK_ROWS and size < MOST_CHUNK_BYTES:
            block = self._lines.next_block()
            if block is None:
                break
            frame = read_block(block, self._layout, self._lines.number)
            if frame is None:
                self._lines.load(block)
                frame = self._row_by_row()
            else:
                self._lines.number += len(frame)
            frames.append(frame)
            rows, size = rows + len(frame), size + len(block)
            self._rejected.good += len(frame)
        if not frames and self._is_begun:
            return None
        self._is_begun = True
        none = _Gathered([], []).frame(self._layout)
        return Chunk(pl.concat([none, *frames], rechunk=True), self._rejected.take(), self._layout.header)

    def _row_by_row(self) -> pl.DataFrame:
        """Read the lines that are loaded, and those that follow as far as a record runs on."""
        gathered = _Gathered([], [])
        while not self._lines.is_spent():
            first = self._lines.number + 1
            try:
                row = next(self._reader, None)
            except csv.Error:
                self._swallow(first)
                continue
            line = self._lines.number
            if not row:
                continue
            if line > first:
                self._swallow(first)
            elif self._is_row(line, row):
                gathered.lines.append(line)
                gathered.rows.append(row)
        return gathered.frame(self._layout)

    def _is_row(self, line: int, row: list[str]) -> bool:
        header = self._layout.header
        if len(row) != len(header):
            self._rejected.add(line, "", "", _ragged(len(row), len(header)))
            return False
        if self._lines.is_odd:
            for name, value in zip(header, row, strict=True):
                if is_undecodable(value) or "\0" in value:
                    self._rejected.add(line, name, value, NUL if "\0" in value else self._not_text)
                    return False
        return True

    def _swallow(self, first: int) -> None:
        """Reject every line of a record that spans several: a quote left open swallows the rows that follow it."""
        last = self._lines.number
        swallowed = _too_long_a_field() if first == last else _swallowed(first, last)
        for line in range(first, last + 1):
            self._rejected.add(line, "", "", swallowed)


def _too_long_a_field() -> Fault:
    return fault(
        f"a value longer than {LONGEST_FIELD:,} characters",
        f"有超过 {LONGEST_FIELD:,} 个字符的值",
        "shorten it, or close the quote",
        "请缩短，或闭合引号",
    )


def _swallowed(first: int, last: int) -> Fault:
    return fault(
        f"inside a quoted field that opens on line {first} and spans lines to {last}; a quote left open?",
        f"位于第 {first} 行开始、至第 {last} 行结束的引号内；引号是否未闭合？",
        f"close or double the quote on line {first}; a text stands on one line",
        f"请闭合第 {first} 行的引号，或改写为两个引号；文本须在一行之内",
    )


def _ragged(found: int, expected: int) -> Fault:
    return fault(
        f"{found} fields where the header has {expected}",
        f"有 {found} 个字段，而表头有 {expected} 个",
        "put texts that hold the separator into quotes; give every row as many fields as the header",
        "含分隔符的文本请加引号；每行的字段数须与表头一致",
    )
