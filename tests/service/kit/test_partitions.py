"""Yearly partitions: closed but through the parent, made ahead, and filled from the one that catches all."""

import uuid
from contextlib import contextmanager
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from service.errors import Conflict
from service.firms.use_cases import add_inputs, firm_id_of, register_firms
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock, migrations
from service.kit.db import Author, Database, in_role
from service.kit.partitions import PARTITIONED, digests, make_room, partition, years_of
from service.retention import use_cases
from service.retention.use_cases import maintain
from tests.features.rows import inputs, sale
from tests.service.kit.test_migrations import _go_below
from tests.service.scored import give_score, make_live

CATCH_ALL = "partitions.invoice_default"
YEARS = {"invoice": 10, "score": 10}
REVIEW = """
    insert into review (tenant_id, version, id, firm_id, product, reason_code, opened_at, opened_by, opened_by_id,
      score_id, score_as_of, state)
    values (:tenant, 1, :id, :firm, 'credit-score', 'other', now(), 'zhang.wei', :id, :score, :day, 'open')
"""
ALERT = """
    insert into alert (tenant_id, id, rule, firm_id, product, severity, fingerprint, as_of, raised_at, text, evidence,
      version)
    values (:tenant, :id, 'grade_drop', :firm, 'credit-score', 'H', :id, :day, now(), '{}',
      jsonb_build_object('score_id', cast(:score as text)), 1)
"""
RIGHTS = """
    select c.relname, c.relrowsecurity, has_schema_privilege(r.name, 'partitions', 'usage'),
      has_table_privilege(r.name, c.oid, 'select, insert, update, delete, truncate, references, trigger'),
      has_any_column_privilege(r.name, c.oid, 'select, insert, update, references')
    from pg_class c cross join unnest(cast(:roles as text[])) r (name)
    where c.relnamespace = 'partitions'::regnamespace and c.relkind = 'r'
"""


@contextmanager
def without_a_lock(database, *tables):
    """Change rows of tables, and keep them locked: whatever does more than read them runs into its timeout."""
    with database.engine.connect() as connection:
        for table in tables:
            connection.execute(text(f"lock table {table} in row exclusive mode"))
        yield
        connection.rollback()


def _invoices(*days):
    return inputs(*(sale(day, 100.0, firm_id="E1") for day in days))


def _pointing(tenant_id, firm_id, score):
    return {"tenant": tenant_id, "id": uuid.uuid4(), "firm": firm_id, "score": score.id, "day": score.as_of}


def _count(database, tenant_id, source="invoice"):
    with database.session(tenant_id) as session:
        return session.execute(text(f"select count(*) from {source}")).scalar_one()


def _digests(database, year):
    """Hash each tenant's rows of a year, as an auditor with an old dump would."""
    rows = f"select tenant_id, sha256(convert_to(r::text, 'UTF8')) h from {CATCH_ALL} r"
    of_year = f"{rows} where observed_on < '{year + 1}-01-01'"
    query = f"select tenant_id, encode(sha256(string_agg(h, '' order by h)), 'hex') from ({of_year}) x group by 1"
    with database.engine.connect() as connection:
        return dict(connection.execute(text(query)).all())


def _in(database, name):
    with database.engine.connect() as connection:
        return connection.scalar(text(f"select count(*) from {name}"))


@pytest.fixture
def own(empty_database, server):
    """Return a database whose owner is no superuser, as one of the lender's own may be, and as if it made the roles."""
    role, name = f"owner_{uuid.uuid4().hex[:8]}", empty_database.engine.url.database
    server.psql(f"create role {role} login createrole", "postgres")
    for runs_as in migrations.ROLES:
        with empty_database.engine.connect() as connection:
            migrations.ensure_role(connection, runs_as)
        server.psql(f"grant {runs_as} to {role} with admin true, inherit false, set false", "postgres")
    server.psql(f"alter database {name} owner to {role}", "postgres")
    server.psql(f"alter schema public owner to {role}", name)
    database = Database(empty_database.engine.url.set(username=role).render_as_string(hide_password=False))
    yield database
    database.dispose()
    server.psql(f"reassign owned by {role} to postgres; drop owned by {role}", name)
    server.psql(f"drop owned by {role}; drop role {role}", "postgres")


