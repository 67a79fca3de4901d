"""Rows of alerts."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.kit.rows import FirmRow, MutableRow


class Alert(FirmRow, MutableRow, table=True):
    """A finding of a rule, and who has seen it."""

    __tablename__ = "alert"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("severity in ('L', 'M', 'H', 'C')", name="severity"),
        Index("uq_alert_fingerprint", "tenant_id", "fingerprint", unique=True),
        Index("ix_alert_raised_at", "tenant_id", "raised_at", "id"),
        Index("ix_alert_entity", "tenant_id", "firm_id", "rule"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    rule: str = Field(sa_type=Text)
    firm_id: UUID
    product: str = Field(sa_type=Text)
    severity: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    as_of: date
    raised_at: datetime = Field(sa_type=DateTime(timezone=True))
    run_id: UUID | None
    text: dict[str, str] = Field(sa_type=JSONB)
    evidence: dict[str, Any] = Field(sa_type=JSONB)
    acknowledged_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    acknowledged_by: str | None = Field(sa_type=Text)
    note: str | None = Field(sa_type=Text)
