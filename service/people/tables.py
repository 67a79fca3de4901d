"""Rows of natural persons. Nothing in them can be read without a key that the database does not have."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, SmallInteger, Text, text
from sqlmodel import Field, SQLModel

from service.kit.rows import MutableRow, TenantRow


class Person(TenantRow, MutableRow, table=True):
    """A natural person; its `id` is the pseudonym that observations carry. An erased one keeps nothing else."""

    __tablename__ = "person"
    __table_args__ = (
        Index("uq_person_id_mac", "tenant_id", "id_mac", unique=True),
        Index(
            "ix_person_key_to_destroy", "tenant_id",
            postgresql_where=text("erased_at is not null and key_destroyed_at is null"),
        ),
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    id_kind: str = Field(sa_type=Text)
    id_mac: bytes | None = Field(sa_type=LargeBinary)
    sealed: bytes | None = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    erased_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    key_destroyed_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class KeyringMark(SQLModel, table=True):
    """Which keyring the database's persons were sealed with: one row, no tenant's."""

    __tablename__ = "keyring"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: int = Field(primary_key=True, sa_type=SmallInteger)
    fingerprint: bytes = Field(sa_type=LargeBinary)
