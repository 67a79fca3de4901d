"""One master scale for all products: log-odds of default, PD, points and grade are one function of each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from models.additive import FloatArray

PDO: Final = 20.0
"""Points that double the odds of good to bad."""
BASE_POINTS: Final = 600.0
BASE_ODDS: Final = 50.0
"""`BASE_POINTS` is the score of `BASE_ODDS` goods to one bad."""
FACTOR: Final = PDO / math.log(2.0)
"""Points per unit of log-odds."""
OFFSET: Final = BASE_POINTS - FACTOR * math.log(BASE_ODDS)
"""Points of even odds."""
PD_FLOOR: Final = 0.0005
"""No published PD is lower; it is also the lower end of grade 1."""
PD_TOP: Final = 0.30
"""The nominal upper end of grade 15, which is open above."""
N_GRADES: Final = 15
DEFAULTED: Final = "D"
"""The grade of a firm in default; no PD maps to it."""
HYSTERESIS: Final = 0.25
"""Share of a grade's width that a PD must pass beyond the edge before the stable grade moves."""
CONCENTRATED: Final = 0.30
"""A grade that holds more than this share of the firms is flagged."""

_EDGES: Final = np.linspace(logit(PD_FLOOR), logit(PD_TOP), N_GRADES + 1)
STEP: Final = float(_EDGES[1] - _EDGES[0])
"""Width of a grade in log-odds, .450207."""


@dataclass(frozen=True)
class Grade:
    """One rung of the master scale.

    Attributes
    ----------
    name : str
        "1" (best) to "15".
    low, high : float
        The PDs it holds, low < PD <= high. Grade 1 holds the floor too; grade 15 is open above (high = 1).
    pd : float
        The PD at the middle of its log-odds (of 15: of its nominal range, up to 30%).
    """

    name: str
    low: float
    high: float
    pd: float


def _master_scale() -> tuple[Grade, ...]:
    pds = expit(_EDGES)
    middles = expit((_EDGES[:-1] + _EDGES[1:]) / 2)
    return tuple(
        Grade(
            name=str(index + 1),
            low=float(pds[index]) if index else PD_FLOOR,
            high=float(pds[index + 1]) if index + 1 < N_GRADES else 1.0,
            pd=float(middles[index]),
        )
        for index in range(N_GRADES)
    )


MASTER_SCALE: Final[tuple[Grade, ...]] = _master_scale()
"""Fifteen grades equally wide in log-odds from .05% to 30% (methods paper, section 1, Scale)."""
NAMES: Final[tuple[str, ...]] = (*(grade.name for grade in MASTER_SCALE), DEFAULTED)
"""Every grade, best first, default last."""

_INNER_EDGES: Final = np.array([grade.high for grade in MASTER_SCALE[:-1]])
_NAME_ARRAY: Final = np.array(NAMES)
_RANK: Final = {name: rank for rank, name in enumerate(NAMES)}
_STAY_ABOVE: Final = np.append(-np.inf, expit(_EDGES[1:-1] - HYSTERESIS * STEP))
_STAY_UP_TO: Final = np.append(expit(_EDGES[1:-1] + HYSTERESIS * STEP), np.inf)


def pd_of_log_odds(log_odds: ArrayLike) -> FloatArray:
    """Return the PD of log-odds of default, floored at `PD_FLOOR`.

    Examples
    --------
    >>> pd_of_log_odds([0.0, -20.0])
    array([0.5   , 0.0005])
    """
    return np.asarray(np.maximum(expit(np.asarray(log_odds, dtype=np.float64)), PD_FLOOR))


def points_of(log_odds: ArrayLike) -> FloatArray:
    """Return the points of log-odds of default: ``OFFSET - FACTOR * log_odds``; more points, less risk.

    Points are not floored, so that they stay the exact sum of their parts.

    Examples
    --------
    >>> points_of([-math.log(50.0), math.log(0.02 / 0.98)]).round(6)
    array([600.      , 599.417073])
    """
    return np.asarray(OFFSET - FACTOR * np.asarray(log_odds, dtype=np.float64))


