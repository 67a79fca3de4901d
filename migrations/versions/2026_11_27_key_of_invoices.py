"""Let the key of invoices begin with the firm: one index does what two did, and rows go in in its order.

No row is touched; the new key's index is built under an exclusive lock, about two seconds a million rows.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BEFORE = ["tenant_id", "content_sha256", "observed_on"]
AFTER = ["tenant_id", "firm_id", "content_sha256", "observed_on"]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint("pk_invoice", "invoice", type_="primary")
    op.create_primary_key("pk_invoice", "invoice", AFTER)
    op.drop_index("ix_invoice_tenant_id_firm_id", table_name="invoice")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint("pk_invoice", "invoice", type_="primary")
    op.create_primary_key("pk_invoice", "invoice", BEFORE)
    op.create_index("ix_invoice_tenant_id_firm_id", "invoice", ["tenant_id", "firm_id"], unique=False)
