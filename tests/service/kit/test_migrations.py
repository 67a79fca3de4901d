import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from service.audit.sequencer import number_all
from service.identity.use_cases import create_tenant
from service.kit import migrations
from service.kit.db import Database, in_role
from service.kit.embedded_postgres import EmbeddedPostgres

TENANT_TABLES = """
    select c.relname, c.relrowsecurity, c.relforcerowsecurity
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> 'alembic_version'
"""


def test_up_down_and_up_again(empty_database):
    engine = empty_database.engine
    assert not migrations.is_current(engine)
    migrations.upgrade(engine)
    assert migrations.is_current(engine)
    migrations.downgrade(engine, "base")
    with engine.connect() as connection:
        assert connection.execute(text(TENANT_TABLES)).all() == []
    migrations.upgrade(engine)
    assert migrations.is_current(engine)


def test_databases_migrated_side_by_side_make_one_role_of_the_server(database):
    """Several connections, each in step at the barrier, want the same new role; all of them get it."""
    sides, roles = 6, [f"side_{uuid.uuid4().hex}" for _ in range(20)]
    barrier = threading.Barrier(sides, timeout=30)

    def migrate(_side):
        with database.engine.connect() as connection:
            for role in roles:
                barrier.wait()
                migrations.ensure_role(connection, role)
                assert connection.scalar(text("select pg_has_role(:role, 'member')"), {"role": role})
                connection.commit()

    try:
        with ThreadPoolExecutor(sides) as pool:
            assert list(pool.map(migrate, range(sides))) == [None] * sides
    finally:
        with database.engine.begin() as connection:
            for role in roles:
                connection.execute(text(f"drop role if exists {role}"))


@pytest.fixture
def own_server(tmp_path):
    """Return a server of its own, without any role of the service."""
    server = EmbeddedPostgres(tmp_path / "local")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


def test_an_owner_that_may_make_roles_migrates_an_empty_database_and_works_in_it(own_server):
    """As docs/operating.md says; from PostgreSQL 16 on, it may grant the roles that it made, not take them on."""
    own_server.psql("create role owner login createrole", "postgres")
    own_server.psql("create database lender owner owner", "postgres")
    url = Database(own_server.url("lender")).engine.url.set(username="owner")
    database = Database(url.render_as_string(hide_password=False))
    for _ in range(2):
        migrations.upgrade(database.engine)
    with database.session() as session:
        tenant_id = create_tenant(session, "bank")
        for role in migrations.ROLES:
            with in_role(session, role):
                assert session.execute(text("select current_user")).scalar_one() == role
    number_all(database)
    with database.session(tenant_id) as session:
        assert session.execute(text("select count(*) from audit_entry")).scalar_one() > 0
    database.dispose()


def test_the_tables_are_what_the_code_says(database):
    config = migrations.alembic_config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_every_table_is_under_forced_row_level_security(database):
    with database.engine.connect() as connection:
        tables = connection.execute(text(TENANT_TABLES)).all()
    assert len(tables) >= 15
    assert [name for name, enabled, forced in tables if not (enabled and forced)] == []


def test_ledgers_can_neither_be_changed_nor_emptied(database):
    ledgers = ("firm", "firm_observation", "person_observation", "invoice", "loan", "repayment_status", "score")
    personal = ("consent", "personal_record")
    query = text("select has_table_privilege('clustercredit_app', :table, :what)")
    with database.engine.connect() as connection:
        for table in (*ledgers, *personal, "association_act", "day_context", "api_key", "tenant"):
            for what in ("update", "delete", "truncate"):
                assert not connection.execute(query, {"table": table, "what": what}).scalar_one(), (table, what)
        # What scores name without a foreign key stays (docs/adr/0026).
        assert not connection.execute(query, {"table": "model_version", "what": "delete"}).scalar_one()


