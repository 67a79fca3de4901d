"""Rows of reviews."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.kit.rows import FirmRow, MutableRow


class Review(FirmRow, MutableRow, table=True):
    """A question to a person about a firm and product, and the answer: who, when, how much, and what it rested on."""

    __tablename__ = "review"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "score_id", "score_as_of"], ["score.tenant_id", "score.id", "score.as_of"],
            name="fk_review_tenant_id_score_id",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "score_id_at_decision", "score_as_of_at_decision"],
            ["score.tenant_id", "score.id", "score.as_of"], name="fk_review_tenant_id_score_id_at_decision",
        ),
        CheckConstraint(
            "(score_id is null) = (score_as_of is null)"
            " and (score_id_at_decision is null) = (score_as_of_at_decision is null)",
            name="score",
        ),
        CheckConstraint(
            "reason_code in ('refusal_of_automated_decision', 'beyond_limit', 'borderline', 'other')",
            name="reason_code",
        ),
        CheckConstraint("state in ('open', 'approved', 'declined', 'withdrawn')", name="state"),
        CheckConstraint("(state = 'open') = (decided_at is null)", name="decided"),
        CheckConstraint("(state = 'approved') = (decided_amount_fen is not null)", name="approved_amount"),
        Index(
            "uq_review_open", "tenant_id", "firm_id", "product", unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_review_opened_at", "tenant_id", "opened_at", "id"),
        Index("ix_review_firm", "tenant_id", "firm_id", "opened_at", "id"),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    firm_id: UUID
    product: str = Field(sa_type=Text)
    amount_fen: int | None = Field(sa_type=BigInteger)
    reason_code: str = Field(sa_type=Text)
    words: str | None = Field(sa_type=Text)
    opened_at: datetime = Field(sa_type=DateTime(timezone=True))
    opened_by: str = Field(sa_type=Text)
    opened_by_id: UUID
    score_id: UUID | None
    score_as_of: date | None
    state: str = Field(sa_type=Text)
    decided_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    decided_by: str | None = Field(sa_type=Text)
    decided_by_id: UUID | None
    decided_amount_fen: int | None = Field(sa_type=BigInteger)
    decision_words: str | None = Field(sa_type=Text)
    grade_at_decision: str | None = Field(sa_type=Text)
    pd_at_decision: float | None
    score_id_at_decision: UUID | None
    score_as_of_at_decision: date | None
    basis: dict[str, Any] | None = Field(sa_type=JSONB)
