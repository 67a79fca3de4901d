"""Rows of organisations, branches, API keys, people and their sessions."""

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
    created_by_id: UUID | None


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


class AppUser(Holder, table=True):
    """A person who signs in, by a password, by an outside identity, or by either."""

    __tablename__ = "app_user"
    __table_args__ = (
        CheckConstraint("login = lower(login)", name="login"),
        ForeignKeyConstraint(["tenant_id", "branch_id"], ["branch.tenant_id", "branch.id"]),
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        Index("ix_app_user_created_at", "tenant_id", "created_at", "id"),
        Index("uq_app_user_login", "tenant_id", "login", unique=True),
        Index("uq_app_user_oidc_subject", "tenant_id", "oidc_subject", unique=True),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    login: str = Field(sa_type=Text)
    password_hash: str | None = Field(sa_type=Text)
    oidc_subject: str | None = Field(sa_type=Text)
    disabled_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    password_changed_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    last_login_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class LoginSession(TenantRow, table=True):
    """A person's session from signing in to its end; only the SHA-256 of its token is kept."""

    __tablename__ = "login_session"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "user_id"], ["app_user.tenant_id", "app_user.id"]),
        Index("ix_login_session_user_id", "tenant_id", "user_id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    token_sha256: bytes = Field(unique=True, sa_type=LargeBinary)
    user_id: UUID
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    last_seen_at: datetime = Field(sa_type=DateTime(timezone=True))
    ended_at: datetime | None = Field(sa_type=DateTime(timezone=True))
