"""What rows have in common: whose they are, whom they are about, and which state of them it is."""

from uuid import UUID

from sqlmodel import Field, SQLModel


class TenantRow(SQLModel):
    """A row of one tenant; every query of a session is narrowed to the session's tenant (`service.kit.db`)."""

    tenant_id: UUID = Field(primary_key=True)


class FirmRow(TenantRow):
    """A row about a firm; queries are narrowed to the firms within the asker's reach (`service.firms.reach`)."""

    firm_id: UUID


class MutableRow(SQLModel):
    """A row that may change; its version is its strong ETag (`service.kit.etag`)."""

    version: int = 1
