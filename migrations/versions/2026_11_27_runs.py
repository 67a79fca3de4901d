"""Runs that are prepared, checked and published: leases of chunks, publications, candidates of alerts.

Revision ID: 0011
Revises: 0010

Runs of before were in force from their first chunk on: those that had finished are published ones now, and of those
that had not nothing is in force any more.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
STATES = "state in ('preparing', 'prepared', 'checked', 'published', 'withdrawn', 'rolled_back')"

UNFINISHED = """
    exists (
      select from rescoring_run r where r.tenant_id = {row}.tenant_id and r.id = {row}.run_id and r.state = 'preparing'
    )
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _extend_runs()
    _create_transitions()
    _create_publications()
    _create_candidates()
    op.add_column("alert", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("uq_alert_fingerprint", "alert")
    op.create_index(
        "uq_alert_fingerprint",
        "alert",
        ["tenant_id", "fingerprint"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at is null"),
    )
    op.create_index("ix_alert_run", "alert", ["tenant_id", "run_id"])
    op.execute(f"grant update (withdrawn_at) on alert to {RUNTIME_ROLE}")
    op.execute(f"grant delete on current_score to {RUNTIME_ROLE}")
    _carry_over()
    op.drop_column("rescoring_run", "finished_at")
    op.create_index(
        "uq_rescoring_run_open",
        "rescoring_run",
        ["tenant_id", "product", "as_of"],
        unique=True,
        postgresql_where=sa.text("state in ('preparing', 'prepared') and kind = 'all'"),
    )


def _extend_runs() -> None:
    op.add_column("rescoring_run", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("rescoring_run", sa.Column("kind", sa.Text(), nullable=False, server_default="all"))
    op.add_column("rescoring_run", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.add_column("rescoring_run", sa.Column("state", sa.Text(), nullable=False, server_default="preparing"))
    op.add_column("rescoring_run", sa.Column("firms", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rescoring_run", sa.Column("report", postgresql.JSONB(), nullable=True))
    for column in ("version", "kind", "state", "firms"):
        op.alter_column("rescoring_run", column, server_default=None)
    op.create_check_constraint(op.f("ck_rescoring_run_state"), "rescoring_run", STATES)
    op.create_check_constraint(op.f("ck_rescoring_run_kind"), "rescoring_run", "kind in ('all', 'subset')")
    op.create_foreign_key(
        op.f("fk_rescoring_run_tenant_id_parent_id"),
        "rescoring_run",
        "rescoring_run",
        ["tenant_id", "parent_id"],
        ["tenant_id", "id"],
    )
    op.drop_index("uq_rescoring_run_unfinished", "rescoring_run")
    op.create_index("ix_rescoring_run_started_at", "rescoring_run", ["tenant_id", "started_at", "id"])
    op.add_column("rescoring_chunk", sa.Column("firms", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rescoring_chunk", sa.Column("firm_keys", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("rescoring_chunk", sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rescoring_chunk", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("rescoring_chunk", sa.Column("leased_by", sa.Uuid(), nullable=True))
    for column in ("firms", "attempt"):
        op.alter_column("rescoring_chunk", column, server_default=None)
    op.execute(f"grant update (state, version, report) on rescoring_run to {RUNTIME_ROLE}")
    op.execute(f"grant update (attempt, leased_until, leased_by) on rescoring_chunk to {RUNTIME_ROLE}")


def _create_transitions() -> None:
    op.create_table(
        "rescoring_transition",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(STATES, name=op.f("ck_rescoring_transition_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"],
            ["rescoring_run.tenant_id", "rescoring_run.id"],
            name=op.f("fk_rescoring_transition_tenant_id_run_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "state", name=op.f("pk_rescoring_transition")),
    )
    _protect("rescoring_transition", "select, insert")


def _create_publications() -> None:
    op.create_table(
        "publication",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rolled_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_publication_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", name=op.f("pk_publication")),
    )
    op.create_index("ix_publication_newest", "publication", ["tenant_id", "product", "as_of", "started_at"])
    _protect("publication", "select, insert, update (rolled_back_at)")


def _create_candidates() -> None:
    op.create_table(
        "alert_candidate",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("firm_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("text", postgresql.JSONB(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("severity in ('L', 'M', 'H', 'C')", name=op.f("ck_alert_candidate_severity")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f("fk_alert_candidate_tenant_id_firm_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "fingerprint", name=op.f("pk_alert_candidate")),
    )
    _protect("alert_candidate", "select, insert")


def _protect(table: str, rights: str) -> None:
    op.execute(f"grant {rights} on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def _carry_over() -> None:
    """Publish what finished before, with row-level security out of the way of the tables' owner."""
    tables = ("rescoring_run", "rescoring_transition", "rescoring_chunk", "publication", "score", "current_score")
    tables += ("alert", "alert_candidate", "firm")
    for table in tables:
        op.execute(f"alter table {table} no force row level security")
    op.execute("update rescoring_run set state = 'published' where finished_at is not null")
    op.execute("""
        update rescoring_chunk set firms = scored + jsonb_array_length(refusals) where done_at is not null
    """)
    op.execute("""
        update rescoring_chunk c set firms = (
          select count(*) from firm f
          where f.tenant_id = c.tenant_id and f.key collate "C" between c.first_key and c.last_key
        ) where done_at is null
    """)
    op.execute("""
        update rescoring_run r set firms = c.firms
        from (select tenant_id, run_id, sum(firms) as firms from rescoring_chunk group by 1, 2) c
        where c.tenant_id = r.tenant_id and c.run_id = r.id
    """)
    op.execute("""
        insert into rescoring_transition (tenant_id, run_id, state, at, actor)
        select tenant_id, id, 'preparing', started_at, actor from rescoring_run
        union all select tenant_id, id, state, finished_at, actor from rescoring_run where finished_at is not null
    """)
    op.execute("""
        insert into publication (tenant_id, run_id, product, as_of, started_at, is_whole, published_at)
        select tenant_id, id, product, as_of, started_at, true, finished_at from rescoring_run where finished_at is not null
    """)
    _take_back_unfinished()
    for table in tables:
        op.execute(f"alter table {table} force row level security")


def _take_back_unfinished() -> None:
    """Let unfinished runs count no more than any other that is not published: pointers go back, alerts wait."""
    op.execute(f"""
        update current_score c set score_id = best.id, as_of = best.as_of
        from score gone cross join lateral (
          select s.id, s.as_of from score s
          where s.tenant_id = gone.tenant_id and s.firm_id = gone.firm_id and s.product = gone.product
            and not {UNFINISHED.format(row="s")}
          order by s.as_of desc, s.scored_at desc, s.id desc limit 1
        ) best
        where c.tenant_id = gone.tenant_id and c.score_id = gone.id and {UNFINISHED.format(row="gone")}
    """)
    op.execute(f"""
        delete from current_score c using score gone
        where c.tenant_id = gone.tenant_id and c.score_id = gone.id and {UNFINISHED.format(row="gone")}
    """)
    op.execute(f"""
        insert into alert_candidate
          (tenant_id, firm_id, run_id, fingerprint, rule, product, severity, as_of, text, evidence)
        select tenant_id, firm_id, run_id, fingerprint, rule, product, severity, as_of, text, evidence from alert
        where {UNFINISHED.format(row="alert")}
    """)
    op.execute(f"""
        update alert set withdrawn_at = clock_timestamp(), version = version + 1
        where {UNFINISHED.format(row="alert")}
    """)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("rescoring_run", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"grant update (finished_at) on rescoring_run to {RUNTIME_ROLE}")
    op.execute("alter table rescoring_run no force row level security")
    op.execute("update rescoring_run set finished_at = started_at where state not in ('preparing', 'prepared')")
    op.execute("alter table rescoring_run force row level security")
    op.execute(f"revoke delete on current_score from {RUNTIME_ROLE}")
    op.drop_index("ix_alert_run", "alert")
    op.drop_index("uq_alert_fingerprint", "alert")
    op.execute("alter table alert no force row level security")
    op.execute("delete from alert where withdrawn_at is not null")
    op.execute("alter table alert force row level security")
    op.create_index("uq_alert_fingerprint", "alert", ["tenant_id", "fingerprint"], unique=True)
    op.drop_column("alert", "withdrawn_at")
    for table in ("alert_candidate", "publication", "rescoring_transition"):
        op.drop_table(table)
    for column in ("leased_by", "leased_until", "attempt", "firm_keys", "firms"):
        op.drop_column("rescoring_chunk", column)
    op.drop_index("ix_rescoring_run_started_at", "rescoring_run")
    op.drop_index("uq_rescoring_run_open", "rescoring_run")
    op.drop_constraint(op.f("fk_rescoring_run_tenant_id_parent_id"), "rescoring_run", type_="foreignkey")
    for constraint in ("kind", "state"):
        op.drop_constraint(op.f(f"ck_rescoring_run_{constraint}"), "rescoring_run", type_="check")
    for column in ("report", "firms", "state", "parent_id", "kind", "version"):
        op.drop_column("rescoring_run", column)
    op.create_index(
        "uq_rescoring_run_unfinished",
        "rescoring_run",
        ["tenant_id", "product", "as_of"],
        unique=True,
        postgresql_where=sa.text("finished_at is null"),
    )
