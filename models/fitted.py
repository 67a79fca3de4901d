"""A fitted model: scores, intervals and reasons from a matrix, the same bits for one row as for a million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.additive import AdditiveScore, FloatArray, Replicas
from models.calibration import VennAbers
from models.grades import PD_FLOOR, grade_of, pd_of_log_odds, points_of
from models.reasons import TOP, BoolArray, Explanations, explain, points_to_mean

LEVEL: Final = 0.90
"""Coverage that bootstrap intervals aim at."""

EstimatorName: TypeAlias = Literal["logistic", "woe-scorecard", "boosted-scorecard"]
"""The estimators, the plainest first."""

_CHUNK_ROWS = 4096  # bounds the memory of rows times replicas


@dataclass(frozen=True, eq=False)
class VennAbersInterval:
    """Bounds [p0, p1] of a Venn-Abers predictor at the calibrated score."""

    kind: ClassVar[str] = "venn-abers"
    table: VennAbers

    def bounds(self, X: FloatArray, log_odds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper PD of each row, shape (n,) each."""
        del X
        return self.table.interval(log_odds)


@dataclass(frozen=True, eq=False)
class BootstrapInterval:
    """Bounds from refits on resampled firms: order statistics of the replicas' PDs.

    With R replicas the bounds are the .05 (R + 1)-th smallest and largest of them.
    """

    kind: ClassVar[str] = "bootstrap"
    replicas: Replicas

    def bounds(self, X: FloatArray, log_odds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper PD of each row, shape (n,) each."""
        low, high = np.empty(len(log_odds)), np.empty(len(log_odds))
        n_replicas = len(self.replicas.coefficients)
        first = max(round((1 - LEVEL) / 2 * (n_replicas + 1)), 1) - 1
        last = n_replicas - 1 - first
        for start in range(0, len(log_odds), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            ordered = np.partition(self.replicas.log_odds(X[rows]), (first, last), axis=1)
            low[rows], high[rows] = ordered[:, first], ordered[:, last]
        return np.asarray(expit(low)), np.asarray(expit(high))


Interval: TypeAlias = VennAbersInterval | BootstrapInterval


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model says of n firms.

    Attributes
    ----------
    pd : array of shape (n,)
        Probability of the product's target, at least .05%.
    low, high : arrays of shape (n,)
        Its interval; low <= pd <= high.
    interval_kind : str
        "venn-abers" or "bootstrap".
    points : array of shape (n,)
    grade : array of shape (n,), str
        "1" to "15": a pure function of `pd`.
    contributions : array of shape (n, units), log-odds of default
        Left to right they add up, on the model's intercept, to the score.
    """

    pd: FloatArray
    low: FloatArray
    high: FloatArray
    interval_kind: str
    points: FloatArray
    grade: NDArray[np.str_]
    contributions: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedModel:
    """A trained model of one product.

    Attributes
    ----------
    product : str
        The product's code.
    estimator : str
        Its name.
    additive : AdditiveScore
        Calibrated, anchored log-odds of default as a sum of units.
    interval : VennAbersInterval or BootstrapInterval
    mean_contributions : array of shape (units,), log-odds of default
        Means over the reference population, from which reasons are counted.
    typical : array of shape (features,)
        Medians over the reference population; NaN if known of no firm.
    seed : int
    versions : dict of library to version
    report : dict
        JSON-ready account of the training.

    Examples
    --------
    >>> from models.additive import Line
    >>> additive = AdditiveScore(("zero_months",), -3.0, (Line("zero_months", 0.0, 1.0, 0.1, 4.0, 0.0),))
    >>> model = FittedModel(
    ...     product="credit-score",
    ...     estimator="logistic",
    ...     additive=additive,
    ...     interval=BootstrapInterval(Replicas(additive, np.array([[-3.2, 1.0], [-2.9, 1.1]]))),
    ...     mean_contributions=np.array([0.0]),
    ...     typical=np.array([0.1]),
    ...     seed=1,
    ...     versions={},
    ...     report={},
    ... )
    >>> scores = model.score(np.array([[0.0], [0.5]]))
    >>> scores.grade.tolist(), scores.points.round(2).tolist()
    (['10', '14'], [585.23, 527.52])
    >>> model.reasons(np.array([[0.5]]), model.score(np.array([[0.5]]))).texts[0][:21]
    '[{"code":"zero_months'
    """

    product: str
    estimator: EstimatorName
    additive: AdditiveScore
    interval: Interval
    mean_contributions: FloatArray
    typical: FloatArray
    seed: int
    versions: dict[str, str]
    report: dict[str, Any]

    def __post_init__(self) -> None:
        if self.mean_contributions.shape != (len(self.additive.units),):
            raise ValueError("a model has one mean contribution for each unit")
        if self.typical.shape != (len(self.names),):
            raise ValueError("a model has one typical value for each feature")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the matrices it scores, in order."""
        return self.additive.names

    @property
    def mean_points(self) -> float:
        """Mean points of the reference population, from which its reasons are counted."""
        return float(points_of(self.additive.intercept + float(np.sum(self.mean_contributions))))

    def score(self, X: FloatArray) -> Scores:
        """Score a matrix; each row's result is the same bits whatever other rows it holds.

        Parameters
        ----------
        X : array of shape (n, len(names))
            NaN where unknown.

        Raises
        ------
        ValueError
            If X has other columns in number.
        """
        matrix = np.asarray(X, dtype=np.float64)
        contributions = self.additive.contributions(matrix)
        log_odds = np.full(len(matrix), self.additive.intercept)
        for unit in range(contributions.shape[1]):
            log_odds += contributions[:, unit]
        pd = pd_of_log_odds(log_odds)
        low, high = self.interval.bounds(matrix, log_odds)
        return Scores(
            pd=pd,
            low=np.maximum(np.minimum(low, pd), PD_FLOOR),
            high=np.maximum(high, pd),
            interval_kind=self.interval.kind,
            points=points_of(log_odds),
            grade=grade_of(pd),
            contributions=contributions,
        )

    def reasons(
        self, X: FloatArray, scores: Scores, *, missing: BoolArray | None = None, top: int = TOP
    ) -> Explanations:
        """Return the top reasons of each row, the costliest first, as JSON.

        Parameters
        ----------
        X : array of shape (n, len(names))
            The matrix that was scored.
        scores : Scores
            What `score` returned for it.
        missing : array of shape (n, len(names)), optional
            True where X holds a substitute for an unknown value.
        top : int
        """
        points = points_to_mean(scores.contributions, self.mean_contributions)
        return explain(self.additive, points, X, self.typical, missing=missing, top=top)
