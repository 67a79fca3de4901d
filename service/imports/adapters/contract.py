"""What an adapter is: a function from files to batches of canonical rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from features.kinds.contract import Kind
from service.imports.chunks import Advance
from service.imports.report import UnusedColumn


@dataclass(frozen=True)
class Batch:
    """Canonical rows of one kind from one file.

    Attributes
    ----------
    rows
        ``line`` and the kind's columns.
    rejects
        Rows of the file that cannot be loaded, with line, column, value and reason.
    rows_read
        Rows of the file that these came from; 0 where an earlier batch counted them.
    missing
        By column, the rows without a value, of ``looked_at``; None: those of ``rows``.
    without_known_on
        ``line`` of the rows whose known_on is the kind's usual day for want of one; None: none is.
    sources
        Our column -> what the file calls it, where that differs.
    no_texts
        By column of texts, the lines whose cells a spreadsheet holds as something else.
    unused
        Columns of the file that are not read, as far as they are known by now; of an adapter, which says itself what
        it leaves out, none.
    """

    file: str
    kind: Kind
    rows: pl.DataFrame
    rejects: pl.DataFrame
    rows_read: int
    missing: Mapping[str, int] | None = None
    looked_at: int = 0
    without_known_on: pl.DataFrame | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    no_texts: Mapping[str, list[int]] = field(default_factory=dict)
    unused: Sequence[UnusedColumn] = ()


@dataclass(frozen=True)
class Options:
    """What a source may need to be told.

    Attributes
    ----------
    today
        Business date of the import; nothing may lie after it.
    outcome_on
        The day to which labels without a date belong; None: the source's own rule.
    """

    today: date
    outcome_on: date | None = None


@dataclass(frozen=True)
class Adapter:
    """A source: its name, what it maps and what it leaves out, its files and its reader.

    Attributes
    ----------
    strangers
        What else is in the folder, in words; only of one whose files' names are free.
    """

    name: str
    summary: str
    left_out: tuple[str, ...]
    files: Callable[[Path], list[Path]]
    read: Callable[[Path, Options, Advance], Iterator[Batch]]
    strangers: Callable[[Path], tuple[str, ...]] = lambda _: ()
