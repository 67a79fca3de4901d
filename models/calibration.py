"""From scores to probabilities: a line in log-odds, Venn-Abers intervals, sampling and central tendency.

Calibration is linear in log-odds so that points, PD and grade stay one function (methods paper, section 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit

from models.additive import FloatArray

MIN_SLOPE: Final = 0.01
"""Least slope of a calibration line: a score that ranks at random or backwards becomes nearly flat."""
MAX_DISTINCT: Final = 1000
"""Distinct scores a Venn-Abers table keeps."""


def logistic_line(scores: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """Return the intercept and slope of the logistic regression of targets on one score.

    Parameters
    ----------
    scores : array of shape (n,), log-odds
    targets : array of shape (n,), in [0, 1]
        Labels, or soft labels.

    Returns
    -------
    (intercept, slope)
        Maximum likelihood by Newton's method. Constant scores have slope 0; a sample that the score separates
        has no finite slope, and the last of 50 iterates is returned.

    Examples
    --------
    >>> intercept, slope = logistic_line([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0, 0, 1, 0, 1, 1])
    >>> round(intercept, 6), round(slope, 6)
    (-0.693147, 1.386294)
    """
    s, t = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    centre, spread = float(np.mean(s)), float(np.std(s))
    start = float(logit(np.clip(np.mean(t), 1e-9, 1 - 1e-9)))
    if spread == 0:
        return start, 0.0
    z = (s - centre) / spread
    a, b = _newton(z, t, start)
    return a - b * centre / spread, b / spread


def _newton(z: FloatArray, t: FloatArray, start: float) -> tuple[float, float]:
    """Maximise the likelihood of t under expit(a + b z) for standardised z."""
    line = np.array([start, 0.0])
    loss = _loss(line, z, t)
    for _ in range(50):
        p = expit(line[0] + line[1] * z)
        w = p * (1 - p)
        gradient = np.array([np.sum(t - p), np.sum((t - p) * z)])
        cross = np.sum(w * z)
        hessian = np.array([[np.sum(w), cross], [cross, np.sum(w * z * z)]])
        if np.linalg.det(hessian) < 1e-12 * len(z):
            break
        step = np.linalg.solve(hessian, gradient)
        while (shorter := _loss(line + step, z, t)) > loss + 1e-12 * abs(loss):
            step = step / 2
        line, loss = line + step, shorter
        if np.max(np.abs(step)) < 1e-10:
            break
    return float(line[0]), float(line[1])


def _loss(line: FloatArray, z: FloatArray, t: FloatArray) -> float:
    log_odds = line[0] + line[1] * z
    return float(np.sum(np.logaddexp(0.0, log_odds) - t * log_odds))


def intercept_for(log_odds: ArrayLike, targets: ArrayLike) -> float:
    """Return the shift of the log-odds whose mean PD equals the mean of the targets.

    It is the maximum-likelihood intercept with the slope fixed at 1.

    Examples
    --------
    >>> round(intercept_for([0.0, 0.0], [1, 0]), 6), round(intercept_for([-2.0, -2.0], [1, 0]), 6)
    (0.0, 2.0)
    """
    return anchor(log_odds, float(np.mean(np.asarray(targets, dtype=np.float64))))


def platt(scores: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return the line (a, b), b > 0, that makes ``a + b * score`` calibrated log-odds of default.

    Parameters
    ----------
    scores : array of shape (n,)
        Log-odds of rows the model has not seen: out of fold.
    y : array of shape (n,)
        1 (or True) for default.

    Returns
    -------
    (a, b)
        With Platt's targets (N1 + 1)/(N1 + 2) and 1/(N0 + 2), which keep the line finite on separated
        samples. The slope is at least `MIN_SLOPE`: a score that ranks backwards is flattened, not reversed.

    References
    ----------
    J. Platt (1999), Probabilistic outputs for support vector machines.

    Examples
    --------
    >>> a, b = platt([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0], [0, 0, 0, 1, 0, 1])
    >>> round(a, 3), round(b, 3)
    (-0.422, 0.474)
    """
    s, bad = np.asarray(scores, dtype=np.float64), np.asarray(y, dtype=bool)
    n_bad = int(np.sum(bad))
    targets = np.where(bad, (n_bad + 1) / (n_bad + 2), 1 / (len(bad) - n_bad + 2))
    a, b = logistic_line(s, targets)
    if b < MIN_SLOPE:
        return intercept_for(MIN_SLOPE * s, targets), MIN_SLOPE
    return a, b


