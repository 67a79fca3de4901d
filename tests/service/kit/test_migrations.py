from alembic import command
from sqlalchemy import text

from service.kit import migrations

TENANT_TABLES = """
    select c.relname, c.relrowsecurity, c.relforcerowsecurity
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind = 'r' and c.relname <> 'alembic_version'
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
    query = text("select has_table_privilege('clustercredit_app', :table, :what)")
    with database.engine.connect() as connection:
        for table in (*ledgers, "day_context", "api_key", "tenant"):
            for what in ("update", "delete", "truncate"):
                assert not connection.execute(query, {"table": table, "what": what}).scalar_one(), (table, what)
