"""Why this score: the units that take a firm below (or above) the population's mean, in points and words.

The mean points of a unit over the reference population less the firm's own points rank the reasons; the top
four are named, at most one per feature family (methods paper, section 1, Reasons). Over all units the
differences add up to the firm's points less the mean points: nothing is approximated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from features.build import CATALOG
from features.spec import FAMILIES, Language
from models.additive import AdditiveScore, FloatArray, Unit
from models.grades import FACTOR

BoolArray: TypeAlias = NDArray[np.bool_]

TOP: Final = 4
LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")


class Explanations(NamedTuple):
    """Why each of n rows has its score.

    Attributes
    ----------
    texts : list of n str
        A JSON array each, of `Reason` objects.
    units : array of shape (n, top)
        The units that are named, the costliest first; -1 where there are no more.
    """

    texts: list[str]
    units: NDArray[np.intp]


class Reason(TypedDict):
    """One reason, as it stands in JSON.

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
) -> Explanations:
    """Return the top reasons of each row, the costliest first.

    A unit's reasons are written for all rows that name it at once: words are put around the values, not built up a row.

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
    >>> reason = json.loads(explain(score, points, X, np.array([0.1])).texts[0])[0]
    >>> reason["code"], round(reason["points"], 2), reason["value"]
    ('zero_months', -46.17, [0.5])
    """
    known = X if missing is None else np.where(missing, np.nan, X)
    usual = dict(zip(score.names, typical.tolist(), strict=True))
    chosen = top_units(points, score.units, top)
    by_unit = np.argsort(chosen, axis=None, kind="stable")
    starts = np.searchsorted(chosen.ravel()[by_unit], np.arange(len(score.units) + 1))
    parts = np.full(chosen.size, "", dtype=object)
    for number, unit in enumerate(score.units):
        places = by_unit[starts[number] : starts[number + 1]]
        if len(places):
            rows, columns = places // chosen.shape[1], [score.names.index(name) for name in unit.features]
            parts[places] = _Wording(unit, usual).texts(points[rows, number], known[np.ix_(rows, columns)])
    texts = [f"[{','.join(filter(None, row))}]" for row in parts.reshape(chosen.shape).tolist()]
    return Explanations(texts, chosen)


class _Wording:
    """Puts one unit into words; all but the firm's own values is written once."""

    def __init__(self, unit: Unit, typical: Mapping[str, float]) -> None:
        self.features = [CATALOG[name] for name in unit.features]
        self.typical = [typical[name] for name in unit.features]
        self.head = f'{{"code":{_quoted(":".join(unit.features))},"features":{_json(unit.features)},"points":'

    def texts(self, points: FloatArray, values: FloatArray) -> list[str]:
        """Return the reasons of rows as JSON: points of shape (n,), values of shape (n, features)."""
        is_worse = points < 0
        tones = np.where(is_worse, "worse", "better")
        if len(self.features) == 1:
            tones = np.where(self._agrees(values[:, 0], is_worse), tones, "neutral")
        texts = np.empty(len(points), dtype=object)
        for tone in ("worse", "better", "neutral"):
            rows = np.flatnonzero(tones == tone)
            if len(rows):
                texts[rows] = self._in_tone(tone, points[rows].tolist(), values[rows].T.tolist())
        return texts.tolist()

    def _in_tone(self, tone: str, points: list[float], values: list[list[float]]) -> list[str]:
        """Fill points and values in between the pieces; values are a list a feature."""
        shown = [
            [list(map(feature.shower(language), own)) for feature, own in zip(self.features, values, strict=True)]
            for language in LANGUAGES
        ]
        numbers = [["null" if value != value else repr(value) for value in own] for own in values]  # noqa: PLR0124
        zh, en = ([_escaped(piece) for piece in self._pieces(language, tone)] for language in LANGUAGES)
        head, middle = self.head, f'"text":{{"{LANGUAGES[0]}":"'
        if len(self.features) == 1:
            return [
                f'{head}{own!r},"value":[{number}],{middle}{zh[0]}{in_zh}{zh[1]}","{LANGUAGES[1]}":"{en[0]}{in_en}{en[1]}"}}}}'
                for own, number, in_zh, in_en in zip(points, numbers[0], shown[0][0], shown[1][0], strict=True)
            ]
        return [
            f'{head}{own!r},"value":[{one},{two}],{middle}{zh[0]}{zh_one}{zh[1]}{zh_two}{zh[2]}"'
            f',"{LANGUAGES[1]}":"{en[0]}{en_one}{en[1]}{en_two}{en[2]}"}}}}'
            for own, one, two, zh_one, zh_two, en_one, en_two in zip(
                points, *numbers, *shown[0], *shown[1], strict=True
            )
        ]

    def _agrees(self, values: FloatArray, is_worse: BoolArray) -> BoolArray:
        """Tell which values lie on the side of the typical one that the phrase speaks of."""
        sign, typical = self.features[0].sign, self.typical[0]
        if sign == 0 or math.isnan(typical):
            return ~np.isnan(values)
        beyond = sign * (values - typical)
        return np.where(is_worse, beyond > 0, beyond < 0)

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


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    return _quoted(text)[1:-1]
