"""What a feature is: its expression, its meaning, its expected direction and its words in two languages."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from functools import partial
from typing import Literal

import polars as pl

from features.context import Context

Language = Literal["en", "zh-CN"]
Rounding = Literal["ROUND_CEILING", "ROUND_FLOOR"]
_NOISE = 9
"""Digits after the point beyond which an amount is the noise of a logarithm."""
MissingRule = Literal["B", "0", "C", "N"]
FAMILIES = ("sales", "stability", "buyers", "suppliers", "invoicing", "margin", "firm", "owner", "cluster")


class ValueFormat(Enum):
    """How a feature's value is shown to a reader.

    Examples
    --------
    >>> ValueFormat.LN_YUAN.show(math.log1p(1_234_567), "en"), ValueFormat.LN_YUAN.show(math.log1p(1_234_567), "zh-CN")
    ('¥1.2m', '123 万元')
    >>> ValueFormat.DAYS.show(45.0, "en"), ValueFormat.DAYS.show(45.0, "zh-CN"), ValueFormat.PERCENT.show(0.18, "en")
    ('45 days', '45 天', '18%')
    >>> [ValueFormat.PERCENT.show(0.5256, "en", way) for way in (None, "ROUND_CEILING", "ROUND_FLOOR")]
    ['53%', '53%', '52%']
    """

    RATIO = "ratio"
    PERCENT = "percent"
    DAYS = "days"
    MONTHS = "months"
    YEARS = "years"
    LN_YUAN = "ln_yuan"
    LN_COUNT = "ln_count"
    LN_MONTHS = "ln_months"
    LN_CHANGE = "ln_change"
    INDEX = "index"

    def show(self, value: float, language: Language, rounding: Rounding | None = None) -> str:
        """Return the value in words, rounded to the nearest or as told; NaN is said to be unknown."""
        if math.isnan(value) or rounding is None:
            return self.shower(language)(value)
        return self._words(language)(self._rounded(value, language, rounding))

    def shower(self, language: Language) -> Callable[[float], str]:
        """Return what shows a value, rounded to the nearest: for many values, chosen once."""
        words, unknown = self._words(language), "未知" if language == "zh-CN" else "unknown"
        if self.value.startswith("ln_"):
            return lambda value: unknown if value != value else words(math.expm1(value))  # noqa: PLR0124
        return lambda value: unknown if value != value else words(value)  # noqa: PLR0124

    def _amount(self, value: float) -> float:
        return math.expm1(value) if self.value.startswith("ln_") else value

    def _value(self, amount: float) -> float:
        return math.log1p(amount) if self.value.startswith("ln_") else amount

    def _rounded(self, value: float, language: Language, rounding: Rounding) -> float:
        """Return an amount that is shown as it is, and whose value is not below (ROUND_CEILING) or above another."""
        amount = Decimal(repr(round(self._amount(value), _NOISE)))
        step = self._step(float(amount), language)
        shown = (amount / step).to_integral_value(rounding) * step
        is_short = self._value(float(shown)) < value if rounding == ROUND_CEILING else self._value(float(shown)) > value
        if is_short:  # by the noise that was rounded off
            shown += step if rounding == ROUND_CEILING else -step
        return float(shown)

    def _step(self, amount: float, language: Language) -> Decimal:
        """Return the distance of the amounts that can be told apart when shown."""
        if self is ValueFormat.LN_YUAN:
            size, digits, _ = _yuan_unit(amount, is_chinese=language == "zh-CN")
            return Decimal(int(size)).scaleb(-digits)
        if self in {ValueFormat.PERCENT, ValueFormat.LN_CHANGE}:
            return Decimal(1).scaleb(-2 - _percent_digits(amount))
        return Decimal(1).scaleb(-_UNITS[self][0])

    def _words(self, language: Language) -> Callable[[float], str]:
        is_chinese = language == "zh-CN"
        if self is ValueFormat.LN_YUAN:
            return partial(_yuan, is_chinese=is_chinese)
        if self in {ValueFormat.PERCENT, ValueFormat.LN_CHANGE}:
            sign = "+" if self is ValueFormat.LN_CHANGE else "-"
            return partial(_percent, finely=f"{{:{sign}.1f}}%".format, roughly=f"{{:{sign}.0f}}%".format)
        digits, en, zh = _UNITS[self]
        return partial(_quantity, write=f"{{:.{digits}f}}".format, word=zh if is_chinese else en)


_UNITS: dict[ValueFormat, tuple[int, str, str]] = {
    ValueFormat.RATIO: (2, "", ""),
    ValueFormat.INDEX: (2, "", ""),
    ValueFormat.LN_COUNT: (0, "", ""),
    ValueFormat.DAYS: (0, "days", "天"),
    ValueFormat.MONTHS: (0, "months", "个月"),
    ValueFormat.LN_MONTHS: (0, "months", "个月"),
    ValueFormat.YEARS: (1, "years", "年"),
}
"""Digits after the point, and the unit's word in English and Chinese."""


