"""Guarantee funds: what a bank lets them see, and the role that sees no more.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
FUND_ROLE = "clustercredit_fund"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
NAMED_FUND = "nullif(current_setting('app.fund', true), '')::uuid"
TODAY = "(now() at time zone interval '8 hours')::date"
COLUMNS = {
    "tenant": "id, name",
    "guarantee_grant": "tenant_id, fund_id, ended_at",
    "fund_guarantee": "tenant_id, id, firm_id, loan_id, fund_id, product, coverage, cap_fen, starts_on, ends_on",
    "loan": "tenant_id, firm_id, loan_id, product, principal_fen, observed_on, known_on",
    "firm": "tenant_id, id, key",
    "firm_observation": "tenant_id, firm_id, name, observed_on, known_on",
    "current_score": "tenant_id, firm_id, product, score_id",
    "score": "tenant_id, id, firm_id, product, as_of, pd, pd_basis, grade, reason_families",
}
"""All that a fund may read."""
ROWS = {
    "guarantee_grant": f"fund_id = {TENANT} and ended_at is null",
    "tenant": "id in (select tenant_id from guarantee_grant)",
    "fund_guarantee": f"fund_id = {TENANT} and starts_on <= {TODAY} and (ends_on is null or ends_on >= {TODAY})"
    " and tenant_id in (select tenant_id from guarantee_grant)",
    "loan": "exists (select from fund_guarantee g where g.tenant_id = loan.tenant_id"
    " and g.firm_id = loan.firm_id and g.loan_id = loan.loan_id)",
    "firm": "exists (select from fund_guarantee g where g.tenant_id = firm.tenant_id and g.firm_id = firm.id)",
    "firm_observation": "exists (select from fund_guarantee g where g.tenant_id = firm_observation.tenant_id"
    " and g.firm_id = firm_observation.firm_id)",
    "current_score": "exists (select from fund_guarantee g where g.tenant_id = current_score.tenant_id"
    " and g.firm_id = current_score.firm_id and g.product = current_score.product)",
    "score": "exists (select from current_score c where c.tenant_id = score.tenant_id"
    " and c.firm_id = score.firm_id and c.product = score.product and c.score_id = score.id)",
}
"""Which rows it may read. A policy's queries are under the policies of the tables that they read: each of these rests
on those before it, so that ending a grant, or a guarantee, ends them all."""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_grant()
    _create_guarantee()
    op.execute(
        f"create policy named_fund on tenant for select to {RUNTIME_ROLE} using (kind = 'fund' and id = {NAMED_FUND})"
    )
    op.execute(f"grant usage on schema public to {FUND_ROLE}")
    for table, columns in COLUMNS.items():
        op.execute(f"grant select ({columns}) on {table} to {FUND_ROLE}")
        op.execute(f"alter policy tenant_isolation on {table} to {RUNTIME_ROLE}")
        op.execute(f"create policy guaranteed on {table} for select to {FUND_ROLE} using ({ROWS[table]})")


def _create_grant() -> None:
    op.create_table(
        "guarantee_grant",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fund_id", sa.Uuid(), nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["fund_id"], ["tenant.id"], name=op.f("fk_guarantee_grant_fund_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_guarantee_grant_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_guarantee_grant")),
    )
    op.create_index(
        "uq_guarantee_grant_live",
        "guarantee_grant",
        ["fund_id", "tenant_id"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index("ix_guarantee_grant_granted_at", "guarantee_grant", ["tenant_id", "granted_at", "id"])
    _protect("guarantee_grant", "ended_at, ended_by, version")


def _create_guarantee() -> None:
    op.create_table(
        "fund_guarantee",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("fund_id", sa.Uuid(), nullable=False),
        sa.Column("coverage", sa.Numeric(5, 4), nullable=False),
        sa.Column("cap_fen", sa.BigInteger(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("coverage > 0 and coverage <= 1", name=op.f("ck_fund_guarantee_coverage")),
        sa.CheckConstraint("cap_fen > 0", name=op.f("ck_fund_guarantee_cap")),
        sa.CheckConstraint("ends_on >= starts_on - 1", name=op.f("ck_fund_guarantee_days")),
        sa.ForeignKeyConstraint(["fund_id"], ["tenant.id"], name=op.f("fk_fund_guarantee_fund_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_fund_guarantee_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_fund_guarantee")),
    )
    op.create_index("ix_fund_guarantee_book", "fund_guarantee", ["fund_id", "tenant_id", "loan_id", "id"])
    op.create_index("ix_fund_guarantee_loan", "fund_guarantee", ["tenant_id", "firm_id", "loan_id"])
    _protect("fund_guarantee", "ends_on, version")


def _protect(table: str, changing: str) -> None:
    op.execute(f"grant select, insert, update ({changing}) on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in reversed(COLUMNS):
        op.execute(f"drop policy guaranteed on {table}")
        op.execute(f"alter policy tenant_isolation on {table} to public")
        op.execute(f"revoke all on {table} from {FUND_ROLE}")
    op.execute(f"revoke usage on schema public from {FUND_ROLE}")
    op.execute("drop policy named_fund on tenant")
    op.drop_table("fund_guarantee")
    op.drop_table("guarantee_grant")
