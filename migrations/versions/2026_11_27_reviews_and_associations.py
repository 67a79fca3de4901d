"""Reviews by a person; acts of associations and peer reports.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
DECIDED = (
    "state, decided_at, decided_by, decided_by_id, decided_amount_fen, decision_words, grade_at_decision,"
    " pd_at_decision, score_id_at_decision, basis, version"
)
VERIFIED = "is_verified, verified_at, verified_by, verified_by_id, version"


def create(table: str, *columns: sa.Column | sa.Constraint) -> None:
    """Make a table about firms, with an id, that the run-time role may read and add to in one tenant."""
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f(f"fk_{table}_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{table}")),
    )
    op.execute(f"grant select, insert on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def text(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=nullable)


def at(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def day(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Date(), nullable=nullable)


def ident(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_review()
    _create_association_act()
    _create_peer_report()


def _create_review() -> None:
    reasons = "'refusal_of_automated_decision', 'beyond_limit', 'borderline', 'other'"
    create(
        "review",
        sa.Column("version", sa.Integer(), nullable=False),
        text("product"),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        text("reason_code"),
        text("words", nullable=True),
        at("opened_at"),
        text("opened_by"),
        ident("opened_by_id"),
        ident("score_id", nullable=True),
        text("state"),
        at("decided_at", nullable=True),
        text("decided_by", nullable=True),
        ident("decided_by_id", nullable=True),
        sa.Column("decided_amount_fen", sa.BigInteger(), nullable=True),
        text("decision_words", nullable=True),
        text("grade_at_decision", nullable=True),
        sa.Column("pd_at_decision", sa.Float(), nullable=True),
        ident("score_id_at_decision", nullable=True),
        sa.Column("basis", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(f"reason_code in ({reasons})", name=op.f("ck_review_reason_code")),
        sa.CheckConstraint("state in ('open', 'approved', 'declined', 'withdrawn')", name=op.f("ck_review_state")),
        sa.CheckConstraint("(state = 'open') = (decided_at is null)", name=op.f("ck_review_decided")),
        sa.CheckConstraint(
            "(state = 'approved') = (decided_amount_fen is not null)", name=op.f("ck_review_approved_amount")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "score_id"], ["score.tenant_id", "score.id"], name=op.f("fk_review_tenant_id_score_id")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "score_id_at_decision"],
            ["score.tenant_id", "score.id"],
            name=op.f("fk_review_tenant_id_score_id_at_decision"),
        ),
    )
    op.create_index(
        "uq_review_open",
        "review",
        ["tenant_id", "firm_id", "product"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_review_opened_at", "review", ["tenant_id", "opened_at", "id"])
    op.create_index("ix_review_firm", "review", ["tenant_id", "firm_id", "opened_at", "id"])
    op.execute(f"grant update ({DECIDED}) on review to {RUNTIME_ROLE}")


def _create_association_act() -> None:
    kinds = "'sanction', 'warning', 'expulsion', 'commendation', 'admission'"
    create(
        "association_act",
        text("kind"),
        sa.Column("severity", sa.Integer(), nullable=False),
        text("words"),
        day("observed_on"),
        day("known_on"),
        day("ended_on", nullable=True),
        at("ingested_at"),
        text("actor"),
        ident("actor_id"),
        sa.CheckConstraint(f"kind in ({kinds})", name=op.f("ck_association_act_kind")),
        sa.CheckConstraint("severity between 1 and 3", name=op.f("ck_association_act_severity")),
    )
    op.create_index("ix_association_act_ingested_at", "association_act", ["tenant_id", "ingested_at", "id"])
    op.create_index("ix_association_act_firm", "association_act", ["tenant_id", "firm_id", "ingested_at", "id"])


def _create_peer_report() -> None:
    create(
        "peer_report",
        sa.Column("version", sa.Integer(), nullable=False),
        text("reporter"),
        text("kind"),
        text("words"),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        at("verified_at", nullable=True),
        text("verified_by", nullable=True),
        ident("verified_by_id", nullable=True),
        day("observed_on"),
        day("known_on"),
        at("ingested_at"),
        text("actor"),
        ident("actor_id"),
        sa.CheckConstraint(
            "kind in ('late_payment', 'quality_dispute', 'praise', 'other')", name=op.f("ck_peer_report_kind")
        ),
        sa.CheckConstraint("is_verified = (verified_by_id is not null)", name=op.f("ck_peer_report_verified")),
        sa.CheckConstraint("verified_by_id <> actor_id", name=op.f("ck_peer_report_four_eyes")),
    )
    op.create_index("ix_peer_report_ingested_at", "peer_report", ["tenant_id", "ingested_at", "id"])
    op.create_index("ix_peer_report_firm", "peer_report", ["tenant_id", "firm_id", "ingested_at", "id"])
    op.execute(f"grant update ({VERIFIED}) on peer_report to {RUNTIME_ROLE}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("peer_report", "association_act", "review"):
        op.drop_table(table)
