"""Rows that are no rows, gathered until a chunk is full."""

from functools import lru_cache

import polars as pl

from features.kinds.contract import Fault
from service.imports.chunks import REJECTS, ImportFailedError, fault, said, shown

NUL = fault(
    "has a NUL character", "含 NUL 字符", "remove it; if every row has some, save the file as 'CSV UTF-8'",
    "请删去该字符；若每行都有，请将文件另存为“CSV UTF-8”",
)  # fmt: skip


MOST_REJECTS = 200_000
MOST_UNLESS_FEWER = 10_000
"""With more, and more than there are good rows, a file is not what it was taken for."""


class Rejected:
    """The rejected rows of one file since they were last taken.

    Attributes
    ----------
    good
        Good rows so far, which the reader counts.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = self.good = 0
        self._rows: list[tuple[str, int, str, str, str, str, str, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, line: int, column: str, value: str, fault: Fault) -> None:
        """Reject a row.

        Raises
        ------
        ImportFailedError
            If so many are rejected that the file must be of another form.
        """
        self._count += 1
        if self._count > MOST_REJECTS or self._count > max(MOST_UNLESS_FEWER, self.good):
            raise ImportFailedError(f"{self._file}, line {line}", _too_many(self._count, fault))
        self._rows.append((self._file, line, shown(column), shown(value), *said(fault)))

    def take(self) -> pl.DataFrame:
        """Return them as a table, and begin anew."""
        rows, self._rows = self._rows, []
        return pl.DataFrame(rows, schema=REJECTS, orient="row")


def _too_many(count: int, last: Fault) -> Fault:
    return fault(
        f"{count:,} rows are no rows, this one for: {last.reason.en}",
        f"{count:,} 行不是数据行，该行的原因：{last.reason.zh}",
        "check format, delimiter and encoding",
        "请核对格式、分隔符与编码",
    )


@lru_cache
def not_text(encoding: str) -> Fault:
    """Return what is wrong with bytes that an encoding does not have."""
    return fault(
        f"not {encoding} text",
        f"不是 {encoding} 文本",
        "save the file as 'CSV UTF-8', or name its encoding",
        "请将文件另存为“CSV UTF-8”，或指明其编码",
    )


def is_undecodable(text: str) -> bool:
    """Tell whether a text has marks of bytes that could not be read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
