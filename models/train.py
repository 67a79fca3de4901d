"""From a labelled matrix to a fitted model: size rule, nested validation, calibration, anchoring, interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from itertools import count
from typing import Any, Final, Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.build import CATALOG
from models.additive import AdditiveScore, FloatArray, Replicas
from models.calibration import VennAbers, anchor, platt
from models.estimators.boosted_scorecard import BoostedScorecard
from models.estimators.logistic import SmallSampleLogistic
from models.estimators.woe_scorecard import WoeScorecard
from models.fitted import BootstrapInterval, EstimatorName, FittedModel, Interval, VennAbersInterval
from models.grades import PD_FLOOR
from models.product import CentralTendency, Product
from models.report import Basis, Candidate, Evidence, Selection, account
from models.validation import BoolArray, grouped_folds, mean_auc, out_of_fold, paired_standard_error

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the step's name, how much of it is done and how much there is."""


class Estimator(Protocol):
    """What training needs of an estimator, beyond scikit-learn's contract."""

    def fit(self, X: FloatArray, y: BoolArray, groups: NDArray[Any] | None = None) -> Self:
        """Fit on rows of features, NaN where unknown; choices are made within these rows."""

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return log-odds of default."""

    def to_additive(self, names: Sequence[str]) -> AdditiveScore:
        """Return the same log-odds as a sum of look-ups."""


class SmallSampleEstimator(Estimator, Protocol):
    """An estimator whose uncertainty comes from resampling firms."""

    def bootstrap(
        self,
        X: FloatArray,
        y: BoolArray,
        groups: NDArray[Any],
        *,
        names: Sequence[str],
        n_replicas: int,
        seed: int,
    ) -> Replicas:
        """Refit the fitted score on samples of groups drawn with replacement."""


ESTIMATORS: Final[dict[EstimatorName, Callable[..., Estimator]]] = {
    "logistic": SmallSampleLogistic,
    "woe-scorecard": WoeScorecard,
    "boosted-scorecard": BoostedScorecard,
}
"""Estimators by name, the plainest first; each takes `signs` and `seed`."""

AUTO: Final = "auto"
MIN_FIRMS: Final = 10
"""Fewer defaulted, or fewer sound, firms teach nothing."""
LARGE_SAMPLE: Final = 400
"""Above this many defaults the boosted scorecard is eligible."""
VENN_ABERS_ROWS: Final = 200
VENN_ABERS_BADS: Final = 30
N_FOLDS: Final = 5
SMALL_SAMPLE_REPEATS: Final = 5
"""Repeats of the folds below the small-sample limit, where one split is a matter of luck."""
N_REPLICAS: Final = 199
"""Bootstrap refits; 5% and 95% are then the 10th smallest and largest."""
LIBRARIES: Final = ("lightgbm", "numpy", "polars", "scikit-learn", "scipy")

_ANCHOR_ROWS = 20_000  # bounds the memory of anchoring every replica


class TrainingError(ValueError):
    """The sample or the request does not allow a model.

    Attributes
    ----------
    code : str
        "bad-matrix", "one-class", "too-few-defaults" or "not-eligible".
    """

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Labelled snapshots of firms.

    Attributes
    ----------
    X : array of shape (n, p)
        NaN where unknown.
    names : tuple of str
        The p features.
    y : array of shape (n,)
        1 (or True) for default.
    groups : sequence of n str
        The firm, or group of connected parties, of each row.
    snapshot_on : sequence of n dates, optional
    is_undated : array of shape (n,), or one bool for all
        True where the default has no date, so that the sample's rate is no yearly PD.
    is_selected : bool
        True if the sample was drawn by outcome (balanced, case-control).
    """

    X: FloatArray
    names: tuple[str, ...]
    y: NDArray[Any]
    groups: Sequence[str]
    snapshot_on: Sequence[date] | None = None
    is_undated: BoolArray | bool = False
    is_selected: bool = False

    @property
    def n_defaults(self) -> int:
        """Defaulted firms: one default may label several snapshots."""
        return len(np.unique(np.asarray(self.groups)[np.asarray(self.y, dtype=bool)]))

    @property
    def is_biased(self) -> bool:
        """Whether the sample's default rate is no PD."""
        return self.is_selected or bool(np.any(self.is_undated))

    def check(self) -> None:
        """Raise `TrainingError` if no model can be learned from these rows."""
        rows = len(self.y)
        if self.X.shape != (rows, len(self.names)) or len(self.groups) != rows:
            words = f"a matrix of shape {self.X.shape} does not fit {rows} labels and {len(self.names)} features"
            raise TrainingError("bad-matrix", words)
        if unknown := [name for name in self.names if name not in CATALOG]:
            raise TrainingError("bad-matrix", f"features outside the catalogue: {', '.join(unknown)}")
        if np.isinf(self.X).any():
            raise TrainingError("bad-matrix", "an infinite value: unknown values are NaN, others finite")
        bad = np.asarray(self.y, dtype=bool)
        if bad.all() or not bad.any():
            words = f"all {rows} rows are {'defaults' if rows and bad.all() else 'without default'}: both are needed"
            raise TrainingError("one-class", words)
        n_bad, n_good = self.n_defaults, len(np.unique(np.asarray(self.groups)[~bad]))
        if min(n_bad, n_good) < MIN_FIRMS:
            words = f"{n_bad} firms with default and {n_good} without: at least {MIN_FIRMS} of each are needed"
            raise TrainingError("too-few-defaults", words)


