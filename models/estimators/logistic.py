"""Logistic regression for small samples: few features, named beforehand, each in the direction experts expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from models.additive import AdditiveScore, FloatArray, Line, Replicas, Step, Unit
from models.estimators.compiled import CompiledClassifier, Rows, column_names
from models.validation import BoolArray

TAIL: Final = 0.02
"""Share of each tail that winsorising pulls in."""
MIN_KNOWN_SHARE: Final = 0.5
"""A feature that is unknown more often is left out."""
MIN_MISSING: Final = 5
"""With fewer goods or bads among its missing rows, a missing value counts as average."""
STRENGTHS: Final = (0.03, 0.1, 0.3)
"""Values of C tried: standard deviations of .17 to .55 of a standardised coefficient's normal prior. Kept close
together, because a choice made on some twenty defaults is itself noisy."""


class SmallSampleLogistic(CompiledClassifier):
    """Ridge logistic regression on at most eight features, for samples of fewer than 100 defaults.

    With so few defaults a search among features fits noise. So the order of the columns decides, the most trusted
    first, not their strength in the sample; those with an expected sign come before those without. Passed over are
    features that are mostly unknown, constant, or that point against their expected sign in the sample.

    Features are winsorised and standardised; coefficients are bounded by the expected signs and shrunk by an L2
    penalty whose C has the least held-out log-loss, all steps repeated in each fold, firms kept together. A missing
    value adds a shrunk constant of its own where enough goods and bads lack the feature, otherwise 0.

    Parameters
    ----------
    signs : sequence of +1, -1, 0 or None, one for each feature, optional
        +1: more of the feature never lowers the risk. 0 or None: free.
    seed : int
        Of the folds that choose C.
    max_features : int
    n_folds : int
        Of the choice of C; fewer where firms of a class are fewer.

    Attributes
    ----------
    C_ : float
        The penalty's inverse strength, as in scikit-learn.
    selected_ : tuple of int
        Columns in use, in the order they were taken.
    additive_ : AdditiveScore
        One `Line` for each selected feature whose term is not 0.

    Notes
    -----
    Minimises ``sum_i w_i log(1 + exp(-s_i f(x_i))) + |b|^2 / (2 C)`` under ``sign_j b_j >= 0``, with f the
    intercept plus ``sum_j b_j z_j`` and the intercept free, by L-BFGS-B with the exact gradient.

    References
    ----------
    F. Harrell (2015), Regression Modeling Strategies, 2nd ed., sections 4.3-4.4 (selection and limiting sample
    sizes), 9.10 (penalised likelihood).

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> X = rng.normal(size=(120, 3))
    >>> y = rng.random(120) < expit(1.5 * X[:, 0] - 1)
    >>> model = SmallSampleLogistic(signs=[1, -1, 0]).fit(X, y)
    >>> score = model.to_additive(["void_rate", "ln_sales", "margin"])
    >>> score.units[0].feature, score.monotone_violations({"void_rate": 1, "ln_sales": -1})
    ('void_rate', {})
    """

    def __init__(
        self,
        signs: Sequence[int | None] | None = None,
        seed: int = 0,
        max_features: int = 8,
        n_folds: int = 5,
    ) -> None:
        self.signs = signs
        self.seed = seed
        self.max_features = max_features
        self.n_folds = n_folds

    def bootstrap(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        names: Sequence[str],
        n_replicas: int,
        seed: int,
    ) -> Replicas:
        """Refit the coefficients on firms drawn with replacement; features, their scales and C stay.

        Draws that lack a class are drawn again.

        Parameters
        ----------
        X, y, groups
            As in `fit`, usually the same.
        names : sequence of str
            Of the columns, as in `to_additive`.
        n_replicas, seed : int

        Returns
        -------
        Replicas
            Of shape (n_replicas, 1 + terms).

        Examples
        --------
        >>> X = np.linspace(0, 1, 60)[:, np.newaxis]
        >>> y = np.arange(60) * 7 % 60 > 35
        >>> model = SmallSampleLogistic(signs=[1]).fit(X, y)
        >>> model.bootstrap(X, y, names=["void_rate"], n_replicas=20, seed=1).log_odds([[0.5], [0.9]]).shape
        (2, 20)
        """
        check_is_fitted(self)
        design = self._design.matrix(np.asarray(X, dtype=np.float64))
        bad = np.asarray(y) == self.classes_[1]
        firms = np.arange(len(bad)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        coefficients = np.empty((n_replicas, 1 + len(self._design.basis)))
        with _one_thread():
            for replica in coefficients:
                weights = _draw(bad, firms, rng)
                replica[:] = _fit(design, bad, self._design.signs, self.C_, weights=weights, start=self._coefficients)
        return Replicas(self._design.score_of_basis.renamed(names), coefficients)

    def _learn(self, rows: Rows, signs: Sequence[int]) -> AdditiveScore:
        with _one_thread():
            self.C_ = self._choose_strength(rows, signs)
            self._design = self._prepare(rows, signs)
            self._coefficients = _fit(self._design.matrix(rows.X), rows.bad, self._design.signs, self.C_)
        self.selected_ = self._design.columns
        return self._design.score(self._coefficients)

    def _choose_strength(self, rows: Rows, signs: Sequence[int]) -> float:
        """Return the C of the least held-out log-loss; the strongest penalty where no fold can be held out."""
        folds = rows.folds(self.n_folds, self.seed)
        if folds is None:
            return STRENGTHS[0]
        losses = np.zeros(len(STRENGTHS))
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            known = Rows(rows.X[~held], rows.bad[~held], rows.groups[~held])
            design = self._prepare(known, signs)
            train, test = design.matrix(known.X), design.matrix(rows.X[held])
            for index, strength in enumerate(STRENGTHS):
                b = _fit(train, known.bad, design.signs, strength)
                losses[index] += _log_loss(b[0] + test @ b[1:], rows.bad[held])
        return STRENGTHS[int(np.argmin(losses))]

    def _prepare(self, rows: Rows, signs: Sequence[int]) -> _Design:
        usable = (column for column in candidates(signs) if _is_usable(rows.X[:, column], rows.bad, signs[column]))
        columns = tuple(column for column, _ in zip(usable, range(self.max_features), strict=False))
        return _Design.of(rows, columns, signs)


def _one_thread() -> threadpool_limits:
    """Keep BLAS from threading products of a few hundred numbers: waiting costs more than it saves."""
    return threadpool_limits(limits=1, user_api="blas")


def candidates(signs: Sequence[int]) -> list[int]:
    """Return all columns in the order they are considered: those with an expected sign before the free ones.

    Examples
    --------
    >>> candidates([-1, 0, 1])
    [0, 2, 1]
    """
    return sorted(range(len(signs)), key=lambda column: signs[column] == 0)


def _is_usable(x: FloatArray, bad: BoolArray, sign: int) -> bool:
    """Return whether a feature is known often enough, varies within its tails, and does not defy its sign."""
    known = ~np.isnan(x)
    if np.mean(known) < MIN_KNOWN_SHARE:
        return False
    low, high = _winsor_limits(x[known])
    if low == high:
        return False
    ranks = rankdata(x[known])
    is_bad = bad[known]
    if sign == 0 or is_bad.all() or not is_bad.any():
        return True
    return bool(sign * (np.mean(ranks[is_bad]) - np.mean(ranks[~is_bad])) >= 0)


def _winsor_limits(known: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class _Design:
    """Terms of unit weight: a standardised line for each feature, then steps that mark missing values."""

    columns: tuple[int, ...]
    signs: tuple[int, ...]
    basis: tuple[Unit, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Rows, columns: Sequence[int], signs: Sequence[int]) -> _Design:
        names = column_names(rows.X.shape[1])
        lines: list[Unit] = [_standard_line(names[column], rows.X[:, column]) for column in columns]
        absent = [column for column in columns if _has_missing_rows(rows.X[:, column], rows.bad)]
        marks: list[Unit] = [Step((names[column],), (np.empty(0),), np.array([0.0, 1.0])) for column in absent]
        bounds = [signs[column] for column in columns] + [0] * len(marks)
        return cls(tuple(columns), tuple(bounds), tuple(lines + marks), names)

    @property
    def score_of_basis(self) -> AdditiveScore:
        return AdditiveScore(self.names, 0.0, self.basis)

    def matrix(self, X: FloatArray) -> FloatArray:
        return self.score_of_basis.contributions(X)

    def score(self, coefficients: FloatArray) -> AdditiveScore:
        """Return the weighted terms, the constant of a missing value inside its feature's line."""
        weighted = [unit.scaled(b) for unit, b in zip(self.basis, coefficients[1:].tolist(), strict=True)]
        constants = {unit.features[0]: float(unit.values[1]) for unit in weighted if isinstance(unit, Step)}
        lines = [replace(u, missing=constants.get(u.feature, 0.0)) for u in weighted if isinstance(u, Line)]
        kept = tuple(line for line in lines if line.slope or line.missing)
        return AdditiveScore(self.names, float(coefficients[0]), kept)


