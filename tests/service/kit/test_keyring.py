import os
import stat
import uuid
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest

from service.kit.keyring import Keyring, KeyringError

TENANT, PERSON = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def keyring(tmp_path):
    keyring = Keyring(tmp_path / "local" / "keyring")
    keyring.make_secret()
    return keyring


def _files(keyring):
    return sorted(path for path in keyring.folder.rglob("*") if path.is_file())


def _secret_of(folder):
    keyring = Keyring(folder)
    keyring.make_secret()
    return keyring.fingerprint()


def test_everything_is_its_owners_alone(keyring):
    keyring.create(TENANT, PERSON)
    keyring.destroy(TENANT, uuid.uuid4())
    for path in (keyring.folder, *keyring.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_secret_is_made_once_by_however_many(tmp_path):
    folder = tmp_path / "keyring"
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        assert len(set(pool.map(_secret_of, [folder] * 8))) == 1
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert (folder / "secret").stat().st_size == 32


def test_a_keyed_hash_is_of_one_tenant_and_one_keyring(keyring, tmp_path):
    other = Keyring(tmp_path / "other")
    other.make_secret()
    hashes = {
        keyring.keyed_hash(TENANT, "a"),
        keyring.keyed_hash(TENANT, "b"),
        keyring.keyed_hash(PERSON, "a"),
        other.keyed_hash(TENANT, "a"),
        keyring.fingerprint(),
        other.fingerprint(),
    }
    assert len(hashes) == 6
    assert keyring.keyed_hash(TENANT, "a") == Keyring(keyring.folder).keyed_hash(TENANT, "a")


def test_without_its_secret_a_keyring_refuses(tmp_path):
    keyring = Keyring(tmp_path / "nothing")
    assert not keyring.has_secret()
    with pytest.raises(KeyringError, match="Restore it"):
        keyring.fingerprint()
    with pytest.raises(KeyringError, match="Restore it"):
        keyring.keyed_hash(TENANT, "a")
    assert not keyring.folder.exists()


def test_a_damaged_key_is_no_key(keyring):
    keyring.create(TENANT, PERSON)
    _files(keyring)[0].write_bytes(b"short")
    with pytest.raises(KeyringError, match="damaged"):
        keyring.load(TENANT, PERSON)


def test_a_persons_key_is_made_once(keyring):
    key = keyring.create(TENANT, PERSON)
    assert len(key) == 32
    assert keyring.load(TENANT, PERSON) == key
    assert keyring.load(PERSON, PERSON) is None
    with pytest.raises(KeyringError, match="already"):
        keyring.create(TENANT, PERSON)
    assert keyring.load(TENANT, PERSON) == key
    assert keyring.create(TENANT, uuid.uuid4()) != key


def test_a_destroyed_key_is_gone_and_stays_so(keyring):
    key = keyring.create(TENANT, PERSON)
    assert keyring.destroy(TENANT, PERSON) is True
    assert keyring.destroy(TENANT, PERSON) is False
    assert keyring.load(TENANT, PERSON) is None
    assert keyring.is_destroyed(TENANT, PERSON)
    assert list(keyring.destroyed(TENANT)) == [PERSON]
    assert keyring.tenants() == [TENANT]
    assert all(key not in path.read_bytes() for path in _files(keyring))
    with pytest.raises(KeyringError, match="destroyed"):
        keyring.create(TENANT, PERSON)


def test_its_bytes_are_overwritten_before_the_file_goes(keyring, tmp_path):
    keyring.create(TENANT, PERSON)
    place = next(path for path in _files(keyring) if path.suffix == ".key")
    (tmp_path / "other name").hardlink_to(place)
    keyring.destroy(TENANT, PERSON)
    assert not place.exists()
    assert (tmp_path / "other name").read_bytes() == bytes(32)


def test_a_key_is_whole_or_not_there(keyring, monkeypatch):
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:7]))
        with pytest.raises(OSError, match="Only a part"):
            keyring.create(TENANT, PERSON)
    assert keyring.load(TENANT, PERSON) is None
    assert [path.name for path in _files(keyring)] == ["secret"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _break_off)
        with pytest.raises(InterruptedError):
            keyring.create(TENANT, PERSON)
    assert keyring.load(TENANT, PERSON) is None
    assert len(keyring.create(TENANT, PERSON)) == 32


def _break_off(*_):
    raise InterruptedError


def test_drafts_that_a_kill_left_are_overwritten(keyring):
    key = keyring.create(TENANT, PERSON)
    place = _files(keyring)[0]
    draft = place.with_name(f"{place.name}.0011223344556677")
    draft.hardlink_to(place)
    at = datetime.now(UTC)
    keyring.discard_drafts(at - timedelta(hours=1))
    assert draft.read_bytes() == key
    keyring.destroy(TENANT, PERSON)
    assert draft.read_bytes() == bytes(32)
    keyring.discard_drafts(at + timedelta(hours=1))
    assert not draft.exists()
