"""Rows of model versions."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from service.kit.rows import TenantRow


class ModelVersion(TenantRow, table=True):
    """A fitted model of a product: its artifact, its report, and whether it is the live one."""

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("tenant_id", "product", "number"),
        CheckConstraint("state in ('candidate', 'live', 'retired')", name="state"),
        Index(
            "uq_model_version_live", "tenant_id", "product", unique=True, postgresql_where=text("state = 'live'")
        ),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    product: str = Field(sa_type=Text)
    number: int
    state: str = Field(sa_type=Text)
    as_of: date
    seed: int = Field(sa_type=BigInteger)
    artifact: bytes = Field(sa_type=LargeBinary)
    artifact_sha256: bytes = Field(sa_type=LargeBinary)
    report: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    created_by: str = Field(sa_type=Text)
    live_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    live_by: str | None = Field(sa_type=Text)
