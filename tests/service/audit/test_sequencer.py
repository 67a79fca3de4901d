"""The sequencer: every committed entry once, in dense numbers, in a tree that is RFC 6962's."""

import json
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.audit import merkle, repository, sequencer, use_cases
from service.audit.sequencer import Sequencer, _new_nodes, number_all, number_pending, sign_due
from service.audit.signing import SigningKeyError, SigningKeys
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock
from service.kit.db import SEQUENCER_ROLE, Database, in_role


@pytest.fixture
def tenant_id(tenant):
    return tenant_id_of(tenant)


@pytest.fixture
def keys(keyring) -> SigningKeys:
    """Return the installation's keys: the daily signer signs other tests' tenants too."""
    return SigningKeys(keyring.folder / "signing")


@pytest.fixture
def own_keys(tmp_path) -> SigningKeys:
    return SigningKeys(tmp_path / "signing")


def _append(database, tenant_id, number=1):
    with database.session(tenant_id) as session:
        return [use_cases.append(session, "test", "s", {"n": n}) for n in range(number)]


def _log(database, tenant_id):
    with database.session(tenant_id) as session:
        return list(repository.stream_entries(session)), use_cases.damaged_nodes(session)


@settings(max_examples=80)
@given(st.lists(st.integers(1, 40), max_size=8))
def test_nodes_are_those_of_the_tree_however_it_grew(batches):
    total = sum(batches)
    leaves = [merkle.leaf_hash(bytes([n % 256, n // 256])) for n in range(total)]
    nodes, size = {}, 0
    for batch in batches:
        parts = merkle.complete_subtrees(merkle.Span(0, size))
        edge = {part: nodes.get(part) or leaves[part.place] for part in parts}
        added = _new_nodes(edge, size, leaves[size : size + batch])
        assert not nodes.keys() & added.keys()
        nodes |= added
        size += batch
    expected = {}
    for level in range(1, total.bit_length()):
        for place in range(total >> level):
            expected[merkle.Subtree(level, place)] = merkle.root(leaves[place << level : (place + 1) << level])
    assert nodes == expected


def test_many_writers_and_two_sequencers(database, tenant_id):
    """Some transactions are rolled back, some are long; two sequencers race. Each committed entry has one number."""
    number_all(database)
    stop, rounds = threading.Event(), []
    committed: list[uuid.UUID] = []

    def write(seed):
        generator = random.Random(seed)
        for _ in range(12):
            with database.session(tenant_id) as session:
                mine = [use_cases.append(session, "test", "s") for _ in range(generator.randrange(1, 4))]
                time.sleep(generator.random() / 50)
                is_undone = generator.random() < 0.3
                if is_undone:
                    session.rollback()
            committed.extend([] if is_undone else mine)

    def number():
        while not stop.is_set():
            rounds.append(number_pending(database))

    with ThreadPoolExecutor(8) as pool:
        sequencers = [pool.submit(number) for _ in range(2)]
        for writer in [pool.submit(write, seed) for seed in range(6)]:
            writer.result()
        stop.set()
        for one in sequencers:
            one.result()
    number_all(database)
    entries, damaged = _log(database, tenant_id)
    assert [number for number, _, _ in entries] == list(range(len(entries)))
    ids = [json.loads(body)["id"] for _, _, body in entries if '"action":"test"' in body]
    assert sorted(ids) == sorted(map(str, committed))
    assert len(set(ids)) == len(ids)
    assert all(leaf == merkle.leaf_hash(body.encode()) for _, leaf, body in entries)
    assert damaged == []
    assert any(rounds)


def test_entries_of_one_round_are_numbered_in_the_order_in_which_they_were_recorded(database, tenant_id, monkeypatch):
    monkeypatch.setattr(sequencer, "AT_ONCE", 7)
    ids = [entry for _ in range(5) for entry in _append(database, tenant_id, 5)]
    number_all(database)
    entries, damaged = _log(database, tenant_id)
    assert [json.loads(body)["id"] for _, _, body in entries][1:] == [str(entry) for entry in ids]
    assert damaged == []


def test_only_one_process_at_a_time_has_the_turn(database, tenant_id):
    _append(database, tenant_id)
    with ThreadPoolExecutor(1) as pool:
        with database.session() as session, in_role(session, SEQUENCER_ROLE):
            assert repository.take_the_turn(session)
            assert number_pending(database) is None
            everything = pool.submit(number_all, database)
            with pytest.raises(TimeoutError):
                everything.result(0.5)
        assert everything.result(60) >= 1


def test_a_round_that_fails_leaves_everything_as_it_was(database, tenant_id, monkeypatch):
    _append(database, tenant_id, 3)

    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(repository, "insert_nodes", fail)
        with pytest.raises(ZeroDivisionError):
            number_pending(database)
    assert _log(database, tenant_id)[0] == []
    number_all(database)
    assert len(_log(database, tenant_id)[0]) == 4


def test_a_damaged_tree_keeps_its_own_entries_waiting_and_nobody_elses(database, tenant_id, keys, client):
    number_all(database)
    with database.session() as session:
        other = create_tenant(session, f"other-{uuid.uuid4().hex}")
    _append(database, tenant_id)
    number_all(database)
    with database.engine.begin() as connection:
        of_tenant = {"tenant": tenant_id}
        kept = connection.execute(text("delete from audit_node where tenant_id = :tenant returning *"), of_tenant).all()
    (entry,) = _append(database, tenant_id)
    _append(database, other)
    number_all(database)
    assert len(_log(database, other)[0]) == 2
    sign_due(database, keys)
    assert (len(_checkpoints(database, other)), len(_checkpoints(database, tenant_id))) == (1, 0)
    with database.session(tenant_id) as session:
        assert session.execute(text("select count(*) from audit_pending")).scalar_one() == 1
        first = json.loads(next(iter(use_cases.export(session))))["body"]["id"]
        with pytest.raises(repository.TreeDamagedError, match="audit verify"):
            use_cases.prove_inclusion(session, uuid.UUID(first), None)
    with database.engine.begin() as connection:
        nodes = [dict(row._mapping) for row in kept]
        connection.execute(text("insert into audit_node values (:tenant_id, :level, :place, :hash)"), nodes)
    number_all(database)
    with database.session(tenant_id) as session:
        assert use_cases.prove_inclusion(session, entry, None) is not None


@pytest.mark.parametrize("damage", ["last entries deleted", "an id that is numbered already"])
def test_damage_that_the_database_refuses_stops_nobody_else(database, damage):
    with database.session() as session:
        hurt, other = (create_tenant(session, f"{name}-{uuid.uuid4().hex}") for name in ("hurt", "other"))
    entries = _append(database, hurt, 7)
    number_all(database)
    of_tenant = {"tenant": hurt, "id": entries[3]}
    with database.engine.begin() as connection:
        if damage == "last entries deleted":
            connection.execute(text("delete from audit_entry where tenant_id = :tenant and number >= 6"), of_tenant)
        else:
            again = "insert into audit_pending select tenant_id, id, recorded_at, actor, subject, body from audit_entry"
            connection.execute(text(f"{again} where tenant_id = :tenant and id = :id"), of_tenant)
    _append(database, hurt, 2)
    _append(database, other)
    number_all(database)
    waiting = sequencer.count_waiting(database)
    assert waiting.entries >= 2
    assert 0 < waiting.seconds < 600
    assert len(_log(database, other)[0]) == 2
    with database.engine.begin() as connection:
        connection.execute(text("delete from audit_pending where tenant_id = :tenant"), of_tenant)


def test_a_thread_outlives_every_error(database, tenant_id, keys, monkeypatch):
    monkeypatch.setattr(sequencer, "POLL_SECONDS", 0.01)
    raised, signed = threading.Event(), threading.Event()

    def fail(*_):
        if raised.is_set():
            signed.set()
            raise IndexError
        raised.set()
        raise ZeroDivisionError

    monkeypatch.setattr(sequencer, "sign_due", fail)
    monkeypatch.setattr(sequencer, "SIGNING_EVERY", timedelta())
    monkeypatch.setattr(repository, "insert_nodes", fail)
    _append(database, tenant_id)
    with Sequencer(database, keys):
        assert signed.wait(20)
        monkeypatch.undo()
        until = time.monotonic() + 20
        while len(_log(database, tenant_id)[0]) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.mark.parametrize(
    "statement",
    ["update audit_entry set body = ''", "delete from audit_entry", "update audit_node set hash = ''",
     "delete from audit_checkpoint", "insert into audit_pending select * from audit_pending", "select * from firm",
     "update audit_pending set body = ''", "select kind from tenant", "delete from tenant"],
)  # fmt: skip
def test_the_sequencers_role_can_do_nothing_else(database, statement):
    with database.engine.connect() as connection:
        connection.execute(text(f"set role {SEQUENCER_ROLE}"))
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text(statement))


def test_a_thread_numbers_within_a_second_and_stops(database, tenant_id, keys):
    with Sequencer(database, keys) as thread:
        (entry,) = _append(database, tenant_id)
        begun = time.monotonic()
        while True:
            with database.session(tenant_id) as session:
                if use_cases.prove_inclusion(session, entry, None) is not None:
                    break
            assert time.monotonic() - begun < 20, "not numbered"
            time.sleep(0.02)
    assert not thread._thread.is_alive()
    _append(database, tenant_id)
    with database.session(tenant_id) as session:
        assert session.execute(text("select count(*) from audit_pending")).scalar_one() == 1


def test_it_goes_on_when_the_database_comes_back(database, tenant_id, own_keys, monkeypatch):
    """Its first connections lead nowhere; then they lead to the database, and a missing key does not stop it."""
    monkeypatch.setattr(sequencer, "POLL_SECONDS", 0.01)
    own_keys.folder.write_text("a file where the folder should be")
    thread = Sequencer(database, own_keys)
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    here, thread._database = thread._database, away
    with thread:
        time.sleep(0.1)
        assert thread._thread.is_alive()
        _append(database, tenant_id)
        thread._database = here
        until = time.monotonic() + 20
        while len(_log(database, tenant_id)[0]) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
    away.dispose()


def _checkpoints(database, tenant_id):
    with database.session(tenant_id) as session:
        return use_cases.list_checkpoints(session, None, None)


def test_entries_that_are_numbered_while_hashes_are_compared_are_no_damage(database, tenant_id, monkeypatch):
    """But a hash of more entries than there are is, whenever it came."""
    read = repository.stream_nodes

    def grow_and_read(session):
        _append(database, tenant_id, 3)
        number_all(database)
        return read(session)

    monkeypatch.setattr(repository, "stream_nodes", grow_and_read)
    for _ in range(3):
        assert _log(database, tenant_id)[1] == []
    with database.engine.begin() as connection:
        too_much = text("insert into audit_node values (:tenant, 9, 7, '')")
        connection.execute(too_much, {"tenant": tenant_id})
    assert _log(database, tenant_id)[1] == [merkle.Subtree(9, 7)]


def test_a_log_that_has_grown_is_signed_once_a_day(database, keys, monkeypatch):
    with database.session() as session:
        tenant_id = create_tenant(session, f"signed-{uuid.uuid4().hex}")
    sign_due(database, keys)
    assert _checkpoints(database, tenant_id) == []
    number_all(database)
    assert sign_due(database, keys) >= 1
    assert sign_due(database, keys) == 0
    (first,) = _checkpoints(database, tenant_id)
    assert first.size == 1
    tomorrow = clock.now() + timedelta(days=1)
    monkeypatch.setattr(clock, "today", lambda: tomorrow.astimezone(clock.CHINA).date())
    sign_due(database, keys)
    assert _checkpoints(database, tenant_id) == [first]
    _append(database, tenant_id)
    number_all(database)
    assert sign_due(database, keys) == 1
    assert [row.size for row in _checkpoints(database, tenant_id)] == [2, 1]


def test_a_key_that_cannot_be_used_is_told(own_keys):
    own_keys.folder.write_text("a file where the folder should be")
    with pytest.raises(SigningKeyError, match="CLUSTERCREDIT_SIGNING_DIR"):
        own_keys.signer()


def test_keys_are_for_their_owner_alone_and_old_ones_stay_public(own_keys):
    first = own_keys.signer().public
    assert own_keys.signer().public == first
    assert {path.name: path.stat().st_mode & 0o777 for path in own_keys.folder.iterdir()} == {
        "0001.pem": 0o600, "0001.pub": 0o600
    }  # fmt: skip
    private = (own_keys.folder / "0001.pem").read_bytes()
    second = own_keys.rotate().new
    assert [key.id for key in own_keys.public_keys()] == [second.id, first.id]
    assert [key.is_current for key in own_keys.public_keys()] == [True, False]
    assert own_keys.signer().public.id == second.id
    assert sorted(path.name for path in own_keys.folder.iterdir()) == [
        "0001.pub", "0002.next", "0002.pem", "0002.pub", "lock"
    ]  # fmt: skip
    assert all(private[28:-26] not in path.read_bytes() for path in own_keys.folder.iterdir())
    (own_keys.folder / "0002.pem").unlink()
    with pytest.raises(SigningKeyError, match="Restore it"):
        own_keys.signer()


def test_processes_that_start_together_make_one_key(keys):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.signer().public.id, range(16)))
    assert len(made) == 1


def test_without_keys_it_numbers_and_signs_nothing(database, tenant_id, own_keys, monkeypatch):
    monkeypatch.setattr(sequencer, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(sequencer, "SIGNING_EVERY", timedelta())
    with Sequencer(database, keys=None):
        _append(database, tenant_id)
        until = time.monotonic() + 20
        while len(_log(database, tenant_id)[0]) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert _checkpoints(database, tenant_id) == []
