"""Rows of documents' files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from service.kit.rows import TenantRow


class DocumentFile(TenantRow, table=True):
    """A file, once however often it is sent: its parts are sealed under a key outside the database.

    Which firms it is about, the ledger's rows of kind document say; whoever reaches one of them may read it. Once it is
    destroyed the row stays, without parts.
    """

    __tablename__ = "document_file"
    __table_args__ = (
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        CheckConstraint("destroyed_at is null or cardinality(parts) = 0", name="destroyed"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    sha256: bytes = Field(primary_key=True, sa_type=LargeBinary)
    media_type: str = Field(sa_type=Text)
    size_bytes: int = Field(sa_type=BigInteger)
    key_id: UUID
    parts: list[bytes] = Field(sa_type=ARRAY(LargeBinary))
    stored_at: datetime = Field(sa_type=DateTime(timezone=True))
    destroyed_at: datetime | None = Field(sa_type=DateTime(timezone=True))
