"""Natural persons: numbers and names encrypted, found by keyed hash; which keyring they belong to.

Going below forgets who the persons were: their rows go, and so do the answers kept for retries that are about persons,
since without `subject_id` no later erasure would find them. The ledger keeps the pseudonyms.

No statistics are collected of keyed hashes and encrypted texts: samples of them would outlive an erasure.

Revision ID: 0004
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_person()
    _create_keyring()
    op.create_index("ix_person_observation_person_id", "person_observation", ["tenant_id", "person_id"])
    op.create_index("ix_consent_person_id", "consent", ["tenant_id", "person_id"])
    op.add_column("idempotency_key", sa.Column("subject_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_idempotency_key_subject",
        "idempotency_key",
        ["tenant_id", "subject_id"],
        postgresql_where=sa.text("subject_id is not null"),
    )
    for column in ("request_mac", "sealed_body"):
        op.execute(f"alter table idempotency_key alter column {column} set statistics 0")
    op.execute(f"grant update (request_mac, sealed_body) on idempotency_key to {RUNTIME_ROLE}")


def _create_person() -> None:
    op.create_table(
        "person",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("id_kind", sa.Text(), nullable=False),
        sa.Column("id_mac", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_person_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_person")),
    )
    op.create_index("uq_person_id_mac", "person", ["tenant_id", "id_mac"], unique=True)
    op.create_index(
        "ix_person_key_to_destroy",
        "person",
        ["tenant_id"],
        postgresql_where=sa.text("erased_at is not null and key_destroyed_at is null"),
    )
    for column in ("id_mac", "sealed"):
        op.execute(f"alter table person alter column {column} set statistics 0")
    changing = "id_mac, sealed, erased_at, key_destroyed_at, version"
    op.execute(f"grant select, insert, update ({changing}) on person to {RUNTIME_ROLE}")
    op.execute("alter table person enable row level security")
    op.execute("alter table person force row level security")
    op.execute(
        f"create policy tenant_isolation on person using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def _create_keyring() -> None:
    """Make the one row that no tenant owns: it says which keyring belongs to the database, and nothing else."""
    op.create_table(
        "keyring",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_keyring_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyring")),
    )
    op.execute(f"grant select, insert on keyring to {RUNTIME_ROLE}")
    op.execute("alter table keyring enable row level security")
    op.execute("alter table keyring force row level security")
    op.execute("create policy everybodys_to_read on keyring for select using (true)")
    op.execute("create policy everybodys_to_make on keyring for insert with check (true)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"revoke update (request_mac, sealed_body) on idempotency_key from {RUNTIME_ROLE}")
    for column in ("request_mac", "sealed_body"):
        op.execute(f"alter table idempotency_key alter column {column} set statistics -1")
    op.execute("alter table idempotency_key no force row level security")
    op.execute("delete from idempotency_key where subject_id is not null or sealed_body = ''")
    op.execute("alter table idempotency_key force row level security")
    op.drop_index("ix_idempotency_key_subject", "idempotency_key")
    op.drop_column("idempotency_key", "subject_id")
    op.drop_index("ix_consent_person_id", "consent")
    op.drop_index("ix_person_observation_person_id", "person_observation")
    op.drop_table("keyring")
    op.drop_table("person")
