"""A score that is a sum of look-ups: log-odds of default = intercept + one term per unit.

Every estimator of this room compiles to an `AdditiveScore`. Its terms are the exact points and the exact
reasons; it is plain JSON; and one row gives the same bits alone or inside a million, because each operation
works row by row and the terms are added in a fixed order (no matrix product).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IndexArray: TypeAlias = NDArray[np.intp]

_CHUNK_ROWS = 4096  # bins and terms of a chunk stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Step:
    """A look-up table over the bins of one feature, or of a pair.

    Parameters
    ----------
    features : tuple of str
        One name, or two for a pair.
    cuts : tuple of arrays
        Strictly increasing finite cuts of each feature. A value equal to a cut falls in the bin on its left;
        `k` cuts make the bins 0..k, and index k + 1 is the bin of missing values (NaN).
    values : array, one axis a feature, of length ``len(cuts) + 2``
        Log-odds of default of each bin.

    Raises
    ------
    ValueError
        If the shapes disagree, a cut or a value is not finite, or the cuts do not increase.

    Examples
    --------
    >>> Step(("void_rate",), (np.array([0.1]),), np.array([-0.5, 0.7, 0.0])).features
    ('void_rate',)
    """

    features: tuple[str, ...]
    cuts: tuple[FloatArray, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if len(self.features) not in {1, 2} or len(set(self.features)) != len(self.features):
            raise ValueError(f"a step has one feature or two different ones, not {self.features}")
        if self.values.shape != tuple(len(cuts) + 2 for cuts in self.cuts) or len(self.cuts) != len(self.features):
            raise ValueError(f"step {self.features}: values of shape {self.values.shape} do not fit its cuts")
        for cuts in self.cuts:
            if not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any():
                raise ValueError(f"step {self.features}: cuts must be finite and strictly increasing")
        if not np.isfinite(self.values).all():
            raise ValueError(f"step {self.features}: values must be finite")

    def scaled(self, factor: float) -> Step:
        """Return the table with every value multiplied by `factor`."""
        return replace(self, values=self.values * factor)

    def renamed(self, called: Mapping[str, str]) -> Step:
        """Return the table of features under other names."""
        return replace(self, features=tuple(called[name] for name in self.features))

    def on(self, edges: Sequence[FloatArray]) -> FloatArray:
        """Return the same table on finer cuts (`edges` of each feature include the own cuts)."""
        index = [_own_bins(cuts, finer) for cuts, finer in zip(self.cuts, edges, strict=True)]
        return self.values[np.ix_(*index)]

    def to_json(self) -> dict[str, Any]:
        """Return the table as lists of floats."""
        return {
            "kind": "step",
            "features": list(self.features),
            "cuts": [cuts.tolist() for cuts in self.cuts],
            "values": self.values.tolist(),
        }


@dataclass(frozen=True)
class Line:
    """A straight line in one feature, flat outside [low, high]: ``slope * (clip(x, low, high) - centre)``.

    Parameters
    ----------
    feature : str
    low, high, centre : float
        In the feature's unit.
    slope : float
        Log-odds of default per unit of the feature.
    missing : float
        Log-odds of default of a missing value (NaN).

    Raises
    ------
    ValueError
        If a number is not finite or low > high.

    Examples
    --------
    >>> Line("sales_cv", low=0.0, high=2.0, centre=0.5, slope=1.2, missing=0.1).features
    ('sales_cv',)
    """

    feature: str
    low: float
    high: float
    centre: float
    slope: float
    missing: float

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.centre, self.slope, self.missing)
        if not np.isfinite(numbers).all() or self.low > self.high:
            raise ValueError(f"line {self.feature}: numbers must be finite with low <= high, not {numbers}")

    @property
    def features(self) -> tuple[str, ...]:
        """The feature's name in a tuple, as of a `Step`."""
        return (self.feature,)

    def scaled(self, factor: float) -> Line:
        """Return the line with slope and missing value multiplied by `factor`."""
        return replace(self, slope=self.slope * factor, missing=self.missing * factor)

    def renamed(self, called: Mapping[str, str]) -> Line:
        """Return the line of the feature under another name."""
        return replace(self, feature=called[self.feature])

    def to_json(self) -> dict[str, Any]:
        """Return the line as plain numbers."""
        return {"kind": "line"} | {key: getattr(self, key) for key in Line.__dataclass_fields__}


Unit: TypeAlias = Step | Line


