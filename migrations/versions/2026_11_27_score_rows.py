"""Scores kept to the letter, and the entry of the audit log over each batch of them.

Revision ID: 0012
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXTS = ("reasons", "features", "missing")
FOREIGN_KEYS = (
    ("fk_score_tenant_id", "tenant", ["tenant_id"], ["id"]),
    ("fk_score_tenant_id_model_version_id", "model_version", ["tenant_id", "model_version_id"], ["tenant_id", "id"]),
    ("fk_score_tenant_id_context_id", "day_context", ["tenant_id", "context_id"], ["tenant_id", "id"]),
)


def upgrade() -> None:
    """Make the JSON columns keep their text: its hash is in the audit log, and a text needs no parsing to be stored.

    A row of about 3,000 bytes stays in its page as it is: compressing it took a third of the time of its insertion.
    The foreign key to the tenant goes, since the firm's implies it; those to version and context, too, since they
    locked the same two rows for each score of a chunk, and nobody may delete those rows (docs/adr/0026).
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("alter table score " + ", ".join(f"alter {name} type json using {name}::text::json" for name in TEXTS))
    op.execute("alter table score set (toast_tuple_target = 8160)")
    for name, *_ in FOREIGN_KEYS:
        op.drop_constraint(op.f(name), "score", type_="foreignkey")
    op.add_column("score", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.create_index("ix_score_batch", "score", ["batch_id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_score_batch", table_name="score")
    op.drop_column("score", "batch_id")
    for name, table, own, theirs in FOREIGN_KEYS:
        op.create_foreign_key(op.f(name), "score", table, own, theirs)
    op.execute("alter table score reset (toast_tuple_target)")
    op.execute("alter table score " + ", ".join(f"alter {name} type jsonb using {name}::jsonb" for name in TEXTS))
