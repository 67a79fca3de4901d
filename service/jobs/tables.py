"""Rows of jobs, and of what they were started with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.jobs.rules import Standing, State
from service.kit.db import Author
from service.kit.rows import TenantRow


class Job(TenantRow, table=True):
    """A job; `version` counts what there is to tell of it, so not the renewals of its lease."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        CheckConstraint("(state = 'running') = (leased_until is not null)", name="leased"),
        CheckConstraint("(state in ('queued', 'running')) = (finished_at is null)", name="finished"),
        Index("ix_job_created_at", "tenant_id", "created_at", "id"),
        Index("ix_job_unfinished", "tenant_id", "id", postgresql_where=text("state in ('queued', 'running')")),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    args: dict[str, Any] = Field(sa_type=JSONB)
    actor: str = Field(sa_type=Text)
    actor_id: UUID
    state: str = Field(sa_type=Text)
    attempt: int
    losses: int
    leased_until: datetime | None = Field(sa_type=DateTime(timezone=True))
    not_before: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    phase: str = Field(sa_type=Text)
    done: int = Field(sa_type=BigInteger)
    total: int = Field(sa_type=BigInteger)
    checkpoint: dict[str, Any] = Field(sa_type=JSONB)
    counts: dict[str, Any] = Field(sa_type=JSONB)
    result: dict[str, Any] | None = Field(sa_type=JSONB(none_as_null=True))
    error: dict[str, Any] | None = Field(sa_type=JSONB(none_as_null=True))
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    started_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    finished_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    cancel_requested_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    version: int

    def standing(self) -> Standing:
        """Return it as the rules see it."""
        is_cancel_requested = self.cancel_requested_at is not None
        state = State(self.state)
        return Standing(state, self.attempt, self.losses, self.leased_until, is_cancel_requested, self.not_before)

    def author(self) -> Author:
        """Return who started it, on whose behalf all that becomes of it is done."""
        return Author(self.actor, self.actor_id, str(self.id))


class Upload(TenantRow, table=True):
    """A part of the file that a job was started with; it goes when the job ends."""

    __tablename__ = "upload"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "job_id"], ["job.tenant_id", "job.id"]),)

    tenant_id: UUID = Field(primary_key=True)
    job_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)
