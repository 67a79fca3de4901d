"""The classic scorecard: monotone bins, weights of evidence, a logistic regression with signs that experts expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.utils import Tags

from models.additive import AdditiveScore, FloatArray, Step
from models.estimators.compiled import CompiledClassifier, Rows, column_names
from models.validation import BoolArray, IntArray

MIN_SHARE: Final = 0.05
MIN_GOODS: Final = 10
MIN_BADS: Final = 10
"""Least share of rows, goods and bads of a bin of known values (methods paper, section 1)."""
MIN_MISSING_BADS: Final = 5
"""With fewer bads the bin of missing values says nothing: WOE 0 and a flag."""
SMOOTHING: Final = 0.5
MIN_IV: Final = 0.02
REVIEW_IV: Final = 0.5
MAX_VIF: Final = 5.0

KEPT: Final = "kept"
REVIEW: Final = "review"
WEAK: Final = "weak"
COLLINEAR: Final = "collinear"
UNUSED: Final = "unused"


def weights_of_evidence(goods: ArrayLike, bads: ArrayLike, smoothing: float = SMOOTHING) -> FloatArray:
    """Return ln(share of goods / share of bads) of each bin; above 0 is safer than average.

    WOE_b = ln[((g_b + s) / sum(g + s)) / ((b_b + s) / sum(b + s))] (methods paper, section 1).

    Parameters
    ----------
    goods, bads : arrays of shape (bins,)
        Rows of each bin.
    smoothing : float
        Added to each count; with 0 no count may be 0.

    Examples
    --------
    >>> weights_of_evidence([400, 350, 150], [10, 30, 60]).round(6).tolist()
    [1.457337, 0.257633, -1.272682]
    """
    good, bad = _shares(goods, smoothing), _shares(bads, smoothing)
    return np.asarray(np.log(good / bad))


def information_value(goods: ArrayLike, bads: ArrayLike, smoothing: float = SMOOTHING) -> float:
    """Return sum of (share of goods - share of bads) * WOE over bins, shares smoothed as the WOE.

    Examples
    --------
    >>> round(information_value([400, 350, 150], [10, 30, 60], smoothing=0.0), 6)
    1.091931
    """
    good, bad = _shares(goods, smoothing), _shares(bads, smoothing)
    return float(np.sum((good - bad) * np.log(good / bad)))


def _shares(counts: ArrayLike, smoothing: float) -> FloatArray:
    smoothed = np.asarray(counts, dtype=np.float64) + smoothing
    return np.asarray(smoothed / np.sum(smoothed))


@dataclass(frozen=True, eq=False)
class FeatureBins:
    """The bins of one feature and what they say.

    Attributes
    ----------
    cuts : array of shape (k,)
        Increasing values of the sample; a value equal to a cut falls in the bin on its left.
    goods, bads : arrays of shape (k + 2,)
        Rows of each bin; the last bin holds missing values.
    woe : array of shape (k + 2,)
        Smoothed weight of evidence; 0 in a bin of missing values with fewer than five bads.
    iv : float
        Information value.
    is_missing_neutral : bool
        Whether the WOE of missing values was set to 0 for want of bads.
    note : str
        "kept"; "review" (kept, but its information value is above .5: look for leakage); "weak" (below .02);
        "collinear" (variance inflation of 5 or more); "unused" (its coefficient is 0).

    Examples
    --------
    >>> bins = FeatureBins.of(np.repeat([1.0, 2.0], 50), np.arange(100) % 50 < np.repeat([10, 25], 50), sign=1)
    >>> bins.cuts.tolist(), bins.bads.tolist(), bins.woe.round(2).tolist(), bins.is_missing_neutral
    ([1.0], [10, 25, 0], [0.74, -0.61, 0.0], True)
    """

    cuts: FloatArray
    goods: IntArray
    bads: IntArray
    woe: FloatArray
    iv: float
    is_missing_neutral: bool
    note: str = KEPT

    @classmethod
    def of(cls, x: FloatArray, bad: BoolArray, sign: int, n_prebins: int = 20) -> FeatureBins:
        """Bin a feature (n,), the share of bads rising (sign +1), falling (-1) or whichever tells more (0)."""
        options = [cls._in_direction(x, bad, direction, n_prebins) for direction in ((sign,) if sign else (1, -1))]
        return max(options, key=lambda bins: bins.iv)

    @classmethod
    def _in_direction(cls, x: FloatArray, bad: BoolArray, direction: int, n_prebins: int) -> FeatureBins:
        cuts = _quantiles(x, n_prebins)
        goods, bads = _count(cuts, x[~bad]), _count(cuts, x[bad])
        blocks = [_Block(int(goods[i]), int(bads[i]), i) for i in range(len(cuts) + 1)]
        blocks = _large_enough(_pooled(blocks, direction), MIN_SHARE * len(x))
        return cls._counted(
            cuts[[block.last for block in blocks[:-1]]],
            np.array([*(block.goods for block in blocks), goods[-1]]),
            np.array([*(block.bads for block in blocks), bads[-1]]),
        )

    @classmethod
    def _counted(cls, cuts: FloatArray, goods: IntArray, bads: IntArray) -> FeatureBins:
        used = goods + bads > 0
        woe = np.zeros(len(goods))
        woe[used] = weights_of_evidence(goods[used], bads[used])
        is_missing_neutral = bool(bads[-1] < MIN_MISSING_BADS)
        if is_missing_neutral:
            woe[-1] = 0.0
        share = np.zeros_like(woe)
        share[used] = _shares(goods[used], SMOOTHING) - _shares(bads[used], SMOOTHING)
        return cls(cuts, goods, bads, woe, float(np.sum(share * woe)), is_missing_neutral)

    def transform(self, x: FloatArray) -> FloatArray:
        """Return the weight of evidence of each value, shape (n,)."""
        return self.woe[_bin(self.cuts, x)]


@dataclass(frozen=True)
class _Block:
    """Neighbouring bins taken together, up to the bin `last`."""

    goods: int
    bads: int
    last: int

    @property
    def bad_share(self) -> float:
        return self.bads / max(1, self.goods + self.bads)

    def with_next(self, other: _Block) -> _Block:
        return _Block(self.goods + other.goods, self.bads + other.bads, other.last)

    def is_small(self, min_rows: float) -> bool:
        return self.goods < MIN_GOODS or self.bads < MIN_BADS or self.goods + self.bads < min_rows


def _pooled(blocks: Sequence[_Block], direction: int) -> list[_Block]:
    """Merge neighbours until the share of bads moves in the direction: pool adjacent violators."""
    pooled: list[_Block] = []
    for following in blocks:
        block = following
        while pooled and direction * (block.bad_share - pooled[-1].bad_share) <= 0:
            block = pooled.pop().with_next(block)
        pooled.append(block)
    return pooled


def _large_enough(blocks: list[_Block], min_rows: float) -> list[_Block]:
    """Merge each small block with the neighbour most like it; shares of bads stay monotone."""
    while len(blocks) > 1 and any(block.is_small(min_rows) for block in blocks):
        small = min((i for i, block in enumerate(blocks) if block.is_small(min_rows)), key=lambda i: _rows(blocks[i]))
        neighbours = [i for i in (small - 1, small + 1) if 0 <= i < len(blocks)]
        nearest = min(neighbours, key=lambda i: abs(blocks[i].bad_share - blocks[small].bad_share))
        first = min(small, nearest)
        blocks = [*blocks[:first], blocks[first].with_next(blocks[first + 1]), *blocks[first + 2 :]]
    return blocks


def _rows(block: _Block) -> int:
    return block.goods + block.bads


def _quantiles(x: FloatArray, n_bins: int) -> FloatArray:
    """Return at most n_bins - 1 cuts, values of x with rows on either side."""
    known = x[~np.isnan(x)]
    if not len(known):
        return np.empty(0)
    cuts = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins, method="lower"))
    return np.asarray(cuts[cuts < np.max(known)])


def _bin(cuts: FloatArray, x: FloatArray) -> IntArray:
    return np.where(np.isnan(x), len(cuts) + 1, np.searchsorted(cuts, x, side="left"))


def _count(cuts: FloatArray, x: FloatArray) -> IntArray:
    return np.bincount(_bin(cuts, x), minlength=len(cuts) + 2)


class WoeScorecard(CompiledClassifier):
    """A scorecard of weights of evidence (methods paper, section 1).

    Features are cut into monotone bins by their expert sign, filtered by information value and variance
    inflation, and weighed by a logistic regression whose coefficients cannot be negative: more evidence for good
    never counts as bad.

    The coefficients are fitted on cross-fitted weights of evidence: each row's come from the bins that the rows of
    other firms give, so that a bin cannot vouch for the rows it was made of. The score itself reads the bins of
    all rows. As with any target encoding, what the rows are scored with therefore differs from what the
    coefficients were fitted on.

    A feature that tells defaults from the others perfectly has no two bins with ten of each, and is not used: in
    practice it is leakage.

    Parameters
    ----------
    signs : sequence of +1, -1, 0 or None, one for each feature, optional
        +1: more of the feature never lowers the risk. 0 or None: whichever direction tells more.
    seed : int
        Of the folds.
    n_prebins : int
        Quantile bins that monotone merging starts from.
    n_folds : int
        Folds of the cross-fitted weights of evidence; firms stay together.
    l2 : float
        Penalty l2/2 * sum of squared coefficients, beside a sum of log-losses over rows.

    Attributes
    ----------
    bins_ : tuple of FeatureBins, one for each feature
    coefficients_ : array of shape (p,)
        Log-odds of no default per unit of weight of evidence; 0 for features that are not used.

    Examples
    --------
    >>> X = np.linspace(0.0, 1.0, 400)[:, np.newaxis]
    >>> y = np.arange(400) * 7919 % 400 < 300 * X[:, 0]
    >>> card = WoeScorecard(signs=[1]).fit(X, y)
    >>> card.bins_[0].note, card.to_additive(["sales_cv"]).monotone_violations({"sales_cv": 1})
    ('review', {})
    """

    def __init__(
        self,
        signs: Sequence[int | None] | None = None,
        seed: int = 0,
        n_prebins: int = 20,
        n_folds: int = 5,
        l2: float = 1.0,
    ) -> None:
        self.signs = signs
        self.seed = seed
        self.n_prebins = n_prebins
        self.n_folds = n_folds
        self.l2 = l2

    def _learn(self, rows: Rows, signs: Sequence[int]) -> AdditiveScore:
        bins = [self._bins(rows.X[:, column], rows.bad, sign) for column, sign in enumerate(signs)]
        bins = [_judged(one) for one in bins]
        intercept, coefficients = rows.mean_log_odds, np.zeros(len(bins))
        folds = rows.folds(self.n_folds, self.seed)
        telling = [column for column, one in enumerate(bins) if one.note in {KEPT, REVIEW}]
        if telling and folds is not None:
            woe = self._cross_fitted(rows, folds, signs, telling)
            kept = _without_collinear(woe, [bins[column].iv for column in telling])
            alpha, beta = nonnegative_logistic(woe[:, kept], ~rows.bad, self.l2)
            intercept, coefficients[np.array(telling)[kept]] = -alpha, beta
            bins = list(_noted(bins, coefficients, {telling[i] for i in set(range(len(telling))) - set(kept)}))
        self.bins_ = tuple(bins)
        self.coefficients_ = coefficients
        names = column_names(len(bins))
        units = tuple(
            Step((name,), (one.cuts,), -beta * one.woe)
            for name, one, beta in zip(names, bins, coefficients, strict=True)
            if beta > 0
        )
        return AdditiveScore(names, intercept, units)

    def _bins(self, x: FloatArray, bad: BoolArray, sign: int) -> FeatureBins:
        return FeatureBins.of(x, bad, sign, self.n_prebins)

    def _cross_fitted(self, rows: Rows, folds: IntArray, signs: Sequence[int], columns: Sequence[int]) -> FloatArray:
        """Return weights of evidence (n, columns) of rows in the bins of the other folds' rows."""
        woe = np.empty((len(rows.bad), len(columns)))
        for fold in np.unique(folds):
            own = folds == fold
            for position, column in enumerate(columns):
                x = rows.X[:, column]
                woe[own, position] = self._bins(x[~own], rows.bad[~own], signs[column]).transform(x[own])
        return woe

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # on classes that one feature separates perfectly
        return tags


