"""Row-level security alone: no query of these tests names a tenant."""

import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.identity.access import Role
from service.identity.keys import authenticate, create_key
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit.db import RUNTIME_ROLE, enter_tenant


def _add_firm(session, key):
    insert = "insert into firm (tenant_id, id, key, created_at, version) values (:tenant, :id, :key, now(), 1)"
    session.execute(text(insert), {"tenant": session.info["tenant_id"], "id": uuid.uuid4(), "key": key})


def _keys(session):
    return session.execute(text("select key from firm order by key")).scalars().all()


@pytest.fixture
def two_tenants(database):
    names = [f"rls-{uuid.uuid4().hex}" for _ in range(2)]
    for name in names:
        with database.session() as session:
            create_tenant(session, name)
            _add_firm(session, f"firm of {name}")
    return names


def test_a_session_sees_its_own_tenant_only(database, two_tenants):
    for name in two_tenants:
        with database.session(tenant_id_of(name)) as session:
            assert _keys(session) == [f"firm of {name}"]
            assert session.execute(text("select count(*) from tenant")).scalar_one() == 1


def test_a_session_without_a_tenant_sees_nothing(database, two_tenants):
    with database.session() as session:
        assert _keys(session) == []
        assert session.execute(text("select count(*) from api_key")).scalar_one() == 0


def test_a_row_of_another_tenant_cannot_be_written(database, two_tenants):
    with database.session(tenant_id_of(two_tenants[0])) as session:
        assert len(_keys(session)) == 1
        session.info["tenant_id"] = tenant_id_of(two_tenants[1])
        with pytest.raises(ProgrammingError, match="row-level security"):
            _add_firm(session, "smuggled")
    with database.session(tenant_id_of(two_tenants[1])) as session:
        assert "smuggled" not in _keys(session)


def test_the_tenant_ends_with_the_transaction(database, two_tenants):
    with database.session(tenant_id_of(two_tenants[0])) as session:
        assert session.execute(text("select current_user")).scalar_one() == RUNTIME_ROLE
    with database.engine.connect() as connection:
        assert connection.execute(text("select current_user")).scalar_one() != RUNTIME_ROLE
        assert not connection.execute(text("select current_setting('app.tenant', true)")).scalar_one()


def test_a_key_opens_its_own_tenant(database, two_tenants):
    with database.session(tenant_id_of(two_tenants[1])) as session:
        _, token = create_key(session, "officer", Role.LOAN_OFFICER, all_branches=True)
    with database.session() as session:
        assert authenticate(session, token).tenant_id == tenant_id_of(two_tenants[1])
        assert _keys(session) == [f"firm of {two_tenants[1]}"]
        enter_tenant(session, tenant_id_of(two_tenants[0]))
        assert _keys(session) == [f"firm of {two_tenants[0]}"]


def test_only_the_hash_of_a_key_is_kept(database, tenant, server):
    with database.session(tenant_id_of(tenant)) as session:
        _, token = create_key(session, "officer", Role.LOAN_OFFICER, all_branches=True)
        stored = session.execute(text("select * from api_key")).mappings().one()
    assert token not in str(dict(stored))
    assert len(stored["sha256"]) == 32
    assert len(token) >= 4 + 43
