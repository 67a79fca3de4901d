"""Rows of rescoring runs, their chunks, and who moved a run from state to state."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from service.kit.rows import MutableRow, TenantRow

STATES = "state in ('preparing', 'prepared', 'checked', 'published', 'withdrawn', 'rolled_back')"


class Run(TenantRow, MutableRow, table=True):
    """One rescoring of every firm, or of a subset: its product, business date, model, context and state."""

    __tablename__ = "rescoring_run"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "parent_id"], ["rescoring_run.tenant_id", "rescoring_run.id"]),
        CheckConstraint(STATES, name="state"),
        CheckConstraint("kind in ('all', 'subset')", name="kind"),
        Index(
            "uq_rescoring_run_open", "tenant_id", "product", "as_of", unique=True,
            postgresql_where=text("state in ('preparing', 'prepared') and kind = 'all'"),
        ),
        Index("ix_rescoring_run_started_at", "tenant_id", "started_at", "id"),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    parent_id: UUID | None
    product: str = Field(sa_type=Text)
    as_of: date
    model_version_id: UUID
    context_id: UUID
    state: str = Field(sa_type=Text)
    firms: int
    report: dict[str, Any] | None = Field(sa_type=JSONB)
    actor: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=DateTime(timezone=True))


class Transition(TenantRow, table=True):
    """Who let a run enter a state, when and why; it enters each once. Append-only."""

    __tablename__ = "rescoring_transition"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "run_id"], ["rescoring_run.tenant_id", "rescoring_run.id"]),
        CheckConstraint(STATES, name="state"),
    )

    tenant_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    state: str = Field(primary_key=True, sa_type=Text)
    at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    reason: str | None = Field(sa_type=Text)


class Chunk(TenantRow, table=True):
    """A range of firm keys of a run, or those of a subset; `done_at` is set in the transaction of its scores.

    `attempt` counts who worked on it: only the last may finish it. `alerts` are findings, which become alerts if the
    run is published.
    """

    __tablename__ = "rescoring_chunk"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "run_id"], ["rescoring_run.tenant_id", "rescoring_run.id"]),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    first_key: str = Field(sa_type=Text(collation="C"))
    last_key: str = Field(sa_type=Text(collation="C"))
    firms: int
    firm_keys: list[str] | None = Field(sa_type=ARRAY(Text))
    attempt: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    leased_by: UUID | None = None
    done_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    scored: int = 0
    alerts: int = 0
    refusals: list[dict[str, Any]] = Field(default=[], sa_type=JSONB)