def _judged(bins: FeatureBins) -> FeatureBins:
    if bins.iv < MIN_IV:
        return replace(bins, note=WEAK)
    return replace(bins, note=REVIEW if bins.iv > REVIEW_IV else KEPT)


def _noted(bins: Sequence[FeatureBins], coefficients: FloatArray, collinear: set[int]) -> Iterator[FeatureBins]:
    for column, (one, beta) in enumerate(zip(bins, coefficients, strict=True)):
        if column in collinear:
            yield replace(one, note=COLLINEAR)
        else:
            yield one if beta > 0 or one.note == WEAK else replace(one, note=UNUSED)


def variance_inflation(columns: ArrayLike) -> FloatArray:
    """Return each column's variance inflation factor: the diagonal of the inverse correlation matrix.

    Parameters
    ----------
    columns : array of shape (n, p)
        No missing values. A constant column has factor 1; columns that determine each other have infinity.

    Examples
    --------
    >>> variance_inflation([[1, 1], [2, 2], [3, 1], [4, 2]]).round(9).tolist()
    [1.25, 1.25]
    """
    matrix = np.asarray(columns, dtype=np.float64)
    centred = matrix - np.mean(matrix, axis=0)
    size = np.sqrt(np.sum(centred**2, axis=0))
    varies = size > 0
    unit = centred[:, varies] / size[varies]
    values, vectors = np.linalg.eigh(unit.T @ unit)
    factors = np.ones(matrix.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(values > _SINGULAR, 1 / values, np.inf)
        terms = np.where(vectors**2 > _SINGULAR, vectors**2 * inverse, 0.0)
    factors[varies] = np.sum(terms, axis=1)
    return factors


_SINGULAR: Final = 1e-10


def _without_collinear(woe: FloatArray, ivs: Sequence[float]) -> list[int]:
    """Drop, one at a time, the least telling of the features whose variance inflation is too high."""
    kept = list(range(len(ivs)))
    while inflated := [i for i, vif in zip(kept, variance_inflation(woe[:, kept]), strict=True) if vif >= MAX_VIF]:
        kept.remove(min(inflated, key=lambda i: ivs[i]))
    return kept


def nonnegative_logistic(X: FloatArray, y: BoolArray, l2: float) -> tuple[float, FloatArray]:
    """Return intercept and coefficients, none below 0, of the penalised logistic regression of y on X.

    Minimises the sum of log-losses plus l2/2 times the sum of squared coefficients (the intercept is free), by
    L-BFGS-B with its exact gradient.

    Parameters
    ----------
    X : array of shape (n, p)
        No missing values.
    y : array of shape (n,)
    l2 : float

    Returns
    -------
    intercept : float
    coefficients : array of shape (p,)

    Examples
    --------
    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([False, False, True, False])
    >>> intercept, coefficients = nonnegative_logistic(X, y, l2=1.0)
    >>> round(intercept, 4), coefficients.round(4).tolist()
    (-1.3205, [0.4215, 0.0])
    """

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        eta = parameters[0] + X @ parameters[1:]
        beta = parameters[1:]
        residual = expit(eta) - y
        value = np.sum(np.logaddexp(0.0, eta) - eta * y) + l2 / 2 * np.sum(beta**2)
        gradient = np.append(np.sum(residual), residual @ X + l2 * beta)
        return float(value / len(y)), gradient / len(y)

    n_features = X.shape[1]
    bounds = [(None, None)] + [(0.0, None)] * n_features
    options = {"maxiter": 1000, "gtol": 1e-9, "ftol": 1e-14}
    found = minimize(loss, np.zeros(1 + n_features), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return float(found.x[0]), np.asarray(found.x[1:])
