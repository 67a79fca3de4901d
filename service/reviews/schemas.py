"""Wire shapes of reviews and of what firms say of automated decisions."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool, model_validator

from service.identity.access import Role
from service.identity.actor import Actor
from service.kit import clock
from service.kit.http import Code, Day, Schema, Text, Yuan, fen_of, yuan_of
from service.reviews.tables import Review
from service.reviews.use_cases import Reason, Request, Standing, State, Verdict


class ReviewIn(Schema):
    """What a person is asked to decide."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "product": "credit-score",
                    "amount": "800000.00",
                    "reason_code": "beyond_limit",
                    "words": "Order book is full; wants 800,000 for the autumn season.",
                }
            ]
        }
    )

    product: Code = Field(description="Code of a loan product.")
    amount: Yuan | None = Field(None, gt=0, description="What is asked for, in yuan.")
    reason_code: Reason
    words: Text | None = None

    def request(self) -> Request:
        """Return it as the use case takes it."""
        amount_fen = None if self.amount is None else fen_of(self.amount)
        return Request(self.product, self.reason_code, amount_fen, self.words)


class DecisionIn(Schema):
    """An approver's answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "decision": "approve",
                    "amount": "500000.00",
                    "words": "Visited on 12 May: machines run two shifts, buyers confirmed the orders.",
                }
            ]
        }
    )

    decision: Literal["approve", "decline"]
    amount: Yuan | None = Field(None, gt=0, description="What is approved, in yuan; only with `approve`.")
    words: Text = Field(description="Why.")

    @model_validator(mode="after")
    def _amount_goes_with_approval(self) -> Self:
        if (self.decision == "approve") != (self.amount is not None):
            raise ValueError("to approve, amount is needed; to decline, none is given")
        return self

    def verdict(self) -> Verdict:
        """Return it as the use case takes it."""
        return Verdict(None if self.amount is None else fen_of(self.amount), self.words)


class ReviewOut(Schema):
    """A review, and the decision if there is one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f6a1c9e-8d0b-4f7a-9b3c-5e1d7c2a4b01",
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "product": "credit-score",
                    "amount": "800000.00",
                    "reason_code": "beyond_limit",
                    "words": "Order book is full; wants 800,000 for the autumn season.",
                    "opened_at": "2024-07-01T02:10:00Z",
                    "opened_by": "zhang.wei",
                    "score_id": "3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01",
                    "state": "approved",
                    "decided_at": "2024-07-02T07:30:00Z",
                    "decided_by": "li.na",
                    "decided_amount": "500000.00",
                    "decision_words": "Visited on 12 May: machines run two shifts.",
                    "grade_at_decision": "8",
                    "pd_at_decision": 0.0145,
                    "score_id_at_decision": "3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01",
                    "basis": {
                        "score": {
                            "score_id": "3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01",
                            "as_of": "2024-06-30",
                            "model_version": "credit-score/1",
                            "grade": "8",
                            "pd": 0.0145,
                            "decision": "automated",
                        },
                        "limits": [{"worst_grade": 10, "amount": "500000"}],
                        "limit_used": {"worst_grade": 10, "amount": "500000"},
                        "approved_before": "0.00",
                    },
                    "version": 2,
                }
            ]
        }
    )

    id: UUID
    firm_id: UUID
    product: str
    amount: Decimal | None = Field(description="What was asked for, in yuan.")
    reason_code: Reason
    words: str | None
    opened_at: datetime
    opened_by: str
    score_id: UUID | None = Field(description="The score that was current when it was opened.")
    state: State
    decided_at: datetime | None = Field(description="When it was decided or withdrawn.")
    decided_by: str | None
    decided_amount: Decimal | None = Field(description="What was approved, in yuan.")
    decision_words: str | None
    grade_at_decision: str | None
    pd_at_decision: float | None
    score_id_at_decision: UUID | None
    basis: dict[str, Any] | None = Field(
        description="What the decision rested on: the score with its model version, the decider's limits, the one "
        "that was used, and what was approved for the firm in the 365 days before. Not shown to the firm."
    )
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, review: Review, reader: Actor) -> Self:
        """Show a review; to a firm without the lender's limits."""
        row = review.model_dump(include=set(cls.model_fields) - ({"basis"} if reader.role is Role.FIRM else set()))
        amount, decided = (None if fen is None else yuan_of(fen) for fen in _amounts(review))
        return cls(**{"basis": None, **row}, amount=amount, decided_amount=decided)


def _amounts(review: Review) -> tuple[int | None, int | None]:
    return review.amount_fen, review.decided_amount_fen


class ReviewsOut(Schema):
    """A page of reviews, the longest waiting first."""

    items: list[ReviewOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class AutomatedDecisionIn(Schema):
    """What a firm says of decisions by machine alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_allowed": False, "observed_on": "2024-06-30"}]})

    is_allowed: StrictBool = Field(description="`false`: a person must decide.")
    observed_on: Day | None = Field(None, description="When the firm said so; today if not given.")

    @model_validator(mode="after")
    def _is_past(self) -> Self:
        if self.on > clock.today():
            raise ValueError("observed_on lies in the future")
        return self

    @property
    def on(self) -> date:
        """When the firm said so."""
        return self.observed_on or clock.today()


class AutomatedDecisionOut(Schema):
    """Whether a firm may be decided on by a machine alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "is_allowed": False,
                    "own_is_allowed": False,
                    "own_observed_on": "2024-06-30",
                    "open_review_ids": ["2f6a1c9e-8d0b-4f7a-9b3c-5e1d7c2a4b01"],
                }
            ]
        }
    )

    firm_id: UUID
    is_allowed: bool = Field(description="`false`: the firm, or a person behind it, refuses; a person must decide.")
    own_is_allowed: bool | None = Field(description="What the firm itself said last; null: nothing.")
    own_observed_on: date | None = Field(description="When it said so.")
    open_review_ids: list[UUID] = Field(description="The firm's open reviews, whatever opened them.")

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """Show what holds for a firm."""
        said = standing.said
        return cls(
            firm_id=standing.firm_id,
            is_allowed=said.is_allowed,
            own_is_allowed=said.own_is_allowed,
            own_observed_on=said.own_observed_on,
            open_review_ids=[review.id for review in standing.open_reviews],
        )
