"""Yearly partitions of invoices and scores, so that a year that need not be kept goes in one step.

Partitions are in a schema of their own, into which no role of the service may look: rows are reached through the
parent alone, under its policies. Rows that are there are copied, in one transaction: about ten seconds a million.
Columns, checks, indexes, foreign keys, triggers, rights and policies are taken over as the table has them.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

RUNTIME_ROLE, FUND_ROLE = "clustercredit_app", "clustercredit_fund"
YEARS_BACK, YEARS_AHEAD = 10, 2
DEFINITIONS = {
    "indexes": "select pg_get_indexdef(i.indexrelid) from pg_index i"
    " where i.indrelid = to_regclass(cast(:table as text)) and not i.indisprimary order by i.indexrelid",
    "foreign_keys": "select format('alter table %I add constraint %I %s', cast(:table as text), conname, pg_get_constraintdef(oid))"
    " from pg_constraint where conrelid = to_regclass(cast(:table as text)) and contype = 'f' and conparentid = 0 order by conname",
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger"
    " where tgrelid = to_regclass(cast(:table as text)) and not tgisinternal order by tgname",
    "rights": "select format('grant %s on %I to %I', a.privilege_type, cast(:table as text), r.rolname)"
    " from pg_class c cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee"
    " where c.oid = to_regclass(cast(:table as text)) and a.grantee <> c.relowner",
    "column_rights": "select format('grant %s (%I) on %I to %I', x.privilege_type, a.attname, cast(:table as text), r.rolname)"
    " from pg_attribute a cross join aclexplode(a.attacl) x join pg_roles r on r.oid = x.grantee"
    " where a.attrelid = to_regclass(cast(:table as text))",
    "policies": "select format('create policy %I on %I for %s to %s', policyname, cast(:table as text), cmd,"
    " array_to_string(roles, ', ')) || coalesce(' using (' || qual || ')', '')"
    " || coalesce(' with check (' || with_check || ')', '') from pg_policies"
    " where schemaname = 'public' and tablename = :table order by policyname",
}
INDEX_NAMES = "select indexrelid::regclass::text from pg_index where indrelid = to_regclass(cast(:table as text))"
OPTIONS = "select array_to_string(reloptions, ', ') from pg_class where oid = to_regclass(cast(:table as text))"


POINTERS = (
    ("current_score", "fk_current_score_tenant_id_score_id", "score_id", "as_of"),
    ("review", "fk_review_tenant_id_score_id", "score_id", "score_as_of"),
    ("review", "fk_review_tenant_id_score_id_at_decision", "score_id_at_decision", "score_as_of_at_decision"),
)
"""Foreign keys to a score: table, name, and the columns of the score's id and of its day.

