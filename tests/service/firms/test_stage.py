"""Many rows into an empty ledger go another way than few: the same rows, counts and entry of the audit log."""

import hashlib
import uuid
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from features.kinds import KINDS
from service.firms import repository
from service.firms.use_cases import register_firms
from service.identity.use_cases import create_tenant

_WRITTEN = "invoice/1|=E1|=2026-01-01|=input|-|=B1|=false|=1|=0|=1|=false".replace("|", "\x1f")
AT = datetime(2026, 3, 1, tzinfo=UTC)
ROW = st.tuples(st.sampled_from(["E1", "E2"]), st.integers(0, 3), st.integers(0, 2), st.booleans())
CONTENT = text("select firm.key, observed_on, known_on, net_fen, encode(content_sha256, 'hex')"
               " from invoice join firm using (tenant_id) where firm.id = firm_id and tenant_id = :tenant"
               " order by 1, 5")  # fmt: skip

AFTERS = text("select body::jsonb ->> 'after' as after from audit_pending"
              " where tenant_id = :tenant and body::jsonb ->> 'action' = 'invoice.added' order by 1")  # fmt: skip


def invoices(rows):
    """Return invoices of a firm, of so many fen, known so late, this year or the last."""
    columns = [
        (
            key,
            day := date(2025 + is_new, 1, 1),
            day.replace(day=1 + late),
            "input",
            None,
            "B1",
            False,
            fen,
            0,
            fen,
            False,
        )
        for key, fen, late, is_new in rows
    ]
    return pl.DataFrame(columns, schema=KINDS["invoice"].schema, orient="row")


def bank(database):
    with database.session() as session:
        tenant_id = create_tenant(session, f"stage-{uuid.uuid4().hex}")
    with database.session(tenant_id) as session:
        register_firms(session, ["E1", "E2"])
    return tenant_id


def insert(database, tenant_id, *frames):
    """Return what was added, what the tenant has then, and the hashes in the audit log."""
    with database.session(tenant_id) as session:
        stage = repository.Stage(session, KINDS["invoice"])
        for frame in frames:
            stage.add(frame)
        added = stage.insert(AT)
    with database.session(tenant_id) as session:
        rows = session.execute(CONTENT, {"tenant": tenant_id}).all()
        afters = session.scalars(AFTERS, {"tenant": tenant_id}).all()
        return added, rows, afters


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(ROW, min_size=1, max_size=12), second=st.lists(ROW, max_size=4))
def test_many_rows_end_as_few_do(database, monkeypatch, first, second):
    results = []
    for many in (1, 1_000_000):
        monkeypatch.setattr(repository, "MANY_ROWS", many)
        tenant_id = bank(database)
        once = insert(database, tenant_id, invoices(first), invoices(second))
        results.append((once, insert(database, tenant_id, invoices([*second, *first]))))
    assert results[0] == results[1]
    (added, rows, _), (again, *_) = results[0]
    assert added.received == added.added + added.repeated == len(first) + len(second)
    assert again.already_known == added.added == len(rows)


def test_a_row_that_another_transaction_adds_meanwhile_is_known(database, monkeypatch):
    monkeypatch.setattr(repository, "MANY_ROWS", 1)
    tenant_id, has_some = bank(database), repository.Stage._has_some
    rows = [("E1", 1, 0, True), ("E1", 2, 0, True), ("E2", 1, 0, False)]

    def overtaken(stage):
        monkeypatch.setattr(repository.Stage, "_has_some", has_some)
        found = has_some(stage)
        assert insert(database, tenant_id, invoices(rows[1:2]))[0].added == 1
        return found

    monkeypatch.setattr(repository.Stage, "_has_some", overtaken)
    added, after, _ = insert(database, tenant_id, invoices([*rows, rows[0]]))
    assert (added.received, added.added, added.already_known, added.repeated) == (4, 2, 1, 1)
    assert len(after) == 3


def test_a_rows_hash_is_its_own_whatever_rows_stand_beside_it():
    kind = KINDS["invoice"]
    frame = invoices([("E1", 1, 0, True), ("E2", 2, 1, False), ("E1", 3, 2, True)])
    frame = frame.with_columns(number=pl.Series([None, "", "7"]))
    alone = [repository.content_sha256(kind, row).item() for row in frame.iter_slices(1)]
    assert repository.content_sha256(kind, frame).to_list() == alone
    assert alone[0] == "\\x" + hashlib.sha256(_WRITTEN.encode()).hexdigest()


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_has_its_way_of_many_rows(session, monkeypatch, name):
    monkeypatch.setattr(repository, "MANY_ROWS", 0)
    kind = KINDS[name]
    stage = repository.Stage(session, kind)
    stage.add(kind.empty())
    assert stage.insert(AT) == repository.Added(0, 0, 0, 0)
