"""What the fund's role may read, by the database alone: no code of ours is in between."""

import re
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.identity.use_cases import tenant_id_of
from service.kit.db import FUND_ROLE, TenantSession, in_role
from tests.service.funds.book_world import Bank, Firm, Guarantee, Loan, Score, write

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
TABLES = """
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
READABLE = f"""
    select c.relname, a.attname from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and has_column_privilege('{FUND_ROLE}', c.oid, a.attnum, 'select')
"""


def documented() -> set[tuple[str, str]]:
    """Read the table of operating.md."""
    rows = re.findall(
        r"^\| `(\w+)` \| (`.*`) \|", OPERATING.read_text().split("### What a fund can read")[1], re.MULTILINE
    )
    return {(table, column) for table, columns in rows for column in re.findall(r"`(\w+)`", columns)}


@pytest.fixture
def seeded(database):
    """Return a transaction as the fund's role, in which the fund guarantees a loan, and another fund another."""
    fund, other = (f"fund-{uuid.uuid4().hex}" for _ in range(2))
    firms = [Firm(f"F{n}", "远航鞋业", [Score("credit-score", 0.03), Score("order-loan", 0.2)]) for n in range(2)]
    loans = [Loan(f"L-{firm.key}", firm, "credit-score", 10_000) for firm in firms]
    bank = Bank(f"bank-{uuid.uuid4().hex}", firms, loans, [(fund, True), (other, True)])
    bank.guarantees = [Guarantee(loans[0], fund, -1, None), Guarantee(loans[1], other, -1, None)]
    with database.engine.connect() as connection:
        write(connection, [bank], [fund, other])
        with TenantSession(connection, info={"tenant_id": tenant_id_of(fund)}) as session, in_role(session, FUND_ROLE):
            yield session
        connection.rollback()


def test_the_readable_columns_are_the_documented_ones(database):
    with database.engine.connect() as connection:
        readable = {(table, column) for table, column in connection.execute(text(READABLE))}
    assert len(readable) > 30
    assert readable == documented()


def test_no_table_can_be_changed_or_read_whole(database):
    anything = "insert, update, delete, truncate, references, trigger"
    query = text(
        "select has_table_privilege(:role, :table, :what) or has_any_column_privilege(:role, :table, :columns)"
        " or has_table_privilege(:role, :table, 'select')"
    )
    values = {"role": FUND_ROLE, "what": anything, "columns": "insert, update, references"}
    with database.engine.connect() as connection:
        tables = connection.execute(text(TABLES)).scalars().all()
        assert len(tables) > 15
        assert [table for table in tables if connection.execute(query, values | {"table": table}).scalar_one()] == []


def test_every_other_column_is_denied(database, seeded):
    every = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    with database.engine.connect() as connection:
        closed = {(table, column) for table, column in connection.execute(text(every))} - documented()
    assert {("score", "features"), ("score", "reasons"), ("invoice", "counterparty"), ("alert", "note")} <= closed
    assert {("person_observation", "person_id"), ("api_key", "sha256"), ("firm_observation", "place")} <= closed
    for table, column in sorted(closed):
        denied(seeded, f'select "{column}" from "{table}"')


@pytest.mark.parametrize(
    "statement",
    [
        "select * from score",
        "select count(*) from invoice",
        "select count(*) from repayment_status",
        "insert into fund_guarantee (tenant_id) values (gen_random_uuid())",
        "update fund_guarantee set ends_on = null",
        "update score set pd = 0",
        "delete from guarantee_grant",
        "truncate loan",
        "create table mine (id int)",
        "lock table score in exclusive mode",
        "select id from score for update",
    ],
)
def test_a_statement_is_denied(seeded, statement):
    denied(seeded, statement)


def denied(session, statement):
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text(statement))


def test_only_the_guaranteed_rows_are_there(seeded):
    expected = {"fund_guarantee": 1, "loan": 2, "firm": 1, "firm_observation": 2, "current_score": 1, "score": 1}
    expected |= {"guarantee_grant": 1, "tenant": 1}
    assert expected.keys() == {table for table, _ in documented()}
    for table, rows in expected.items():
        assert seeded.execute(text(f"select count(*) from {table}")).scalar_one() == rows, table
    assert seeded.execute(text("select pd from score")).scalar_one() == 0.03


def test_without_a_tenant_there_are_no_rows(seeded):
    for tenant in ("", str(uuid.uuid4())):
        seeded.execute(text("select set_config('app.tenant', :tenant, true)"), {"tenant": tenant})
        for table in {table for table, _ in documented()}:
            assert seeded.execute(text(f"select count(*) from {table}")).scalar_one() == 0, table


def test_a_fund_does_not_see_its_own_tenants_rows(database):
    """A book is other organisations' rows only: what a fund might load for itself stays apart from it."""
    fund = f"fund-{uuid.uuid4().hex}"
    with database.engine.connect() as connection:
        write(connection, [Bank(fund, [Firm("F", "own", [Score("credit-score", 0.1)])])], [])
        with TenantSession(connection, info={"tenant_id": tenant_id_of(fund)}) as session:
            assert session.execute(text("select count(*) from score")).scalar_one() == 1
            with in_role(session, FUND_ROLE):
                assert session.execute(text("select count(*) from score")).scalar_one() == 0
        connection.rollback()


def test_the_role_holds_for_a_while_only(database, tenant):
    who = text("select current_user")
    with database.session(tenant_id_of(tenant)) as session:
        with in_role(session, FUND_ROLE):
            assert session.execute(who).scalar_one() == FUND_ROLE
        assert session.execute(who).scalar_one() == "clustercredit_app"


def test_a_failure_does_not_leave_the_role_behind(database, tenant):
    with TenantSession(database.engine, info={"tenant_id": tenant_id_of(tenant)}) as session:
        with pytest.raises(ProgrammingError), in_role(session, FUND_ROLE):
            session.execute(text("select features from score"))
        session.rollback()
        assert session.execute(text("select current_user")).scalar_one() == "clustercredit_app"
