"""People who sign in, and their sessions.

Revision ID: 0005
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0008"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
PRESENTED = "decode(nullif(current_setting('app.secret_sha256', true), ''), 'hex')"
USER_CHANGES = (
    "name, role, branch_id, firm_id, limits, version, password_hash, oidc_subject, disabled_at, password_changed_at,"
    " last_login_at"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("api_key", sa.Column("created_by_id", sa.Uuid(), nullable=True))
    op.create_table(
        "app_user",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("branch_id", sa.Uuid(), nullable=True),
        sa.Column("firm_id", sa.Uuid(), nullable=True),
        sa.Column("limits", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_by_id", sa.Uuid(), nullable=True),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("oidc_subject", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("login = lower(login)", name=op.f("ck_app_user_login")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_app_user_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "branch_id"], ["branch.tenant_id", "branch.id"], name=op.f("fk_app_user_tenant_id_branch_id")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_app_user_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_app_user")),
    )
    op.create_index("ix_app_user_created_at", "app_user", ["tenant_id", "created_at", "id"])
    op.create_index("uq_app_user_login", "app_user", ["tenant_id", "login"], unique=True)
    op.create_index("uq_app_user_oidc_subject", "app_user", ["tenant_id", "oidc_subject"], unique=True)
    op.create_table(
        "login_session",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_login_session_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["app_user.tenant_id", "app_user.id"],
            name=op.f("fk_login_session_tenant_id_user_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_login_session")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_login_session_token_sha256")),
    )
    op.create_index("ix_login_session_user_id", "login_session", ["tenant_id", "user_id"])
    _protect("app_user", f"select, insert, update ({USER_CHANGES})")
    _protect("login_session", "select, insert, delete, update (last_seen_at, ended_at)")
    op.execute(f"create policy holder_of_the_session on login_session for select using (token_sha256 = {PRESENTED})")


def _protect(table: str, privileges: str) -> None:
    op.execute(f"grant {privileges} on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("login_session")
    op.drop_table("app_user")
    op.drop_column("api_key", "created_by_id")
