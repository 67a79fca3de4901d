"""Promise 19: a person's number is never on the disk, and erasure is real."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from datetime import date
from functools import partial

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from http_client import Client
from sqlalchemy import insert, text

from service.app import create_app
from service.audit import use_cases as audit
from service.audit import verify_audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.firms import use_cases as firms_use_cases
from service.firms.use_cases import read_inputs
from service.identity.use_cases import tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from service.kit import clock
from service.kit.db import Author, Database, after_commit
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.keyring import Keyring, KeyringError
from service.people import repository, use_cases
from service.people.tables import Person
from service.people.use_cases import PURGED, Swept, sweep
from service.retention.use_cases import settle_restored
from service.scoring.use_cases import context_of
from service.settings import Settings
from tests.service.people.house import BANK, PRODUCT, built, logging_to
from tests.service.people.invented_ids import national_id
from tests.service.people.traces import forms, found, hash_forms, text_forms

ERASE = """
import sys, time, uuid
from pathlib import Path
from service.kit.db import Database
from service.kit.keyring import Keyring
from service.people import use_cases

def never(*_):
    print("committed", flush=True)
    time.sleep(60)
use_cases.finish_erasures = never
with Database(sys.argv[1]).session(uuid.UUID(sys.argv[3])) as session:
    use_cases.erase(session, Keyring(Path(sys.argv[2])), uuid.UUID(sys.argv[4]))
"""
ERASE_ALL = """
import sys, uuid
from pathlib import Path
from service.kit.db import Database
from service.kit.keyring import Keyring
from service.people import use_cases

database, keyring, tenant = Database(sys.argv[1]), Keyring(Path(sys.argv[2])), uuid.UUID(sys.argv[3])
print("ready", flush=True)
for person in sys.argv[4:]:
    with database.session(tenant) as session:
        use_cases.erase(session, keyring, uuid.UUID(person))
"""


@pytest.fixture
def house(server, empty_database, tmp_path):
    """Return a house on the tests' server, with a database of its own."""
    with logging_to(tmp_path):
        yield built(server, empty_database, tmp_path)


@pytest.fixture
def own_house(tmp_path):
    """Return a house whose server has nothing else on its disk."""
    server = EmbeddedPostgres(tmp_path / "local")
    database = Database(server.start())
    with logging_to(tmp_path):
        yield built(server, database, tmp_path)
    database.dispose()
    server.stop()
    shutil.rmtree(server.home)


def _command(house, code, *arguments):
    return [sys.executable, "-c", code, house.url, house.keyring.folder, str(house.tenant_id), *arguments]


def _row(database, person_id):
    with database.session(tenant_id_of(BANK)) as session:
        return repository.find_person(session, uuid.UUID(person_id))


def _key_files(house, person_id):
    return list(house.keyring.folder.rglob(f"{person_id}.key"))


def _go_wrong(house, firm_id, number, monkeypatch):
    """Send what fails: at a check, in the database, and in the code; with the number wherever it can be put."""
    person = {"id_kind": "national_id", "number": number, "name": "张伟", "role": "owner"}
    officer = house.officer
    wrong = [
        officer.post(f"/v1/firms/{firm_id}/people", {**person, "role": "king", number: number}),
        officer.post(f"/v1/firms/{firm_id}/people", {**person, "number": int(number[:17])}),
        officer.post(f"/v1/firms/{firm_id}/people", {**person, "id_kind": number}),
        officer.post(f"/v1/firms/{number}/people", person),
        officer.post(f"/v1/firms/{uuid.uuid4()}/people", person),
        officer.post(f"/v1/firms/{firm_id}/people", person, key=number),
        officer.post("/v1/firms", {"key": number, "name": number, "observed_on": "2024-01-31"}),
        officer.post(f"/v1/people/{number}/{number}", person),
        officer.get(f"/v1/people/{number}", number=number),
        officer.get(f"/{number}"),
        officer.send("POST", "/v1/search/people", content=f'{{"number": "{number}",'.encode()),
        Client(officer.app, number).get("/v1/me"),
    ]
    assert all(400 <= answer.status_code < 500 for answer in wrong), [answer.status_code for answer in wrong]

    def twice(session, made):
        session.execute(insert(Person).values(made.model_dump()))
        session.execute(insert(Person).values({**made.model_dump(), "id": uuid.uuid4()}))

    monkeypatch.setattr(repository, "add_person", twice)
    other = {**person, "number": national_id(999)}
    assert officer.post(f"/v1/firms/{firm_id}/people", other).status_code == 500


