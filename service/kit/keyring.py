"""Keys of natural persons: files outside the database, so that a backup of the database is no copy of them.

One secret for the whole installation makes the keyed hashes by which a person's number is found; one key a person
encrypts what is kept of that person. Whoever destroys the key has erased the person from every backup of the database
at once. A destroyed key leaves an empty mark, so that a database restored from before the erasure is erased again.

    <folder>/secret                          32 bytes
    <folder>/<tenant>/<shard>/<person>.key   32 bytes
    <folder>/<tenant>/<shard>/<person>.gone  empty: the key was destroyed

Several processes may share the folder: a secret or a key is written whole, as a draft `<name>.<random>`, and then
linked to its name, or refused where one is there.
"""

import hmac
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.errors import Problem
from service.kit.files import make_folder, overwrite, sync_folder, write_whole

KEY_BYTES = 32
KEY, GONE = ".key", ".gone"
ABANDONED = timedelta(hours=1)
"""Age from which a key that goes with nothing in the database is nobody's: no request takes that long to commit."""


class KeyringError(Problem):
    """The keys of persons cannot be read or written; the message says what to do."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "keyring-unavailable"
    title = "The keys of natural persons cannot be used"


@dataclass(frozen=True)
class Keyring:
    """The keys of one installation.

    Parameters
    ----------
    folder
        Where they are; made, for its owner alone, with the first of them.
    """

    folder: Path

    def has_secret(self) -> bool:
        """Tell whether the installation's secret is there."""
        return (self.folder / "secret").exists()

    def make_secret(self) -> None:
        """Make the installation's secret unless it is there; of several processes at it, one wins."""
        make_folder(self.folder)
        with suppress(FileExistsError):
            write_whole(self.folder / "secret", os.urandom(KEY_BYTES))
        sync_folder(self.folder)

    def fingerprint(self) -> bytes:
        """Return what tells this keyring from others, and nothing about its secret.

        Raises
        ------
        KeyringError
            If the secret is not there.
        """
        return self._derived(b"fingerprint")

    def keyed_hash(self, tenant_id: UUID, text: str) -> bytes:
        """Return a text's keyed hash: the same text has another one at every tenant.

        Raises
        ------
        KeyringError
            If the secret is not there.
        """
        return hmac.digest(self._derived(b"keyed hash/1" + tenant_id.bytes), text.encode(), "sha256")

    def create(self, tenant_id: UUID, subject_id: UUID) -> bytes:
        """Make a person's key; when this returns it is on the disk.

        Raises
        ------
        KeyringError
            If the person has a key, or had one that was destroyed.
        """
        place = self._place(tenant_id, subject_id)
        make_folder(place.parent)
        key = os.urandom(KEY_BYTES)
        if place.with_suffix(GONE).exists():
            raise KeyringError("This person's key was destroyed: the person has been erased.")
        try:
            write_whole(place, key)
        except FileExistsError:
            raise KeyringError("This person has a key already.") from None
        sync_folder(place.parent)
        return key

    def load(self, tenant_id: UUID, subject_id: UUID) -> bytes | None:
        """Return a person's key; None if there is none, or none any more.

        Raises
        ------
        KeyringError
            If the file is not a key.
        """
        return _read(self._place(tenant_id, subject_id))

    def has(self, tenant_id: UUID, subject_id: UUID) -> bool:
        """Tell whether a person's key is there."""
        return self._place(tenant_id, subject_id).exists()

    def destroy(self, tenant_id: UUID, subject_id: UUID) -> bool:
        """Destroy a person's key for good - mark it, overwrite it, remove it - and tell whether it was there."""
        place = self._place(tenant_id, subject_id)
        make_folder(place.parent)
        if not self.is_destroyed(tenant_id, subject_id):
            place.with_suffix(GONE).touch(mode=0o600)
            sync_folder(place.parent)
        is_there = overwrite(place)
        sync_folder(place.parent)
        return is_there

    def discard(self, tenant_id: UUID, subject_id: UUID) -> bool:
        """Destroy a key that is nobody's, without a mark, and tell whether it was there."""
        return overwrite(self._place(tenant_id, subject_id))

    def discard_drafts(self, before: datetime) -> None:
        """Destroy drafts of before an instant: a kill left them."""
        for path in self.folder.glob(f"*/*/*{KEY}.*"):
            if _written_at(path) < before:
                overwrite(path)

    def is_destroyed(self, tenant_id: UUID, subject_id: UUID) -> bool:
        """Tell whether a person's key was destroyed here."""
        return self._place(tenant_id, subject_id).with_suffix(GONE).exists()

    def tenants(self) -> list[UUID]:
        """Return the tenants that have or had keys here."""
        return sorted(UUID(path.name) for path in self.folder.glob("*-*-*-*-*") if path.is_dir())

    def destroyed(self, tenant_id: UUID) -> Iterator[UUID]:
        """Yield the tenant's persons whose keys were destroyed here."""
        return (UUID(path.stem) for path in (self.folder / str(tenant_id)).glob(f"*/*{GONE}"))

    def keys(self, tenant_id: UUID, before: datetime) -> list[UUID]:
        """Return the tenant's subjects whose keys were written before an instant."""
        paths = (self.folder / str(tenant_id)).glob(f"*/*{KEY}")
        return [UUID(path.stem) for path in paths if _written_at(path) < before]

    def _place(self, tenant_id: UUID, subject_id: UUID) -> Path:
        return self.folder / str(tenant_id) / subject_id.hex[:2] / f"{subject_id}{KEY}"

    def _derived(self, purpose: bytes) -> bytes:
        secret = _read(self.folder / "secret")
        if secret is None:
            raise KeyringError(
                "The secret of the keyring (CLUSTERCREDIT_KEYRING_DIR) is not there. Restore it from its own backup."
            )
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"clustercredit " + purpose).derive(secret)


def _read(place: Path) -> bytes | None:
    try:
        key = place.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:
        raise KeyringError(f"A file of the keyring, {place.name}, is damaged. Restore it from the keyring's backup.")
    return key


def _written_at(place: Path) -> datetime:
    """Return when a file was written; the end of time if it is gone."""
    try:
        return datetime.fromtimestamp(place.stat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)
