"""Keys that sign checkpoints: Ed25519, on the disk, never in the database.

Who can write to the database must not be able to sign what is then in it.

    <folder>/0001.pub    raw public key, kept for ever: old checkpoints stay verifiable
    <folder>/0002.pem    the key in use, PKCS 8, for its owner alone
    <folder>/0002.next   that it takes over, signed by the key before
    <folder>/<id>.head   the checkpoint that was signed last of an organisation's log, which the next must continue
    <folder>/lock        held while one of these is replaced

The key of the highest number signs. Turning it makes the next one and destroys the private half of the last. The last
one's word for the next is there before the next is: a key without it would be anybody's.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from service.errors import Problem
from service.kit import clock
from service.kit.files import locked, make_folder, overwrite, replace_whole, sync_folder, write_whole

_NAME = re.compile(r"[0-9]{4}")
_PUBLIC_BYTES = 32
PRIVATE, PUBLIC, HANDOVER = ".pem", ".pub", ".next"


class SigningKeyError(Problem):
    """The signing keys cannot be read or written; the message says what to do."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "signing-key-unavailable"
    title = "The keys that sign the audit log cannot be used"


@dataclass(frozen=True)
class PublicKey:
    """What verifies signatures of a key.

    Attributes
    ----------
    raw
        The 32 bytes of RFC 8032.
    is_current
        Whether it is the one that signs now.
    """

    raw: bytes
    is_current: bool

    @cached_property
    def id(self) -> str:
        """SHA-256 of the raw key, in hexadecimal: whoever notes it needs not trust who hands the key over."""
        return sha256(self.raw).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A key that signs, and its public half."""

    public: PublicKey
    _key: Ed25519PrivateKey

    def sign(self, text: bytes) -> bytes:
        """Return the 64 bytes of a text's signature."""
        return self._key.sign(text)


@dataclass(frozen=True)
class Handover:
    """What the last key signs when the next one takes over: that it is the next one.

    Attributes
    ----------
    signed
        The text, in RFC 8785 JSON.
    signature
        The old key's.
    """

    old: PublicKey
    new: PublicKey
    signed: bytes
    signature: bytes


