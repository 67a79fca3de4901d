"""Roles, branches, keys that end, and states that a change names.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
HASH = "decode(nullif(current_setting('app.{}', true), ''), 'hex')"
ROLES = (("officer", "loan_officer"), ("reader", "model_validator"))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("tenant", sa.Column("kind", sa.Text(), nullable=False, server_default="bank"))
    op.alter_column("tenant", "kind", server_default=None)
    op.create_check_constraint(op.f("ck_tenant_kind"), "tenant", "kind in ('bank', 'fund', 'association')")
    op.create_table(
        "branch",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_branch_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_branch")),
    )
    op.create_index("uq_branch_name", "branch", ["tenant_id", "name"], unique=True)
    op.execute(f"grant select, insert, update (name, version) on branch to {RUNTIME_ROLE}")
    op.execute("alter table branch enable row level security")
    op.execute("alter table branch force row level security")
    op.execute(
        f"create policy tenant_isolation on branch using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    _upgrade_firm()
    _upgrade_api_key()
    _upgrade_idempotency_key()
    op.add_column("alert", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("alert", "version", server_default=None)
    op.execute(f"grant update (version) on alert to {RUNTIME_ROLE}")


def _upgrade_firm() -> None:
    op.add_column("firm", sa.Column("branch_id", sa.Uuid(), nullable=True))
    op.add_column("firm", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("firm", "version", server_default=None)
    op.create_foreign_key(
        op.f("fk_firm_tenant_id_branch_id"), "firm", "branch", ["tenant_id", "branch_id"], ["tenant_id", "id"]
    )
    op.create_index("ix_firm_branch", "firm", ["tenant_id", "branch_id", "key"])
    op.execute(f"grant update (branch_id, version) on firm to {RUNTIME_ROLE}")


def _upgrade_api_key() -> None:
    op.add_column("api_key", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("api_key", sa.Column("branch_id", sa.Uuid(), nullable=True))
    op.add_column("api_key", sa.Column("firm_id", sa.Uuid(), nullable=True))
    op.add_column("api_key", sa.Column("limits", postgresql.JSONB(), nullable=False, server_default="[]"))
    op.add_column("api_key", sa.Column("created_by", sa.Text(), nullable=False, server_default="cli"))
    op.add_column(
        "api_key",
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now() + interval '365 days'"),
        ),
    )
    op.add_column("api_key", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    for column in ("version", "limits", "created_by", "expires_at"):
        op.alter_column("api_key", column, server_default=None)
    _rename_roles(ROLES)
    op.drop_constraint("pk_api_key", "api_key")
    op.create_primary_key(op.f("pk_api_key"), "api_key", ["tenant_id", "id"])
    op.drop_index(op.f("ix_api_key_tenant_id"), "api_key")
    op.create_index("ix_api_key_created_at", "api_key", ["tenant_id", "created_at", "id"])
    for column, table in (("branch_id", "branch"), ("firm_id", "firm")):
        name = op.f(f"fk_api_key_tenant_id_{column}")
        op.create_foreign_key(name, "api_key", table, ["tenant_id", column], ["tenant_id", "id"])
    op.execute(f"grant update (name, expires_at, revoked_at, last_used_at, version) on api_key to {RUNTIME_ROLE}")
    op.execute("drop policy holder_of_the_key on api_key")
    op.execute(f"create policy holder_of_the_key on api_key for select using (sha256 = {HASH.format('secret_sha256')})")


def _upgrade_idempotency_key() -> None:
    """Forget the keys of the last day: their answers were kept in the clear."""
    op.execute("truncate idempotency_key")
    op.drop_column("idempotency_key", "request_sha256")
    op.drop_column("idempotency_key", "body")
    op.add_column("idempotency_key", sa.Column("asker_id", sa.Uuid(), nullable=False))
    op.add_column("idempotency_key", sa.Column("secret_mac", sa.LargeBinary(), nullable=False))
    op.add_column("idempotency_key", sa.Column("request_mac", sa.LargeBinary(), nullable=False))
    op.add_column("idempotency_key", sa.Column("version", sa.Integer(), nullable=True))
    op.add_column("idempotency_key", sa.Column("sealed_body", sa.LargeBinary(), nullable=False))
    op.drop_constraint("pk_idempotency_key", "idempotency_key")
    op.create_primary_key(op.f("pk_idempotency_key"), "idempotency_key", ["tenant_id", "asker_id", "key"])
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["tenant_id", "created_at"])


def _rename_roles(pairs: tuple[tuple[str, str], ...]) -> None:
    """Rename roles in every tenant; the owner, too, is under row-level security until it is lifted for a moment."""
    op.execute("alter table api_key no force row level security")
    for old, new in pairs:
        op.execute(sa.text("update api_key set role = :new where role = :old").bindparams(old=old, new=new))
    op.execute("alter table api_key force row level security")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("alert", "version")
    op.execute("truncate idempotency_key")
    op.drop_index("ix_idempotency_key_created_at", "idempotency_key")
    op.drop_constraint("pk_idempotency_key", "idempotency_key")
    for column in ("asker_id", "secret_mac", "request_mac", "version", "sealed_body"):
        op.drop_column("idempotency_key", column)
    op.create_primary_key(op.f("pk_idempotency_key"), "idempotency_key", ["tenant_id", "key"])
    op.add_column("idempotency_key", sa.Column("request_sha256", sa.LargeBinary(), nullable=False))
    op.add_column("idempotency_key", sa.Column("body", sa.Text(), nullable=False))
    op.execute("drop policy holder_of_the_key on api_key")
    op.execute(
        f"create policy holder_of_the_key on api_key for select using (sha256 = {HASH.format('api_key_sha256')})"
    )
    for column in ("branch_id", "firm_id"):
        op.drop_constraint(op.f(f"fk_api_key_tenant_id_{column}"), "api_key")
    op.drop_index("ix_api_key_created_at", "api_key")
    op.create_index(op.f("ix_api_key_tenant_id"), "api_key", ["tenant_id"])
    op.drop_constraint("pk_api_key", "api_key")
    op.create_primary_key(op.f("pk_api_key"), "api_key", ["id"])
    _rename_roles(tuple((new, old) for old, new in ROLES))
    added = ("version", "branch_id", "firm_id", "limits", "created_by", "expires_at", "revoked_at", "last_used_at")
    for column in added:
        op.drop_column("api_key", column)
    op.drop_index("ix_firm_branch", "firm")
    op.drop_constraint(op.f("fk_firm_tenant_id_branch_id"), "firm")
    op.drop_column("firm", "branch_id")
    op.drop_column("firm", "version")
    op.drop_table("branch")
    op.drop_constraint(op.f("ck_tenant_kind"), "tenant")
    op.drop_column("tenant", "kind")
