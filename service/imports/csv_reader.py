"""Read a CSV file, plain or gzipped, in chunks of text columns; every row keeps its line number."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import polars as pl

from features.kinds.contract import Fault
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault, hidden, no_rejects, reject

CHUNK_ROWS = 100_000
LONGEST_LINE = 1 << 20


def read_csv(
    path: Path, required: tuple[str, ...], advance: Advance, optional: tuple[str, ...] = ()
) -> Iterator[Chunk]:
    """Read a file chunk by chunk.

    Parameters
    ----------
    path
        A UTF-8 file with a header line, with or without byte order mark; gzipped if its name ends in ``.gz``.
    required, optional
        Columns to keep; the others are passed over.
    advance
        Called with the number of bytes of the file read since the last call.

    Raises
    ------
    ImportFailedError
        If the file is absent, damaged, empty or lacks a required column.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise ImportFailedError(f"{path}: {error.strerror or error}.") from None
    with raw:
        yield from read_stream(raw, path.name, required, advance, optional, is_gzipped=path.suffix == ".gz")


def read_stream(
    raw: IO[bytes],
    file: str,
    required: tuple[str, ...],
    advance: Advance,
    optional: tuple[str, ...] = (),
    *,
    is_gzipped: bool,
) -> Iterator[Chunk]:
    """Read an open file chunk by chunk, as `read_csv` does; ``file`` is what messages call it."""
    with ExitStack() as stack:
        lines = _lines(stack, raw, file, is_gzipped=is_gzipped)
        header, reader = _header(file, lines, required, optional)
        wanted = [name for name in (*required, *optional) if name in header]
        position = 0
        while chunk := _next_chunk(file, reader, header, wanted):
            yield chunk
            advance(raw.tell() - position)
            position = raw.tell()


def _lines(stack: ExitStack, raw: IO[bytes], file: str, *, is_gzipped: bool) -> Iterator[str]:
    stream: Any = stack.enter_context(gzip.GzipFile(fileobj=raw)) if is_gzipped else raw
    text = stack.enter_context(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    number = 0
    while True:
        try:
            line = text.readline(LONGEST_LINE)
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFailedError(f"{file}: the file is damaged after line {number}: {error}.") from None
        if not line:
            return
        number += 1
        if len(line) == LONGEST_LINE:
            raise ImportFailedError(f"{file}, line {number}: longer than {LONGEST_LINE} characters.")
        yield line


def _header(
    file: str, lines: Iterator[str], required: tuple[str, ...], optional: tuple[str, ...]
) -> "tuple[list[str], csv._reader]":  # type: ignore[name-defined]
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise ImportFailedError(f"{file}: the file is empty; a header line is expected.")
    if missing := [name for name in required if name not in header]:
        found = _readable(", ".join(header), 500)
        raise ImportFailedError(f"{file}, line 1: column '{missing[0]}' is missing. Columns found: {found}.")
    if repeated := [name for name in (*required, *optional) if header.count(name) > 1]:
        raise ImportFailedError(f"{file}, line 1: column '{repeated[0]}' stands twice.")
    return header, reader


def _next_chunk(file: str, reader: "csv._reader", header: list[str], wanted: list[str]) -> Chunk | None:  # type: ignore[name-defined]
    lines: list[int] = []
    rows: list[list[str]] = []
    rejects: list[pl.DataFrame] = []
    while len(rows) < CHUNK_ROWS:
        first = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            rejects.append(_swallowed(file, first, reader.line_num))
            continue
        if not row:
            continue
        if reader.line_num > first:
            rejects.append(_swallowed(file, first, reader.line_num))
            continue
        if len(row) != len(header):
            rejects.append(reject(file, reader.line_num, "", _readable(",".join(row)), _ragged(len(row), len(header))))
            continue
        lines.append(reader.line_num)
        rows.append(row)
    if not rows and not rejects:
        return None
    frame, undecodable = _frame(file, header, wanted, lines, rows)
    return Chunk(frame, pl.concat([no_rejects(), *rejects, *undecodable]))


def _swallowed(file: str, first: int, last: int) -> pl.DataFrame:
    """Reject every line of a record that spans several: a quote left open swallows the rows that follow it."""
    swallowed = fault(
        f"inside a quoted field that opens on line {first} and spans lines to {last}; a quote left open?",
        f"位于第 {first} 行开始、至第 {last} 行结束的引号内；引号是否未闭合？",
        f"close or double the quote on line {first}; a text stands on one line",
        f"请闭合第 {first} 行的引号，或改写为两个引号；文本须在一行之内",
    )
    return pl.concat([reject(file, line, "", "", swallowed) for line in range(first, last + 1)])


def _ragged(found: int, expected: int) -> Fault:
    return fault(
        f"{found} fields where the header has {expected}",
        f"有 {found} 个字段，而表头有 {expected} 个",
        "put texts that hold the separator into quotes; give every row as many fields as the header",
        "含分隔符的文本请加引号；每行的字段数须与表头一致",
    )


def _frame(
    file: str, header: list[str], wanted: list[str], lines: list[int], rows: list[list[str]]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    rejects = []
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ())
    try:
        texts = {name: pl.Series(name, columns[name], dtype=pl.String) for name in wanted}
    except UnicodeEncodeError:
        bad = [index for index, row in enumerate(rows) if any(map(_is_undecodable, row))]
        rejects = [reject(file, lines[index], "", _readable(",".join(rows[index])), _NOT_TEXT) for index in bad]
        keep = [index for index in range(len(rows)) if index not in set(bad)]
        frame, _ = _frame(file, header, wanted, [lines[i] for i in keep], [rows[i] for i in keep])
        return frame, rejects
    frame = pl.DataFrame({"line": pl.Series(lines, dtype=pl.Int64), **texts})
    empty_is_null = [pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in wanted]
    return frame.with_columns(empty_is_null), rejects


_NOT_TEXT = fault("not UTF-8 text", "不是 UTF-8 文本", "save the file as 'CSV UTF-8'", "请将文件另存为“CSV UTF-8”")


def _is_undecodable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _readable(text: str, length: int = 200) -> str:
    return hidden(text.encode(errors="replace").decode())[:length]