@dataclass(frozen=True)
class SigningKeys:
    """The signing keys of one installation, of which several processes may share the folder.

    Parameters
    ----------
    folder
        Where they are; made with the first of them.
    """

    folder: Path

    def signer(self) -> "Signer":
        """Return the key in use, which is made when it is first needed.

        Raises
        ------
        SigningKeyError
            If it cannot be read or made.
        """
        key = self._current()
        return Signer(_public(key, is_current=True), key)

    def public_keys(self) -> list[PublicKey]:
        """Return the public keys of now and before, the newest first; none before the first is made.

        Raises
        ------
        SigningKeyError
            If one cannot be read.
        """
        newest = self._newest()
        if newest is None:
            return []
        current = _public(newest, is_current=True)
        old = [_read_public(path) for path in self._files(PUBLIC)]
        return [current, *(PublicKey(raw, is_current=False) for raw in reversed(old) if raw != current.raw)]

    def rotate(self) -> Handover:
        """Make a new key, the one in use from now on, sign it with the one before, and destroy that one's private half.

        Raises
        ------
        SigningKeyError
            If the keys cannot be read or made, or another process did it meanwhile.
        """
        old = self.signer()
        try:
            with locked(self._lock):
                if self.signer().public != old.public:
                    raise SigningKeyError(
                        "Another process has just rotated the key. Look at the keys before you do it again."
                    )
                return self._replace(old)
        except OSError as error:
            raise _unusable(error) from error

    def handovers(self) -> list[Handover]:
        """Return the old key's word for each key that took over, the oldest first.

        Raises
        ------
        SigningKeyError
            If one cannot be read.
        """
        in_use = {key.id for key in self.public_keys()}
        said = [_read_handover(path) for path in self._files(HANDOVER)]
        # A rotation that was broken off may have left word for a key that never was.
        return [handover for handover in said if handover.new.id in in_use]

    def head(self, tenant_id: UUID) -> bytes | None:
        """Return the checkpoint of a tenant's log that was signed last; None if there is none.

        Raises
        ------
        SigningKeyError
            If it cannot be read.
        """
        try:
            return self._head_of(tenant_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(error) from error

    def keep_head(self, tenant_id: UUID, checkpoint: bytes, last: bytes | None) -> bool:
        """Keep the checkpoint of a tenant's log that was signed last, where the database's owner cannot reach it.

        Parameters
        ----------
        last
            What `head` returned when the log was checked against it.

        Returns
        -------
        bool
            Whether it is kept: not if the log was signed meanwhile, and this one may not continue that.

        Raises
        ------
        SigningKeyError
            If it cannot be written.
        """
        try:
            with locked(self._lock):
                if self.head(tenant_id) != last:
                    return False
                replace_whole(self._head_of(tenant_id), checkpoint)
        except OSError as error:
            raise _unusable(error) from error
        return True

    def has_heads(self) -> bool:
        """Tell whether any log was signed from this folder."""
        return any(self.folder.glob("*.head"))

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    def _head_of(self, tenant_id: UUID) -> Path:
        return self.folder / f"{tenant_id}.head"

    def _current(self) -> Ed25519PrivateKey:
        key = self._newest()
        if key is not None:
            return key
        try:
            make_folder(self.folder)
            with suppress(FileExistsError):  # another process made the first key at the same moment
                self._make(1, Ed25519PrivateKey.generate())
        except OSError as error:
            raise _unusable(error) from error
        key = self._newest()
        if key is None:
            raise SigningKeyError(f"{self.folder} (CLUSTERCREDIT_SIGNING_DIR) lost its key just now. Try again.")
        return key

    def _newest(self) -> Ed25519PrivateKey | None:
        """Return the key in use; None if none was made yet. To look makes nothing."""
        try:
            private = self._files(PRIVATE)
            if not private and self._files(PUBLIC):
                raise SigningKeyError(
                    f"{self.folder} (CLUSTERCREDIT_SIGNING_DIR) has public keys and no private one. Restore it "
                    "from its backup."
                )
        except OSError as error:
            raise _unusable(error) from error
        return _load(private[-1]) if private else None

    def _replace(self, old: Signer) -> Handover:
        outworn = self._files(PRIVATE)
        number, key = int(outworn[-1].stem) + 1, Ed25519PrivateKey.generate()
        handover = _hand_over(old, _public(key, is_current=True))
        outer = {"signed": handover.signed.decode(), "signature": handover.signature.hex()}
        replace_whole(self.folder / f"{number:04}{HANDOVER}", json.dumps(outer).encode())
        self._make(number, key)
        for path in outworn:
            self._keep_public(path)
            overwrite(path)
        sync_folder(self.folder)
        return handover

    def _make(self, number: int, key: Ed25519PrivateKey) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self.folder / f"{number:04}{PRIVATE}"
        write_whole(path, pem)
        self._keep_public(path)
        sync_folder(self.folder)

    def _keep_public(self, path: Path) -> None:
        kept = path.with_suffix(PUBLIC)
        if not kept.exists():
            write_whole(kept, _public(_load(path), is_current=False).raw)

    def _files(self, suffix: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"*{suffix}") if _NAME.fullmatch(path.stem))


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unusable(error) from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningKeyError(f"{path} is no private key. Restore it from its backup.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{path} is no Ed25519 key. Restore it from its backup.")
    return key


def _hand_over(old: Signer, new: PublicKey) -> Handover:
    signed = rfc8785.dumps(
        {
            "at": clock.now().isoformat(timespec="microseconds"),
            "key_id": old.public.id,
            "new_key_id": new.id,
            "new_public_key": new.raw.hex(),
            "public_key": old.public.raw.hex(),
            "type": "clustercredit-key-handover",
            "version": 1,
        }
    )
    return Handover(old.public, new, signed, old.sign(signed))


def _read_handover(path: Path) -> Handover:
    try:
        outer = json.loads(path.read_bytes())
        signed, signature = outer["signed"].encode(), bytes.fromhex(outer["signature"])
        said = json.loads(signed)
        old, new = (PublicKey(bytes.fromhex(said[name]), is_current=False) for name in ("public_key", "new_public_key"))
    except OSError as error:
        raise _unusable(error) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SigningKeyError(f"{path} is no handover of a key. Restore it from its backup.") from None
    return Handover(old, new, signed, signature)


def _public(key: Ed25519PrivateKey, *, is_current: bool) -> PublicKey:
    return PublicKey(key.public_key().public_bytes_raw(), is_current)


def _read_public(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unusable(error) from error
    if len(raw) != _PUBLIC_BYTES:
        raise SigningKeyError(f"{path} is no public key. Restore it from its backup.")
    return raw


def _unusable(error: OSError) -> SigningKeyError:
    return SigningKeyError(
        f"The signing keys (CLUSTERCREDIT_SIGNING_DIR) cannot be used: {error.strerror}. Let the service read and "
        "write that folder."
    )
