"""Consents and personal records; how a score may be decided on, and the families of its reasons.

Scores that are there count as decided by the machine, which is how they were made; the families of their reasons are
not filled in.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"


def protect(table: str) -> None:
    """Let the run-time role see one tenant's rows, and add to them."""
    op.execute(f"grant select, insert on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def create_ledger(table: str, *columns: sa.Column) -> None:
    """Make a table of observations with columns of its own."""
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f(f"fk_{table}_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_tenant_id_firm_id", table, ["tenant_id", "firm_id"], unique=False)
    protect(table)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    create_ledger(
        "consent",
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("is_given", sa.Boolean(), nullable=False),
    )
    create_ledger(
        "personal_record",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("days_past_due", sa.Integer(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
    )
    op.add_column("score", sa.Column("decision", sa.Text(), nullable=False, server_default="automated"))
    families = sa.Column("reason_families", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    op.add_column("score", families)
    op.alter_column("score", "decision", server_default=None)
    op.alter_column("score", "reason_families", server_default=None)
    op.create_check_constraint(op.f("ck_score_decision"), "score", "decision in ('automated', 'person')")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("ck_score_decision"), "score", type_="check")
    op.drop_column("score", "reason_families")
    op.drop_column("score", "decision")
    op.drop_index("ix_personal_record_tenant_id_firm_id", table_name="personal_record")
    op.drop_table("personal_record")
    op.drop_index("ix_consent_tenant_id_firm_id", table_name="consent")
    op.drop_table("consent")
