"""The first ledger: tenants, observations, models, scores, runs and alerts, each tenant's rows its own.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
KEY = "decode(nullif(current_setting('app.api_key_sha256', true), ''), 'hex')"
GRANTS = {
    "tenant": "select, insert",
    "api_key": "select, insert",
    "idempotency_key": "select, insert, delete",
    "firm": "select, insert",
    "firm_observation": "select, insert",
    "person_observation": "select, insert",
    "invoice": "select, insert",
    "loan": "select, insert",
    "repayment_status": "select, insert",
    "model_version": "select, insert, update (state, live_at, live_by)",
    "day_context": "select, insert",
    "score": "select, insert",
    "current_score": "select, insert, update",
    "rescoring_run": "select, insert, update (finished_at)",
    "rescoring_chunk": "select, insert, update (done_at, scored, alerts, refusals)",
    "alert": "select, insert, update (acknowledged_at, acknowledged_by, note)",
}


def protect() -> None:
    """Let the run-time role see one tenant's rows, and change only what is not a ledger."""
    op.execute(f"grant usage on schema public to {RUNTIME_ROLE}")
    for table, privileges in GRANTS.items():
        tenant_column = "id" if table == "tenant" else "tenant_id"
        op.execute(f"grant {privileges} on {table} to {RUNTIME_ROLE}")
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(
            f"create policy tenant_isolation on {table}"
            f" using ({tenant_column} = {TENANT}) with check ({tenant_column} = {TENANT})"
        )
    op.execute(f"create policy holder_of_the_key on api_key for select using (sha256 = {KEY})")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "tenant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
        sa.UniqueConstraint("name", name=op.f("uq_tenant_name")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_api_key_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_key_sha256")),
    )
    op.create_index(op.f("ix_api_key_tenant_id"), "api_key", ["tenant_id"], unique=False)
    op.create_table(
        "day_context",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_day_context_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_day_context")),
    )
    op.create_index("ix_day_context_newest", "day_context", ["tenant_id", "as_of", "built_at"], unique=False)
    op.create_table(
        "firm",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_firm_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_firm")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_firm_tenant_id_key")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_idempotency_key_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "model_version",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("artifact", sa.LargeBinary(), nullable=False),
        sa.Column("artifact_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("live_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('candidate', 'live', 'retired')", name=op.f("ck_model_version_state")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_model_version_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_model_version")),
        sa.UniqueConstraint("tenant_id", "product", "number", name=op.f("uq_model_version_tenant_id_product_number")),
    )
    op.create_index(
        "uq_model_version_live",
        "model_version",
        ["tenant_id", "product"],
        unique=True,
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_table(
        "rescoring_run",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("model_version_id", sa.Uuid(), nullable=False),
        sa.Column("context_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_rescoring_run_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rescoring_run")),
    )
    op.create_index(
        "uq_rescoring_run_unfinished",
        "rescoring_run",
        ["tenant_id", "product", "as_of"],
        unique=True,
        postgresql_where=sa.text("finished_at is null"),
    )
    op.create_table(
        "alert",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("text", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("severity in ('L', 'M', 'H', 'C')", name=op.f("ck_alert_severity")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_alert_tenant_id_firm_id")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_alert_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_alert")),
    )
    op.create_index("ix_alert_entity", "alert", ["tenant_id", "firm_id", "rule"], unique=False)
    op.create_index("ix_alert_raised_at", "alert", ["tenant_id", "raised_at", "id"], unique=False)
    op.create_index("uq_alert_fingerprint", "alert", ["tenant_id", "fingerprint"], unique=True)
    op.create_table(
        "firm_observation",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("founded_on", sa.Date(), nullable=True),
        sa.Column("is_lead", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"],
            ["firm.tenant_id", "firm.id"],
            name=op.f("fk_firm_observation_tenant_id_firm_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f("pk_firm_observation")),
    )
    op.create_index("ix_firm_observation_tenant_id_firm_id", "firm_observation", ["tenant_id", "firm_id"], unique=False)
    op.create_table(
        "invoice",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("counterparty", sa.Text(), nullable=False),
        sa.Column("has_linked_codes", sa.Boolean(), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.Column("vat_fen", sa.BigInteger(), nullable=False),
        sa.Column("gross_fen", sa.BigInteger(), nullable=False),
        sa.Column("is_void", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f("pk_invoice")),
    )
    op.create_index("ix_invoice_tenant_id_firm_id", "invoice", ["tenant_id", "firm_id"], unique=False)
    op.create_table(
        "loan",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("principal_fen", sa.BigInteger(), nullable=False),
        sa.Column("matures_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_loan_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f("pk_loan")),
    )
    op.create_index("ix_loan_tenant_id_firm_id", "loan", ["tenant_id", "firm_id"], unique=False)
    op.create_index("ix_loan_tenant_id_loan_id", "loan", ["tenant_id", "loan_id"], unique=False)
    op.create_table(
        "person_observation",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("trade_since", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"],
            ["firm.tenant_id", "firm.id"],
            name=op.f("fk_person_observation_tenant_id_firm_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f("pk_person_observation")),
    )
    op.create_index(
        "ix_person_observation_tenant_id_firm_id",
        "person_observation",
        ["tenant_id", "firm_id"],
        unique=False,
    )
    op.create_table(
        "repayment_status",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=True),
        sa.Column("days_past_due", sa.Integer(), nullable=True),
        sa.Column("balance_fen", sa.BigInteger(), nullable=True),
        sa.Column("default_event", sa.Text(), nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("is_undated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"],
            ["firm.tenant_id", "firm.id"],
            name=op.f("fk_repayment_status_tenant_id_firm_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f("pk_repayment_status")),
    )
    op.create_index("ix_repayment_status_tenant_id_firm_id", "repayment_status", ["tenant_id", "firm_id"], unique=False)
    op.create_table(
        "rescoring_chunk",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_key", sa.Text(collation="C"), nullable=False),
        sa.Column("last_key", sa.Text(collation="C"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("refusals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"],
            ["rescoring_run.tenant_id", "rescoring_run.id"],
            name=op.f("fk_rescoring_chunk_tenant_id_run_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "number", name=op.f("pk_rescoring_chunk")),
    )
    op.create_table(
        "score",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.Uuid(), nullable=False),
        sa.Column("context_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("pd", sa.Float(), nullable=False),
        sa.Column("pd_basis", sa.Text(), nullable=False),
        sa.Column("interval_low", sa.Float(), nullable=False),
        sa.Column("interval_high", sa.Float(), nullable=False),
        sa.Column("interval_kind", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("stable_grade", sa.Text(), nullable=False),
        sa.Column("points", sa.Float(), nullable=True),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("missing", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "context_id"],
            ["day_context.tenant_id", "day_context.id"],
            name=op.f("fk_score_tenant_id_context_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_score_tenant_id_firm_id")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "model_version_id"],
            ["model_version.tenant_id", "model_version.id"],
            name=op.f("fk_score_tenant_id_model_version_id"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_score_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_score")),
    )
    op.create_index("ix_score_firm", "score", ["tenant_id", "firm_id", "scored_at", "id"], unique=False)
    op.create_index(
        "uq_score_run_firm",
        "score",
        ["tenant_id", "run_id", "firm_id"],
        unique=True,
        postgresql_where=sa.text("run_id is not null"),
    )
    op.create_table(
        "current_score",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("score_id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "score_id"],
            ["score.tenant_id", "score.id"],
            name=op.f("fk_current_score_tenant_id_score_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "firm_id", "product", name=op.f("pk_current_score")),
    )
    protect()


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("current_score")
    op.drop_index("uq_score_run_firm", table_name="score", postgresql_where=sa.text("run_id is not null"))
    op.drop_index("ix_score_firm", table_name="score")
    op.drop_table("score")
    op.drop_table("rescoring_chunk")
    op.drop_index("ix_repayment_status_tenant_id_firm_id", table_name="repayment_status")
    op.drop_table("repayment_status")
    op.drop_index("ix_person_observation_tenant_id_firm_id", table_name="person_observation")
    op.drop_table("person_observation")
    op.drop_index("ix_loan_tenant_id_loan_id", table_name="loan")
    op.drop_index("ix_loan_tenant_id_firm_id", table_name="loan")
    op.drop_table("loan")
    op.drop_index("ix_invoice_tenant_id_firm_id", table_name="invoice")
    op.drop_table("invoice")
    op.drop_index("ix_firm_observation_tenant_id_firm_id", table_name="firm_observation")
    op.drop_table("firm_observation")
    op.drop_index("uq_alert_fingerprint", table_name="alert")
    op.drop_index("ix_alert_raised_at", table_name="alert")
    op.drop_index("ix_alert_entity", table_name="alert")
    op.drop_table("alert")
    op.drop_index(
        "uq_rescoring_run_unfinished",
        table_name="rescoring_run",
        postgresql_where=sa.text("finished_at is null"),
    )
    op.drop_table("rescoring_run")
    op.drop_index("uq_model_version_live", table_name="model_version", postgresql_where=sa.text("state = 'live'"))
    op.drop_table("model_version")
    op.drop_table("idempotency_key")
    op.drop_table("firm")
    op.drop_index("ix_day_context_newest", table_name="day_context")
    op.drop_table("day_context")
    op.drop_index(op.f("ix_api_key_tenant_id"), table_name="api_key")
    op.drop_table("api_key")
    op.drop_table("tenant")
