"""Wire shapes of scores: conventions.md, "A score on the wire"."""

from datetime import date, datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from models.plan import Change, Way
from service.kit.http import Code, Day, Schema
from service.scoring.use_cases import PlanView, ScoreView


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


class ChangeOut(Schema):
    """One feature's move, after the moves before it."""

    feature: str
    from_value: float
    to_value: float
    gain: float = Field(description="Points that it adds.")
    points: float = Field(description="The model's prediction once it is made; so `pd` and `grade`.")
    pd: float
    grade: str
    text: dict[str, str] = Field(description="In `zh-CN` and `en`, figures rounded.")

    @classmethod
    def of(cls, change: Change) -> Self:
        """Show a change."""
        return cls(**{name: getattr(change, name) for name in cls.model_fields})


class WayOut(Schema):
    """Changes that together lead somewhere."""

    changes: list[ChangeOut]
    effort: float = Field(
        description="How far it is: over the changes, the sum of the ways as shares of the features' ranges."
    )

    @classmethod
    def of(cls, way: Way) -> Self:
        """Show a way."""
        return cls(changes=[ChangeOut.of(change) for change in way.changes], effort=way.effort)


class PlanOut(Schema):
    """What would lift a firm by one grade."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "product": "credit-score",
                    "score_id": "3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01",
                    "as_of": "2024-06-30",
                    "model_version": "credit-score/1",
                    "status": "reachable",
                    "grade": "10",
                    "pd": 0.031,
                    "points": 586.4,
                    "target_grade": "9",
                    "target_pd": 0.0281,
                    "target_points": 589.4,
                    "ways": [
                        {
                            "changes": [
                                {
                                    "feature": "sales_cv",
                                    "from_value": 1.4,
                                    "to_value": 1.1,
                                    "gain": 3.2,
                                    "points": 589.6,
                                    "pd": 0.0279,
                                    "grade": "9",
                                    "text": {
                                        "zh-CN": "月销售额波动系数：由 1.40 降低到 1.10 以下（含）",
                                        "en": "variation of monthly sales: from 1.40 down to 1.10 or less",
                                    },
                                }
                            ],
                            "effort": 0.15,
                        }
                    ],
                    "best": None,
                    "shortfall": None,
                }
            ]
        }
    )

    firm_id: UUID
    product: str
    score_id: UUID = Field(description="The current score, from whose features and by whose model it is computed.")
    as_of: date
    model_version: str
    status: Literal["best", "reachable", "unreachable"] = Field(
        description="`best`: there is no better grade. `reachable`: each of `ways` leads to `target_grade`. "
        "`unreachable`: nothing that the firm can act on does; `best` leads furthest."
    )
    grade: str
    pd: float
    points: float
    target_grade: str | None
    target_pd: float | None = Field(description="The highest PD of the target grade.")
    target_points: float | None
    ways: list[WayOut] = Field(
        description="The smallest first: single features, and pairs that the model reads together; where none of these "
        "suffices, one combination."
    )
    best: WayOut | None = Field(description="If unreachable: what leads furthest.")
    shortfall: float | None = Field(description="If unreachable: points still missing after `best`.")

    @classmethod
    def of(cls, found: PlanView) -> Self:
        """Show a plan."""
        plan, score = found.plan, found.view.score
        figures = ("status", "grade", "pd", "points", "target_grade", "target_pd", "target_points", "shortfall")
        return cls(
            firm_id=score.firm_id,
            product=score.product,
            score_id=score.id,
            as_of=score.as_of,
            model_version=found.view.model_version,
            ways=[WayOut.of(way) for way in plan.ways],
            best=None if plan.best is None else WayOut.of(plan.best),
            **{name: getattr(plan, name) for name in figures},
        )