def test_no_role_of_the_service_reaches_a_partition_but_through_its_parent(database):
    with database.engine.connect() as connection:
        found = connection.execute(text(RIGHTS), {"roles": list(migrations.ROLES)}).all()
    assert len(migrations.ROLES) == 4
    assert len(found) >= 4 * 14 * len(PARTITIONED)
    assert [row for row in found if tuple(row[1:]) != (True, False, False, False)] == []
    with database.session() as session, pytest.raises(ProgrammingError, match="permission denied for schema"):
        session.execute(text(f"select count(*) from {CATCH_ALL}"))


def test_rows_survive_the_migration_up_and_down_for_an_owner_whom_row_level_security_binds(own):
    migrations.upgrade(own.engine)
    names = [f"{uuid.uuid4().hex}" for _ in range(2)]
    days = (date(1999, 12, 31), date(2019, 1, 1), date(2026, 6, 30), date(2040, 1, 1))
    for name, of_whom in zip(names, (days, days[:2]), strict=True):
        with own.session() as session:
            create_tenant(session, name)
            add_inputs(session, _invoices(*of_whom), lambda *_: None)
    with own.session(tenant_id_of(names[0])) as session:
        make_live(session)
        register_firms(session, ["E1"])
        firm_id = firm_id_of(tenant_id_of(names[0]), "E1")
        score = give_score(session, firm_id)
        session.execute(text(REVIEW), _pointing(tenant_id_of(names[0]), firm_id, score))
    for step in (lambda: None, lambda: _go_below("0013", own.engine), lambda: migrations.upgrade(own.engine)):
        step()
        assert [_count(own, tenant_id_of(name)) for name in names] == [4, 2]
        with own.session(tenant_id_of(names[0])) as session:
            assert add_inputs(session, _invoices(*days), lambda *_: None)["invoice"].already_known == 4
    with own.session(tenant_id_of(names[0])) as session:
        joined = "score s join review r on r.score_id = s.id and r.score_as_of = s.as_of"
        joined += " join current_score c on c.score_id = s.id and c.as_of = s.as_of"
        assert session.execute(text(f"select s.id from {joined}")).scalars().all() == [score.id]
    assert [_in(own, partition("invoice", year)) for year in (1999, 2019, 2026, 2040)] == [2, 2, 1, 1]


def test_a_row_without_a_partition_is_caught_known_again_and_moved_when_there_is_one(own):
    migrations.upgrade(own.engine)
    with own.session() as session:
        tenant_id = create_tenant(session, "caught")
        assert (
            add_inputs(session, _invoices(date(1998, 3, 1), date(1998, 12, 31)), lambda *_: None)["invoice"].added == 2
        )
        add_inputs(session, _invoices(date(1998, 3, 1)), lambda *_: None)
    assert (_in(own, CATCH_ALL), _count(own, tenant_id)) == (2, 2)
    with own.engine.begin() as connection:
        assert make_room(connection, "invoice", date(2027, 2, 1), 10) == [1998, 2029]
        assert years_of(connection, "invoice")[-1] == 2029
        assert make_room(connection, "invoice", date(2027, 2, 1), 10) == []
    assert (_in(own, CATCH_ALL), _in(own, partition("invoice", 1998)), _count(own, tenant_id)) == (0, 2, 2)


