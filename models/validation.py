"""How good a score is, with intervals: discrimination, calibration, stability, and folds to measure them on.

Everywhere y is 1 (or True) for default and a higher score means more risk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from scipy.stats import chi2, norm, rankdata

from models.additive import FloatArray
from models.calibration import intercept_for, logistic_line

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]

PSI_WATCH: Final = 0.10
PSI_ALARM: Final = 0.25
"""The customary limits of the population stability index (methods paper, section 8)."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes
    ----------
    standard_error : float
        NaN where it cannot be estimated; the interval is then everything possible.
    """

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """The difference of two AUCs on the same rows, first less second.

    Attributes
    ----------
    p_value : float
        Two-sided.
    low, high : float
        Interval of the difference at the level asked for.
    """

    difference: float
    standard_error: float
    p_value: float
    low: float
    high: float


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the ROC curve: P(score of a bad > score of a good), ties counted half.

    Raises
    ------
    ValueError
        If a class is missing or a score is not finite.

    Examples
    --------
    >>> auc([1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4])
    0.875
    """
    bad, s = _check(y, score)
    n_bad, n_good = int(np.sum(bad)), int(np.sum(~bad))
    ranks = rankdata(s)
    wins = float(np.sum(ranks[bad])) - n_bad * (n_bad + 1) / 2
    return wins / n_bad / n_good


def _check(y: ArrayLike, score: ArrayLike) -> tuple[BoolArray, FloatArray]:
    bad, s = np.asarray(y, dtype=bool), np.asarray(score, dtype=np.float64)
    if bad.shape != s.shape or not np.isfinite(s).all():
        raise ValueError("expected as many labels as scores, and finite scores")
    if bad.all() or not bad.any():
        raise ValueError("discrimination needs at least one default and one non-default")
    return bad, s


