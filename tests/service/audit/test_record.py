"""Every change records itself: by triggers, or by the one door into the ledger."""

import hashlib
import json
import uuid

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from service.audit.tables import NOT_WATCHED, PendingEntry
from service.audit.use_cases import append
from service.identity.use_cases import create_branch, create_tenant, tenant_id_of
from service.kit.db import Author, set_author
from service.kit.etag import save

WATCHED = """
    select c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid where t.tgname = 'audit_record'
"""
TABLES = """
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> 'alembic_version'
"""
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


def _entries(session, subject=None):
    found = [json.loads(row.body) for row in session.exec(PENDING)]
    return [entry for entry in found if subject is None or entry["subject"] == subject]


PENDING = text("select body from audit_pending order by recorded_at, id")


def test_every_table_is_watched_or_exempt_with_a_reason(database):
    with database.engine.connect() as connection:
        watched = set(connection.scalars(text(WATCHED)))
        tables = set(connection.scalars(text(TABLES)))
    assert watched | set(NOT_WATCHED) == tables
    assert watched & set(NOT_WATCHED) == set()
    assert all(NOT_WATCHED.values())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, st.none() | st.uuids(), NAMES)
def test_a_triggers_text_is_canonical_and_like_that_of_append(session, name, actor_id, request_id):
    set_author(session, Author(name, actor_id, request_id))
    branch = create_branch(session, uuid.uuid4().hex)
    appended = append(session, "a", "s", {}, after=bytes(32))
    bodies = {json.loads(body)["id"]: body for body in session.scalars(PENDING)}
    ours = json.loads(bodies[str(appended)])
    (body,) = [body for body in bodies.values() if json.loads(body)["subject"] == f"branch:{branch.id}"]
    said = json.loads(body)
    assert body.encode() == rfc8785.dumps(said)
    assert (said["actor"], said["request_id"]) == (name, request_id)
    assert said["actor_id"] == (None if actor_id is None else str(actor_id))
    assert list(said) == list(ours)
    assert {key: said[key] for key in ("actor", "actor_id", "request_id", "tenant_id", "version", "facts")} == {
        key: ours[key] for key in ("actor", "actor_id", "request_id", "tenant_id", "version", "facts")
    }
    assert [len(said[key]) for key in ("at", "id", "after")] == [len(ours[key]) for key in ("at", "id", "after")]


def test_before_and_after_make_a_chain_of_a_rows_states(session):
    branch = create_branch(session, "first name")
    session.execute(text("set local timezone = 'Asia/Shanghai'"))  # the hashes do not hang on a session's settings
    for name in ("second name", "third name"):
        branch.name = name
        save(session, branch)
    made, *changed = _entries(session, f"branch:{branch.id}")
    assert [entry["action"] for entry in (made, *changed)] == ["branch.inserted", "branch.updated", "branch.updated"]
    assert made["before"] is None
    assert [entry["before"] for entry in changed] == [made["after"], changed[0]["after"]]
    session.execute(text("set local timezone = 'UTC'"))
    row = session.scalar(text("select to_jsonb(b)::text from branch b where id = :id"), params={"id": branch.id})
    assert changed[-1]["after"] == hashlib.sha256(row.encode()).hexdigest()


def test_a_last_use_alone_is_no_entry(session, database, tenant, client):
    with database.session(tenant_id_of(tenant)) as own:
        before = own.scalar(text("select count(*) from audit_pending where tenant_id = :t"), params={"t": _id(tenant)})
        own.execute(text("update api_key set last_used_at = now() where tenant_id = :t"), {"t": _id(tenant)})
        after = own.scalar(text("select count(*) from audit_pending where tenant_id = :t"), params={"t": _id(tenant)})
        own.execute(text("update api_key set revoked_at = now() where tenant_id = :t"), {"t": _id(tenant)})
        revoked = own.scalar(text("select count(*) from audit_pending where tenant_id = :t"), params={"t": _id(tenant)})
    assert before >= 1
    assert (after, revoked) == (before, before + 1)


def _id(tenant):
    return tenant_id_of(tenant)


