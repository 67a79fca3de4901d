"""The audit log: entries that their transactions wrote, until the sequencer numbers them.

Revision ID: 0009
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0004"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "audit_pending",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_audit_pending_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_pending")),
    )
    op.create_index("ix_audit_pending_recorded_at", "audit_pending", ["recorded_at", "id"])
    op.execute(f"grant select, insert on audit_pending to {RUNTIME_ROLE}")
    op.execute("alter table audit_pending enable row level security")
    op.execute("alter table audit_pending force row level security")
    op.execute(
        f"create policy tenant_isolation on audit_pending using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("audit_pending")
