"""What the scorecards share: scikit-learn's contract around a learner whose result is an `AdditiveScore`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from models.additive import AdditiveScore, FloatArray
from models.validation import BoolArray, IntArray, grouped_folds

Labels: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked training rows.

    Attributes
    ----------
    X : array of shape (n, p)
        NaN where unknown, otherwise finite.
    bad : array of shape (n,)
        True for default.
    groups : array of shape (n,)
        The firm of each row; rows of a firm are never on both sides of a split.
    """

    X: FloatArray
    bad: BoolArray
    groups: NDArray[Any]

    @property
    def mean_log_odds(self) -> float:
        """Log-odds of default of the sample, half a row of either class added."""
        return float(logit((np.sum(self.bad) + 0.5) / (len(self.bad) + 1)))

    def folds(self, n_folds: int, seed: int) -> IntArray | None:
        """Return the fold of each row, or None if the firms of either class are too few for two folds."""
        n_folds = min(n_folds, len(np.unique(self.groups[self.bad])), len(np.unique(self.groups[~self.bad])))
        if n_folds < 2:
            return None
        return grouped_folds(self.bad, self.groups, n_folds=n_folds, seed=seed)


class CompiledClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that is, once fitted, a sum of look-ups.

    A subclass learns in `_learn`. Predictions read the compiled score only, so a row has the same bits alone or
    in a batch.

    Attributes
    ----------
    classes_ : array of shape (2,)
        The second is default.
    n_features_in_ : int
    additive_ : AdditiveScore
        Its columns are called "0", "1", ...; `to_additive` gives them names.
    """

    signs: Sequence[int | None] | None
    seed: int

    @abstractmethod
    def _learn(self, rows: Rows, signs: Sequence[int]) -> AdditiveScore:
        """Return the score learned from the rows; its columns are `column_names`."""

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Learn from labelled rows; every choice is made within them.

        Parameters
        ----------
        X : array of shape (n, p)
            Finite, or NaN where unknown.
        y : array of shape (n,)
            Two classes; the greater one is default.
        groups : array of shape (n,), optional
            The firm of each row. Default: each row is a firm.

        Raises
        ------
        ValueError
            If X or y is unusable, y has one class or more than two, or `signs` does not fit X.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        bad = self._encode(np.asarray(y))
        firms = np.arange(len(bad)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        check_consistent_length(X, firms)
        self.additive_ = self._learn(Rows(np.asarray(X), bad, firms), self._checked_signs())
        return self

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the log-odds of default of each row of X (n, p), shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return self.additive_.log_odds(X)

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Return the probabilities of no default and of default, shape (n, 2)."""
        log_odds = self.decision_function(X)
        return np.column_stack([expit(-log_odds), expit(log_odds)])

    def predict(self, X: ArrayLike) -> Labels:
        """Return the likelier class of each row, shape (n,)."""
        check_is_fitted(self)
        likelier: Labels = self.classes_[(self.decision_function(X) > 0).astype(int)]
        return likelier

    def to_additive(self, names: Sequence[str]) -> AdditiveScore:
        """Return the same log-odds as a sum of look-ups over columns called `names`.

        Raises
        ------
        ValueError
            If the names are not one for each feature.
        """
        check_is_fitted(self)
        return self.additive_.renamed(names)

    def _encode(self, y: Labels) -> BoolArray:
        check_classification_targets(y)
        if (kind := type_of_target(y, input_name="y", raise_unknown=True)) != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class only; both defaults and non-defaults are needed")
        return np.asarray(codes, dtype=bool)

    def _checked_signs(self) -> tuple[int, ...]:
        if self.signs is not None and len(self.signs) != self.n_features_in_:
            raise ValueError(f"expected {self.n_features_in_} signs, got {len(self.signs)}")
        signs = tuple(sign or 0 for sign in self.signs) if self.signs is not None else (0,) * self.n_features_in_
        if not set(signs) <= _SIGNS:
            raise ValueError(f"signs are +1, -1, 0 or None, not {sorted(set(signs) - _SIGNS)}")
        return signs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags


_SIGNS: Final = frozenset({-1, 0, 1})


def column_names(n_features: int) -> tuple[str, ...]:
    """Return the names of columns that have none: their positions.

    Examples
    --------
    >>> column_names(3)
    ('0', '1', '2')
    """
    return tuple(str(column) for column in range(n_features))
