"""Rows of tenants and API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Text
from sqlmodel import Field, SQLModel


class Tenant(SQLModel, table=True):
    """A lender, a fund or an association whose data nobody else sees."""

    __tablename__ = "tenant"

    id: UUID = Field(primary_key=True)
    name: str = Field(unique=True, sa_type=Text)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class ApiKey(SQLModel, table=True):
    """A key that names a tenant and a role; only its SHA-256 is kept."""

    __tablename__ = "api_key"

    id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id", index=True)
    name: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    sha256: bytes = Field(unique=True, sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
