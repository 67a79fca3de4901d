"""Signing: nothing is signed that does not continue what was signed before, and by whom it was."""

import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from service.audit import signing, use_cases
from service.audit.repository import TreeDamagedError
from service.audit.sequencer import number_all, sign_due
from service.audit.signing import SigningKeyError, SigningKeys
from service.identity.use_cases import create_tenant
from service.kit.db import Author
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
    (keys.folder / f"{tenant_id}.head").unlink()
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
    (keys.folder / f"{tenant_id}.head").unlink()
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


def _signed_size(keys, tenant_id):
    return json.loads(json.loads(keys.head(tenant_id))["signed"])["size"]


def _overtaken(keys, act):
    """Return keys on whose way to a signature, after the log was checked, something happens once."""
    acts = [act]

    class Overtaken(SigningKeys):
        def signer(self):
            signer = super().signer()
            while acts:
                acts.pop()()
            return signer

    return Overtaken(keys.folder)


def _overtaken_at_last(keys, act):
    """Return keys before whose keeping of a head, once it is signed, something happens once."""
    acts = [act]

    class Overtaken(SigningKeys):
        def keep_head(self, *what):
            while acts:
                acts.pop()()
            return super().keep_head(*what)

    return Overtaken(keys.folder)


def test_what_is_signed_is_what_was_checked(database, keys, tenant_id):
    """The owner rewrites the log between the check and the signature: the root that was checked is signed."""
    first = _sign(database, keys, tenant_id)
    number_all(database)
    with database.session(tenant_id) as session:
        honest = use_cases.tree_head(session)
    signed = _sign(database, _overtaken(keys, lambda: _rewrite(database, tenant_id)), tenant_id)
    assert (signed.size, signed.root) == (honest.size, honest.root) != (first.size, first.root)
    _refused(database, keys, tenant_id)


def test_of_two_that_sign_at_once_the_later_continues_the_other(database, keys, tenant_id):
    """One is overtaken before its head is kept: it signs what the other's has grown to, and the head never shrinks."""
    _sign(database, keys, tenant_id)

    def overtake():
        _grow(database, tenant_id, 4)
        _sign(database, keys, tenant_id)

    slow = _sign(database, _overtaken_at_last(keys, overtake), tenant_id)
    assert slow.size == _signed_size(keys, tenant_id) == 11
    with ThreadPoolExecutor(4) as pool:
        sizes = [row.size for row in pool.map(lambda _: _sign(database, keys, tenant_id), range(8))]
    assert set(sizes) == {11}


def test_a_restored_log_that_cannot_be_signed_leaves_the_head_as_it_was(database, tenant_id, tmp_path):
    own = SigningKeys(tmp_path / "own")
    _sign(database, own, tenant_id)
    head = own.head(tenant_id)
    (own.folder / "0001.pem").rename(tmp_path / "away")
    with pytest.raises(SigningKeyError):
        _sign(database, own, tenant_id, is_restored=True)
    assert own.head(tenant_id) == head


def test_a_log_is_accepted_once_that_is_on_record(database, keys, tenant_id):
    _sign(database, keys, tenant_id)
    head = keys.head(tenant_id)

    def break_off():
        with database.session(tenant_id) as session:
            use_cases.make_checkpoint(session, keys, "bank", is_restored=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert keys.head(tenant_id) == head


def test_a_log_that_is_signed_while_it_is_accepted_is_not_taken_for_the_accepted_one(database, keys, tenant_id):
    _sign(database, keys, tenant_id)

    def overtake():
        _grow(database, tenant_id, 4)
        _sign(database, keys, tenant_id)

    with database.session(tenant_id) as session:
        use_cases.make_checkpoint(session, keys, "bank", is_restored=True)
        overtake()
        with pytest.raises(SigningKeyError, match="once more"):
            session.info.pop("after_commit")[0]()
    assert _signed_size(keys, tenant_id) == 11


@pytest.mark.parametrize("suffix", [".next", ".pem", ".pub"])
def test_a_rotation_that_is_broken_off_loses_no_handover(tmp_path, monkeypatch, suffix):
    """The disk is full, wherever: whichever key signs afterwards, the chain from the first one to it is whole."""
    own = SigningKeys(tmp_path / "own")
    first = own.signer().public.id

    def full(write):
        def attempt(place, content):
            if place.suffix == suffix:
                raise OSError(28, "No space left on device")
            write(place, content)

        return attempt

    with monkeypatch.context() as patch:
        for name in ("write_whole", "replace_whole"):
            patch.setattr(signing, name, full(getattr(signing, name)))
        with pytest.raises(SigningKeyError, match="No space left"):
            own.rotate()
    for _ in range(2):
        chain = own.handovers()
        ids = [first, *(handover.new.id for handover in chain)]
        assert [handover.old.id for handover in chain] == ids[:-1]
        assert own.signer().public.id == ids[-1]
        own.rotate()
    assert len(list(own.folder.glob("*.pem"))) == 1


def test_of_two_rotations_at_once_one_is_refused(tmp_path):
    own = SigningKeys(tmp_path / "own")
    with pytest.raises(SigningKeyError, match="just rotated"):
        _overtaken(own, own.rotate).rotate()
    assert len(own.handovers()) == 1


def test_a_handover_that_is_not_one_is_named(tmp_path):
    own = SigningKeys(tmp_path / "own")
    own.rotate()
    (own.folder / "0002.next").write_text("{}")
    with pytest.raises(SigningKeyError, match=r"0002\.next"):
        own.handovers()


def test_handovers_that_some_logs_lack_are_entered_the_next_time(database, tenant_id, tmp_path, monkeypatch):
    own = SigningKeys(tmp_path / "own")
    own.rotate()
    as_it_is, ours = use_cases.append, [tenant_id]
    monkeypatch.setattr(use_cases.repository, "read_tenants", lambda _: ours)

    def fail(*_):
        raise OSError("the database went away")

    monkeypatch.setattr(use_cases, "append", fail)
    with pytest.raises(OSError, match="went away"):
        use_cases.record_handovers(database, own.handovers(), Author("t"))
    monkeypatch.setattr(use_cases, "append", as_it_is)
    own.rotate()
    for _ in range(2):
        assert use_cases.record_handovers(database, own.handovers(), Author("t")) == 1
        number_all(database)
    rotated = [
        body for body in map(json.loads, bodies_of(database, tenant_id)) if body["action"] == "audit_key.rotated"
    ]
    assert [body["facts"]["new_key_id"] for body in rotated] == [handover.new.id for handover in own.handovers()]
    assert len(rotated) == 2
