"""Texts that a spreadsheet would take for a formula get an apostrophe on the way out, and lose it on the way in."""

from typing import Final

import polars as pl

STARTS: Final = "=+-@\t\r\n＝＋－＠"
"""What a formula may begin with, full-width forms among them."""
_ANY: Final = f"[{STARTS.replace('-', chr(92) + '-')}]"


def guarded(text: pl.Expr) -> pl.Expr:
    """Set an apostrophe before a text that a spreadsheet program may take for a formula.

    A text that looks as if it had been guarded gets another one, so that `unguarded` is the exact inverse.

    Examples
    --------
    >>> pl.select(guarded(pl.Series(["=1+1", "'=1+1", "－3", "O'Neill", None]))).to_series().to_list()
    ["'=1+1", "''=1+1", "'－3", "O'Neill", None]
    """
    return text.str.replace(f"^('*{_ANY})", "'${1}")


def unguarded(text: pl.Expr) -> pl.Expr:
    """Take away the apostrophe that `guarded` sets; any other text stays as it is.

    Examples
    --------
    >>> pl.select(unguarded(pl.Series(["'=1+1", "''=1+1", "=1+1", "'quoted'", None]))).to_series().to_list()
    ['=1+1', "'=1+1", '=1+1', "'quoted'", None]
    """
    return text.str.replace(f"^'('*{_ANY})", "${1}")
