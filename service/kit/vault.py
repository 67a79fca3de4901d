"""Files in the database that a key outside it opens: destroying the key destroys the file in every backup at once."""

import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.kit.keyring import Keyring, KeyringError

PART_BYTES = 1 << 20
_NONCE = 12


class Vault:
    """The sealed files of one purpose, each under a key of its own.

    Parameters
    ----------
    keyring
        Beside whose keys theirs are kept.
    name
        Of the purpose: the keys' folder.
    """

    def __init__(self, keyring: Keyring, name: str) -> None:
        self.keys = Keyring(keyring.folder / name)

    def seal(self, tenant_id: UUID, file_id: UUID, content: bytes) -> Iterator[bytes]:
        """Yield a file's parts, encrypted under a new key."""
        seal = AESGCM(self.keys.create(tenant_id, file_id))
        for number, start in enumerate(range(0, len(content), PART_BYTES)):
            nonce = os.urandom(_NONCE)
            yield nonce + seal.encrypt(nonce, content[start : start + PART_BYTES], str(number).encode())

    def open(self, tenant_id: UUID, file_id: UUID, parts: Iterable[bytes]) -> BytesIO | None:
        """Return a file, in memory alone; None if its key is not in this process's keyring.

        Raises
        ------
        KeyringError
            If the key does not open the parts: one of the two is damaged, or another's.
        """
        key = self.keys.load(tenant_id, file_id)
        if key is None:
            return None
        seal = AESGCM(key)
        opened = (seal.decrypt(p[:_NONCE], p[_NONCE:], str(number).encode()) for number, p in enumerate(parts))
        try:
            return BytesIO(b"".join(opened))
        except (InvalidTag, ValueError):
            raise KeyringError(
                "The file is damaged in the database, or its key in the keyring is another's. Restore what is damaged"
                " from its backup, or send the file again."
            ) from None

    def forget(self, tenant_id: UUID, file_id: UUID) -> None:
        """Destroy the key of a file, if it is there."""
        self.keys.discard(tenant_id, file_id)