def _standard_line(name: str, x: FloatArray) -> Line:
    """Return the line of a feature whose winsorised values then have mean 0 and standard deviation 1."""
    known = x[~np.isnan(x)]
    low, high = _winsor_limits(known)
    within = np.clip(known, low, high)
    return Line(name, low, high, centre=float(np.mean(within)), slope=1 / float(np.std(within)), missing=0.0)


def _has_missing_rows(x: FloatArray, bad: BoolArray) -> bool:
    missing = np.isnan(x)
    return bool(min(np.sum(missing & bad), np.sum(missing & ~bad)) >= MIN_MISSING)


def _draw(bad: BoolArray, firms: NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
    """Return how often each row's firm was drawn, in a draw that has both classes."""
    n_firms = int(firms.max()) + 1
    while True:
        drawn = np.bincount(rng.integers(n_firms, size=n_firms), minlength=n_firms)
        weights = drawn[firms].astype(np.float64)
        if weights[bad].any() and weights[~bad].any():
            return weights


def _fit(
    Z: FloatArray,
    bad: BoolArray,
    signs: Sequence[int],
    C: float,
    *,
    weights: FloatArray | None = None,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return intercept and coefficients of the penalised likelihood under the signs, shape (1 + terms,)."""
    w = np.ones(len(Z)) if weights is None else weights
    target = bad.astype(np.float64)

    def objective(b: FloatArray) -> tuple[float, FloatArray]:
        log_odds = b[0] + Z @ b[1:]
        residual = w * (expit(log_odds) - target)
        loss = float(w @ (np.logaddexp(0, log_odds) - target * log_odds) + b[1:] @ b[1:] / (2 * C))
        return loss, np.append(np.sum(residual), Z.T @ residual + b[1:] / C)

    if start is None:
        share = (w @ target + 0.5) / (np.sum(w) + 1)
        start = np.append(np.log(share / (1 - share)), np.zeros(Z.shape[1]))
    bounds = [(None, None)] + [(0 if sign > 0 else None, 0 if sign < 0 else None) for sign in signs]
    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64)


def _log_loss(log_odds: FloatArray, bad: BoolArray) -> float:
    return float(np.sum(np.logaddexp(0, log_odds) - bad * log_odds))