The first does not come back: checked against partitions it took a third of the time of adding scores (docs/adr/0028).
"""
RELATED = (
    "select distinct r::regclass::text from pg_constraint cross join unnest(array[conrelid, confrelid]) r"
    " where contype = 'f' and to_regclass(cast(:table as text)) in (conrelid, confrelid)"
)
"""A table and those that foreign keys join it to: forced row-level security would blind the owner who checks these."""
OF_A_RUN = ("firm_id)", "firm_id, as_of)")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("create schema partitions")
    rebuild("invoice", ["tenant_id", "content_sha256", "observed_on"], "observed_on")
    related = read(RELATED, "score")
    for table in related:
        op.execute(f"alter table {table} no force row level security")
    add_days_of_reviewed_scores()
    add_times_of_current_scores()
    for table, name, _, _ in POINTERS:
        op.drop_constraint(name, table, type_="foreignkey")
    rebuild("score", ["tenant_id", "id", "as_of"], "as_of", OF_A_RUN)
    for table, name, score_id, day in POINTERS[1:]:
        op.create_foreign_key(name, table, "score", ["tenant_id", score_id, day], ["tenant_id", "id", "as_of"])
    op.execute(f"grant select (as_of) on current_score to {FUND_ROLE}")
    for table in related:
        op.execute(f"alter table {table} force row level security")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"revoke select (as_of) on current_score from {FUND_ROLE}")
    related = [table for table in read(RELATED, "score") if not table.startswith("partitions.")] + ["current_score"]
    for table in related:
        op.execute(f"alter table {table} no force row level security")
    for table, name, _, _ in POINTERS[1:]:
        op.drop_constraint(name, table, type_="foreignkey")
    rebuild("score", ["tenant_id", "id"], unique=OF_A_RUN[::-1])
    for table, name, score_id, _ in POINTERS:
        op.create_foreign_key(name, table, "score", ["tenant_id", score_id], ["tenant_id", "id"])
    for table in related:
        op.execute(f"alter table {table} force row level security")
    op.drop_constraint(op.f("ck_review_score"), "review", type_="check")
    op.drop_column("current_score", "scored_at")
    op.drop_column("review", "score_as_of")
    op.drop_column("review", "score_as_of_at_decision")
    rebuild("invoice", ["tenant_id", "content_sha256"])
    op.execute("drop schema partitions")


def add_times_of_current_scores() -> None:
    """Note beside a pointer to a score when that was made: what waits for the row compares with it."""
    op.add_column("current_score", sa.Column("scored_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "update current_score c set scored_at = s.scored_at from score s"
        " where s.tenant_id = c.tenant_id and s.id = c.score_id"
    )
    op.alter_column("current_score", "scored_at", nullable=False)


def add_days_of_reviewed_scores() -> None:
    """Note beside the id of a review's score the day that it is as of, which says in which partition it is."""
    op.add_column("review", sa.Column("score_as_of", sa.Date(), nullable=True))
    op.add_column("review", sa.Column("score_as_of_at_decision", sa.Date(), nullable=True))
    op.execute(f"grant update (score_as_of_at_decision) on review to {RUNTIME_ROLE}")
    op.execute("alter table review disable trigger user")
    for table, _, score_id, day in POINTERS[1:]:
        op.execute(
            f"update {table} set {day} = s.as_of from score s where s.tenant_id = {table}.tenant_id and s.id = {score_id}"
        )
    op.execute("alter table review enable trigger user")
    op.create_check_constraint(
        op.f("ck_review_score"),
        "review",
        "(score_id is null) = (score_as_of is null)"
        " and (score_id_at_decision is null) = (score_as_of_at_decision is null)",
    )


def rebuild(table: str, key: list[str], day: str | None = None, unique: tuple[str, str] = ("", "")) -> None:
    """Put a table's rows into another one like it, which has a partition for each year of the day, or none.

    The unique index has its last column, in ``unique``, for what comes second there.
    """
    definitions = {name: read(query, table) for name, query in DEFINITIONS.items()}
    options = read(OPTIONS, table if day else f"partitions.{table}_default")[0]
    before = f"{table}_before"
    op.execute(f"alter table {table} rename to {before}")
    op.execute(f"alter table {before} no force row level security")
    for index in read(INDEX_NAMES, before):
        op.execute(f"alter index {index} rename to {index}_before")
    like = f"(like {before} including defaults including constraints)"
    op.execute(f"create table {table} {like}" + (f" partition by range ({day})" if day else ""))
    leaves = make_partitions(table, day) if day else [table]
    for leaf in leaves if options else []:
        op.execute(f"alter table {leaf} set ({options})")
    op.execute(f"insert into {table} select * from {before}")
    op.create_primary_key(f"pk_{table}", table, key)
    op.execute(f"drop table {before} cascade")
    for statements in definitions.values():
        for statement in statements:
            is_unique = statement.startswith("CREATE UNIQUE INDEX")
            op.execute(sa.text((statement.replace(*unique) if is_unique else statement).replace(":", r"\:")))
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")


def read(query: str, table: str) -> list[str]:
    return list(op.get_bind().scalars(sa.text(query), {"table": table}))


def make_partitions(table: str, day: str) -> list[str]:
    """Make a partition for each year that has rows, that is kept, or that comes next, and one for all others."""
    years = sa.text(
        f"select extract(year from {day})::int from {table}_before union select y from generate_series("
        f"extract(year from current_date)::int - {YEARS_BACK}, extract(year from current_date)::int + {YEARS_AHEAD}) y"
    )
    bounds = {f"{table}_default": "default"}
    for year in sorted(op.get_bind().scalars(years)):
        bounds[f"{table}_{year:04}"] = f"for values from ('{year:04}-01-01') to ('{year + 1:04}-01-01')"
    for name, bound in bounds.items():
        op.execute(f"create table partitions.{name} partition of {table} {bound}")
        op.execute(f"alter table partitions.{name} enable row level security")
    return [f"partitions.{name}" for name in bounds]