@dataclass(frozen=True, eq=False)
class AdditiveScore:
    """Log-odds of default as an intercept plus one term per unit.

    Parameters
    ----------
    names : tuple of str
        The columns of the matrices it scores, in order.
    intercept : float
        Log-odds of default.
    units : tuple of Step or Line
        Their terms are added in this order.

    Raises
    ------
    ValueError
        If a unit uses a feature outside `names`, a name stands twice or the intercept is not finite.

    Examples
    --------
    >>> score = AdditiveScore(
    ...     names=("sales_cv", "void_rate"),
    ...     intercept=-2.0,
    ...     units=(
    ...         Line("sales_cv", low=0.0, high=2.0, centre=0.5, slope=1.0, missing=0.25),
    ...         Step(("void_rate",), (np.array([0.1]),), np.array([-0.5, 0.75, 0.0])),
    ...     ),
    ... )
    >>> X = np.array([[1.5, 0.1], [9.0, 0.2], [np.nan, np.nan]])
    >>> score.contributions(X).tolist()
    [[1.0, -0.5], [1.5, 0.75], [0.25, 0.0]]
    >>> score.log_odds(X).tolist()
    [-1.5, 0.25, -1.75]
    """

    names: tuple[str, ...]
    intercept: float
    units: tuple[Unit, ...]

    def __post_init__(self) -> None:
        if unknown := {name for unit in self.units for name in unit.features} - set(self.names):
            raise ValueError(f"units use features that are not columns: {sorted(unknown)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("a column is named twice")
        if not np.isfinite(self.intercept):
            raise ValueError(f"the intercept must be finite, not {self.intercept}")

    def contributions(self, X: ArrayLike) -> FloatArray:
        """Return each unit's term of each row.

        Parameters
        ----------
        X : array of shape (n, len(names))
            Missing values are NaN.

        Returns
        -------
        array of shape (n, len(units)), log-odds of default.
            Added to the intercept from left to right they are `log_odds`, bit for bit.

        Raises
        ------
        ValueError
            If X does not have ``len(names)`` columns.
        """
        matrix = self._matrix(X)
        terms = np.empty((len(matrix), len(self.units)))
        for start in range(0, len(matrix), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            for unit, term in enumerate(self._terms(matrix[rows])):
                terms[rows, unit] = term
        return terms

    def log_odds(self, X: ArrayLike) -> FloatArray:
        """Return the log-odds of default of each row, shape (n,); X as of `contributions`."""
        matrix = self._matrix(X)
        total = np.full(len(matrix), self.intercept)
        for start in range(0, len(matrix), _CHUNK_ROWS):
            chunk = total[start : start + _CHUNK_ROWS]
            for term in self._terms(matrix[start : start + _CHUNK_ROWS]):
                chunk += term
        return total

    def scaled(self, a: float, b: float) -> AdditiveScore:
        """Return the score whose log-odds are ``a + b * log_odds``: calibrated, still a sum of look-ups.

        Examples
        --------
        >>> score = AdditiveScore(("x",), 1.0, (Line("x", 0.0, 1.0, 0.0, 2.0, 0.0),))
        >>> score.scaled(0.5, 2.0).log_odds([[1.0]])
        array([6.5])
        """
        return replace(self, intercept=a + b * self.intercept, units=tuple(unit.scaled(b) for unit in self.units))

    def renamed(self, names: Sequence[str]) -> AdditiveScore:
        """Return the same score over columns of other names, in the same order.

        Raises
        ------
        ValueError
            If the names are not one for each column.

        Examples
        --------
        >>> score = AdditiveScore(("0",), 0.0, (Line("0", 0.0, 1.0, 0.5, 2.0, 0.0),))
        >>> score.renamed(["growth"]).units[0].features
        ('growth',)
        """
        if len(names) != len(self.names) or len(set(names)) != len(names):
            raise ValueError(f"expected {len(self.names)} different names, got {len(names)}")
        called = dict(zip(self.names, names, strict=True))
        return AdditiveScore(tuple(names), self.intercept, tuple(unit.renamed(called) for unit in self.units))

    def monotone_violations(self, signs: Mapping[str, int], tolerance: float = 1e-9) -> dict[str, float]:
        """Return the largest step in the wrong direction of each feature that has one.

        The check is exact: it takes every cut of the feature and, in pairs, the worst bin of the partner,
        missing included. Partners are distinct features, so their worst cases add up.

        Parameters
        ----------
        signs : mapping of feature name to +1, -1 or 0
            +1: more of the feature must never lower the log-odds of default. 0 and absent names are free.
        tolerance : float, log-odds
            Rounding that is not called a violation.

        Returns
        -------
        dict of feature name to log-odds (a step) or log-odds per unit of the feature (a line)

        Examples
        --------
        >>> step = Step(("x",), (np.array([1.0]),), np.array([0.5, 0.0, 0.0]))
        >>> falling = AdditiveScore(("x",), 0.0, (step,))
        >>> falling.monotone_violations({"x": 1}), falling.monotone_violations({"x": -1})
        ({'x': 0.5}, {})
        """
        worst = {name: max(self._wrong_steps(name, sign), default=0.0) for name, sign in signs.items() if sign}
        return {name: float(size) for name, size in worst.items() if size > tolerance}

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, strings and floats; `json.dumps` keeps every bit of them."""
        return {
            "names": list(self.names),
            "intercept": self.intercept,
            "units": [unit.to_json() for unit in self.units],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AdditiveScore:
        """Return the score that `to_json` wrote.

        Raises
        ------
        ValueError
            If a unit's kind, its shapes or its numbers are not those of a score.

        Examples
        --------
        >>> score = AdditiveScore(("x",), 0.1, (Line("x", 0.0, 1.0, 0.5, 2.0, 0.3),))
        >>> AdditiveScore.from_json(score.to_json()).units == score.units
        True
        """
        units = tuple(_unit_from_json(unit) for unit in data["units"])
        return cls(names=tuple(data["names"]), intercept=float(data["intercept"]), units=units)

    def _matrix(self, X: ArrayLike) -> FloatArray:
        matrix = np.asarray(X, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            raise ValueError(f"expected a matrix of {len(self.names)} columns, got shape {matrix.shape}")
        return matrix

    @cached_property
    def _column(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def _edges(self) -> dict[str, FloatArray]:
        """All cuts of each stepped feature, so that each is searched once however many tables use it."""
        return {name: _union(cuts) for name in self.names if (cuts := [c for _, c in _cuts_of(self.units, name)])}

    @cached_property
    def _searched(self) -> dict[str, FloatArray]:
        # NaN sorts after +inf: with this last edge it finds the missing bin by itself.
        return {name: np.append(edges, np.inf) for name, edges in self._edges.items()}

    @cached_property
    def _tables(self) -> list[FloatArray | None]:
        """Each step's table on the shared edges, flattened; None for a line."""
        return [
            np.ascontiguousarray(unit.on([self._edges[name] for name in unit.features])).ravel()
            if isinstance(unit, Step)
            else None
            for unit in self.units
        ]

    def _terms(self, rows: FloatArray) -> Iterator[FloatArray]:
        """Yield each unit's term of a chunk of rows; the array is overwritten by the next one."""
        columns = np.ascontiguousarray(rows.T)
        bins = {name: np.searchsorted(edges, columns[self._column[name]]) for name, edges in self._searched.items()}
        term = np.empty(len(rows))
        for unit, table in zip(self.units, self._tables, strict=True):
            if isinstance(unit, Line):
                yield _line(unit, columns[self._column[unit.feature]])
            else:
                assert table is not None
                np.take(table, self._index(unit, bins), out=term, mode="clip")
                yield term

    def _index(self, unit: Step, bins: Mapping[str, IndexArray]) -> IndexArray:
        if len(unit.features) == 1:
            return bins[unit.features[0]]
        first, second = unit.features
        return bins[first] * (len(self._edges[second]) + 2) + bins[second]

    def _wrong_steps(self, name: str, sign: int) -> Iterator[float]:
        """Yield by how much each jump (worst case of the partners) and each slope goes against `sign`."""
        steps = [unit for unit in self.units if isinstance(unit, Step) and name in unit.features]
        if steps:
            edges = self._edges[name]
            yield from -_worst_jumps(steps, name, edges, sign)
        lines = [unit for unit in self.units if isinstance(unit, Line) and unit.feature == name]
        ends = sorted({end for line in lines for end in (line.low, line.high)})
        for low, high in pairwise(ends):
            yield -sign * sum(line.slope for line in lines if line.low <= low and high <= line.high)


@dataclass(frozen=True, eq=False)
class Replicas:
    """Many scores that share their units and differ in the weight of each, such as bootstrap refits.

    Parameters
    ----------
    basis : AdditiveScore
        Its intercept is not used.
    coefficients : array of shape (replicas, 1 + len(basis.units))
        Intercept, then the factor of each unit.

    Examples
    --------
    >>> basis = AdditiveScore(("x",), 0.0, (Line("x", 0.0, 1.0, 0.0, 1.0, 0.5),))
    >>> Replicas(basis, np.array([[0.0, 1.0], [-1.0, 2.0]])).log_odds([[0.25], [np.nan]]).tolist()
    [[0.25, -0.5], [0.5, 0.0]]
    """

    basis: AdditiveScore
    coefficients: FloatArray

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 2 or self.coefficients.shape[1] != 1 + len(self.basis.units):
            raise ValueError(f"coefficients of shape {self.coefficients.shape} do not fit the basis")
        if not np.isfinite(self.coefficients).all():
            raise ValueError("coefficients must be finite")

    def log_odds(self, X: ArrayLike) -> FloatArray:
        """Return the log-odds of default of each row under each replica, shape (n, replicas).

        Rows are independent, bit for bit: call it on chunks when n * replicas numbers are too many.
        """
        terms = self.basis.contributions(X)
        total = np.tile(self.coefficients[:, 0], (len(terms), 1))
        for unit in range(terms.shape[1]):
            total += terms[:, unit, np.newaxis] * self.coefficients[:, unit + 1]
        return total

    def scaled(self, a: float, b: float) -> Replicas:
        """Return the replicas whose log-odds are ``a + b * log_odds``."""
        coefficients = self.coefficients * b
        coefficients[:, 0] += a
        return replace(self, coefficients=coefficients)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, strings and floats."""
        return {"basis": self.basis.to_json(), "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Replicas:
        """Return the replicas that `to_json` wrote; ValueError if shapes or numbers do not fit."""
        basis = AdditiveScore.from_json(data["basis"])
        return cls(basis=basis, coefficients=np.asarray(data["coefficients"], dtype=np.float64))


def _unit_from_json(data: Mapping[str, Any]) -> Unit:
    match data["kind"]:
        case "step":
            return Step(
                features=tuple(data["features"]),
                cuts=tuple(np.asarray(cuts, dtype=np.float64) for cuts in data["cuts"]),
                values=np.asarray(data["values"], dtype=np.float64),
            )
        case "line":
            numbers = {key: float(data[key]) for key in ("low", "high", "centre", "slope", "missing")}
            return Line(feature=data["feature"], **numbers)
        case kind:
            raise ValueError(f"unknown kind of unit: {kind!r}")


def _cuts_of(units: Sequence[Unit], name: str) -> Iterator[tuple[Step, FloatArray]]:
    for unit in units:
        if isinstance(unit, Step) and name in unit.features:
            yield unit, unit.cuts[unit.features.index(name)]


def _union(cuts: Sequence[FloatArray]) -> FloatArray:
    return np.unique(np.concatenate(cuts))


def _own_bins(cuts: FloatArray, finer: FloatArray) -> IndexArray:
    """Return the own bin of each bin of the finer cuts, missing bin included."""
    return np.append(np.searchsorted(cuts, finer), [len(cuts), len(cuts) + 1])


def _line(line: Line, x: FloatArray) -> FloatArray:
    value = line.slope * (np.clip(x, line.low, line.high) - line.centre)
    return np.where(np.isnan(x), line.missing, value)


def _worst_jumps(steps: Sequence[Step], name: str, edges: FloatArray, sign: int) -> FloatArray:
    """Return, at each edge, the smallest signed jump over all values of the partners."""
    tables: dict[str | None, list[Step]] = {}
    for step in steps:
        tables.setdefault(next((other for other in step.features if other != name), None), []).append(step)
    worst = np.zeros(len(edges))
    for partner, group in tables.items():
        known = _sum_along(group, name, edges, partner)[:-1]
        jumps = sign * np.diff(known, axis=0)
        worst += jumps if partner is None else jumps.min(axis=1)
    return worst


def _sum_along(group: Sequence[Step], name: str, edges: FloatArray, partner: str | None) -> FloatArray:
    """Return the sum of tables of the same features on common edges, the feature `name` along axis 0."""
    if partner is None:
        return _total(step.on([edges]) for step in group)
    others = _union([cuts for _, cuts in _cuts_of(group, partner)])
    on = {name: edges, partner: others}
    tables = [
        table if step.features[0] == name else table.T
        for step in group
        for table in [step.on([on[feature] for feature in step.features])]
    ]
    return _total(tables)


def _total(tables: Iterable[FloatArray]) -> FloatArray:
    return np.asarray(np.sum(list(tables), axis=0), dtype=np.float64)
