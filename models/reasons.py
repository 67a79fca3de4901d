"""Why this score: the units that take a firm below (or above) the population's mean, in points and words.

The mean points of a unit over the reference population less the firm's own points rank the reasons; the top
four are named, at most one per feature family (methods paper, section 1, Reasons). Over all units the
differences add up to the firm's points less the mean points: nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from features.build import CATALOG
from features.spec import FAMILIES, Feature, Language
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
    units = [_Words(unit, [score.names.index(name) for name in unit.features]) for unit in score.units]
    return [
        [units[unit].reason(float(points[row, unit]), known[row], typical) for unit in chosen.tolist() if unit >= 0]
        for row, chosen in enumerate(top_units(points, score.units, top))
    ]


class _Words:
    """Puts one unit into words."""

    def __init__(self, unit: Unit, columns: list[int]) -> None:
        self.names = list(unit.features)
        self.features = [CATALOG[name] for name in self.names]
        self.columns = columns

    def reason(self, points: float, row: FloatArray, typical: FloatArray) -> Reason:
        values = [float(row[column]) for column in self.columns]
        usual = [float(typical[column]) for column in self.columns]
        write = _one if len(self.names) == 1 else _pair
        return {
            "code": ":".join(self.names),
            "features": self.names.copy(),
            "points": points,
            "value": [None if np.isnan(value) else value for value in values],
            "text": {
                language: write(self.features, values, usual, language, is_worse=points < 0) for language in LANGUAGES
            },
        }


def _one(
    features: list[Feature], values: list[float], usual: list[float], language: Language, *, is_worse: bool
) -> str:
    """Say "phrase (label: value; typically usual)"; without the phrase where it would contradict the value."""
    feature, value, median = features[0], values[0], usual[0]
    shown, typically = feature.show(value, language), feature.show(median, language)
    label = feature.label(language)
    is_chinese = language == "zh-CN"
    if not _agrees(feature, value, median, is_worse=is_worse):
        return f"{label}：{shown}（典型值：{typically}）" if is_chinese else f"{label}: {shown} (typically {typically})"
    phrase = feature.phrase(language, is_worse=is_worse)
    if is_chinese:
        return f"{phrase}（{label}：{shown}，典型值：{typically}）"
    return f"{phrase} ({label}: {shown}; typically {typically})"


def _agrees(feature: Feature, value: float, median: float, *, is_worse: bool) -> bool:
    """Tell whether a value lies on the side of the typical one that the phrase speaks of."""
    if np.isnan(value):
        return False
    if feature.sign == 0 or np.isnan(median):
        return True
    return feature.sign * (value - median) > 0 if is_worse else feature.sign * (value - median) < 0


def _pair(
    features: list[Feature], values: list[float], usual: list[float], language: Language, *, is_worse: bool
) -> str:
    is_chinese = language == "zh-CN"
    parts = [
        f"{feature.label(language)}（{shown}，典型值：{typically}）"
        if is_chinese
        else f"{feature.label(language)} ({shown}; typically {typically})"
        for feature, value, median in zip(features, values, usual, strict=True)
        for shown, typically in [(feature.show(value, language), feature.show(median, language))]
    ]
    if is_chinese:
        return f"{'与'.join(parts)}的组合{'抬高' if is_worse else '降低'}了风险"
    return f"the combination of {' and '.join(parts)} {'raises' if is_worse else 'lowers'} the risk"
