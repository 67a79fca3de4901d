"""Rows of the audit log."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, Text
from sqlmodel import Field

from service.kit.rows import TenantRow


class PendingEntry(TenantRow, table=True):
    """An entry that its transaction wrote and the sequencer has not numbered yet."""

    __tablename__ = "audit_pending"
    __table_args__ = (Index("ix_audit_pending_recorded_at", "recorded_at", "id"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
    subject: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
