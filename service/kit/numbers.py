"""Numbers that need not be whole, written so that not a digit is lost and the import takes them back."""

import re
from typing import Final

import polars as pl

_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(e-?[0-9]{1,2})?")
_MOST_DECIMALS: Final = 15


def written(number: float) -> str:
    """Write a number with as few digits as give the same number back, at most 15 of them after the point.

    Parameters
    ----------
    number
        Finite, of at most 1e15 either way.

    Examples
    --------
    >>> [written(number) for number in (415.0, 48210.5, 0.1 + 0.2, 1e15, 1.5e-7)]
    ['415', '48210.5', '3000000000.0000004e-10', '1e15', '1.5e-7']
    """
    text = repr(number).removesuffix(".0").replace("e-0", "e-")
    if _PLAIN.fullmatch(text):
        return text
    sign, digits, exponent = _parts(text)
    whole = digits.rstrip("0") or "0"
    exponent += len(digits) - len(whole)
    before = max(1, min(len(whole), 10 if len(whole) > _MOST_DECIMALS else 1))
    point = f"{whole[:before]}.{whole[before:]}" if len(whole) > before else whole
    exponent += len(whole) - before
    return f"{sign}{point}e{exponent}" if exponent else f"{sign}{point}"


def _parts(text: str) -> tuple[str, str, int]:
    """Return sign, digits and exponent: the number is the digits times ten to the exponent."""
    mantissa, _, power = text.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, decimals = mantissa.removeprefix("-").partition(".")
    digits = (whole + decimals).lstrip("0") or "0"
    return sign, digits, int(power or 0) - len(decimals)


def as_text(column: str) -> pl.Expr:
    """Return a column of numbers as `written`."""
    return pl.col(column).map_elements(written, return_dtype=pl.String)


def is_exact_in_a_cell(number: float) -> bool:
    """Tell whether a cell keeps a number: spreadsheets keep fifteen digits, and the import takes fifteen decimals.

    Examples
    --------
    >>> is_exact_in_a_cell(48210.5), is_exact_in_a_cell(0.1 + 0.2)
    (True, False)
    """
    return float(f"{number:.15G}") == number and bool(_PLAIN.fullmatch(repr(number).removesuffix(".0")))
