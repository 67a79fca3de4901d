"""Jobs and what they were started with; procrastinate's queue of wake-ups in a schema of its own.

Revision ID: 0010
Revises: 0009
"""

import hashlib

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

RUNTIME_ROLE, JOBS_ROLE = "clustercredit_app", "clustercredit_jobs"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
PROCRASTINATE_3_10 = "c70ec4b4"
CHANGING = (
    "state, attempt, losses, leased_until, not_before, phase, done, total, checkpoint, counts, result, error, started_at,"
    " finished_at, cancel_requested_at, version"
)
PASSING = "attempt,losses,leased_until,not_before,phase,done,total,checkpoint,counts,version"
"""What a job's progress changes many times; it makes no entries in the audit log."""
WAITING = "tenant_id, id, kind, state, attempt, leased_until, not_before"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_job()
    _create_upload()
    _create_queue()


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("args", JSONB(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", JSONB(), nullable=False),
        sa.Column("counts", JSONB(), nullable=False),
        sa.Column("result", JSONB(none_as_null=True), nullable=True),
        sa.Column("error", JSONB(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_job_state")
        ),
        sa.CheckConstraint("(state = 'running') = (leased_until is not null)", name=op.f("ck_job_leased")),
        sa.CheckConstraint("(state in ('queued', 'running')) = (finished_at is null)", name=op.f("ck_job_finished")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_job_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_job")),
    )
    op.create_index("ix_job_created_at", "job", ["tenant_id", "created_at", "id"])
    op.create_index(
        "ix_job_unfinished", "job", ["tenant_id", "id"], postgresql_where=sa.text("state in ('queued', 'running')")
    )
    op.execute("alter table job set (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05)")
    _protect("job", f"select, insert, update ({CHANGING})")
    op.execute("create policy waiting on job for select to clustercredit_jobs using (state in ('queued', 'running'))")
    op.execute(f"grant usage on schema public to {JOBS_ROLE}")
    op.execute(f"grant select ({WAITING}) on job to {JOBS_ROLE}")
    op.execute(f"select audit_watch('job', '{{{PASSING}}}')")


def _create_upload() -> None:
    op.create_table(
        "upload",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "job_id"], ["job.tenant_id", "job.id"], name=op.f("fk_upload_tenant_id_job_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "number", name=op.f("pk_upload")),
    )
    op.execute("alter table upload alter column content set storage external")
    _protect("upload", "select, insert, delete")


def _protect(table: str, rights: str) -> None:
    op.execute(f"grant {rights} on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} to {RUNTIME_ROLE}"
        f" using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def _create_queue() -> None:
    """Make procrastinate's objects from its own file, the one that this migration was written for.

    A later file would make another schema here than databases have that were migrated before: docs/operating.md says
    what an upgrade of procrastinate takes.
    """
    schema = SchemaManager.get_schema()
    found = hashlib.sha256(schema.encode()).hexdigest()
    if not found.startswith(PROCRASTINATE_3_10):
        raise RuntimeError(
            f"procrastinate's schema ({found[:8]}) is not the one of release 3.10; see docs/operating.md"
        )
    path = op.get_bind().execute(sa.text("select current_setting('search_path')")).scalar_one()
    op.execute("create schema jobs")
    op.execute("set local search_path = jobs")
    op.get_bind().connection.driver_connection.execute(schema)  # several statements: no parameters, not even none
    op.execute(
        "alter table procrastinate_jobs set"
        " (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200)"
    )
    op.execute(
        "alter table procrastinate_events set"
        " (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500)"
    )
    op.execute("revoke all on all functions in schema jobs from public")
    op.execute(f"grant usage on schema jobs to {RUNTIME_ROLE}, {JOBS_ROLE}")
    op.execute(f"grant insert, select (id) on procrastinate_jobs to {RUNTIME_ROLE}")
    op.execute(f"grant insert on procrastinate_events to {RUNTIME_ROLE}")
    op.execute(f"grant usage on procrastinate_jobs_id_seq, procrastinate_events_id_seq to {RUNTIME_ROLE}")
    op.execute(f"grant execute on function procrastinate_defer_jobs_v1 to {RUNTIME_ROLE}")
    op.execute(f"grant select, insert, update, delete on all tables in schema jobs to {JOBS_ROLE}")
    op.execute(f"grant usage on all sequences in schema jobs to {JOBS_ROLE}")
    op.execute(f"grant execute on all functions in schema jobs to {JOBS_ROLE}")
    op.get_bind().execute(sa.text("select set_config('search_path', :path, true)"), {"path": path})


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("drop schema jobs cascade")
    op.drop_table("upload")
    op.drop_table("job")
    op.execute(f"revoke usage on schema public from {JOBS_ROLE}")
