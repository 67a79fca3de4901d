"""Read a block of CSV at once, if nothing in it needs to be looked at row by row."""

import codecs
from dataclasses import dataclass

import numpy as np
import polars as pl

LONGEST_FIELD = 131_072
"""Characters of the longest field that Python's ``csv`` reads."""
_LINE_END, _QUOTE = 10, 34


@dataclass(frozen=True)
class Layout:
    """A file's columns: those of its header, those that are kept, and what stands between them."""

    header: tuple[str, ...]
    wanted: tuple[str, ...]
    delimiter: str


def read_block(block: bytes, layout: Layout, lines_before: int) -> pl.DataFrame | None:
    r"""Read a block that ends with a line's end; None if it has anything odd.

    Odd are: a blank line, a row of more or fewer fields than the header, a line as long as no field may be, bytes that
    are no UTF-8, a NUL, a carriage return that is not part of a line's end, and a quote that is not the first or last
    character of a field.

    Parameters
    ----------
    lines_before
        Number of the line before the first.

    Returns
    -------
    polars.DataFrame or None
        ``line`` and the wanted columns, empty fields null.

    Examples
    --------
    >>> layout = Layout(("a", "b", "c"), ("c", "a"), ",")
    >>> read_block(b'1,2,3\r\n4,"5,5",\r\n', layout, 1).rows()
    [(2, '3', '1'), (3, None, '4')]
    >>> read_block(b"1,2\n", layout, 1) is None
    True
    """
    plain = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if b"\r" in plain or b"\0" in plain or plain.startswith(codecs.BOM_UTF8) or not _is_utf8(plain):
        return None
    is_quoted = b'"' in plain
    rows = _even_rows(np.frombuffer(plain, dtype=np.uint8), layout, is_quoted=is_quoted)
    if not rows:
        return None
    frame = _parse(plain, layout, is_quoted=is_quoted)
    assert len(frame) == rows
    line = pl.int_range(lines_before + 1, lines_before + 1 + rows, dtype=pl.Int64, eager=True).alias("line")
    return frame.select(line, *layout.wanted)


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _even_rows(block: "np.ndarray[tuple[int], np.dtype[np.uint8]]", layout: Layout, *, is_quoted: bool) -> int:
    """Return the number of rows if each has the header's number of fields, and none is odd; else 0."""
    ends = np.flatnonzero(block == _LINE_END)
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() == 0 or lengths.max() >= LONGEST_FIELD:
        return 0
    marks = np.flatnonzero(block == ord(layout.delimiter))
    if is_quoted:
        quotes = np.flatnonzero(block == _QUOTE)
        if not _are_around_fields(block, quotes, ends, layout.delimiter):
            return 0
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    between = len(layout.header) - 1
    if len(marks) != between * len(ends):
        return 0
    if between:
        by_row = marks.reshape(len(ends), between)
        if (by_row[:, -1] > ends).any() or (by_row[1:, 0] < ends[:-1]).any():
            return 0
    return len(ends)


def _are_around_fields(
    block: "np.ndarray[tuple[int], np.dtype[np.uint8]]",
    quotes: "np.ndarray[tuple[int], np.dtype[np.intp]]",
    ends: "np.ndarray[tuple[int], np.dtype[np.intp]]",
    delimiter: str,
) -> bool:
    """Tell whether quotes come in pairs, each of which begins and ends one field of one line."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    edges = np.array([_LINE_END, ord(delimiter)], dtype=np.uint8)
    before, after = block[np.maximum(opening - 1, 0)], block[closing + 1]
    is_one_line = np.searchsorted(ends, opening) == np.searchsorted(ends, closing)
    return bool((np.isin(before, edges) | (opening == 0)).all() and np.isin(after, edges).all() and is_one_line.all())


def _parse(block: bytes, layout: Layout, *, is_quoted: bool) -> pl.DataFrame:
    positions = sorted(layout.header.index(name) for name in layout.wanted)
    frame = pl.read_csv(
        block,
        has_header=False,
        schema={str(position): pl.String for position in range(len(layout.header))},
        columns=positions,
        separator=layout.delimiter,
        quote_char='"' if is_quoted else None,
    ).rename({str(position): layout.header[position] for position in positions})
    if is_quoted:
        return frame.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in layout.wanted)
    return frame
