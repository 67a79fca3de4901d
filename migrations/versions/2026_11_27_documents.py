"""Documents' files, sealed; and a document's rows found by the hash of its file.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
CHANGING = "media_type, size_bytes, key_id, parts, stored_at, destroyed_at"


def upgrade() -> None:
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "document_file",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("parts", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_document_file_sha256")),
        sa.CheckConstraint("destroyed_at is null or cardinality(parts) = 0", name=op.f("ck_document_file_destroyed")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_document_file_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name=op.f("pk_document_file")),
    )
    op.execute("alter table document_file alter column parts set storage external")
    op.execute(f"grant select, insert, update ({CHANGING}) on document_file to {RUNTIME_ROLE}")
    op.execute("alter table document_file enable row level security")
    op.execute("alter table document_file force row level security")
    op.execute(
        f"create policy tenant_isolation on document_file to {RUNTIME_ROLE}"
        f" using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    op.create_index("ix_document_observation_sha256", "document_observation", ["tenant_id", "sha256"])


def downgrade() -> None:
    op.execute("set local lock_timeout = '5s'")
    op.drop_index("ix_document_observation_sha256", "document_observation")
    op.drop_table("document_file")
