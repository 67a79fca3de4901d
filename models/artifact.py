"""A model as bytes: canonical JSON, verified by its hash before it is parsed and checked field by field after.

A model file is untrusted input. There is nothing in it to execute: numbers, names and the training report.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.build import CATALOG
from models.additive import AdditiveScore, Line, Replicas, Step, Unit
from models.calibration import MAX_DISTINCT, VennAbers
from models.fitted import BootstrapInterval, EstimatorName, FittedModel, Interval, VennAbersInterval
from models.grades import FACTOR, MASTER_SCALE, OFFSET, PD_FLOOR, points_of

FORMAT: Final = "clustercredit-model"
FORMAT_VERSION: Final = 1
MAX_BYTES: Final = 32 * 2**20
MAX_CELLS: Final = 20_000_000
"""Cells of all tables once they share their features' cuts: bounds the memory a model may take."""


class ArtifactError(ValueError):
    """The bytes are not a model that may be loaded."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


_Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
_Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Numbers: TypeAlias = Annotated[list[float], Field(max_length=4096)]
_Table: TypeAlias = Annotated[list[_Numbers], Field(max_length=4096)]


class _StepShape(_Strict):
    kind: Literal["step"]
    features: Annotated[list[_Name], Field(min_length=1, max_length=2)]
    cuts: _Table
    values: _Numbers | _Table


class _LineShape(_Strict):
    kind: Literal["line"]
    feature: _Name
    low: float
    high: float
    centre: float
    slope: float
    missing: float


class _ScoreShape(_Strict):
    names: Annotated[list[_Name], Field(min_length=1, max_length=512)]
    intercept: float
    units: Annotated[list[Annotated[_StepShape | _LineShape, Field(discriminator="kind")]], Field(max_length=4096)]


class _VennAbersShape(_Strict):
    kind: Literal["venn-abers"]
    scores: Annotated[list[float], Field(max_length=MAX_DISTINCT)]
    p0: Annotated[list[float], Field(max_length=2 * MAX_DISTINCT + 1)]
    p1: Annotated[list[float], Field(max_length=2 * MAX_DISTINCT + 1)]
    is_grouped: bool


class _BootstrapShape(_Strict):
    kind: Literal["bootstrap"]
    basis: _ScoreShape
    coefficients: Annotated[list[_Numbers], Field(min_length=1, max_length=4096)]


class _FeatureShape(_Strict):
    name: _Name
    definition_sha256: _Sha256


class _TrainingShape(_Strict):
    rows: Annotated[int, Field(ge=1)]
    defaults: Annotated[int, Field(ge=1)]
    firms: Annotated[int, Field(ge=1)]


class _Manifest(_Strict):
    format: Literal["clustercredit-model"]
    format_version: Literal[1]
    product: _Word
    estimator: EstimatorName
    features: Annotated[list[_FeatureShape], Field(min_length=1, max_length=512)]
    training: _TrainingShape
    seed: int
    versions: Annotated[dict[_Word, _Word], Field(max_length=64)]


class _Artifact(_Strict):
    manifest: _Manifest
    score: _ScoreShape
    interval: Annotated[_VennAbersShape | _BootstrapShape, Field(discriminator="kind")]
    mean_contributions: _Numbers
    typical: Annotated[list[float | None], Field(max_length=512)]
    report: dict[str, Any]


def canonical(value: Any) -> bytes:
    """Return the one JSON encoding of a value: sorted keys, no spaces, UTF-8, every bit of a float, no NaN.

    Raises
    ------
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> canonical({"b": 0.1, "a": [None, "甲"]}).decode()
    '{"a":[null,"甲"],"b":0.1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of an artifact in hexadecimal: what `load` verifies.

    Examples
    --------
    >>> digest(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()


def definition_digest(name: str) -> str:
    """Return a hash of what a feature of the catalogue is: name, unit, family, sign, missing rule.

    Its words may change under a live model; these may not.
    """
    feature = CATALOG[name]
    return digest(canonical([name, feature.unit, feature.family, feature.sign, feature.missing]))


def dump(model: FittedModel) -> bytes:
    """Return a model as canonical JSON; the same model gives the same bytes."""
    sample = model.report["sample"]
    return canonical(
        {
            "manifest": {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "product": model.product,
                "estimator": model.estimator,
                "features": [{"name": name, "definition_sha256": definition_digest(name)} for name in model.names],
                "training": {key: sample[key] for key in ("rows", "defaults", "firms")},
                "seed": model.seed,
                "versions": model.versions,
            },
            "score": model.additive.to_json(),
            "interval": _interval_to_json(model.interval),
            "mean_contributions": model.mean_contributions.tolist(),
            "typical": [None if np.isnan(value) else float(value) for value in model.typical],
            "report": model.report,
        }
    )


def _interval_to_json(interval: Interval) -> dict[str, Any]:
    own = interval.table if isinstance(interval, VennAbersInterval) else interval.replicas
    return {"kind": interval.kind} | own.to_json()


def load(data: bytes, sha256: str) -> FittedModel:
    """Return the model that `dump` wrote; it scores the same bits.

    Parameters
    ----------
    data : bytes
    sha256 : str
        The hash recorded when the model was registered, in hexadecimal.

    Raises
    ------
    ArtifactError
        If the hash differs (nothing is parsed then), the bytes are not canonical JSON, a field is missing,
        unknown, out of bounds or not finite, cuts do not increase, or a feature is unknown or has been
        redefined since the training.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"the artifact has {len(data)} bytes, more than {MAX_BYTES}")
    if digest(data) != sha256:
        raise ArtifactError("the artifact's SHA-256 is not the recorded one")
    try:
        parsed = json.loads(data)
        is_canonical = canonical(parsed) == data
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the artifact is not JSON: {error}") from error
    if not is_canonical:
        raise ArtifactError("the artifact is not canonical JSON")
    try:
        return _model(_Artifact.model_validate(parsed))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"the artifact's {place or 'content'}: {first['msg']}") from error
    except ArtifactError:
        raise
    except ValueError as error:
        raise ArtifactError(f"the artifact does not hold a model: {error}") from error


def _model(artifact: _Artifact) -> FittedModel:
    manifest = artifact.manifest
    for feature in manifest.features:
        if feature.name not in CATALOG:
            raise ArtifactError(f"feature {feature.name} is not in the catalogue")
        if feature.definition_sha256 != definition_digest(feature.name):
            raise ArtifactError(f"feature {feature.name} has been redefined since the model was trained")
    names = [feature.name for feature in manifest.features]
    return FittedModel(
        product=manifest.product,
        estimator=manifest.estimator,
        additive=_score(artifact.score, names),
        interval=_interval(artifact.interval, names),
        mean_contributions=np.array(artifact.mean_contributions, dtype=np.float64),
        typical=np.array([np.nan if value is None else value for value in artifact.typical], dtype=np.float64),
        seed=manifest.seed,
        versions=manifest.versions,
        report=artifact.report,
    )


def _score(shape: _ScoreShape, names: list[str]) -> AdditiveScore:
    if shape.names != names or len(set(names)) != len(names):
        raise ArtifactError("the score's columns are not the manifest's features, each once")
    score = AdditiveScore.from_json(shape.model_dump())
    if (cells := _expanded_cells(score)) > MAX_CELLS:
        raise ArtifactError(f"the score's tables have {cells} cells, more than {MAX_CELLS}")
    return score


def _expanded_cells(score: AdditiveScore) -> int:
    steps = [unit for unit in score.units if isinstance(unit, Step)]
    cuts: dict[str, set[float]] = {}
    for step in steps:
        for name, own in zip(step.features, step.cuts, strict=True):
            cuts.setdefault(name, set()).update(own.tolist())
    width = {name: len(own) + 2 for name, own in cuts.items()}
    return sum(int(np.prod([width[name] for name in step.features])) for step in steps)


def _interval(shape: _VennAbersShape | _BootstrapShape, names: list[str]) -> Interval:
    if isinstance(shape, _VennAbersShape):
        return VennAbersInterval(VennAbers.from_json(shape.model_dump()))
    return BootstrapInterval(Replicas(_score(shape.basis, names), np.array(shape.coefficients, dtype=np.float64)))


def export(model: FittedModel) -> dict[str, Any]:
    """Return the score as a plain card that anyone can evaluate by hand, without this software.

    Points = ``base_points`` plus the points of each unit. A step looks up ``points`` by the bin of each of its
    features: the number of cuts below the value, a value equal to a cut going left, and the last bin if the value
    is unknown. A line gives ``points_per_unit * (clip(value, low, high) - centre)``, or ``missing_points``.
    PD = 1 / (1 + exp((points - offset) / factor)), at least ``pd_floor``; the grade is the first whose
    ``pd_up_to`` is not below the PD.

    Examples
    --------
    >>> additive = AdditiveScore(("growth",), -3.0, (Line("growth", -1.5, 0.4, 0.1, -0.5, 0.0),))
    >>> model = FittedModel(
    ...     product="credit-score",
    ...     estimator="logistic",
    ...     additive=additive,
    ...     interval=BootstrapInterval(Replicas(additive, np.array([[-3.0, 1.0]]))),
    ...     mean_contributions=np.array([0.0]),
    ...     typical=np.array([0.1]),
    ...     seed=1,
    ...     versions={},
    ...     report={},
    ... )
    >>> card = export(model)
    >>> round(card["base_points"], 2), card["units"][0]["features"], round(card["units"][0]["points_per_unit"], 2)
    (573.68, ['growth'], 14.43)
    """
    return {
        "product": model.product,
        "estimator": model.estimator,
        "features": list(model.names),
        "scale": {
            "offset": OFFSET,
            "factor": FACTOR,
            "pd_floor": PD_FLOOR,
            "grades": [{"name": grade.name, "pd_up_to": grade.high} for grade in MASTER_SCALE],
        },
        "base_points": float(points_of(model.additive.intercept)),
        "units": [_in_points(unit) for unit in model.additive.units],
    }


def _in_points(unit: Unit) -> dict[str, Any]:
    if isinstance(unit, Line):
        return {
            "kind": "line",
            "features": list(unit.features),
            "low": unit.low,
            "high": unit.high,
            "centre": unit.centre,
            "points_per_unit": -FACTOR * unit.slope,
            "missing_points": -FACTOR * unit.missing,
        }
    return {
        "kind": "step",
        "features": list(unit.features),
        "cuts": [cuts.tolist() for cuts in unit.cuts],
        "points": (-FACTOR * unit.values).tolist(),
    }