def test_a_year_over_its_time_goes_and_is_on_record(own):
    migrations.upgrade(own.engine)
    today = clock.today()
    last_over, first_kept = date(today.year - 11, 12, 31), date(today.year - 10, 1, 1)
    tenants = []
    for number in (2, 1):
        with own.session() as session:
            tenants.append(create_tenant(session, f"bank {number}"))
            add_inputs(
                session, _invoices(*[last_over.replace(day=31 - n) for n in range(number)], first_kept), lambda *_: None
            )
    digests = _digests(own, last_over.year)
    author = Author("cli:tester")
    would = maintain(own, today, YEARS, author, is_dry_run=True)
    assert [(one.table, one.year, one.rows, one.tenants) for one in would.expired] == [
        ("invoice", last_over.year, 3, 2)
    ]
    assert [_count(own, tenant_id) for tenant_id in tenants] == [3, 2]
    assert _in(own, CATCH_ALL) == 3
    assert maintain(own, today, YEARS, author) == would
    assert [_count(own, tenant_id) for tenant_id in tenants] == [1, 1]
    assert maintain(own, today, YEARS, author).expired == ()
    for tenant_id, rows in zip(tenants, (2, 1), strict=True):
        with own.session(tenant_id) as session:
            entry = session.execute(
                text("select body::jsonb from audit_pending where subject like 'invoice:%'")
            ).scalar_one()
        assert entry["facts"] == {"table": "invoice", "year": last_over.year, "rows": rows, "years_kept": 10}
        assert entry["actor"] == "cli:tester"
        assert entry["before"] == digests[tenant_id]


def _check_a_pointer_that_comes_late_is_heeded(own, tenant_id, firm_id, score):
    """Let an alert come while the year's rows are hashed."""
    values = _pointing(tenant_id, firm_id, score)

    def hash_slowly(connection, source):
        with own.session(tenant_id) as session:
            session.execute(text(ALERT), values)
        return digests(connection, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(use_cases, "digests", hash_slowly)
        with pytest.raises(Conflict, match="changed meanwhile"):
            maintain(own, clock.today(), YEARS, Author("cli:tester"))
    assert _count(own, tenant_id, "audit_pending where subject like 'score:%'") == 0
    with own.session(tenant_id) as session, in_role(session, use_cases.LOGIN):
        assert session.execute(text("delete from alert where id = :id"), {"id": values["id"]}).rowcount == 1


def test_a_score_that_something_points_to_is_kept_and_the_others_of_its_year_go(own):
    """Four firms with an old score each: current, reviewed, in an alert nobody looked at, and of no use any more."""
    migrations.upgrade(own.engine)
    today = clock.today()
    old, new = date(today.year - 12, 6, 30), date(today.year - 1, 6, 30)
    keys = ("current", "reviewed", "alerted", "forgotten")
    with own.session() as session:
        tenant_id = create_tenant(session, "bank")
        register_firms(session, keys)
        make_live(session)
        firms = {key: firm_id_of(tenant_id, key) for key in keys}
        scores = {key: give_score(session, firm_id, as_of=old) for key, firm_id in firms.items()}
        for key in keys[1:]:
            give_score(session, firms[key], as_of=new)
        session.execute(text(REVIEW), _pointing(tenant_id, firms["reviewed"], scores["reviewed"]))
        session.execute(text(ALERT), _pointing(tenant_id, firms["alerted"], scores["alerted"]))
    with own.engine.begin() as connection:
        make_room(connection, "score", today, 10)
    with without_a_lock(own, "current_score", "review", "alert", "score"):
        would = maintain(own, today, YEARS, Author("cli:tester"), is_dry_run=True).expired
    assert [(one.table, one.year, one.rows, one.kept) for one in would] == [("score", old.year, 4, 3)]
    _check_a_pointer_that_comes_late_is_heeded(own, tenant_id, firms["forgotten"], scores["forgotten"])
    assert maintain(own, today, YEARS, Author("cli:tester")).expired == would
    with own.session(tenant_id) as session:
        left = set(session.execute(text("select id from score where as_of = :day"), {"day": old}).scalars())
        entry = session.execute(text("select body::jsonb from audit_pending where subject like 'score:%'")).scalar_one()
        held = session.execute(text("select count(*) from current_score join score s on s.id = score_id")).scalar_one()
    assert left == {scores[key].id for key in keys[:3]}
    assert entry["facts"]["rows"] == 1
    assert held == 4
    assert maintain(own, today, YEARS, Author("cli:tester")).expired == ()
    values = _pointing(tenant_id, firms["current"], scores["forgotten"])
    with own.session(tenant_id) as session, pytest.raises(IntegrityError, match="fk_review"):
        session.execute(text(REVIEW), values)