def is_small(n_defaults: int, n_rows: int, small_sample_limit: int = 100) -> bool:
    """Return whether the small-sample rules hold: expert signs, few features, intervals by bootstrap.

    They do below `small_sample_limit` defaulted firms, and wherever a Venn-Abers interval lacks its 200 rows or
    30 bads (methods paper, section 1).

    Examples
    --------
    >>> is_small(27, 123), is_small(100, 2000), is_small(120, 199)
    (True, False, True)
    """
    return n_defaults < max(small_sample_limit, VENN_ABERS_BADS) or n_rows < VENN_ABERS_ROWS


def eligible(
    n_defaults: int, n_rows: int = VENN_ABERS_ROWS, small_sample_limit: int = 100
) -> tuple[EstimatorName, ...]:
    """Return the estimators that the size rule admits, the plainest first (methods paper, section 1).

    Parameters
    ----------
    n_defaults : int
        Defaulted firms.
    n_rows : int
    small_sample_limit : int
        Below it only the small-sample logistic.

    Examples
    --------
    >>> eligible(27), eligible(100), eligible(401)
    (('logistic',), ('logistic', 'woe-scorecard'), ('woe-scorecard', 'boosted-scorecard'))
    """
    if is_small(n_defaults, n_rows, small_sample_limit):
        return ("logistic",)
    if n_defaults <= LARGE_SAMPLE:
        return ("logistic", "woe-scorecard")
    return ("woe-scorecard", "boosted-scorecard")


def select(y: BoolArray, scores: Mapping[EstimatorName, FloatArray], admitted: Sequence[EstimatorName]) -> Selection:
    """Return the plainest estimator within one paired standard error of the best.

    Parameters
    ----------
    y : array of shape (n,)
    scores : mapping of estimator to out-of-fold log-odds of shape (repeats, n), the plainest first
    admitted : sequence of str
        What the size rule allowed; for the account.

    Examples
    --------
    >>> y = np.arange(40) % 4 == 0
    >>> rough = (y + np.random.default_rng(1).normal(size=40))[np.newaxis]
    >>> scores = {"logistic": rough, "woe-scorecard": rough + 0.05 * np.sin(np.arange(40))}
    >>> chosen = select(y, scores, ["logistic", "woe-scorecard"])
    >>> chosen.name, [round(candidate.auc.value, 3) for candidate in chosen.candidates]
    ('logistic', [0.753, 0.757])
    """
    aucs = {name: mean_auc(y, own) for name, own in scores.items()}
    best = max(aucs, key=lambda name: aucs[name].value)
    candidates = tuple(
        Candidate(
            name=name,
            auc=auc,
            behind_best=aucs[best].value - auc.value,
            paired_standard_error=paired_standard_error(y, scores[best], scores[name]),
        )
        for name, auc in aucs.items()
    )
    chosen = next(one for one in candidates if one.behind_best <= one.paired_standard_error)
    return Selection(name=chosen.name, best=best, admitted=tuple(admitted), candidates=candidates)


