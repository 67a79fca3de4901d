"""Rows of acts of associations and peer reports.

No feature reads either table: none of them, verified or not, moves a PD.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text
from sqlmodel import Field

from service.kit.rows import FirmRow, MutableRow


class AssociationAct(FirmRow, table=True):
    """What an association did about a member. Append-only: an end that comes later is a further row."""

    __tablename__ = "association_act"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("kind in ('sanction', 'warning', 'expulsion', 'commendation', 'admission')", name="kind"),
        CheckConstraint("severity between 1 and 3", name="severity"),
        Index("ix_association_act_ingested_at", "tenant_id", "ingested_at", "id"),
        Index("ix_association_act_firm", "tenant_id", "firm_id", "ingested_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    firm_id: UUID
    kind: str = Field(sa_type=Text)
    severity: int
    words: str = Field(sa_type=Text)
    observed_on: date
    known_on: date
    ended_on: date | None
    ingested_at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    actor_id: UUID


class PeerReport(FirmRow, MutableRow, table=True):
    """What one firm says of another. It is hearsay until somebody other than who entered it has verified it."""

    __tablename__ = "peer_report"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("kind in ('late_payment', 'quality_dispute', 'praise', 'other')", name="kind"),
        CheckConstraint("is_verified = (verified_by_id is not null)", name="verified"),
        CheckConstraint("verified_by_id <> actor_id", name="four_eyes"),
        Index("ix_peer_report_ingested_at", "tenant_id", "ingested_at", "id"),
        Index("ix_peer_report_firm", "tenant_id", "firm_id", "ingested_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    firm_id: UUID
    reporter: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    words: str = Field(sa_type=Text)
    is_verified: bool
    verified_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    verified_by: str | None = Field(sa_type=Text)
    verified_by_id: UUID | None
    observed_on: date
    known_on: date
    ingested_at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    actor_id: UUID