def pd_of(points: ArrayLike) -> FloatArray:
    """Return the PD of points, floored at `PD_FLOOR`.

    Examples
    --------
    >>> pd_of([572.53042, 2000.0]).round(6)
    array([0.049266, 0.0005  ])
    """
    return pd_of_log_odds((OFFSET - np.asarray(points, dtype=np.float64)) / FACTOR)


@overload
def grade_of(pd: float) -> str: ...
@overload
def grade_of(pd: FloatArray) -> NDArray[np.str_]: ...
def grade_of(pd: float | FloatArray) -> str | NDArray[np.str_]:
    """Return the grade of a PD, or the grades of an array of them: a pure function of the PD.

    A PD on an edge belongs to the better grade.

    Raises
    ------
    ValueError
        If a PD is missing or not in [0, 1].

    Examples
    --------
    >>> grade_of(0.0005), grade_of(0.02), grade_of(0.9)
    ('1', '9', '15')
    >>> grade_of(np.array([0.001, 0.1]))
    array(['2', '13'], dtype='<U2')
    """
    names = _NAME_ARRAY[_ranks(pd)]
    return str(names) if np.ndim(pd) == 0 else names


def _ranks(pd: float | FloatArray) -> NDArray[np.intp]:
    values = np.asarray(pd, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("a PD lies between 0 and 1")
    return np.asarray(np.searchsorted(_INNER_EDGES, values, side="left"))


def notches(a: str, b: str) -> int:
    """Return by how many grades `b` is worse than `a` (negative: better); default is one beyond 15.

    Examples
    --------
    >>> notches("3", "5"), notches("15", "D"), notches("5", "3")
    (2, 1, -2)
    """
    return _RANK[b] - _RANK[a]


@overload
def stable_grade(previous: str | None, pd: float) -> str: ...
@overload
def stable_grade(previous: Sequence[str | None], pd: FloatArray) -> NDArray[np.str_]: ...
def stable_grade(previous: str | Sequence[str | None] | None, pd: float | FloatArray) -> str | NDArray[np.str_]:
    """Return the grade with hysteresis: the previous one until the PD is a quarter step beyond its edge.

    Parameters
    ----------
    previous : str or None, or a sequence of them
        The stable grade of the last score; None (or default) has no memory.
    pd : float, or array as long as `previous`

    Examples
    --------
    >>> edge = MASTER_SCALE[8].high
    >>> grade_of(edge * 1.05), stable_grade("9", edge * 1.05), stable_grade("9", edge * 1.2)
    ('10', '9', '10')
    >>> stable_grade([None, "9"], np.array([edge * 1.05, edge * 1.05]))
    array(['10', '9'], dtype='<U2')
    """
    is_one = previous is None or isinstance(previous, str)
    before = [previous] if previous is None or isinstance(previous, str) else previous
    values = np.atleast_1d(np.asarray(pd, dtype=np.float64))
    fresh = _ranks(values)
    remembered = np.array([-1 if name in {None, DEFAULTED} else _RANK[name or ""] for name in before], int)
    held = np.maximum(remembered, 0)
    stays = (remembered >= 0) & (values > _STAY_ABOVE[held]) & (values <= _STAY_UP_TO[held])
    names = _NAME_ARRAY[np.where(stays, held, fresh)]
    return str(names[0]) if is_one else names


@dataclass(frozen=True)
class GradeShare:
    """How many firms hold a grade.

    Attributes
    ----------
    share : float
        Of all firms, those in default included.
    is_concentrated : bool
        True above 30%: the scale does not separate these firms.
    """

    grade: str
    count: int
    share: float
    is_concentrated: bool


def share_per_grade(grades: Iterable[str]) -> list[GradeShare]:
    """Return the share of each of the sixteen grades, best first, empty ones included.

    Examples
    --------
    >>> [(row.grade, row.count, row.is_concentrated) for row in share_per_grade(["9", "9", "D"]) if row.count]
    [('9', 2, True), ('D', 1, True)]
    """
    counts = dict.fromkeys(NAMES, 0)
    for name in grades:
        counts[str(name)] += 1
    total = max(sum(counts.values()), 1)
    return [
        GradeShare(grade=name, count=count, share=count / total, is_concentrated=count / total > CONCENTRATED)
        for name, count in counts.items()
    ]
