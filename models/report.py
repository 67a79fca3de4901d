"""The account of a training: what was seen, what was tried, what was chosen and why. Ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from features.build import CATALOG
from models.additive import AdditiveScore, FloatArray
from models.estimators.woe_scorecard import information_value
from models.fitted import LEVEL, EstimatorName, FittedModel, Scores
from models.grades import FACTOR, NAMES, share_per_grade
from models.product import CentralTendency
from models.validation import BoolArray, Estimate, FrozenBins, brier, ks


@dataclass(frozen=True)
class Candidate:
    """One estimator's nested validation.

    Attributes
    ----------
    auc : Estimate
        Out of fold, with its 95% interval.
    behind_best : float
        AUC by which the best is ahead; 0 for the best.
    paired_standard_error : float
        Of that difference.
    """

    name: EstimatorName
    auc: Estimate
    behind_best: float
    paired_standard_error: float


@dataclass(frozen=True)
class Selection:
    """Which estimator was chosen, of which.

    Attributes
    ----------
    name, best : EstimatorName
        The chosen one, and the one of highest AUC.
    admitted : tuple of EstimatorName
        By the size rule.
    candidates : tuple of Candidate
        Those validated, the plainest first.
    """

    name: EstimatorName
    best: EstimatorName
    admitted: tuple[EstimatorName, ...]
    candidates: tuple[Candidate, ...]

    def why(self) -> str:
        """Return the choice in words."""
        if len(self.admitted) == 1:
            return f"{self.name}: the only estimator the size rule admits"
        if len(self.candidates) == 1:
            return f"{self.name}: asked for by name"
        if self.name == self.best == self.candidates[0].name:
            return f"{self.name}: the best out of fold, and the plainest"
        if self.name == self.best:
            return f"{self.name}: the best out of fold, and no plainer one is within one paired standard error"
        chosen = next(candidate for candidate in self.candidates if candidate.name == self.name)
        return (
            f"{self.name}: the plainest within one paired standard error of the best ({self.best}), "
            f"AUC {chosen.behind_best:.4f} behind with a standard error of {chosen.paired_standard_error:.4f}"
        )


@dataclass(frozen=True)
class Basis:
    """What the level of the PDs rests on.

    Attributes
    ----------
    intercept, slope : float
        The calibration line from out-of-fold log-odds; a slope below 1 undoes over-fitting.
    central_tendency : CentralTendency or None
        None: the sample's own default rate.
    delta : float
        Shift of the log-odds to the central tendency.
    """

    intercept: float
    slope: float
    central_tendency: CentralTendency | None
    delta: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """The training rows and the scores they got from models that had not seen them.

    Attributes
    ----------
    X : array of shape (n, p)
    y : array of shape (n,)
    groups : array of shape (n,)
        Firm of each row.
    snapshot_on : sequence of n dates or None
    n_undated : int
    is_selected : bool
    out_of_fold : array of shape (repeats, n)
        Calibrated PDs before any anchoring.
    """

    X: FloatArray
    y: BoolArray
    groups: np.ndarray[Any, Any]
    snapshot_on: Sequence[date] | None
    n_undated: int
    is_selected: bool
    out_of_fold: FloatArray


def account(
    model: FittedModel, evidence: Evidence, selection: Selection, basis: Basis, population: FloatArray
) -> dict[str, Any]:
    """Return the account of a training.

    Parameters
    ----------
    model : FittedModel
        Just fitted; its own report is not read.
    evidence : Evidence
    selection : Selection
    basis : Basis
    population : array of shape (m, p)
        The reference population.
    """
    scores = model.score(evidence.X)
    anchored = basis.central_tendency
    facts: dict[str, Any] = plain(
        {
            "product": model.product,
            "sample": _sample(evidence),
            "eligible": selection.admitted,
            "estimator": model.estimator,
            "why": selection.why(),
            "validation": {
                "repeats": len(evidence.out_of_fold),
                "candidates": [_candidate(candidate) for candidate in selection.candidates],
                "ks": np.mean([ks(evidence.y, own) for own in evidence.out_of_fold]),
                "brier": np.mean([brier(evidence.y, own) for own in evidence.out_of_fold]),
            },
            "calibration": {"intercept": basis.intercept, "slope": basis.slope},
            "pd_basis": "observed" if anchored is None else "anchored",
            "anchor": anchored and asdict(anchored) | {"delta": basis.delta, "reference_rows": len(population)},
            "interval": {"kind": model.interval.kind, "level": LEVEL},
            "features": _features(model, evidence, population),
            "units": [":".join(unit.features) for unit in model.additive.units],
            "grades": _grades(scores),
            "score_bins": _frozen(scores.points),
            "feature_bins": {name: _frozen(evidence.X[:, j]) for j, name in enumerate(model.names)},
            "seed": model.seed,
            "versions": model.versions,
        }
    )
    return facts


def _sample(evidence: Evidence) -> dict[str, Any]:
    dates = evidence.snapshot_on
    return {
        "rows": len(evidence.y),
        "defaults": np.sum(evidence.y),
        "default_rate": np.mean(evidence.y),
        "firms": len(np.unique(evidence.groups)),
        "defaulted_firms": len(np.unique(evidence.groups[evidence.y])),
        "first_snapshot_on": min(dates).isoformat() if dates else None,
        "last_snapshot_on": max(dates).isoformat() if dates else None,
        "undated_rows": evidence.n_undated,
        "is_selected": evidence.is_selected,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "estimator": candidate.name,
        "auc": candidate.auc.value,
        "standard_error": candidate.auc.standard_error,
        "low": candidate.auc.low,
        "high": candidate.auc.high,
        "behind_best": candidate.behind_best,
        "paired_standard_error": candidate.paired_standard_error,
    }


def _features(model: FittedModel, evidence: Evidence, population: FloatArray) -> list[dict[str, Any]]:
    """Describe each feature the score uses, the weightiest first.

    `sign` is the direction the catalogue asks for and `direction` the fitted one (0: both); `weight` is the mean
    distance from the mean, in points, of the units that use the feature, over the reference population.
    """
    additive = model.additive
    distances = np.mean(np.abs(additive.contributions(population) - model.mean_contributions), axis=0)
    used = [name for name in model.names if any(name in unit.features for unit in additive.units)]
    rows = [
        {
            "name": name,
            "family": CATALOG[name].family,
            "sign": CATALOG[name].sign,
            "direction": _direction(additive, name),
            "iv": _information_value(evidence.y, evidence.X[:, model.names.index(name)]),
            "weight": FACTOR
            * sum(d for d, unit in zip(distances, additive.units, strict=True) if name in unit.features),
        }
        for name in used
    ]
    return sorted(rows, key=lambda row: -row["weight"])


def _information_value(y: BoolArray, x: FloatArray) -> float:
    """Return the IV of a feature in up to five bins of nearly equal size, missing values apart."""
    bins = FrozenBins.of(x, n_bins=5)
    used = bins.counts > 0
    return information_value(bins.count(x[~y])[used], bins.count(x[y])[used])


def _direction(additive: AdditiveScore, name: str) -> int:
    return next((sign for sign in (1, -1) if not additive.monotone_violations({name: sign})), 0)


def _grades(scores: Scores) -> list[dict[str, Any]]:
    """Return the share and the mean (pooled) PD of each grade over the training rows."""
    means = {name: np.mean(scores.pd[held]) for name in NAMES if (held := scores.grade == name).any()}
    return [asdict(row) | {"mean_pd": means.get(row.grade)} for row in share_per_grade(scores.grade.tolist())]


def _frozen(values: FloatArray) -> dict[str, Any]:
    """Return the bins of points or of a feature at development, frozen for the stability index."""
    bins = FrozenBins.of(values)
    return {"cuts": bins.cuts, "counts": bins.counts}


def plain(value: Any) -> Any:
    """Return a value of dicts, sequences, NumPy numbers and arrays as plain JSON; what is not finite is None.

    Examples
    --------
    >>> plain({"a": np.array([1.5, np.nan]), "b": (np.int64(2), "x")})
    {'a': [1.5, None], 'b': [2, 'x']}
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