def fit(
    product: Product,
    data: TrainingData,
    *,
    seed: int,
    estimator: str = AUTO,
    central_tendency: CentralTendency | None = None,
    reference: FloatArray | None = None,
    versions: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> FittedModel:
    """Fit a product's model; the same arguments give the same bits on the same machine.

    Parameters
    ----------
    product : Product
    data : TrainingData
    seed : int
        Of folds, learners and bootstrap.
    estimator : str
        "auto", or one that the size rule admits. Auto takes the plainest whose nested out-of-fold AUC is within
        one paired standard error of the best.
    central_tendency : CentralTendency, optional
        Instead of the product's; used only for an undated or selected sample, whose PDs are shifted so that
        the mean published PD of the reference population equals it.
    reference : array of shape (m, p), optional
        The population to which PDs are anchored and reasons refer. Default: the training rows.
    versions : mapping of library to version, optional
        Default: those installed.
    progress : callable, optional
        Called with (step, done, total); the steps are "validation", "fit" and "interval".

    Raises
    ------
    TrainingError
        If the matrix is unusable, a class is missing, fewer than ten firms are of one, or the estimator is
        not admitted.
    """
    data.check()
    size = (data.n_defaults, len(data.y), product.small_sample_limit)
    admitted = eligible(*size)
    if estimator not in {AUTO, *admitted}:
        words = f"{estimator} is not eligible with {data.n_defaults} defaults; eligible: {', '.join(admitted)}"
        raise TrainingError("not-eligible", words)
    tell = progress or _silent
    sample = _Sample.of(data, is_small=is_small(*size), seed=seed)
    population = sample.X if reference is None else np.asarray(reference, dtype=np.float64)

    names = [name for name in admitted if estimator in {AUTO, name}]
    scores = _validate(sample, names, tell)
    selection = select(sample.y, scores, admitted)
    unseen = scores[selection.name]
    intercept, slope = platt(unseen.ravel(), np.tile(sample.y, len(unseen)))

    tell("fit", 0, 1)
    learner = sample.learner(selection.name).fit(sample.X, sample.y, sample.groups)
    calibrated = learner.to_additive(sample.names).scaled(intercept, slope)
    target = (central_tendency or product.central_tendency) if data.is_biased else None
    delta = anchor(calibrated.log_odds(population), target.rate, PD_FLOOR) if target else 0.0
    additive = calibrated.scaled(delta, 1.0)
    tell("fit", 1, 1)

    basis = Basis(intercept, slope, target, delta)
    model = FittedModel(
        product=product.code,
        estimator=selection.name,
        additive=additive,
        interval=_interval(sample, learner, basis, unseen, population, tell),
        mean_contributions=np.asarray(np.mean(additive.contributions(population), axis=0)),
        typical=_medians(population),
        seed=seed,
        versions=dict(versions) if versions is not None else {name: version(name) for name in LIBRARIES},
        report={},
    )
    evidence = Evidence(
        X=sample.X,
        y=sample.y,
        groups=sample.groups,
        snapshot_on=data.snapshot_on,
        n_undated=int(np.sum(np.broadcast_to(data.is_undated, sample.y.shape))),
        is_selected=data.is_selected,
        out_of_fold=np.asarray(expit(intercept + slope * unseen)),
    )
    return replace(model, report=account(model, evidence, selection, basis, population))


def _silent(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, eq=False)
class _Sample:
    """Checked training rows, and how to learn from them."""

    X: FloatArray
    y: BoolArray
    groups: NDArray[np.intp]
    names: tuple[str, ...]
    is_small: bool
    seed: int

    @classmethod
    def of(cls, data: TrainingData, *, is_small: bool, seed: int) -> _Sample:
        return cls(
            X=np.ascontiguousarray(data.X, dtype=np.float64),
            y=np.asarray(data.y, dtype=bool),
            groups=np.unique(np.asarray(data.groups), return_inverse=True)[1],
            names=data.names,
            is_small=is_small,
            seed=seed,
        )

    def learner(self, name: EstimatorName) -> Estimator:
        features = [CATALOG[name] for name in self.names]
        return ESTIMATORS[name](
            signs=[feature.sign for feature in features],
            seed=self.seed,
        )


def _validate(sample: _Sample, names: Sequence[EstimatorName], tell: Progress) -> dict[EstimatorName, FloatArray]:
    """Return each estimator's out-of-fold log-odds, shape (repeats, n), in the same folds."""
    repeats = SMALL_SAMPLE_REPEATS if sample.is_small else 1
    folds = [
        grouped_folds(sample.y, sample.groups, n_folds=N_FOLDS, seed=sample.seed + repeat) for repeat in range(repeats)
    ]
    total = len(names) * repeats * N_FOLDS
    done = count(1)
    tell("validation", 0, total)

    def fold_done() -> None:
        tell("validation", next(done), total)

    def scores_of(name: EstimatorName) -> FloatArray:
        def fit_one(X: FloatArray, y: BoolArray, groups: NDArray[Any]) -> Callable[[FloatArray], FloatArray]:
            return sample.learner(name).fit(X, y, groups).decision_function

        return out_of_fold(fit_one, sample.X, sample.y, sample.groups, folds, fold_done)

    return {name: scores_of(name) for name in names}


def _interval(
    sample: _Sample,
    learner: Estimator,
    basis: Basis,
    unseen: FloatArray,
    population: FloatArray,
    tell: Progress,
) -> Interval:
    """Return Venn-Abers bounds where the rows allow, otherwise a bootstrap over firms."""
    tell("interval", 0, 1)
    interval: Interval
    if sample.is_small:
        interval = BootstrapInterval(_replicas(sample, cast("SmallSampleEstimator", learner), basis, population))
    else:
        table = VennAbers.fit(basis.intercept + basis.slope * unseen[0], sample.y)
        interval = VennAbersInterval(table.shifted(basis.delta))
    tell("interval", 1, 1)
    return interval


def _replicas(sample: _Sample, learner: SmallSampleEstimator, basis: Basis, population: FloatArray) -> Replicas:
    """Refit on resampled firms; each replica is calibrated by the same line and anchored by itself.

    The line itself is held fixed: what the few defaults leave open about it is not in the interval.
    """
    replicas = learner.bootstrap(
        sample.X, sample.y, sample.groups, names=sample.names, n_replicas=N_REPLICAS, seed=sample.seed
    ).scaled(basis.intercept, basis.slope)
    if basis.central_tendency is None:
        return replicas
    every = -(-len(population) // _ANCHOR_ROWS)
    rate = basis.central_tendency.rate
    deltas = [anchor(own, rate, PD_FLOOR) for own in replicas.log_odds(population[::every]).T]
    coefficients = replicas.coefficients.copy()
    coefficients[:, 0] += deltas
    return replace(replicas, coefficients=coefficients)


def _medians(population: FloatArray) -> FloatArray:
    """Return the median of each feature; NaN if it is known of no row."""
    known = [column[~np.isnan(column)] for column in population.T]
    return np.array([np.median(column) if len(column) else np.nan for column in known])