def prior_shift(sample_rate: float, population_rate: float) -> float:
    """Return what to add to log-odds fitted at one default rate to use them at another.

    ln[pi (1 - r) / ((1 - pi) r)] with r the sample's and pi the population's rate (methods paper, section 1).

    Raises
    ------
    ValueError
        If a rate is not strictly between 0 and 1.

    Examples
    --------
    >>> round(float(expit(logit(0.5) + prior_shift(0.5, 0.02))), 6)
    0.02
    """
    for rate in (sample_rate, population_rate):
        _check_rate(rate)
    return float(logit(population_rate) - logit(sample_rate))


def anchor(log_odds: ArrayLike, target_rate: float, floor: float = 0.0) -> float:
    """Return the shift delta with ``mean(max(floor, expit(log_odds + delta))) = target_rate``.

    Parameters
    ----------
    log_odds : array of shape (n,), log-odds of default of the reference population
    target_rate : float
        The central tendency: the long-run default rate.
    floor : float
        The least PD that is published.

    Raises
    ------
    ValueError
        If the population is empty, or the rate is not between the floor and 1.

    Examples
    --------
    >>> delta = anchor([-1.0, 0.0, 1.0], 0.03)
    >>> round(float(expit(np.array([-1.0, 0.0, 1.0]) + delta).mean()), 12)
    0.03
    """
    values = np.asarray(log_odds, dtype=np.float64)
    _check_rate(target_rate)
    if len(values) == 0 or target_rate <= floor:
        raise ValueError(f"cannot anchor {len(values)} rows to a rate of {target_rate} over a floor of {floor}")

    def excess(delta: float) -> float:
        return float(np.mean(np.maximum(floor, expit(values + delta)))) - target_rate

    wanted = float(logit(target_rate))
    low, high = wanted - float(np.max(values)) - 1e-6, wanted - float(np.min(values)) + 1e-6
    return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"a default rate lies strictly between 0 and 1, not at {rate}")


class _Block(NamedTuple):
    """A pooled block of an isotonic fit, with the blocks beyond it."""

    bads: int
    rows: int
    beyond: _Block | None


