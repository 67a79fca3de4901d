"""Rows of alerts."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.kit.rows import FirmRow, MutableRow


class Alert(FirmRow, MutableRow, table=True):
    """A finding of a rule, and who has seen it."""

    __tablename__ = "alert"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("severity in ('L', 'M', 'H', 'C')", name="severity"),
        Index(
            "uq_alert_fingerprint", "tenant_id", "fingerprint", unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
        Index("ix_alert_run", "tenant_id", "run_id"),
        Index("ix_alert_raised_at", "tenant_id", "raised_at", "id"),
        Index("ix_alert_entity", "tenant_id", "firm_id", "rule"),
    )  # fmt: skip

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
    withdrawn_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class AlertCandidate(FirmRow, table=True):
    """A finding in a run's scores, which becomes an alert if the run is published. Append-only."""

    __tablename__ = "alert_candidate"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("severity in ('L', 'M', 'H', 'C')", name="severity"),
    )

    tenant_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    fingerprint: str = Field(primary_key=True, sa_type=Text)
    firm_id: UUID
    rule: str = Field(sa_type=Text)
    product: str = Field(sa_type=Text)
    severity: str = Field(sa_type=Text)
    as_of: date
    text: dict[str, str] = Field(sa_type=JSONB)
    evidence: dict[str, Any] = Field(sa_type=JSONB)
