"""Wire shapes of scores: conventions.md, "A score on the wire"."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from service.kit.http import Code, Day, Schema
from service.scoring.use_cases import ScoreView


class ScoreRequest(Schema):
    """Which firm to score, for which product, as of when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "product": "credit-score",
                    "as_of": "2024-06-30",
                }
            ]
        }
    )

    firm_id: UUID
    product: Code = Field(description="Code of a loan product.")
    as_of: Day | None = Field(None, description="Nothing known later is used; today if not given.")


class IntervalOut(Schema):
    """An interval of the PD, and how it was made."""

    low: float
    high: float
    kind: str = Field(
        description="`bootstrap`: 90% of refits on resampled firms. `venn-abers`: the two probabilities of a "
        "Venn-Abers predictor, widened to hold the PD. `observed`: the firm is in default."
    )


class ReasonOut(Schema):
    """What moved the score away from the population's mean, in points."""

    code: str = Field(description="The table that gave the points: a feature, or a pair of them.")
    features: list[str]
    points: float | None = Field(description="Own points less the population's mean; negative costs points.")
    value: list[float | None]
    text: dict[str, str] = Field(description="In `zh-CN` and `en`.")


class MissingOut(Schema):
    """A feature that the model uses and that is unknown, and what stood in for it."""

    name: str
    rule: str = Field(description="B: a bin of its own; 0: a true zero; C: the cluster's value; N: neutral.")


class ScoreOut(Schema):
    """An explained risk grade."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01",
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "product": "credit-score",
                    "as_of": "2024-06-30",
                    "scored_at": "2024-07-01T00:12:03Z",
                    "model_version": "credit-score/1",
                    "context_id": "c7b1f6aa-6f0e-4c53-93e1-70c7c5a0d111",
                    "pd": 0.031,
                    "pd_basis": "observed",
                    "interval": {"low": 0.018, "high": 0.049, "kind": "bootstrap"},
                    "grade": "10",
                    "stable_grade": "10",
                    "points": 586.4,
                    "reasons": [
                        {
                            "code": "sales_cv",
                            "features": ["sales_cv"],
                            "points": -11.2,
                            "value": [1.4],
                            "text": {
                                "zh-CN": "月销售额波动大（月销售额波动系数：1.40，典型值：0.52）",
                                "en": "monthly sales swing widely (variation of monthly sales: 1.40; typically 0.52)",
                            },
                        }
                    ],
                    "features": {"sales_cv": 1.4, "owner_yrs": None},
                    "missing": [{"name": "owner_yrs", "rule": "B"}],
                    "decision": "automated",
                }
            ]
        }
    )

    id: UUID
    firm_id: UUID
    product: str
    as_of: date
    scored_at: datetime
    model_version: str
    context_id: UUID
    pd: float = Field(description="Probability of default within the product's horizon.")
    pd_basis: str = Field(
        description="`observed`: calibrated on dated defaults. `anchored`: the sample is undated or selected, so the "
        "PD's level is a stated central tendency. `default`: the firm is in default."
    )
    interval: IntervalOut
    grade: str = Field(description="1 (best) to 15, a pure function of `pd`; D: in default.")
    stable_grade: str = Field(description="The grade with hysteresis against the score before; what alerts use.")
    points: float | None = Field(description="600 at odds of 50 to 1; 20 points double the odds.")
    reasons: list[ReasonOut]
    features: dict[str, float | None]
    missing: list[MissingOut]
    decision: str = Field(
        description="`automated`: nobody refused a decision by machine alone. `person`: the firm, or somebody behind "
        "it, did as of that day, so a person must decide; the grade is advice to them."
    )

    @classmethod
    def of(cls, view: ScoreView) -> Self:
        """Show a score."""
        row: dict[str, Any] = view.score.model_dump(include=set(cls.model_fields) - {"interval", "model_version"})
        interval = IntervalOut(
            low=view.score.interval_low, high=view.score.interval_high, kind=view.score.interval_kind
        )
        return cls(**row, interval=interval, model_version=view.model_version)


class ScoresOut(Schema):
    """A page of scores, newest first."""

    items: list[ScoreOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
