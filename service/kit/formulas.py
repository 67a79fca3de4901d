"""Texts that a spreadsheet would take for a formula get an apostrophe on the way out, and lose it on the way in."""

from typing import Final

import polars as pl

STARTS: Final = "'=+-@\t\r\n＝＋－＠"
"""What a formula may begin with, full-width forms among them; and the apostrophe itself, so that it comes back."""
_ANY: Final = f"[{STARTS.replace('-', chr(92) + '-')}]"


def guarded(text: pl.Expr) -> pl.Expr:
    """Put an apostrophe before a text that a spreadsheet would compute, or that begins with one.

    Examples
    --------
    >>> texts = pl.DataFrame({"text": ["=1+1", "'tis", "－5", "a=b", None]})
    >>> texts.select(guarded(pl.col("text"))).to_series().to_list()
    ["'=1+1", "''tis", "'－5", 'a=b', None]
    """
    return text.str.replace(f"^({_ANY})", "'$1")


def unguarded(text: pl.Expr) -> pl.Expr:
    """Take the apostrophe off again: ``unguarded(guarded(text))`` is the text, whatever it is.

    An apostrophe before anything else stays: it is the text's own.

    Examples
    --------
    >>> texts = pl.DataFrame({"text": ["'=1+1", "''tis", "'tis", "a", None]})
    >>> texts.select(unguarded(pl.col("text"))).to_series().to_list()
    ['=1+1', "'tis", "'tis", 'a', None]
    """
    return text.str.replace(f"^'({_ANY})", "$1")
