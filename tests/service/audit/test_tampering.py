"""Promise 14, the fast form: a log is tampered with by somebody who may do everything in the database."""

import random

import pytest

from service.audit import use_cases, verify_audit
from service.audit.signing import SigningKeys
from service.kit.db import TenantSession
from tests.service.audit.tampering import Kept, bodies_of, caught, signed_log, tampered, told, write_log

TAMPERINGS = 30


@pytest.fixture(scope="module")
def kept(database, tmp_path_factory) -> Kept:
    return signed_log(database, SigningKeys(tmp_path_factory.mktemp("signing")))


def test_the_log_is_intact_before(database, kept):
    with database.session(kept.tenant_id) as session:
        assert verify_audit.verify(use_cases.export(session), [*kept.plain, kept.with_leaves]).finding is None
        assert use_cases.damaged_nodes(session) == []


def test_every_tampering_of_the_database_is_caught_and_named(database, kept):
    bodies = bodies_of(database, kept.tenant_id)
    said = {seed: caught(database, kept, bodies, seed) for seed in range(TAMPERINGS)}
    assert [seed for seed, words in said.items() if not words] == []
    kinds = {words.rsplit(" ", 1)[0] for words in said.values()}
    assert kinds == {"changed", "removed", "inserted", "moved", "cut off"}


def test_every_tampering_of_an_export_is_caught_and_named(database, kept):
    bodies = bodies_of(database, kept.tenant_id)
    for seed in range(120):
        lines, done = tampered(bodies, random.Random(1000 + seed))
        written = [line.written() for line in lines]
        exact, rough = (verify_audit.verify(written, checkpoints).finding for checkpoints in kept.both)
        assert (exact.kind, exact.number) == (done.kind, done.number), seed
        assert rough.since <= done.number, seed


def test_a_kept_hash_that_is_missing_is_found(database, kept):
    tenant_id, bodies = kept.tenant_id, bodies_of(database, kept.tenant_id)
    with database.engine.connect() as connection:
        write_log(connection, tenant_id, told(bodies[:-1]), with_nodes=True)
        write_log(connection, tenant_id, told(bodies), with_nodes=False)
        with TenantSession(connection, info={"tenant_id": tenant_id}) as session:
            missing = use_cases.damaged_nodes(session)
        connection.rollback()
    assert [(subtree.level, subtree.place) for subtree in missing] == [(1, 99), (2, 49), (3, 24)]
