"""Signing: nothing is signed that does not continue what was signed before, and by whom it was."""

import json
import random
import uuid

import pytest
from sqlalchemy import text

from service.audit import use_cases
from service.audit.repository import TreeDamagedError
from service.audit.sequencer import number_all, sign_due
from service.audit.signing import SigningKeyError, SigningKeys
from service.identity.use_cases import create_tenant
from tests.service.audit.tampering import bodies_of, rewrite, told, write_log


@pytest.fixture
def keys(keyring) -> SigningKeys:
    """Return the installation's keys: the daily signer signs other tests' tenants too."""
    return SigningKeys(keyring.folder / "signing")


@pytest.fixture
def tenant_id(database):
    with database.session() as session:
        made = create_tenant(session, f"signing-{uuid.uuid4().hex}")
    _grow(database, made, 5)
    return made


def _grow(database, tenant_id, entries):
    with database.session(tenant_id) as session:
        for n in range(entries):
            use_cases.append(session, "test", "s", {"n": n})
    number_all(database)


def _sign(database, keys, tenant_id, **how):
    with database.session(tenant_id) as session:
        return use_cases.make_checkpoint(session, keys, "bank", **how)


def _rewrite(database, tenant_id, *, with_nodes=True):
    """Write the whole log anew, as the database's owner can."""
    bodies = bodies_of(database, tenant_id)
    rewrite(bodies, random.Random(1))
    with database.engine.begin() as connection:
        write_log(connection, tenant_id, told(bodies), with_nodes=with_nodes)


def _refused(database, keys, tenant_id):
    with pytest.raises(TreeDamagedError) as refused:
        _sign(database, keys, tenant_id)
    return refused.value.code


def test_a_rewritten_log_is_not_signed_even_without_its_checkpoints(database, keys, tenant_id):
    _sign(database, keys, tenant_id)
    _grow(database, tenant_id, 3)
    assert _sign(database, keys, tenant_id).size > 6
    _rewrite(database, tenant_id)
    assert _refused(database, keys, tenant_id) == "audit-log-damaged"
    with database.engine.begin() as connection:
        connection.execute(text("delete from audit_checkpoint where tenant_id = :t"), {"t": tenant_id})
    assert _refused(database, keys, tenant_id) == "audit-log-damaged"
    sign_due(database, keys)
    with database.session(tenant_id) as session:
        assert use_cases.list_checkpoints(session, None, None) == []


def test_the_databases_checkpoint_is_what_counts_where_none_is_kept_beside_the_key(database, keys, tenant_id):
    checkpoint = _sign(database, keys, tenant_id)
    keys.forget_head(tenant_id)
    with database.engine.begin() as connection:
        of_row = {"id": checkpoint.id}
        edit = "update audit_checkpoint set signed = replace(signed, 'bank', 'bonk') where id = :id"
        connection.execute(text(edit), of_row)
    _refused(database, keys, tenant_id)
    with database.engine.begin() as connection:
        connection.execute(
            text("update audit_checkpoint set signed = :signed where id = :id"), {**of_row, "signed": checkpoint.signed}
        )
    assert _sign(database, keys, tenant_id).size == checkpoint.size
    keys.forget_head(tenant_id)
    number_all(database)
    _rewrite(database, tenant_id)
    _refused(database, keys, tenant_id)


def test_hashes_above_the_signed_tree_must_follow_from_it(database, keys, tenant_id):
    """The owner leaves what was signed as it is, and forges only the hashes that were added above it since."""
    assert _sign(database, keys, tenant_id).size == 6
    _grow(database, tenant_id, 1)
    with database.engine.begin() as connection:
        forge = "update audit_node set hash = sha256(hash) where tenant_id = :t and level = 3 and place = 0"
        assert connection.execute(text(forge), {"t": tenant_id}).rowcount == 1
    _refused(database, keys, tenant_id)


def test_a_restored_log_is_signed_once_that_is_said_and_on_record(database, keys, tenant_id):
    before = _sign(database, keys, tenant_id)
    number_all(database)
    with database.engine.begin() as connection:
        for table in ("audit_entry where number >= 4 and", "audit_node where level = 1 and place >= 2 and"):
            connection.execute(text(f"delete from {table} tenant_id = :t"), {"t": tenant_id})
    _refused(database, keys, tenant_id)
    assert _sign(database, keys, tenant_id, is_restored=True).size == 4
    number_all(database)
    facts = [json.loads(body)["facts"] for body in bodies_of(database, tenant_id)]
    assert {"size_before": before.size, "root_before": before.root.hex()} in facts
    assert _sign(database, keys, tenant_id).size == 6


def test_looking_makes_no_key_and_another_folder_signs_nothing(database, keys, tenant_id, tmp_path):
    elsewhere = SigningKeys(tmp_path / "not mounted")
    assert elsewhere.public_keys() == []
    assert not elsewhere.folder.exists()
    signed = _sign(database, keys, tenant_id)
    with pytest.raises(SigningKeyError, match=signed.key_id):
        _sign(database, elsewhere, tenant_id)
    assert not elsewhere.folder.exists()
    assert _sign(database, elsewhere, tenant_id, is_restored=True).key_id != signed.key_id
