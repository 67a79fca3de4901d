"""What is kept of a person, encrypted under the person's own key and bound to the person's row."""

import json
import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.kit.keyring import KeyringError

_NONCE = 12


@dataclass(frozen=True)
class Identity:
    """A document's number and a name. Neither shows where the object is printed."""

    number: str
    name: str

    def __repr__(self) -> str:
        """Show nothing."""
        return "Identity(...)"


def seal(key: bytes, tenant_id: UUID, person_id: UUID, identity: Identity) -> bytes:
    """Encrypt with AES-256-GCM; the result opens for this person of this tenant alone.

    Examples
    --------
    >>> key, whose = bytes(32), (UUID(int=1), UUID(int=2))
    >>> unseal(key, *whose, seal(key, *whose, Identity("E12345678", "Ada"))).name
    'Ada'
    """
    nonce = os.urandom(_NONCE)
    plain = json.dumps([identity.number, identity.name]).encode()
    return nonce + AESGCM(key).encrypt(nonce, plain, tenant_id.bytes + person_id.bytes)


def unseal(key: bytes, tenant_id: UUID, person_id: UUID, sealed: bytes) -> Identity:
    """Decrypt.

    Raises
    ------
    KeyringError
        If the key is another's, or the text was changed.
    """
    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], tenant_id.bytes + person_id.bytes)
    except InvalidTag:
        raise KeyringError(f"The key of person {person_id} does not open what the database has.") from None
    number, name = json.loads(plain)
    return Identity(number, name)
