"""Windows of the rate limits.

Revision ID: 0006
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"


def upgrade() -> None:
    """Without a foreign key to the tenant: some of what is counted comes before it is known who asks."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "rate_window",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("last_lease", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "window_end", "window_start", "subject", name=op.f("pk_rate_window")),
    )
    op.execute(f"grant select, insert, update (used, last_lease), delete on rate_window to {RUNTIME_ROLE}")
    op.execute("alter table rate_window enable row level security")
    op.execute("alter table rate_window force row level security")
    op.execute(
        f"create policy tenant_isolation on rate_window using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("rate_window")
