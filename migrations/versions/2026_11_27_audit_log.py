"""The audit log: entries that transactions write, a numbered log with its tree, checkpoints, and the triggers.

Revision ID: 0009
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0004"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
SEQUENCER_ROLE = "clustercredit_sequencer"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
WATCHED = {
    "tenant": "{}",
    "branch": "{}",
    "api_key": "{last_used_at}",
    "app_user": "{last_login_at}",
    "login_session": "{last_seen_at}",
    "person": "{}",
    "model_version": "{}",
    "rescoring_run": "{}",
    "alert": "{}",
    "review": "{}",
    "guarantee_grant": "{}",
    "fund_guarantee": "{}",
    "association_act": "{}",
    "peer_report": "{}",
}
"""Tables whose every changed row is an entry, and the columns that alone make none. Later migrations call
``audit_watch`` themselves."""

# What becomes a line of an export: whoever can add entries must not be able to add one that breaks it.
BODY = (
    "left(body, 1) = '{' and right(body, 1) = '}' and position(chr(10) in body) = 0 and octet_length(body) <= 4000000"
    " and json_typeof(cast(body as json)) = 'object'"
    " and coalesce(cast(body as json) ->> 'tenant_id' = cast(tenant_id as text), false)"
    " and coalesce(cast(body as json) ->> 'id' = cast(id as text), false)"
)

# The text is RFC 8785: keys sorted, and PostgreSQL escapes strings as ECMAScript does.
RECORD = """
create function audit_record() returns trigger language plpgsql
  set timezone = 'UTC' set datestyle = 'ISO' set bytea_output = 'hex' set extra_float_digits = 1
as $$
declare
  keys text[] := tg_argv[0]::text[];
  ignored text[] := tg_argv[1]::text[];
  whole jsonb := case tg_op when 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
  tenant text := coalesce(whole ->> 'tenant_id', whole ->> 'id');
  verb text := case tg_op when 'INSERT' then 'inserted' when 'UPDATE' then 'updated' else 'deleted' end;
  was text := case when tg_op <> 'INSERT' then (to_jsonb(old) - ignored)::text end;
  becomes text := case when tg_op <> 'DELETE' then (to_jsonb(new) - ignored)::text end;
  actor text := coalesce(current_setting('app.actor', true), '');
  entry_id uuid := gen_random_uuid();
  now_at timestamptz := clock_timestamp();
  subject text;
begin
  if was = becomes then
    return null;
  end if;
  select tg_table_name || ':' || string_agg(whole ->> key, '/' order by place) into subject
    from unnest(keys) with ordinality as of_row (key, place);
  insert into public.audit_pending (tenant_id, id, recorded_at, actor, subject, body) values (
    tenant::uuid, entry_id, now_at, actor, subject,
    '{"action":' || to_json(tg_table_name || '.' || verb)
    || ',"actor":' || to_json(actor)
    || ',"actor_id":' || coalesce(to_json(nullif(current_setting('app.actor_id', true), ''))::text, 'null')
    || ',"after":' || coalesce('"' || encode(sha256(convert_to(becomes, 'UTF8')), 'hex') || '"', 'null')
    || ',"at":"' || to_char(now_at, 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US') || '+00:00"'
    || ',"before":' || coalesce('"' || encode(sha256(convert_to(was, 'UTF8')), 'hex') || '"', 'null')
    || ',"facts":{},"id":"' || entry_id || '"'
    || ',"request_id":' || to_json(coalesce(current_setting('app.request_id', true), ''))
    || ',"subject":' || to_json(subject)
    || ',"tenant_id":"' || tenant || '","version"\\:1}'
  );
  return null;
end $$
"""

WATCH = """
create function audit_watch(
  watched regclass, ignored text[] default '{}', events text default 'insert or update or delete'
) returns void language plpgsql as $$
declare
  keys text[];
begin
  select array_agg(a.attname::text order by k.place) into strict keys
    from pg_index i
    cross join unnest(i.indkey::int2[]) with ordinality as k (number, place)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
    where i.indrelid = watched and i.indisprimary and a.attname <> 'tenant_id';
  execute format(
    'create trigger audit_record after %s on %s for each row execute function audit_record(%L, %L)',
    events, watched, keys, ignored
  );
end $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"grant usage on schema public to {SEQUENCER_ROLE}")
    _create_pending()
    _create_entry()
    _create_node()
    _create_checkpoint()
    op.execute(f"grant select (id, name) on tenant to {SEQUENCER_ROLE}")
    op.execute(f"create policy sequencer on tenant for select to {SEQUENCER_ROLE} using (true)")
    op.execute(RECORD)
    op.execute(WATCH)
    for table, ignored in WATCHED.items():
        op.execute(f"select audit_watch('{table}', '{ignored}')")
    # Firms come in bulk, with their observations, which are an entry.
    op.execute("select audit_watch('firm', '{}', 'update or delete')")


def _create_pending() -> None:
    op.create_table(
        "audit_pending",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(BODY, name=op.f("ck_audit_pending_body")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_audit_pending_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_pending")),
    )
    op.create_index("ix_audit_pending_recorded_at", "audit_pending", ["recorded_at", "id"])
    _protect("audit_pending", "select, insert", "select, delete")


def _create_entry() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number >= 0", name=op.f("ck_audit_entry_number")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_audit_entry_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "number", name=op.f("pk_audit_entry")),
    )
    op.create_index("uq_audit_entry_id", "audit_entry", ["tenant_id", "id"], unique=True)
    op.create_index("ix_audit_entry_subject", "audit_entry", ["tenant_id", "subject", "number"])
    op.create_index("ix_audit_entry_actor", "audit_entry", ["tenant_id", "actor", "number"])
    op.create_index("ix_audit_entry_recorded_at", "audit_entry", ["tenant_id", "recorded_at"])
    _protect("audit_entry", "select", "select, insert")


def _create_node() -> None:
    op.create_table(
        "audit_node",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("level >= 1", name=op.f("ck_audit_node_level")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_audit_node_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "level", "place", name=op.f("pk_audit_node")),
    )
    _protect("audit_node", "select", "select, insert")


def _create_checkpoint() -> None:
    op.create_table(
        "audit_checkpoint",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_audit_checkpoint_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_checkpoint")),
    )
    op.create_index("ix_audit_checkpoint_at", "audit_checkpoint", ["tenant_id", "at", "id"])
    _protect("audit_checkpoint", "select, insert", "select, insert")


def _protect(table: str, app: str, sequencer: str) -> None:
    op.execute(f"grant {app} on {table} to {RUNTIME_ROLE}")
    op.execute(f"grant {sequencer} on {table} to {SEQUENCER_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} to {RUNTIME_ROLE}"
        f" using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )
    op.execute(f"create policy sequencer on {table} to {SEQUENCER_ROLE} using (true) with check (true)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (*WATCHED, "firm"):
        op.execute(f"drop trigger audit_record on {table}")
    op.execute("drop function audit_watch(regclass, text[], text)")
    op.execute("drop function audit_record()")
    op.execute("drop policy sequencer on tenant")
    op.execute(f"revoke all on tenant from {SEQUENCER_ROLE}")
    for table in ("audit_checkpoint", "audit_node", "audit_entry", "audit_pending"):
        op.drop_table(table)
    op.execute(f"revoke usage on schema public from {SEQUENCER_ROLE}")