def test_going_below_natural_persons_forgets_them_and_the_answers_about_them(empty_database):
    engine = empty_database.engine
    migrations.upgrade(engine)
    at = "'2026-01-01T00:00:00Z'"
    tenant, person = uuid.UUID("11131ffa-6a38-5c03-a583-5558fca0e3c0"), uuid.UUID(int=7)
    about_person = (
        "insert into idempotency_key"
        " (tenant_id, asker_id, key, secret_mac, request_mac, status, sealed_body, created_at, subject_id)"
    )
    statements = [
        f"insert into tenant (id, name, kind, created_at) values (:id, 'old', 'bank', {at})",
        f"insert into firm (tenant_id, id, key, created_at, version) values (:id, :id, 'E1', {at}, 1)",
        f"insert into person values (:id, 1, :person, 'national_id', 'mac', 'sealed', {at}, null, null)",
        "insert into keyring values (1, 'fingerprint')",
        f"{about_person} values (:id, :id, 'about a firm', 's', 'm', 201, 'answer', {at}, null)",
        f"{about_person} values (:id, :id, 'about a person', 's', 'm', 201, 'answer', {at}, :person)",
        f"{about_person} values (:id, :id, 'about an erased one', 's', '', 201, '', {at}, null)",
    ]
    with engine.begin() as connection:
        for statement in statements:
            values = {"id": tenant, "person": person}
            connection.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})
    _go_below("0004", engine)
    with engine.begin() as connection:
        assert connection.scalars(text("select key from idempotency_key")).all() == ["about a firm"]
        assert connection.scalar(text("select to_regclass('person')")) is None
        connection.execute(text("delete from idempotency_key"))
    migrations.upgrade(engine)
    assert migrations.is_current(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from person")) == 0
        assert connection.scalar(text("select count(*) from keyring")) == 0
        assert connection.scalars(text("select key from firm")).all() == ["E1"]
        forced = text("select relforcerowsecurity from pg_class where relname = 'idempotency_key'")
        assert connection.scalar(forced) is True


def _go_below(revision, engine):
    script = ScriptDirectory.from_config(migrations.alembic_config()).get_revision(revision)
    migrations.downgrade(engine, script.down_revision)


def test_scores_of_before_count_as_decided_by_machine(empty_database):
    """Rows that are there when the columns come get them, and rows that come later must state them."""
    engine = empty_database.engine
    migrations.upgrade(engine, "0001")
    day, at = "'2025-12-31'", "'2026-01-01T00:00:00Z'"
    tenant = uuid.UUID("11131ffa-6a38-5c03-a583-5558fca0e3c0")
    rows = {
        "tenant": f":id, 'old', {at}",
        "firm": f":id, :id, 'E1', {at}",
        "model_version": f":id, :id, 'p', 1, 'live', {day}, 1, '', '', '{{}}', {at}, 'a', {at}, 'a'",
        "day_context": f":id, :id, {day}, '', {at}",
        "score": f":id, :id, :id, 'p', {day}, {at}, 'a', :id, :id, null, 0.1, 'observed', 0.1, 0.1, 'bootstrap', '12',"
        """ '12', 1, '[]', '{"sales_cv": 1.40, "ln_sales": null}', '[]'""",
    }
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(text(f"insert into {table} values ({values})"), {"id": tenant})
    migrations.upgrade(engine)
    with engine.begin() as connection:
        marks = connection.execute(text("select decision, reason_families from score")).one()
        assert tuple(marks) == ("automated", [])
        defaults = text(
            "select count(*) from information_schema.columns where table_name = 'score' and column_default is not null"
        )
        assert connection.execute(defaults).scalar_one() == 0
    _go_below("0012", engine)
    features = text("select features::text, pg_typeof(features)::text from score")
    with engine.begin() as connection:
        assert tuple(connection.execute(features).one()) == ('{"ln_sales": null, "sales_cv": 1.40}', "jsonb")
    migrations.upgrade(engine)
    with engine.begin() as connection:
        assert tuple(connection.execute(features).one()) == ('{"ln_sales": null, "sales_cv": 1.40}', "json")
        assert connection.execute(text("select batch_id from score")).scalar_one() is None


def test_runs_of_before_that_had_finished_are_published_ones(empty_database):
    engine = empty_database.engine
    script = ScriptDirectory.from_config(migrations.alembic_config())
    migrations.upgrade(engine, script.get_revision("0011").down_revision)
    day, at = "'2025-12-31'", "'2026-01-01T00:00:00Z'"
    tenant, done, open_run = (uuid.UUID(int=number) for number in (1, 2, 3))
    statements = [
        f"insert into tenant (id, name, kind, created_at) values (:id, 'old', 'bank', {at})",
        *[
            "insert into rescoring_run (tenant_id, id, product, as_of, model_version_id, context_id, actor, started_at,"
            f" finished_at) values (:id, '{run}', 'p', {day}, :id, :id, 'a', {at}, {finished})"
            for run, finished in ((done, at), (open_run, "null"))
        ],
        (
            "insert into rescoring_chunk"
            " (tenant_id, run_id, number, first_key, last_key, done_at, scored, alerts, refusals)"
            f" values (:id, '{done}', 0, 'A', 'Z', {at}, 4, 1, '[{{}}]')"
        ),
    ]
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), {"id": tenant})
    migrations.upgrade(engine)
    with engine.begin() as connection:
        runs = connection.execute(text("select id, state, kind, version, firms from rescoring_run order by id")).all()
        assert [tuple(row) for row in runs] == [(done, "published", "all", 1, 5), (open_run, "preparing", "all", 1, 0)]
        query = text("select run_id, product, is_whole, rolled_back_at from publication")
        assert [tuple(row) for row in connection.execute(query)] == [(done, "p", True, None)]
        query = text("select run_id, state from rescoring_transition order by run_id, state")
        assert [tuple(row) for row in connection.execute(query)] == [
            (done, "preparing"),
            (done, "published"),
            (open_run, "preparing"),
        ]
    _go_below("0011", engine)
    with engine.begin() as connection:
        finished = text("select id from rescoring_run where finished_at is not null")
        assert connection.scalars(finished).all() == [done]
