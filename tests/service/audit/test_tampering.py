"""Promise 14, the fast form: a log in the database is tampered with by somebody who may do everything there."""

import random
import uuid

import pytest

from service.audit import repository, use_cases, verify_audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.identity.use_cases import create_tenant
from service.kit.db import Database, TenantSession
from tests.service.audit.tampering import checkpoint_of, tampered, told, verdict_on, write_log

ENTRIES = 200
TAMPERINGS = 50


@pytest.fixture(scope="module")
def kept(database, tmp_path_factory):
    """Return a tenant with a log of 200 entries, and checkpoints: of half of it, of all, and of all with leaves."""
    keys = SigningKeys(tmp_path_factory.mktemp("signing"))
    with database.session() as session:
        tenant_id = create_tenant(session, f"tampered-{uuid.uuid4().hex}")
    files = []
    for size in (ENTRIES // 2, ENTRIES):
        with database.session(tenant_id) as session:
            have = repository.tree_size(session, tenant_id) or 1
            for n in range(size - have):
                use_cases.append(session, "review.updated", "review:r", {"n": n})
        number_all(database)
        with database.session(tenant_id) as session:
            signed = use_cases.sign_checkpoint(session, keys, tenant_id, "bank")
            assert signed.size == size
            files += [use_cases.checkpoint_file(session, signed, with_leaves=leaves) for leaves in (False, True)]
    half, _, whole, with_leaves = (checkpoint_of(data, keys) for data in files)
    return tenant_id, [half, whole], with_leaves


def bodies_of(database: Database, tenant_id: uuid.UUID) -> list[bytes]:
    with database.session(tenant_id) as session:
        return [body.encode() for _, _, body in repository.stream_entries(session)]


def caught(database: Database, kept, bodies: list[bytes], seed: int) -> str:
    """Tamper with the database's log, verify it, and take the tampering back; return what was said, empty if wrong."""
    tenant_id, plain, with_leaves = kept
    lines, done = tampered(bodies, random.Random(seed))
    numbers = [line.number for line in lines]
    if numbers != sorted(set(numbers)):
        lines = told([line.body for line in lines])  # a table has no other order, and no number twice
    with database.engine.connect() as connection:
        write_log(connection, tenant_id, lines, with_nodes=seed % 5 == 0)
        exact = verdict_on(connection, tenant_id, [with_leaves]).finding
        rough = verdict_on(connection, tenant_id, plain).finding
        connection.rollback()
    if exact is None or rough is None or rough.since > done.number:
        return ""
    return f"{exact.kind} {exact.number}" if (exact.kind, exact.number) == (done.kind, done.number) else ""


def test_the_log_is_intact_before(database, kept):
    tenant_id, plain, with_leaves = kept
    with database.session(tenant_id) as session:
        assert verify_audit.verify(use_cases.export(session), [*plain, with_leaves]).finding is None
        assert use_cases.damaged_nodes(session) == []


def test_every_tampering_of_the_database_is_caught_and_named(database, kept):
    bodies = bodies_of(database, kept[0])
    said = {seed: caught(database, kept, bodies, seed) for seed in range(TAMPERINGS)}
    assert [seed for seed, words in said.items() if not words] == []
    kinds = {words.rsplit(" ", 1)[0] for words in said.values()}
    assert kinds == {"changed", "removed", "inserted", "moved", "cut off"}


def test_every_tampering_of_an_export_is_caught_and_named(database, kept):
    bodies, (_, plain, with_leaves) = bodies_of(database, kept[0]), kept
    for seed in range(100):
        lines, done = tampered(bodies, random.Random(1000 + seed))
        written = [line.written() for line in lines]
        exact, rough = (verify_audit.verify(written, checkpoints).finding for checkpoints in ([with_leaves], plain))
        assert (exact.kind, exact.number) == (done.kind, done.number), seed
        assert rough.since <= done.number, seed


def test_a_kept_hash_that_is_missing_is_found(database, kept):
    tenant_id = kept[0]
    bodies = bodies_of(database, tenant_id)
    with database.engine.connect() as connection:
        write_log(connection, tenant_id, told(bodies[:-1]), with_nodes=True)
        write_log(connection, tenant_id, told(bodies), with_nodes=False)
        with TenantSession(connection, info={"tenant_id": tenant_id}) as session:
            missing = use_cases.damaged_nodes(session)
        connection.rollback()
    assert [(subtree.level, subtree.place) for subtree in missing] == [(1, 99), (2, 49), (3, 24)]
