"""Why this score: the units that take a firm below (or above) the population's mean, in points and words.

The mean points of a unit over the reference population less the firm's own points rank the reasons; the top
four are named, at most one per feature family (methods paper, section 1, Reasons). Over all units the
differences add up to the firm's points less the mean points: nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from features.build import CATALOG
from features.spec import FAMILIES, Language
from models.additive import AdditiveScore, FloatArray, Unit
from models.grades import FACTOR

BoolArray: TypeAlias = NDArray[np.bool_]

TOP: Final = 4
LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")


class Reason(TypedDict):
    """One reason, ready for JSON.

    Attributes
    ----------
    code
        The unit: a feature's name, or both names of a pair joined by a colon.
    features
        One name, or two of a pair.
    points
        Own points less the population's mean points of this unit; negative costs points.
    value
        The firm's value of each feature; None where unknown.
    text
        A sentence by language, "zh-CN" and "en".
    """

    code: str
    features: list[str]
    points: float
    value: list[float | None]
    text: dict[str, str]


def points_to_mean(contributions: FloatArray, mean_contributions: FloatArray) -> FloatArray:
    """Return own points less mean points of each unit, shape (n, units); negative costs points.

    Parameters
    ----------
    contributions : array of shape (n, units), log-odds of default
    mean_contributions : array of shape (units,), log-odds of default
        Of the reference population.

    Examples
    --------
    >>> points_to_mean(np.array([[0.5, 0.0]]), np.array([0.0, 0.25])).round(4)
    array([[-14.427 ,   7.2135]])
    """
    return np.asarray(-FACTOR * (contributions - mean_contributions))


def top_units(points: FloatArray, units: Sequence[Unit], top: int = TOP) -> NDArray[np.intp]:
    """Return the units that cost each row most, at most one per feature family, all rows at once.

    A pair takes the families of both its features. Units at exactly the mean are no reason.

    Parameters
    ----------
    points : array of shape (n, units)
        Own points less mean points.
    units : sequence of Step or Line
        Of catalogue features.
    top : int

    Returns
    -------
    array of shape (n, top)
        Indices of units, the costliest first; -1 where there are no more.
    """
    families = _families(units)
    rows = np.arange(len(points))
    chosen = np.full((len(points), top), -1, dtype=np.intp)
    n_chosen = np.zeros(len(points), dtype=np.intp)
    used = np.zeros((len(points), families.shape[1]), dtype=bool)
    for unit in np.argsort(points, axis=1, kind="stable").T:
        own = families[unit]
        takes = (n_chosen < top) & (points[rows, unit] != 0) & ~(used & own).any(axis=1)
        chosen[rows[takes], n_chosen[takes]] = unit[takes]
        used[takes] |= own[takes]
        n_chosen += takes
        if (n_chosen == top).all():
            break
    return chosen


def _families(units: Sequence[Unit]) -> BoolArray:
    """Return which of `FAMILIES` each unit belongs to, shape (units, families)."""
    own = [{CATALOG[name].family for name in unit.features} for unit in units]
    return np.array([[family in names for family in FAMILIES] for names in own], dtype=bool).reshape(
        len(units), len(FAMILIES)
    )


def explain(
    score: AdditiveScore,
    points: FloatArray,
    X: FloatArray,
    typical: FloatArray,
    *,
    missing: BoolArray | None = None,
    top: int = TOP,
) -> list[list[Reason]]:
    """Return the top reasons of each row, the costliest first.

    Parameters
    ----------
    score : AdditiveScore
        Whose names are in the catalogue.
    points : array of shape (n, units)
        Own points less mean points (`points_to_mean`).
    X : array of shape (n, len(score.names))
    typical : array of shape (len(score.names),)
        The population's median of each feature; NaN if it is known of no firm.
    missing : array of shape (n, len(score.names)), optional
        True where X holds a substitute for an unknown value.
    top : int

    Examples
    --------
    >>> from models.additive import Line
    >>> score = AdditiveScore(("zero_months",), -3.0, (Line("zero_months", 0.0, 1.0, 0.1, 4.0, 0.0),))
    >>> X = np.array([[0.5]])
    >>> points = points_to_mean(score.contributions(X), np.array([0.0]))
    >>> reason = explain(score, points, X, np.array([0.1]))[0][0]
    >>> reason["code"], round(reason["points"], 2), reason["value"]
    ('zero_months', -46.17, [0.5])
    """
    known = X if missing is None else np.where(missing, np.nan, X)
    usual = dict(zip(score.names, typical.tolist(), strict=True))
    wordings = [_Wording(unit, usual) for unit in score.units]
    columns = [[score.names.index(name) for name in unit.features] for unit in score.units]
    return [
        [
            wordings[unit].reason(float(points[row, unit]), known[row, columns[unit]].tolist())
            for unit in chosen.tolist()
            if unit >= 0
        ]
        for row, chosen in enumerate(top_units(points, score.units, top))
    ]


class _Wording:
    """Puts one unit into words; all but the firm's own values is written once."""

    def __init__(self, unit: Unit, typical: Mapping[str, float]) -> None:
        self.names = list(unit.features)
        self.features = [CATALOG[name] for name in self.names]
        self.typical = [typical[name] for name in self.names]
        self.pieces = {
            (language, tone): self._pieces(language, tone)
            for language in LANGUAGES
            for tone in ("worse", "better", "neutral")
        }

    def reason(self, points: float, values: list[float]) -> Reason:
        tone = "worse" if points < 0 else "better"
        if len(values) == 1 and not self._agrees(values[0], is_worse=points < 0):
            tone = "neutral"
        return {
            "code": ":".join(self.names),
            "features": self.names.copy(),
            "points": points,
            "value": [None if math.isnan(value) else value for value in values],
            "text": {language: self._text(language, tone, values) for language in LANGUAGES},
        }

    def _text(self, language: Language, tone: str, values: list[float]) -> str:
        """Fill the values in between the pieces."""
        pieces = self.pieces[language, tone]
        shown = [feature.show(value, language) for feature, value in zip(self.features, values, strict=True)]
        return "".join([word for pair in zip(pieces, shown, strict=False) for word in pair]) + pieces[-1]

    def _agrees(self, value: float, *, is_worse: bool) -> bool:
        """Tell whether a value lies on the side of the typical one that the phrase speaks of."""
        if math.isnan(value):
            return False
        sign, typical = self.features[0].sign, self.typical[0]
        if sign == 0 or math.isnan(typical):
            return True
        return sign * (value - typical) > 0 if is_worse else sign * (value - typical) < 0

    def _pieces(self, language: Language, tone: str) -> list[str]:
        """Return the text around the values, one piece more than there are values."""
        labels = [feature.label(language) for feature in self.features]
        typically = [self._typically(column, language) for column in range(len(labels))]
        is_worse, is_chinese = tone == "worse", language == "zh-CN"
        if len(labels) == 2 and is_chinese:
            end = f"{typically[1]}）的组合{'抬高' if is_worse else '降低'}了风险"
            return [f"{labels[0]}（", f"{typically[0]}）与{labels[1]}（", end]
        if len(labels) == 2:
            end = f"{typically[1]}) {'raises' if is_worse else 'lowers'} the risk"
            return [f"the combination of {labels[0]} (", f"{typically[0]}) and {labels[1]} (", end]
        if tone == "neutral":
            return [f"{labels[0]}{'：' if is_chinese else ': '}", typically[0]]
        phrase = self.features[0].phrase(language, is_worse=is_worse)
        if is_chinese:
            return [f"{phrase}（{labels[0]}：", f"{typically[0]}）"]
        return [f"{phrase} ({labels[0]}: ", f"{typically[0]})"]

    def _typically(self, column: int, language: Language) -> str:
        """Return the population's typical value as an aside; nothing if it is known of no firm."""
        value = self.typical[column]
        if math.isnan(value):
            return ""
        shown = self.features[column].show(value, language)
        return f"，典型值：{shown}" if language == "zh-CN" else f"; typically {shown}"