def _export(house):
    """Write what the command line writes: the matrix of features, the context and a score."""
    day = clock.today()
    with house.database.session(house.tenant_id) as session:
        inputs = read_inputs(session, day)
        for name, frame in inputs.frames().items():
            frame.write_csv(house.exports / f"{name}.csv")
            frame.write_parquet(house.exports / f"{name}.parquet", compression="uncompressed")
        (house.exports / "context.txt").write_text(str(context_of(session, day)))


def _score(house, firm_id):
    answer = house.officer.post("/v1/scores", {"firm_id": firm_id, "product": PRODUCT, "as_of": "2024-06-30"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_number_is_never_on_the_disk_and_its_hash_goes_with_erasure(own_house, monkeypatch, tmp_path):
    house, numbers = own_house, [national_id(serial) for serial in (11, 12)]
    firm_id = house.add_firm("E1")
    erased, kept = (house.add_person(firm_id, number, key=f"key-{n}") for n, number in enumerate(numbers))
    house.add_person(firm_id, numbers[0], key="key-0")
    search = {"id_kind": "national_id", "number": numbers[0]}
    assert house.officer.post("/v1/search/people", search, key=None).json()["items"][0]["id"] == erased["id"]
    with monkeypatch.context() as patch:
        _go_wrong(house, firm_id, numbers[0], patch)
    refused = house.keyring.keyed_hash(house.tenant_id, f"national_id\n{national_id(999)}")
    before = _score(house, firm_id)
    house.database.analyze()
    _export(house)
    macs = [_row(house.database, person["id"]).id_mac for person in (erased, kept)]
    logged = [name for name, _ in found([macs[0]], house.server.home) if name.startswith("data/pg_wal/")]
    house.server.psql("checkpoint")
    (tmp_path / "backups").mkdir()
    backup = house.dump(tmp_path / "backups" / "backup")

    plain = [form for number in numbers for form in forms(number)]
    assert found(plain, *house.disk) == []
    assert "duplicate key value" in (house.server.home / "server.log").read_text()
    assert '"event": "unexpected"' in house.log.read_text()
    assert "[SQL parameters hidden" in house.log.read_text()
    where = {name.split("/")[1] for name, _ in found([macs[0]], house.server.home) if name.startswith("data/")}
    assert logged
    assert "base" in where
    assert found(plain, backup.parent) == []
    assert all(found(hash_forms(mac), backup.parent) for mac in macs)
    hashes = [form for mac in (*macs, refused) for form in hash_forms(mac)]
    assert found(hashes, house.log.parent, house.exports, house.keyring.folder) == []
    assert not any(name == "server.log" for name, _ in found(hashes, house.server.home))
    sealed, observations = _row(house.database, erased["id"]).sealed, _observations(house)

    house.erase(erased["id"])
    assert _key_files(house, erased["id"]) == []
    assert len(_key_files(house, kept["id"])) == 1
    assert house.officer.post("/v1/search/people", search, key=None).json() == {"items": []}
    house.database.analyze()
    assert house.database.rewrite(*PURGED)
    assert found([*plain, *hash_forms(macs[0])], *house.disk) == []
    assert found([macs[1]], house.server.home / "data" / "base") != []
    house.dump(house.exports / "dump")
    assert found([*plain, *hash_forms(macs[0])], house.exports) == []
    assert found(hash_forms(macs[1]), house.exports) != []

    assert before["features"]["owner_yrs"] is not None
    assert house.officer.get(f"/v1/scores/{before['id']}").json() == before
    assert _observations(house) == observations
    _check_backup(house, backup, erased, kept, sealed)


def _observations(house):
    query = text("select person_id, content_sha256, ingested_at from person_observation order by content_sha256")
    with house.database.session(house.tenant_id) as session:
        return session.execute(query).all()


def _check_backup(house, backup, erased, kept, sealed):
    """A backup of before the erasure opens with no key that is left, and is erased again once it is served."""
    restored = house.restore(backup, "restored")
    assert _row(restored, erased["id"]).sealed == sealed
    for path in house.keyring.folder.rglob("*"):
        if path.is_file() and path.stat().st_size == 32:
            with pytest.raises(InvalidTag):
                AESGCM(path.read_bytes()).decrypt(
                    sealed[:12], sealed[12:], house.tenant_id.bytes + uuid.UUID(erased["id"]).bytes
                )
    client = house.client_of(restored)
    shown = client.get(f"/v1/people/{erased['id']}").json()
    assert (shown["number"], shown["name"]) == (None, None)
    assert client.get(f"/v1/people/{kept['id']}").json()["number"] == kept["number"]
    assert sweep(restored, house.keyring) == Swept(keys=0, persons=1)
    row = _row(restored, erased["id"])
    assert (row.id_mac, row.sealed) == (None, None)
    assert _row(restored, kept["id"]).sealed is not None
    restored.dispose()


def test_what_is_looked_for_would_be_found(tmp_path):
    number = national_id(7)
    for count, form in enumerate(forms(number)):
        (tmp_path / str(count)).write_bytes(b"...." + form + b"....")
    assert {name for name, _ in found(forms(number), tmp_path)} == {str(n) for n in range(len(forms(number)))}


def test_a_kill_between_commit_and_destruction_is_finished_by_a_sweep(house):
    firm_id = house.add_firm("E1")
    persons = [house.add_person(firm_id, national_id(serial)) for serial in range(3)]
    for person in persons[:2]:
        child = subprocess.Popen(_command(house, ERASE, person["id"]), stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline().strip() == "committed"
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
        row = _row(house.database, person["id"])
        assert (row.id_mac, row.sealed, row.key_destroyed_at) == (None, None, None)
        assert len(_key_files(house, person["id"])) == 1
    assert sweep(house.database, house.keyring) == Swept(keys=2, persons=0)
    assert [len(_key_files(house, person["id"])) for person in persons] == [0, 0, 1]
    assert _row(house.database, persons[0]["id"]).key_destroyed_at is not None
    assert sweep(house.database, house.keyring) == Swept(keys=0, persons=0)


@pytest.mark.parametrize("is_made", [False, True])
def test_a_keyring_that_is_not_the_databases_erases_nobody(house, tmp_path, is_made):
    first, second = (house.add_person(house.add_firm(key), national_id(n)) for n, key in enumerate(("E1", "E2")))
    other = Keyring(tmp_path / "other")
    if is_made:
        other.make_secret()
    lost = Client(create_app(Settings(keyring_dir=other.folder), house.database), house.manager.token)
    with pytest.raises(KeyringError), house.database.session(house.tenant_id) as session:
        use_cases.erase(session, other, uuid.UUID(first["id"]))
    answer = lost.send("DELETE", f"/v1/people/{second['id']}", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:clustercredit:keyring-unavailable")
    with pytest.raises(KeyringError), house.database.session(house.tenant_id) as session:
        after_commit(session, partial(use_cases.finish_erasures, session, other))
    for person in (first, second):
        row = _row(house.database, person["id"])
        assert (row.erased_at, row.key_destroyed_at) == (None, None)
        assert len(_key_files(house, person["id"])) == 1
        house.erase(person["id"])
        assert _row(house.database, person["id"]).key_destroyed_at is not None
        assert _key_files(house, person["id"]) == []


def test_what_fails_after_the_erasure_is_committed_is_not_called_undone(house):
    firm_id = house.add_firm("E1")
    failing = "create or replace function fail() returns trigger language plpgsql as"
    failing += " $$ begin raise 'x' using errcode='{}'; end $$"
    when = "before update on person for each row when (new.key_destroyed_at is not null) execute function fail()"
    for number, (state, status) in enumerate({"53100": 507, "22023": 500}.items()):
        person = house.add_person(firm_id, national_id(number))["id"]
        with house.database.engine.begin() as connection:
            connection.execute(text(failing.format(state)))
            connection.execute(text(f"create trigger fail {when}"))
        answer = house.manager.send("DELETE", f"/v1/people/{person}", headers={"If-Match": '"1"'})
        assert answer.status_code == status
        assert answer.json()["detail"].startswith("What was asked for is done and stays so")
        assert _row(house.database, person).erased_at is not None
        with house.database.engine.begin() as connection:
            connection.execute(text("drop trigger fail on person"))
        house.erase(person)
        assert _row(house.database, person).key_destroyed_at is not None


def _used(house, day):
    with house.database.session(house.tenant_id) as session:
        known = read_inputs(session, day)
    return known.persons["person_id"].to_list(), known.personal_records["person_id"].to_list()


def test_nothing_about_an_erased_person_is_used_any_more(house):
    firms = [house.add_firm(key) for key in ("E1", "E2")]
    person, other = (house.add_person(firms[0], national_id(serial)) for serial in (1, 2))
    house.add_person(firms[1], national_id(1))
    bureau = {"scope": "bureau", "is_given": True, "observed_on": "2024-02-01"}
    record = {"record": "late_payment", "days_past_due": 300, "observed_on": "2022-01-01"}
    for firm_id in firms:
        for what, body in (("consents", bureau), ("records", record)):
            made = house.officer.post(f"/v1/people/{person['id']}/{what}", {**body, "firm_id": firm_id})
            assert made.is_success, made.text
    before = _score(house, firms[0])
    owners, records = _used(house, clock.today())
    assert (sorted(owners), records) == (sorted([person["id"]] * 2 + [other["id"]]), [person["id"]] * 2)
    house.erase(person["id"])
    for day in (clock.today(), date(2024, 6, 30)):
        assert _used(house, day) == ([other["id"]], [])
    assert house.officer.get(f"/v1/scores/{before['id']}").json() == before
    newest = house.officer.get(f"/v1/people/{person['id']}/consents").json()["items"][-4:]
    assert {(row["firm_id"], row["scope"], row["is_given"], row["observed_on"]) for row in newest} == {
        (firm_id, scope, False, str(clock.today())) for firm_id in firms for scope in ("owner_data", "bureau")
    }


def test_the_audit_log_holds_nothing_personal_and_still_verifies(house, tmp_path):
    firm_id, number = house.add_firm("E1"), national_id(1)
    person = house.add_person(firm_id, number)
    assert house.officer.post("/v1/search/people", {"id_kind": "national_id", "number": number}, key=None).is_success
    mac, keys = _row(house.database, person["id"]).id_mac, SigningKeys(tmp_path / "signing")
    number_all(house.database)
    with house.database.session(house.tenant_id) as session:
        signed = audit.sign_checkpoint(session, keys, house.tenant_id, BANK)
        kept = audit.checkpoint_file(session, signed, with_leaves=True)
    house.erase(person["id"])
    number_all(house.database)
    with house.database.session(house.tenant_id) as session:
        exported = list(audit.export(session))
    checkpoint = verify_audit.read_checkpoint(kept, {signed.key_id})
    assert verify_audit.verify(exported, [checkpoint]).finding is None
    text = b"".join(exported)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "log.ndjson").write_bytes(text)
    assert found([*forms(number), *hash_forms(mac), "张伟".encode()], tmp_path / "audit") == []
    for action in ("person.inserted", "person.looked_up", "person.updated"):
        assert f'"action":"{action}"'.encode() in text
    assert text.count(f'"subject":"person:{person["id"]}"'.encode()) >= 3


def test_an_erasure_that_a_sweep_repeats_ends_the_use_too(house, tmp_path):
    person = house.add_person(house.add_firm("E1"), national_id(1))
    restored = house.restore(house.dump(tmp_path / "backup"), f"restored_{house.url.rsplit('/', 1)[-1].split('?')[0]}")
    house.erase(person["id"])
    try:
        assert sweep(restored, house.keyring).persons == 1
        with restored.session(house.tenant_id) as session:
            assert read_inputs(session, clock.today()).persons.is_empty()
    finally:
        name = restored.engine.url.database
        restored.dispose()
        house.server.psql(f"drop database {name} with (force)", "postgres")


def test_a_late_retry_does_not_enter_an_erased_person_anew_after_a_restore(house, tmp_path):
    """Whether the keyring is at hand, so that a sweep erases the person again, or not yet."""
    firm = house.add_firm("E1")
    erased, kept = (house.add_person(firm, national_id(number), key=f"once-{number}") for number in (1, 2))
    restored = house.restore(house.dump(tmp_path / "backup"), f"restored_{house.url.rsplit('/', 1)[-1].split('?')[0]}")
    house.erase(erased["id"])
    try:
        settle_restored(restored, "0" * 64, clock.now(), Author("cli:tester"))
        officer = Client(create_app(house.officer.app.state.settings, restored), house.officer.token)
        for is_swept in (False, True):
            if is_swept:
                assert sweep(restored, house.keyring).persons == 1
            for number in (1, 2):
                person = {"id_kind": "national_id", "number": national_id(number), "name": "张伟", "role": "owner"}
                person |= {"trade_since": "2001-01-01", "observed_on": "2024-01-31"}
                again = officer.post(f"/v1/firms/{firm}/people", person, key=f"once-{number}")
                assert (again.status_code, "restored" in again.json()["detail"]) == (409, True)
        with restored.session(house.tenant_id) as session:
            assert repository.read_ids(session) == {uuid.UUID(person["id"]) for person in (erased, kept)}
            assert repository.read_erased(session) == [uuid.UUID(erased["id"])]
    finally:
        name = restored.engine.url.database
        restored.dispose()
        house.server.psql(f"drop database {name} with (force)", "postgres")


IMPORTED = {
    "person": ("firm_id,observed_on,person_id,role", "E1,2024-05-01,{},manager"),
    "consent": (
        "firm_id,observed_on,person_id,scope,purpose,is_given",
        "E1,2024-05-01,{},bureau,credit_assessment,true",
    ),
    "personal_record": ("firm_id,observed_on,person_id,record,days_past_due", "E1,2024-05-01,{},late_payment,9"),
}


@pytest.mark.parametrize("kind", IMPORTED)
def test_rows_about_an_erased_person_are_not_imported(house, tmp_path, kind):
    firm_id = house.add_firm("E1")
    person, other = (house.add_person(firm_id, national_id(serial)) for serial in (1, 2))
    house.erase(person["id"])
    header, row = IMPORTED[kind]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([header, *(row.format(name) for name in (person["id"], other["id"], "P1"))]))
    with house.database.session(house.tenant_id) as session:
        summary = import_source(session, kind, path, Options(today=clock.today()))
    assert summary.added == 2
    assert summary.rejects.select("line", "column").rows() == [(2, "person_id")]
    assert "has been erased" in summary.rejects["reason"].item()


def test_a_withdrawal_of_an_erased_persons_is_imported(house, tmp_path):
    person = house.add_person(house.add_firm("E1"), national_id(1))
    house.erase(person["id"])
    header, row = IMPORTED["consent"]
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n{row.format(person['id']).replace('true', 'false')}\n")
    with house.database.session(house.tenant_id) as session:
        assert import_source(session, "consent", path, Options(today=clock.today())).added == 1


def test_keys_that_no_row_names_are_swept_after_an_hour(house, monkeypatch):
    firm_id = house.add_firm("E1")
    person = house.add_person(firm_id, national_id(1))

    def fail(*_):
        raise RuntimeError

    body = {"id_kind": "national_id", "number": national_id(2), "name": "张伟", "role": "owner"}
    with monkeypatch.context() as patch:
        patch.setattr(firms_use_cases, "observe_person", fail)
        for _ in range(3):
            assert house.officer.post(f"/v1/firms/{firm_id}/people", body).status_code == 500
    keys = list(house.keyring.folder.rglob("*.key"))
    assert len(keys) == 4
    assert sweep(house.database, house.keyring, with_orphans=True) == Swept(0, 0)
    for path in keys:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert sweep(house.database, house.keyring) == Swept(0, 0)
    assert sweep(house.database, house.keyring, with_orphans=True) == Swept(0, 0, orphans=3)
    assert list(house.keyring.folder.rglob("*.key")) == _key_files(house, person["id"])
    assert house.officer.get(f"/v1/people/{person['id']}").json()["number"] == person["number"]


def test_a_request_that_is_rolled_back_bricks_nobody(house, monkeypatch):
    """A key is made anew and the row that it seals is rolled back: the person is entered again all the same."""
    firm_id = house.add_firm("E1")
    person, other = (house.add_person(firm_id, national_id(serial)) for serial in (1, 2))
    _key_files(house, person["id"])[0].unlink()

    def fail(*_):
        raise RuntimeError

    body = {"id_kind": "national_id", "number": national_id(1), "name": "张伟", "role": "owner"}
    with monkeypatch.context() as patch:
        patch.setattr(firms_use_cases, "observe_person", fail)
        assert house.officer.post(f"/v1/firms/{firm_id}/people", body).status_code == 500
    people = house.officer.get(f"/v1/firms/{firm_id}/people").json()["items"]
    shown = {item["id"]: (item["number"], item["name"]) for item in people}
    assert shown == {person["id"]: (None, None), other["id"]: (other["number"], "张**")}
    again = house.officer.post(f"/v1/firms/{firm_id}/people", body)
    assert again.status_code == 201, again.text
    assert (again.json()["id"], again.json()["number"]) == (person["id"], person["number"])


def test_a_later_erasure_finishes_one_that_broke_off(house, monkeypatch):
    firm_id = house.add_firm("E1")
    first, second = (house.add_person(firm_id, national_id(serial)) for serial in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(use_cases, "finish_erasures", lambda *_: None)
        house.erase(first["id"])
    assert len(_key_files(house, first["id"])) == 1
    house.erase(second["id"])
    assert _key_files(house, first["id"]) == _key_files(house, second["id"]) == []


def test_a_key_that_cannot_be_destroyed_is_told_and_tried_again(house, monkeypatch):
    person = house.add_person(house.add_firm("E1"), national_id(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "destroy", full)
        answer = house.manager.send("DELETE", f"/v1/people/{person['id']}", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:clustercredit:keyring-unavailable")
    assert "No space left" in answer.json()["detail"]
    assert _row(house.database, person["id"]).id_mac is None
    house.erase(person["id"])
    assert _key_files(house, person["id"]) == []


def test_a_restored_keyring_gets_its_keys_destroyed_again(house, tmp_path):
    person = house.add_person(house.add_firm("E1"), national_id(1))
    subprocess.run(["cp", "-a", house.keyring.folder, tmp_path / "copy"], check=True)
    house.erase(person["id"])
    old = Keyring(tmp_path / "copy")
    assert old.load(house.tenant_id, uuid.UUID(person["id"])) is not None
    assert sweep(house.database, old) == Swept(keys=1, persons=0)
    assert old.load(house.tenant_id, uuid.UUID(person["id"])) is None


def test_a_keyring_that_is_missing_or_another_is_refused(house, tmp_path):
    firm_id = house.add_firm("E1")
    person = house.add_person(firm_id, national_id(1))
    other = Keyring(tmp_path / "other")
    for _ in range(2):
        with pytest.raises(KeyringError, match="CLUSTERCREDIT_KEYRING_DIR"):
            sweep(house.database, other)
        app = create_app(Settings(keyring_dir=other.folder), house.database)
        lost = Client(app, house.officer.token)
        body = {"id_kind": "national_id", "number": national_id(1)}
        entered = {**body, "name": "张伟", "role": "owner"}
        answers = [
            lost.get(f"/v1/people/{person['id']}"),
            lost.post("/v1/search/people", body, key=None),
            lost.post(f"/v1/firms/{firm_id}/people", entered),
        ]
        assert {answer.status_code for answer in answers} == {503}
        assert other.has_secret() == other.folder.exists()
        other.make_secret()


def test_a_key_that_was_lost_is_made_anew_when_the_number_is_at_hand(house):
    firm_id = house.add_firm("E1")
    person = house.add_person(firm_id, national_id(1))
    _key_files(house, person["id"])[0].unlink()
    assert house.officer.get(f"/v1/people/{person['id']}").json()["number"] is None
    again = house.add_person(firm_id, national_id(1))
    assert (again["id"], again["number"]) == (person["id"], person["number"])


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_hundreds_of_persons_and_random_kills(own_house):
    """The full form: 300 persons, 200 of them erased by processes that are killed at random."""
    house, generator = own_house, random.Random(19)
    firms = [house.add_firm(f"E{n}") for n in range(10)]
    numbers = {}
    for serial in range(300):
        number = national_id(serial, born=f"19{60 + serial % 40}0{1 + serial % 9}{10 + serial % 18}")
        numbers[house.add_person(firms[serial % 10], number)["id"]] = number
    macs = {person_id: _row(house.database, person_id).id_mac for person_id in numbers}
    victims = list(numbers)[:200]
    kills = 0
    while left := [person for person in victims if _row(house.database, person).erased_at is None]:
        child = subprocess.Popen(_command(house, ERASE_ALL, *left), stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline().strip() == "ready"
        time.sleep(generator.uniform(0.1, 0.6))
        kills += child.poll() is None
        child.kill()
        child.wait(10)
        child.stdout.close()
    assert kills >= 5
    sweep(house.database, house.keyring)
    assert house.database.rewrite(*PURGED)
    for person_id in numbers:
        shown = house.officer.get(f"/v1/people/{person_id}").json()
        is_victim = person_id in victims
        assert (shown["number"] is None) == is_victim
        assert _key_files(house, person_id) == [] if is_victim else len(_key_files(house, person_id)) == 1
    patterns = [form for number in numbers.values() for form in text_forms(number)]
    assert _grep(patterns, house.disk) == ""
    assert found([macs[person_id] for person_id in victims], *house.disk) == []
    assert found([macs[list(numbers)[-1]]], house.server.home) != []


def _grep(patterns, folders):
    command = ["grep", "-rlaF", "-f", "-", *folders]
    done = subprocess.run(command, input=b"\n".join(patterns), capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.decode()
