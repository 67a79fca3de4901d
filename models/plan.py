"""Credit cultivation (信用培植): the smallest changes that lift a firm to the next better grade, computed exactly.

A change moves a feature in the direction that its expected sign calls better, to the nearest value at which the
model's own score reaches the grade, all else unchanged; never beyond the outermost cuts of its tables or the ends of
its line, so within what was seen in training. Nothing is approximated: every figure is the model's own prediction for
the changed features.

Changes of different features are compared by their effort: the way as a share of the range between those ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Final, Literal, TypeAlias

import numpy as np

from features.actionable import ACTIONABLE
from features.build import CATALOG
from features.spec import Language, Rounding, ValueFormat
from models.additive import FloatArray, Line, Step, Unit
from models.fitted import FittedModel
from models.grades import MASTER_SCALE, grade_of, pd_of_log_odds, points_of
from models.reasons import LANGUAGES, BoolArray

Status: TypeAlias = Literal["best", "reachable", "unreachable"]

_COUNTS: Final = frozenset({ValueFormat.LN_COUNT, ValueFormat.DAYS})
"""Formats of whole numbers."""


@dataclass(frozen=True)
class Change:
    """One feature's move, made after the moves before it in the same way.

    Attributes
    ----------
    from_value, to_value : float
        In the feature's unit.
    gain : float
        Points that it adds.
    points, pd, grade
        The model's prediction once it is made.
    text : dict of language to str
        What to do. Bounds in it are rounded so that what a reader sees suffices; the attributes are exact.
    """

    feature: str
    from_value: float
    to_value: float
    gain: float
    points: float
    pd: float
    grade: str
    text: dict[Language, str]


@dataclass(frozen=True)
class Way:
    """Changes that together lead somewhere.

    Attributes
    ----------
    effort : float
        Sum, over the changes, of the way as a share of the feature's range.
    """

    changes: tuple[Change, ...]
    effort: float


@dataclass(frozen=True)
class Plan:
    """What would lift a firm by one grade.

    Attributes
    ----------
    status : str
        "best": there is no better grade. "reachable": each of `ways` leads to it. "unreachable": none does.
    pd, points, grade
        Of the firm as it is.
    target_grade : str or None
        The next better one; None if there is none.
    target_pd, target_points : float or None
        The worst that the target grade holds.
    ways : tuple of Way
        The smallest first. Each is a single feature's change, or a joint change of a pair that the model reads
        together, where that takes less than either alone; where none of these suffices, one combination.
    best : Way or None
        If unreachable: the way that leads furthest. It climbs feature by feature and pair by pair, which is the
        furthest there is unless pairs of the model share features.
    shortfall : float or None
        If unreachable: points that are missing after `best`.
    """

    status: Status
    pd: float
    points: float
    grade: str
    target_grade: str | None = None
    target_pd: float | None = None
    target_points: float | None = None
    ways: tuple[Way, ...] = ()
    best: Way | None = None
    shortfall: float | None = None


def plan(
    model: FittedModel, values: FloatArray, unknown: AbstractSet[str], actionable: AbstractSet[str] = ACTIONABLE
) -> Plan:
    """Return what would lift a firm, not in default, to the next better grade.

    Parameters
    ----------
    model : FittedModel
        Which scored the firm; of catalogue features.
    values : array of shape (len(model.names),)
        The firm's row; NaN where unknown.
    unknown : set of str
        Features of which the row holds a substitute: there is nothing to move from.
    actionable : set of str
        Features that may be moved; those without an expected sign never are.

    Raises
    ------
    ValueError
        If the row does not fit the model.

    Examples
    --------
    >>> from models.additive import AdditiveScore, Line, Replicas
    >>> from models.fitted import BootstrapInterval
    >>> additive = AdditiveScore(("zero_months",), -3.0, (Line("zero_months", 0.0, 1.0, 0.1, 4.0, 0.0),))
    >>> model = FittedModel(
    ...     product="credit-score", estimator="logistic", additive=additive,
    ...     interval=BootstrapInterval(Replicas(additive, np.array([[-3.0, 1.0]]))),
    ...     mean_contributions=np.array([0.0]), typical=np.array([0.1]), seed=1, versions={}, report={},
    ... )
    >>> found = plan(model, np.array([0.5]), frozenset())
    >>> found.grade, found.target_grade, found.ways[0].changes[0].text["en"]
    ('14', '13', 'months without sales: from 50% down to 41% or less')
    """  # fmt: skip
    row = np.array(values, dtype=np.float64)
    if row.shape != (len(model.names),):
        raise ValueError(f"expected {len(model.names)} values, got shape {row.shape}")
    search = _Search(model, row, {name for name in actionable if name not in unknown})
    points, pd, grade = search.outcome(row)
    if grade == MASTER_SCALE[0].name:
        return Plan("best", pd, points, grade)
    target = MASTER_SCALE[int(grade) - 2]
    search.target_pd = target.high
    target_points = float(points_of(math.log(target.high / (1 - target.high))))
    found = search.single_ways(row) or search.combination()
    known = (pd, points, grade, target.name, target.high, target_points)
    if found:
        return Plan("reachable", *known, ways=tuple(search.way(end) for end in found))
    furthest = search.furthest()
    shortfall = target_points - search.outcome(furthest)[0]
    return Plan("unreachable", *known, best=search.way(furthest), shortfall=shortfall)


class _Search:
    """Looks for rows, reached from one row by allowed moves, whose PD is at most `target_pd`."""

    def __init__(self, model: FittedModel, start: FloatArray, actionable: AbstractSet[str]) -> None:
        self.score, self.start, self.target_pd = model.additive, start, math.nan
        self.column = {name: column for column, name in enumerate(model.names)}
        typical = dict(zip(model.names, model.typical.tolist(), strict=True))
        self.knots: dict[str, list[float]] = {}
        self.width: dict[str, float] = {}
        for name in model.names:
            better, now = -CATALOG[name].sign, float(start[self.column[name]])
            if name in actionable and better and not math.isnan(now):
                values = _ends(self.score.units, name, is_up=better > 0)
                self.knots[name] = sorted((v for v in values if (v - now) * better > 0), key=lambda v: abs(v - now))
                seen = [*values, *([typical[name]] if not math.isnan(typical[name]) else [])]
                self.width[name] = max(seen, default=0.0) - min(seen, default=0.0)
        self.knots = {name: values for name, values in self.knots.items() if values}
        pairs = [unit.features for unit in self.score.units if len(unit.features) == 2]
        self.pairs = [pair for pair in dict.fromkeys(pairs) if set(pair) <= self.knots.keys()]

    def outcome(self, row: FloatArray) -> tuple[float, float, str]:
        """Return points, PD and grade of a row, as the model predicts them."""
        log_odds = self.score.log_odds(row[np.newaxis])
        pd = float(pd_of_log_odds(log_odds)[0])
        return float(points_of(log_odds)[0]), pd, grade_of(pd)

    def has_line(self, name: str) -> bool:
        """Tell whether the score changes with a feature between its knots, and not at them alone."""
        return any(isinstance(unit, Line) and unit.feature == name for unit in self.score.units)

    def reaches(self, rows: FloatArray) -> BoolArray:
        """Tell of each row whether it reaches the target."""
        return np.asarray(pd_of_log_odds(self.score.log_odds(rows)) <= self.target_pd)

    def effort(self, rows: FloatArray) -> FloatArray:
        """Return the way from the start to each row."""
        total = np.zeros(len(rows))
        for name, width in self.width.items():
            ways = np.abs(rows[:, self.column[name]] - self.start[self.column[name]])
            total += np.divide(ways, np.maximum(ways, width), out=np.zeros(len(rows)), where=ways > 0)
        return total

    def single_ways(self, row: FloatArray) -> list[FloatArray]:
        """Return the rows that reach the target by one feature's move or one pair's, the least effort first."""
        singles = {name: end for name in self.knots if (end := self.nearest(row, name)) is not None}
        joint = [end for pair in self.pairs if (end := self._nearest_pair(row, pair, singles)) is not None]
        return sorted([*singles.values(), *joint], key=self._effort_of)

    def _effort_of(self, row: FloatArray) -> float:
        return float(self.effort(row[np.newaxis])[0])

    def nearest(self, row: FloatArray, name: str) -> FloatArray | None:
        """Return the row with one feature moved just far enough; None if no allowed value is."""
        ahead = self._ahead(row, name)
        rows = self._moved(row, {name: np.array(ahead)})
        reached = self.reaches(rows)
        if not reached.any():
            return None
        first = int(np.argmax(reached))
        short = float(row[self.column[name]]) if first == 0 else ahead[first - 1]
        enough = self._threshold(row, name, short, ahead[first]) if self.has_line(name) else ahead[first]
        return self._moved(row, {name: np.array([enough])}).reshape(-1)

    def _threshold(self, row: FloatArray, name: str, short: float, enough: float) -> float:
        """Halve the way between a value that does not reach and one that does until they are neighbours.

        Between two knots of a line the score is straight, so one threshold is all there is.
        """
        while (middle := short + (enough - short) / 2) not in {short, enough}:
            if self.reaches(self._moved(row, {name: np.array([middle])}))[0]:
                enough = middle
            else:
                short = middle
        return enough

    def _nearest_pair(
        self, row: FloatArray, pair: tuple[str, ...], singles: dict[str, FloatArray]
    ) -> FloatArray | None:
        """Return the row with both features moved, if that reaches the target with less effort than either alone."""
        grid = self._grid(row, pair)
        reaching = grid[self.reaches(grid)]
        if not len(reaching):
            return None
        efforts = self.effort(reaching)
        alone = [self._effort_of(singles[name]) for name in pair if name in singles]
        is_less = efforts.min() < min(alone, default=math.inf)
        return np.asarray(reaching[int(np.argmin(efforts))]) if is_less else None

    def combination(self) -> list[FloatArray]:
        """Return one row that reaches the target by several moves, none of them larger than needed; or none.

        Greedy: the move that gains most for each feature moved, until one more move suffices; then each is taken back
        as far as the others allow.
        """
        for row in self._climb():
            if ends := self.single_ways(row):
                return [self._tightened(ends[0])]
        return []

    def furthest(self) -> FloatArray:
        """Return the row with the most points that climbing leads to."""
        row = self.start
        for higher in self._climb():
            row = higher
        return row

    def _climb(self) -> Iterator[FloatArray]:
        """Yield rows of ever more points, by the move that gains most for each feature moved."""
        row = self.start
        while True:
            now = float(self.score.log_odds(row[np.newaxis])[0])
            best_gain, best = 0.0, None
            for moved in [(name,) for name in self.knots] + self.pairs:
                rows = self._grid(row, moved) if len(moved) == 2 else self._line(row, moved[0])
                if len(rows):
                    log_odds = self.score.log_odds(rows)
                    gain = (now - float(log_odds.min())) / len(moved)
                    if gain > best_gain:
                        best_gain, best = gain, rows[int(np.argmin(log_odds))]
            if best is None:
                return
            row = best
            yield row

    def _tightened(self, row: FloatArray) -> FloatArray:
        """Take each move back as far as the target allows, the last named feature first."""
        for name in reversed(self.knots):
            if row[self.column[name]] != self.start[self.column[name]]:
                without = row.copy()
                without[self.column[name]] = self.start[self.column[name]]
                if self.reaches(without[np.newaxis])[0]:
                    row = without
                elif (nearer := self.nearest(without, name)) is not None:
                    row = nearer
        return row

    def _ahead(self, row: FloatArray, name: str) -> list[float]:
        """Return the knots that lie beyond a row's value, the nearest first."""
        better, now = -CATALOG[name].sign, float(row[self.column[name]])
        return [value for value in self.knots[name] if (value - now) * better > 0]

    def _line(self, row: FloatArray, name: str) -> FloatArray:
        return self._moved(row, {name: np.array(self._ahead(row, name))})

    def _grid(self, row: FloatArray, pair: tuple[str, ...]) -> FloatArray:
        """Return the rows in which both features are moved to knots."""
        values = np.array([*product(*(self._ahead(row, name) for name in pair))]).reshape(-1, 2)
        return self._moved(row, {name: values[:, place] for place, name in enumerate(pair)})

    def _moved(self, row: FloatArray, values: dict[str, FloatArray]) -> FloatArray:
        rows = np.tile(row, (len(next(iter(values.values()))), 1))
        for name, column in values.items():
            rows[:, self.column[name]] = column
        return rows

    def way(self, end: FloatArray) -> Way:
        """Return the changes from the start to a row, each with the model's prediction after it."""
        row, changes = self.start.copy(), []
        before = self.outcome(row)[0]
        for name in self.knots:
            column = self.column[name]
            from_value, to_value = float(self.start[column]), float(end[column])
            if from_value != to_value:
                row[column] = to_value
                points, pd, grade = self.outcome(row)
                text = {language: self._text(name, from_value, to_value, language) for language in LANGUAGES}
                changes.append(Change(name, from_value, to_value, points - before, points, pd, grade, text))
                before = points
        return Way(tuple(changes), self._effort_of(end))

    def _text(self, name: str, from_value: float, to_value: float, language: Language) -> str:
        feature, is_up = CATALOG[name], to_value > from_value
        # A value equal to a cut lies left of it: what lies right of it begins just above.
        cut = float(np.nextafter(to_value, -np.inf))
        is_above = is_up and cut in _ends(self.score.units, name, is_up=False)
        bound = cut if is_above else to_value
        rounding: Rounding = "ROUND_CEILING" if is_up else "ROUND_FLOOR"
        is_next_number = is_above and feature.value_format in _COUNTS  # more than 4.5 of a whole number: more than 4
        shown = feature.show(bound, language, "ROUND_FLOOR" if is_next_number else rounding)
        now = feature.show(from_value, language)
        if shown == now and not is_next_number:  # rounding hides the difference
            shown, now = f"{shown} ({_to_six_digits(bound, rounding)})", f"{now} ({from_value:.6g})"
        label = feature.label(language)
        if language == "zh-CN":
            return f"{label}：由 {now} {'提高到' if is_up else '降低到'} {shown} {_LIMIT_ZH[is_up, is_above]}"
        return f"{label}: from {now} {'up' if is_up else 'down'} to {_LIMIT_EN[is_up, is_above].format(shown)}"


_LIMIT_EN: Final = {(True, True): "more than {}", (True, False): "{} or more", (False, False): "{} or less"}
_LIMIT_ZH: Final = {(True, True): "以上（不含）", (True, False): "以上（含）", (False, False): "以下（含）"}


def _ends(units: tuple[Unit, ...], name: str, *, is_up: bool) -> list[float]:
    """Return the values at which a feature, on its way up or down, enters another bin or another piece of a line."""
    ends: set[float] = set()
    for unit in units:
        if name in unit.features:
            if isinstance(unit, Step):
                cuts = unit.cuts[unit.features.index(name)]
                ends.update((np.nextafter(cuts, np.inf) if is_up else cuts).tolist())
            else:
                ends.update((unit.low, unit.high))
    return sorted(ends)


def _to_six_digits(value: float, rounding: Rounding) -> str:
    """Return a value with six significant digits, none of them beyond what suffices.

    Examples
    --------
    >>> _to_six_digits(1.00040012, "ROUND_CEILING"), _to_six_digits(1.00040012, "ROUND_FLOOR")
    ('1.00041', '1.0004')
    """
    exact = Decimal(repr(value))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 5), rounding=rounding) if value else exact
    return f"{rounded.normalize():f}"