def test_an_entry_is_there_exactly_if_its_transaction_commits(database, tenant):
    def fail():
        with database.session(_id(tenant)) as session:
            create_branch(session, "never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.session(_id(tenant)) as session:
        assert [entry["action"] for entry in _entries(session)] == ["tenant.inserted"]


def test_a_tenant_sees_and_writes_its_own_entries_only(database, session, tenant):
    other = f"other-{uuid.uuid4().hex}"
    with database.session() as theirs:
        create_tenant(theirs, other)
    assert {entry["tenant_id"] for entry in _entries(session)} == {str(_id(tenant))}
    forged = PendingEntry(
        tenant_id=_id(other), id=uuid.uuid4(), recorded_at=session.scalar(text("select now()")), actor="", subject="",
        body="{}",
    )  # fmt: skip

    def forge():
        with session.begin_nested():
            session.add(forged)

    with pytest.raises(ProgrammingError, match="row-level security"):
        forge()


@pytest.mark.parametrize("table", ["audit_pending", "audit_entry", "audit_node", "audit_checkpoint"])
@pytest.mark.parametrize("what", ["update", "delete", "truncate"])
def test_the_service_can_neither_change_nor_delete_what_is_recorded(database, table, what):
    query = text("select has_table_privilege('clustercredit_app', :table, :what)")
    with database.engine.connect() as connection:
        assert not connection.scalar(query, {"table": table, "what": what})
        assert not connection.scalar(query, {"table": "audit_entry", "what": "insert"})


def test_rows_that_are_added_in_bulk_are_one_entry_that_they_can_be_held_against(client, session, tenant):
    firm = client.post("/v1/firms", {"key": "E1", "name": "厂", "observed_on": "2024-01-31"}).json()
    invoices = [
        {"direction": "output", "counterparty": f"B{n}", "issued_on": "2024-01-15", "net": "1", "vat": "0"}
        for n in range(30)
    ]
    answer = client.post(f"/v1/firms/{firm['id']}/invoices", {"invoices": [*invoices, invoices[0]]})
    (entry,) = [e for e in _entries(session, f"firm:{firm['id']}") if e["action"] == "invoice.added"]
    assert entry["request_id"] == answer.headers["X-Request-Id"]
    counts = {key: entry["facts"][key] for key in ("added", "already_known", "repeated")}
    assert counts == {"added": 30, "already_known": 0, "repeated": 1}
    rows = text("select content_sha256 from invoice where tenant_id = :t and ingested_at = :at")
    values = {"t": _id(tenant), "at": entry["facts"]["ingested_at"]}
    by_first: dict[int, bytes] = {}
    for digest in sorted(session.scalars(rows, params=values)):
        by_first[digest[0]] = by_first.get(digest[0], b"") + digest
    parts = [hashlib.sha256(by_first[first]).digest() for first in sorted(by_first)]
    assert entry["after"] == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_look_at_a_person_is_an_entry_without_the_number(client, session):
    number = {"id_kind": "national_id", "number": "11010519491231002X"}
    answer = client.post("/v1/search/people", number, key=None)
    assert answer.json() == {"items": []}
    (entry,) = [e for e in _entries(session) if e["action"] == "person.looked_up"]
    assert (entry["subject"], entry["request_id"]) == ("person:unknown", answer.headers["X-Request-Id"])
    assert "11010519491231002" not in json.dumps(_entries(session))


_BODY = '{"id":"ID","tenant_id":"TENANT","version":1}'


@pytest.mark.parametrize(
    "body",
    ["", "no json", "[]", "null", " " + _BODY, _BODY + "\n", _BODY.replace(",", ",\n"), _BODY.replace("TENANT", "x"),
     _BODY.replace("ID", "x"), '{"version":1}', _BODY[:-1], _BODY.replace("1}", f'"{"x" * 4_000_000}"}}')],
)  # fmt: skip
def test_no_text_that_would_break_an_export_becomes_an_entry(session, body):
    entry_id, tenant_id = uuid.uuid4(), session.info["tenant_id"]
    values = {"tenant": tenant_id, "id": entry_id}
    add = text("insert into audit_pending values (:tenant, :id, now(), 'a', 's', :body)")

    def filled(template):
        return template.replace("ID", str(entry_id)).replace("TENANT", str(tenant_id))

    with session.begin_nested() as attempt:
        session.execute(add, {**values, "body": filled(_BODY)})
        attempt.rollback()
    with pytest.raises((IntegrityError, DataError)), session.begin_nested():
        session.execute(add, {**values, "body": filled(body)})
