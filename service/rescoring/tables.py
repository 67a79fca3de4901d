"""Rows of rescoring runs and their chunks."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.kit.rows import TenantRow


class Run(TenantRow, table=True):
    """One rescoring of every firm: its product, business date, model and context."""

    __tablename__ = "rescoring_run"
    __table_args__ = (
        Index(
            "uq_rescoring_run_unfinished", "tenant_id", "product", "as_of", unique=True,
            postgresql_where=text("finished_at is null"),
        ),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    product: str = Field(sa_type=Text)
    as_of: date
    model_version_id: UUID
    context_id: UUID
    actor: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=DateTime(timezone=True))
    finished_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class Chunk(TenantRow, table=True):
    """A range of firm keys of a run; `done_at` is set in the transaction that commits its scores."""

    __tablename__ = "rescoring_chunk"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "run_id"], ["rescoring_run.tenant_id", "rescoring_run.id"]),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    first_key: str = Field(sa_type=Text(collation="C"))
    last_key: str = Field(sa_type=Text(collation="C"))
    done_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    scored: int
    alerts: int
    refusals: list[dict[str, Any]] = Field(sa_type=JSONB)