def _placements(bad: BoolArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each bad's share of goods below it and each good's share of bads above it, ties half."""
    ranks = rankdata(s)
    bads, goods = s[bad], s[~bad]
    above_goods = (ranks[bad] - rankdata(bads)) / len(goods)
    below_bads = 1 - (ranks[~bad] - rankdata(goods)) / len(bads)
    return above_goods, below_bads


def _variance(above_goods: FloatArray, below_bads: FloatArray) -> float:
    """Return S10 / m + S01 / n, both with ddof 1; NaN if a class has a single row."""
    if len(above_goods) == 1 or len(below_bads) == 1:
        return math.nan
    return float(np.var(above_goods, ddof=1) / len(above_goods) + np.var(below_bads, ddof=1) / len(below_bads))


def delong(y: ArrayLike, score: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the AUC with DeLong's standard error and a normal interval clipped to [0, 1].

    A class of a single row has no variance: the standard error is NaN and the interval is [0, 1].

    References
    ----------
    E. DeLong, D. DeLong, D. Clarke-Pearson (1988), Biometrics 44:837.

    Examples
    --------
    >>> estimate = delong([1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4])
    >>> estimate.value, round(estimate.standard_error**2, 7)
    (0.875, 0.0219907)
    """
    bad, s = _check(y, score)
    return _auc_estimate(auc(bad, s), math.sqrt(_variance(*_placements(bad, s))), level)


def delong_paired(y: ArrayLike, first: ArrayLike, second: ArrayLike, level: float = 0.90) -> PairedTest:
    """Return DeLong's paired comparison of two scores of the same rows.

    The variance is that of the rows' placement differences, so the correlation of the scores is in it. Scores
    that rank alike differ by 0 with p-value 1. With a class of a single row the error is NaN.

    Examples
    --------
    >>> y = [1, 1, 1, 0, 0, 0, 0]
    >>> test = delong_paired(y, [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4], [0.9, 0.1, 0.4, 0.7, 0.3, 0.2, 0.4])
    >>> round(test.difference, 6), round(test.standard_error, 6), round(test.p_value, 6)
    (0.333333, 0.333333, 0.317311)
    """
    bad, a = _check(y, first)
    _, b = _check(y, second)
    placements = zip(_placements(bad, a), _placements(bad, b), strict=True)
    error = math.sqrt(_variance(*(own - other for own, other in placements)))
    difference = auc(bad, a) - auc(bad, b)
    low, high = _normal_interval(difference, error, level)
    p_value = float(difference == 0) if error == 0 else float(2 * norm.sf(abs(difference) / error))
    return PairedTest(difference, error, p_value, low, high)


def _auc_estimate(value: float, error: float, level: float) -> Estimate:
    if math.isnan(error):
        return Estimate(value, error, 0.0, 1.0)
    low, high = _normal_interval(value, error, level)
    return Estimate(value, error, max(low, 0.0), min(high, 1.0))


def _normal_interval(value: float, error: float, level: float) -> tuple[float, float]:
    half = float(norm.ppf((1 + level) / 2)) * error
    return value - half, value + half


def ks(y: ArrayLike, score: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance between the scores of bads and goods.

    Examples
    --------
    >>> round(ks([1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4]), 6)
    0.666667
    """
    bad, s = _check(y, score)
    order, ends = _tie_blocks(s)
    return float(_weighted_ks(bad[order], ends, np.ones((1, len(s))))[0])


def ks_bootstrap(
    y: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    n_replicates: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Return KS with a percentile interval from resampling obligors, not rows.

    Parameters
    ----------
    groups : array of shape (n,)
        The obligor of each row; its rows are drawn together.
    seed : int
    n_replicates : int
        Replicates without both classes are left out.

    Examples
    --------
    >>> y, score = [1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4]
    >>> estimate = ks_bootstrap(y, score, range(7), seed=1)
    >>> round(estimate.value, 3), estimate.low <= estimate.value <= estimate.high
    (0.667, True)
    """
    bad, s = _check(y, score)
    order, ends = _tie_blocks(s)
    member = np.unique(np.asarray(groups), return_inverse=True)[1][order]
    n_groups = int(member.max()) + 1
    generator = np.random.default_rng(seed)
    even = np.full(n_groups, 1 / n_groups)
    chunk = max(1, 5_000_000 // len(s))
    values = [
        _weighted_ks(bad[order], ends, generator.multinomial(n_groups, even, size=size)[:, member])
        for start in range(0, n_replicates, chunk)
        for size in [min(chunk, n_replicates - start)]
    ]
    replicates = np.concatenate(values)
    replicates = replicates[~np.isnan(replicates)]
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(ks(bad, s), float(np.std(replicates, ddof=1)), float(low), float(high))


def _tie_blocks(s: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the sorting order and the last position of each block of equal scores."""
    order = np.argsort(s, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(s[order]) != 0, True))


def _weighted_ks(bad: BoolArray, ends: NDArray[np.intp], weights: NDArray[Any]) -> FloatArray:
    """Return the KS of each row of weights (replicates, n), rows sorted by score; NaN without a class."""
    bads = np.cumsum(weights * bad, axis=1)
    goods = np.cumsum(weights * ~bad, axis=1)
    with np.errstate(invalid="ignore"):
        gap = bads[:, ends] / bads[:, -1:] - goods[:, ends] / goods[:, -1:]
    return np.asarray(np.max(np.abs(gap), axis=1))


def brier(y: ArrayLike, pd: ArrayLike) -> float:
    """Return the mean squared error of PDs.

    Examples
    --------
    >>> brier([1, 0], [0.75, 0.25])
    0.0625
    """
    return float(np.mean((np.asarray(pd, dtype=np.float64) - np.asarray(y, dtype=np.float64)) ** 2))


@dataclass(frozen=True)
class Calibration:
    """Whether PDs are right on average and spread rightly.

    Attributes
    ----------
    intercept, slope : float
        Of the logistic regression of defaults on the PD's log-odds: 0 and 1 for calibrated PDs. A slope below
        1 says the PDs are too extreme.
    in_the_large : float
        Shift of the log-odds that makes the mean PD equal the default rate; above 0, PDs are too low.
    mean_pd, default_rate : float
    """

    intercept: float
    slope: float
    in_the_large: float
    mean_pd: float
    default_rate: float


def calibration(y: ArrayLike, pd: ArrayLike) -> Calibration:
    """Return calibration-in-the-large and the calibration slope of PDs.

    Raises
    ------
    ValueError
        If a class is missing or a PD is not strictly between 0 and 1.

    Examples
    --------
    >>> perfect = calibration([1, 0, 0, 0, 1, 1, 1, 0], [0.25, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75])
    >>> abs(round(perfect.intercept, 6)), round(perfect.slope, 6), abs(round(perfect.in_the_large, 6))
    (0.0, 1.0, 0.0)
    """
    bad, p = _check(y, pd)
    if ((p <= 0) | (p >= 1)).any():
        raise ValueError("calibration needs PDs strictly between 0 and 1")
    log_odds = logit(p)
    intercept, slope = logistic_line(log_odds, bad)
    return Calibration(intercept, slope, intercept_for(log_odds, bad), float(np.mean(p)), float(np.mean(bad)))


def psi(expected: ArrayLike, actual: ArrayLike, floor: float = 1e-4) -> float:
    """Return the population stability index, sum of (a - e) ln(a / e) over bins.

    Parameters
    ----------
    expected, actual : arrays of shape (bins,)
        Counts or shares of development and of now, in the same bins.
    floor : float
        Least share: an empty bin counts, but not infinitely.

    Raises
    ------
    ValueError
        If the bins differ in number or a side is empty.

    Examples
    --------
    >>> round(psi([0.1, 0.2, 0.4, 0.2, 0.1], [0.15, 0.25, 0.35, 0.15, 0.1]), 6)
    0.052491
    >>> round(psi([100, 0], [0, 100]), 2)
    18.42
    """
    e, a = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if e.shape != a.shape or np.sum(e) <= 0 or np.sum(a) <= 0:
        raise ValueError("a stability index compares two filled tables of the same bins")
    e, a = np.maximum(e / np.sum(e), floor), np.maximum(a / np.sum(a), floor)
    return float(np.sum((a - e) * np.log(a / e)))


def psi_noise_floor(n_expected: int, n_actual: int, n_bins: int, level: float = 0.95) -> float:
    """Return the PSI that two samples of one population exceed with probability 1 - level.

    (1/n + 1/m) times the chi-squared quantile with bins - 1 degrees of freedom (Yurdakul and Naranjo).

    Examples
    --------
    >>> round(psi_noise_floor(100, 100, 10), 3), round(psi_noise_floor(500, 500, 10), 3)
    (0.338, 0.068)
    """
    return float((1 / n_expected + 1 / n_actual) * chi2.ppf(level, n_bins - 1))


@dataclass(frozen=True)
class Stability:
    """A population stability index beside what chance alone would give.

    Attributes
    ----------
    verdict : str
        "stable", "watch" or "alarm" (.10, .25); a value under the noise floor is always "stable".
    """

    value: float
    noise_floor: float
    verdict: str


@dataclass(frozen=True, eq=False)
class FrozenBins:
    """Bins and counts of a quantity at development, frozen for every later comparison.

    Attributes
    ----------
    cuts : array of shape (k,), increasing
        A value equal to a cut falls on its left.
    counts : array of shape (k + 2,)
        Development rows of each bin; the last bin holds missing values.

    Examples
    --------
    >>> bins = FrozenBins.of(np.arange(1000.0), n_bins=10)
    >>> later = bins.compare(np.append(np.arange(500.0), [np.nan] * 500))
    >>> later.verdict, later.value > later.noise_floor
    ('alarm', True)
    """

    cuts: FloatArray
    counts: IntArray

    @classmethod
    def of(cls, values: ArrayLike, n_bins: int = 10) -> FrozenBins:
        """Cut development values into bins of nearly equal size; ties may leave fewer."""
        x = np.asarray(values, dtype=np.float64)
        known = x[~np.isnan(x)]
        levels = np.arange(1, n_bins) / n_bins
        cuts = np.unique(np.quantile(known, levels, method="lower")) if len(known) else np.empty(0)
        cuts = cuts[cuts < np.max(known)] if len(known) else cuts
        return cls(cuts=cuts, counts=_count(cuts, x))

    def count(self, values: ArrayLike) -> IntArray:
        """Return the rows of each bin, missing values last."""
        return _count(self.cuts, np.asarray(values, dtype=np.float64))

    def compare(self, values: ArrayLike) -> Stability:
        """Return the index of new values against development, in the frozen bins."""
        counts = self.count(values)
        n_bins = max(2, int(np.sum((self.counts > 0) | (counts > 0))))
        value = psi(self.counts, counts)
        noise = psi_noise_floor(int(np.sum(self.counts)), int(np.sum(counts)), n_bins)
        if value <= max(noise, PSI_WATCH):
            return Stability(value, noise, "stable")
        return Stability(value, noise, "watch" if value <= PSI_ALARM else "alarm")


def _count(cuts: FloatArray, x: FloatArray) -> IntArray:
    bins = np.where(np.isnan(x), len(cuts) + 1, np.searchsorted(cuts, x, side="left"))
    return np.bincount(bins, minlength=len(cuts) + 2).astype(np.int64)


Fit: TypeAlias = Callable[[FloatArray, BoolArray, NDArray[Any]], Callable[[FloatArray], FloatArray]]
"""Fits on (X, y, groups) and returns the scorer. Whatever it chooses, it chooses from these rows alone."""


def grouped_folds(y: ArrayLike, groups: ArrayLike, *, n_folds: int, seed: int) -> IntArray:
    """Return the fold 0..n_folds-1 of each row: groups stay together, defaults are spread evenly.

    Groups are shuffled and dealt out in turn, those with most defaults first.

    Examples
    --------
    >>> folds = grouped_folds([1, 0] * 10, [row // 2 for row in range(20)], n_folds=5, seed=1)
    >>> np.bincount(folds).tolist(), (folds[0::2] == folds[1::2]).all()
    ([4, 4, 4, 4, 4], np.True_)
    """
    bad = np.asarray(y, dtype=bool)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    defaults = np.bincount(member[bad], minlength=len(names))
    dealt = shuffled[np.argsort(-defaults[shuffled], kind="stable")]
    fold_of_group = np.empty(len(names), dtype=np.int64)
    fold_of_group[dealt] = np.arange(len(names)) % n_folds
    return fold_of_group[member]


def out_of_fold(
    fit: Fit,
    X: FloatArray,
    y: BoolArray,
    groups: NDArray[Any],
    folds: Sequence[IntArray],
    progress: Callable[[], None] = lambda: None,
) -> FloatArray:
    """Return scores of rows that the model which gave them has not seen.

    Nested validation: all of `fit`'s choices happen inside the training rows of each fold.

    Parameters
    ----------
    X : array of shape (n, p)
    y, groups : arrays of shape (n,)
    folds : one array of shape (n,) a repeat, from `grouped_folds`
    progress : called after each fold

    Returns
    -------
    array of shape (repeats, n)

    Examples
    --------
    >>> X, y = np.arange(20.0)[:, np.newaxis], np.arange(20) % 2 == 0
    >>> folds = [grouped_folds(y, np.arange(20), n_folds=2, seed=repeat) for repeat in range(3)]
    >>> out_of_fold(lambda X, y, groups: (lambda rows: rows[:, 0]), X, y, np.arange(20), folds).shape
    (3, 20)
    """
    scores = np.full((len(folds), len(y)), np.nan)
    for repeat, fold_of_row in enumerate(folds):
        for fold in np.unique(fold_of_row):
            held_out = fold_of_row == fold
            score = fit(X[~held_out], y[~held_out], groups[~held_out])
            scores[repeat, held_out] = score(X[held_out])
            progress()
    return scores


def mean_auc(y: ArrayLike, scores: FloatArray, level: float = 0.95) -> Estimate:
    """Return the mean AUC of repeated out-of-fold scores (repeats, n), with DeLong's error of one repeat.

    Repeats share their rows, so they steady the value but do not narrow the interval.

    Examples
    --------
    >>> y, score = [1, 1, 1, 0, 0, 0, 0], np.array([0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4])
    >>> mean_auc(y, np.stack([score, score])) == delong(y, score)
    True
    """
    repeats = [delong(y, score) for score in scores]
    value = float(np.mean([repeat.value for repeat in repeats]))
    error = math.sqrt(float(np.mean([repeat.standard_error**2 for repeat in repeats])))
    return _auc_estimate(value, error, level)


def paired_standard_error(y: ArrayLike, first: FloatArray, second: FloatArray) -> float:
    """Return the standard error of the difference of two mean AUCs over the same repeats (repeats, n).

    The root mean of the repeats' DeLong variances: what one set of rows leaves uncertain. 0 when both rank
    alike.

    Examples
    --------
    >>> y, score = [1, 1, 0, 0], np.array([[4.0, 2.0, 3.0, 1.0]])
    >>> paired_standard_error(y, score, 2 * score)
    0.0
    """
    tests = [delong_paired(y, a, b) for a, b in zip(first, second, strict=True)]
    return math.sqrt(float(np.mean([test.standard_error**2 for test in tests])))
