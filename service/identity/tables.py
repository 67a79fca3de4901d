"""Rows of organisations, branches and API keys."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from service.kit.rows import MutableRow, TenantRow


class Tenant(SQLModel, table=True):
    """An organisation - a bank, a guarantee fund, an association - whose data nobody else sees."""

    __tablename__ = "tenant"
    __table_args__ = (CheckConstraint("kind in ('bank', 'fund', 'association')", name="kind"),)

    id: UUID = Field(primary_key=True)
    name: str = Field(unique=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class Branch(TenantRow, MutableRow, table=True):
    """A branch of a bank; firms belong to one or to none."""

    __tablename__ = "branch"
    __table_args__ = (Index("uq_branch_name", "tenant_id", "name", unique=True),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text(collation="C"))
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class Holder(TenantRow, MutableRow):
    """What a person and a key have in common: a role and its reach."""

    id: UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    branch_id: UUID | None
    firm_id: UUID | None
    limits: list[dict[str, Any]] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    created_by: str = Field(sa_type=Text)


class ApiKey(Holder, table=True):
    """A key of a machine or a person; only its SHA-256 is kept."""

    __tablename__ = "api_key"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "branch_id"], ["branch.tenant_id", "branch.id"]),
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        Index("ix_api_key_created_at", "tenant_id", "created_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    sha256: bytes = Field(unique=True, sa_type=LargeBinary)
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    last_used_at: datetime | None = Field(sa_type=DateTime(timezone=True))