def _percent(share: float, finely: Callable[[float], str], roughly: Callable[[float], str]) -> str:
    return (finely if _percent_digits(share) else roughly)(share * 100)


def _percent_digits(share: float) -> int:
    return 1 if 0 < abs(share) < 0.1 else 0


def _quantity(value: float, write: Callable[[float], str], word: str) -> str:
    number = write(value)
    if not word:
        return number
    return f"{number} {word.removesuffix('s') if number == '1' else word}"


def _yuan(yuan: float, *, is_chinese: bool) -> str:
    size, digits, word = _yuan_unit(yuan, is_chinese=is_chinese)
    number = f"{yuan / size:,.{digits}f}" if word else f"{yuan:.0f}"
    number = number.removesuffix(".0")
    return f"{number}{word or ' 元'}" if is_chinese else f"¥{number}{word}"


def _yuan_unit(yuan: float, *, is_chinese: bool) -> tuple[float, int, str]:
    """Return the unit that an amount is shown in, with how many digits after the point, and the unit's word."""
    steps = ((1e8, " 亿元"), (1e4, " 万元")) if is_chinese else ((1e9, "bn"), (1e6, "m"), (1e3, "k"))
    for size, word in steps:
        if abs(yuan) >= size * 0.9995:
            return size, 0 if abs(yuan / size) >= 99.95 else 1, word
    return 1.0, 0, ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Feature:
    """One column of the matrix.

    Attributes
    ----------
    sign
        +1 if a higher value should raise the PD, -1 if it should lower it, 0 if no direction is imposed.
    missing
        What stands for an unknown value: "B" stays NaN (a bin of its own), "0" a true zero, "C" the context's
        value and a flag, "N" a neutral zero and a flag.
    tables
        Shared passes over the data whose columns the expression reads.
    expression
        Elementwise, over those columns.
    fallback
        For "C": the value to use, from the day's context.
    stand_in
        For "C", of a firm: its cluster's value, over the columns of ``tables``; where that is null, the fallback.
    """

    name: str
    unit: str
    family: str
    sign: Literal[-1, 0, 1]
    missing: MissingRule
    value_format: ValueFormat
    en: str
    zh: str
    worse_en: str
    worse_zh: str
    better_en: str
    better_zh: str
    source: str
    description: str
    tables: tuple[str, ...]
    expression: pl.Expr
    fallback: Callable[[Context], float] | None
    stand_in: pl.Expr | None

    def label(self, language: Language) -> str:
        """Return the feature's name for a reader."""
        return self.zh if language == "zh-CN" else self.en

    def phrase(self, language: Language, *, is_worse: bool) -> str:
        """Return the short reason: what about this feature raised (or lowered) the risk."""
        if language == "zh-CN":
            return self.worse_zh if is_worse else self.better_zh
        return self.worse_en if is_worse else self.better_en

    def show(self, value: float, language: Language, rounding: Rounding | None = None) -> str:
        """Return a value in words."""
        return self.value_format.show(value, language, rounding)

    def shower(self, language: Language) -> Callable[[float], str]:
        """Return what shows a value in words: for many values, chosen once."""
        return self.value_format.shower(language)


CATALOG: dict[str, Feature] = {}
"""Every feature by name, in the order of definition; complete once ``features.build`` is imported."""


def feature(
    *,
    tables: tuple[str, ...],
    unit: str,
    family: str,
    sign: Literal[-1, 0, 1],
    missing: MissingRule,
    value_format: ValueFormat,
    en: str,
    zh: str,
    worse_en: str,
    worse_zh: str,
    better_en: str,
    better_zh: str,
    source: str,
    fallback: Callable[[Context], float] | None = None,
    stand_in: pl.Expr | None = None,
) -> Callable[[Callable[[], pl.Expr]], Callable[[], pl.Expr]]:
    """Enter a function into the catalogue as a feature of the same name.

    The function returns an elementwise Polars expression over the columns of ``tables``, one row a firm; null
    says unknown. Its docstring is the feature's definition.

    Raises
    ------
    ValueError
        If the name is taken, the family unknown, the docstring missing, or "C" has no fallback.
    """

    def register(function: Callable[[], pl.Expr]) -> Callable[[], pl.Expr]:
        name = function.__name__
        if name in CATALOG:
            raise ValueError(f"feature {name} is defined twice")
        if family not in FAMILIES:
            raise ValueError(f"feature {name}: unknown family {family}")
        if not function.__doc__:
            raise ValueError(f"feature {name} has no docstring")
        if (missing == "C") != (fallback is not None):
            raise ValueError(f"feature {name}: a fallback belongs to missing rule C and only there")
        CATALOG[name] = Feature(
            name=name,
            unit=unit,
            family=family,
            sign=sign,
            missing=missing,
            value_format=value_format,
            en=en,
            zh=zh,
            worse_en=worse_en,
            worse_zh=worse_zh,
            better_en=better_en,
            better_zh=better_zh,
            source=source,
            description=" ".join(function.__doc__.split()),
            tables=tables,
            expression=function(),
            fallback=fallback,
            stand_in=stand_in,
        )
        return function

    return register
