"""Yearly partitions of invoices, so that a year that need not be kept goes in one step.

Partitions are in a schema of their own, into which no role of the service may look: rows are reached through the
parent alone, under its policies. Rows that are there are copied, in one transaction: about ten seconds a million.

Revision ID: 0013
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0009"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
YEARS_BACK, YEARS_AHEAD = 10, 2
TRIGGERS = "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = to_regclass(:table) and not tgisinternal"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("create schema partitions")
    move_invoices(["tenant_id", "content_sha256", "observed_on"], "partition by range (observed_on)")
    op.execute("create table partitions.invoice_default partition of invoice default")
    protect_partition("invoice_default")
    make_years("invoice", "observed_on")
    fill("invoice")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    move_invoices(["tenant_id", "content_sha256"], "")
    fill("invoice")
    op.execute("drop schema partitions")


def move_invoices(key: list[str], partitioning: str) -> None:
    """Set the table aside, and make another of the same columns, rights, policies and triggers."""
    triggers = op.get_bind().scalars(sa.text(TRIGGERS), {"table": "invoice"}).all()
    set_aside("invoice", "pk_invoice", "ix_invoice_tenant_id_firm_id")
    op.execute(f"create table invoice (like invoice_before including defaults) {partitioning}")
    op.create_primary_key("pk_invoice", "invoice", key)
    op.create_index("ix_invoice_tenant_id_firm_id", "invoice", ["tenant_id", "firm_id"])
    op.execute(f"grant select, insert on invoice to {RUNTIME_ROLE}")
    op.execute(
        f"create policy tenant_isolation on invoice using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    for trigger in triggers:
        op.execute(trigger)


def set_aside(table: str, *indexes: str) -> None:
    """Rename a table and its indexes; its owner sees all of its rows from now on."""
    op.execute(f"alter table {table} rename to {table}_before")
    op.execute(f"alter table {table}_before no force row level security")
    for index in indexes:
        op.execute(f"alter index {index} rename to {index}_before")


def fill(table: str) -> None:
    """Put the rows set aside where they belong, and protect them again."""
    op.execute(f"alter table {table} disable trigger user")
    op.execute(f"insert into {table} select * from {table}_before")
    op.execute(f"alter table {table} enable trigger user")
    op.execute(f"drop table {table}_before cascade")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")


def make_years(table: str, column: str) -> None:
    """Make a partition for each year that has rows, that a lender keeps, or that comes next."""
    years = sa.text(
        f"select extract(year from {column})::int from {table}_before union select y from generate_series("
        f"extract(year from current_date)::int - {YEARS_BACK}, extract(year from current_date)::int + {YEARS_AHEAD}) y"
    )
    for year in sorted(op.get_bind().scalars(years)):
        name = f"{table}_{year:04}"
        bounds = f"from ('{year:04}-01-01') to ('{year + 1:04}-01-01')"
        op.execute(f"create table partitions.{name} partition of {table} for values {bounds}")
        protect_partition(name)


def protect_partition(name: str) -> None:
    """Close a partition to everybody but its owner: no rights, and no policy that shows a row."""
    op.execute(f"alter table partitions.{name} enable row level security")