@dataclass(frozen=True, eq=False)
class VennAbers:
    """Inductive Venn-Abers predictor: two probabilities per score, one of which is calibrated.

    p0 and p1 are the isotonic fits at the score when it joins the calibration rows as a good and as a bad.

    Attributes
    ----------
    scores : array of shape (k,), increasing
        Distinct calibration scores (log-odds).
    p0, p1 : arrays of shape (2 k + 1,)
        For a score below the first, at the first, between the first and the second, ... above the last.
    is_grouped : bool
        True if the calibration scores were merged upwards into k groups; new ones are then merged likewise.

    References
    ----------
    V. Vovk, I. Petej, V. Fedorova (2015), Large-scale probabilistic predictors with and without guarantees of
    validity.

    Examples
    --------
    >>> venn_abers = VennAbers.fit([0.1, 0.2, 0.3, 0.4, 0.6, 0.8], [0, 0, 1, 0, 1, 1])
    >>> p0, p1 = venn_abers.interval([0.25, 0.5])
    >>> p0.round(6).tolist(), p1.round(6).tolist(), merged(p0, p1).round(6).tolist()
    ([0.0, 0.333333], [0.666667, 1.0], [0.4, 0.6])
    """

    scores: FloatArray
    p0: FloatArray
    p1: FloatArray
    is_grouped: bool

    def __post_init__(self) -> None:
        cells = (2 * len(self.scores) + 1,)
        if len(self.scores) == 0 or self.p0.shape != cells or self.p1.shape != cells:
            raise ValueError("a Venn-Abers table has scores and two probabilities for each cell around them")
        if not np.isfinite(self.scores).all() or (np.diff(self.scores) <= 0).any():
            raise ValueError("Venn-Abers scores must be finite and strictly increasing")
        is_probability = ((self.p0 >= 0) & (self.p0 <= self.p1) & (self.p1 <= 1)).all()
        if not is_probability or (np.diff(self.p0) < 0).any() or (np.diff(self.p1) < 0).any():
            raise ValueError("Venn-Abers probabilities must rise with the score, with 0 <= p0 <= p1 <= 1")

    @classmethod
    def fit(cls, scores: ArrayLike, y: ArrayLike, max_distinct: int = MAX_DISTINCT) -> VennAbers:
        """Build the exact table from calibration scores and labels.

        Parameters
        ----------
        scores : array of shape (n,)
            Of rows the model has not seen.
        y : array of shape (n,)
            1 (or True) for default.
        max_distinct : int
            With more distinct scores, neighbours are merged into this many groups of nearly equal size.
        """
        s, bad = np.asarray(scores, dtype=np.float64), np.asarray(y, dtype=bool)
        distinct = np.unique(s)
        is_grouped = len(distinct) > max_distinct
        if is_grouped:
            ranks = np.arange(1, max_distinct + 1) * len(s) // max_distinct - 1
            distinct = np.unique(np.sort(s)[ranks])
        group = np.searchsorted(distinct, s)
        rows = np.bincount(group, minlength=len(distinct)).tolist()
        bads = np.bincount(group[bad], minlength=len(distinct)).tolist()
        p0, p1 = _both_fits(list(zip(bads, rows, strict=True)))
        return cls(scores=distinct, p0=p0, p1=p1, is_grouped=is_grouped)

    def interval(self, scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return p0 and p1 of each score, shape (n,) each; p0 <= p1, both rising with the score."""
        s = np.asarray(scores, dtype=np.float64)
        left = np.searchsorted(self.scores, s, side="left")
        right = np.searchsorted(self.scores, s, side="right")
        if self.is_grouped:
            right = np.minimum(left + 1, len(self.scores))
        cell = left + right
        return self.p0[cell], self.p1[cell]

    def shifted(self, delta: float) -> VennAbers:
        """Return the table for scores and log-odds that are all `delta` higher (a prior shift)."""
        p0, p1 = expit(logit(self.p0) + delta), expit(logit(self.p1) + delta)
        return VennAbers(scores=self.scores + delta, p0=p0, p1=p1, is_grouped=self.is_grouped)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists of floats."""
        return {
            "scores": self.scores.tolist(),
            "p0": self.p0.tolist(),
            "p1": self.p1.tolist(),
            "is_grouped": self.is_grouped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VennAbers:
        """Return the table that `to_json` wrote; ValueError if it is not one."""
        scores, p0, p1 = (np.asarray(data[key], dtype=np.float64) for key in ("scores", "p0", "p1"))
        return cls(scores=scores, p0=p0, p1=p1, is_grouped=bool(data["is_grouped"]))


def merged(p0: FloatArray, p1: FloatArray) -> FloatArray:
    """Return the single probability of a Venn-Abers pair, p1 / (1 - p0 + p1) (minimax for log loss)."""
    return np.asarray(p1 / (1 - p0 + p1))


def _both_fits(groups: list[tuple[int, int]]) -> tuple[FloatArray, FloatArray]:
    """Return p0 and p1 of the 2 k + 1 cells of k groups of (bads, rows).

    A new row splits the groups in those below and those above. Both sides' isotonic fits are known for every
    split, as chains of blocks; pooling the new row with its violating neighbours completes the fit. Counts are
    integers, so every comparison is exact.
    """
    below = _chains(groups, is_rising=True)
    above = _chains(reversed(groups), is_rising=False)[::-1]
    fits: tuple[list[float], list[float]] = ([], [])
    for cell in range(2 * len(groups) + 1):
        group, is_tied = divmod(cell, 2)
        bads, rows = groups[group] if is_tied else (0, 0)
        for label in (0, 1):
            own = (bads + label, rows + 1)
            fits[label].append(_pooled(own, below[group], above[group + is_tied]))
    return np.array(fits[0]), np.array(fits[1])


def _chains(groups: Iterable[tuple[int, int]], *, is_rising: bool) -> list[_Block | None]:
    """Return the isotonic fits of the first 0, 1, 2, ... groups, each as a chain from its last block back."""
    chain: _Block | None = None
    chains = [chain]
    for bads, rows in groups:
        block = _Block(bads, rows, chain)
        while block.beyond is not None and _violates(block, block.beyond, is_rising=is_rising):
            nearest = block.beyond
            block = _Block(block.bads + nearest.bads, block.rows + nearest.rows, nearest.beyond)
        chain = block
        chains.append(chain)
    return chains


def _violates(block: _Block, neighbour: _Block, *, is_rising: bool) -> bool:
    difference = neighbour.bads * block.rows - block.bads * neighbour.rows
    return difference >= 0 if is_rising else difference <= 0


def _pooled(own: tuple[int, int], below: _Block | None, above: _Block | None) -> float:
    """Return the isotonic fit of a row between two fitted sides."""
    block = _Block(*own, None)
    while True:
        if below is not None and _violates(block, below, is_rising=True):
            block, below = _Block(block.bads + below.bads, block.rows + below.rows, None), below.beyond
        elif above is not None and _violates(block, above, is_rising=False):
            block, above = _Block(block.bads + above.bads, block.rows + above.rows, None), above.beyond
        else:
            return block.bads / block.rows
