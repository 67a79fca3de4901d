"""Wire shapes of the audit log."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, WithJsonSchema

from service.audit.signing import PublicKey
from service.audit.tables import Checkpoint, Entry, PendingEntry
from service.audit.use_cases import Consistency, Inclusion
from service.kit.http import Schema

_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_HASH = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
_OTHER_HASH = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_BODY = (
    '{"action":"review.inserted","actor":"zhang.wei","actor_id":"1d0f3b52-6c0e-4a67-9a57-1c1f9b0a2d3e","after":"'
    f'{_HASH}","at":"2026-11-27T02:03:04.000005+00:00","before":null,"facts":{{}},'
    '"id":"9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d","request_id":"0c8f1d","subject":'
    '"review:5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22","tenant_id":"5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60","version":1}'
)
_SIGNED = (
    f'{{"at":"2026-11-27T02:03:04.000005+00:00","key_id":"{_OTHER_HASH}","public_key":"{_HASH}","root":"{_HASH}","size":1,'
    '"tenant":"bank","tenant_id":"5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60","type":"clustercredit-checkpoint","version":1}'
)


def _as_in_rfc_3339(value: object) -> object:
    """Refuse what pydantic reads as an instant and the document does not: a number, a day, a space for the T."""
    if isinstance(value, str) and not _is_instant(value):
        raise ValueError("must be an instant such as 2026-11-27T08:00:00Z, with its offset from UTC")
    return value


def _is_instant(text: str) -> bool:
    return re.fullmatch(_INSTANT, text, re.ASCII) is not None


Instant = Annotated[
    AwareDatetime, BeforeValidator(_as_in_rfc_3339), WithJsonSchema({"type": "string", "format": "date-time"})
]


class EntryOut(Schema):
    """A change: who did what to what, when. Its body is what the log's tree is built over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d",
                    "number": 0,
                    "recorded_at": "2026-11-27T02:03:04.000005Z",
                    "action": "review.inserted",
                    "actor": "zhang.wei",
                    "actor_id": "1d0f3b52-6c0e-4a67-9a57-1c1f9b0a2d3e",
                    "request_id": "0c8f1d",
                    "subject": "review:5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22",
                    "before": None,
                    "after": _HASH,
                    "facts": {},
                    "body": _BODY,
                    "leaf": _OTHER_HASH,
                }
            ]
        }
    )

    id: UUID
    number: int | None = Field(description="Place in the log, from 0; null until it has one, within about a second.")
    recorded_at: datetime
    action: str
    actor: str = Field(description="Name of the person or key; empty for the service itself.")
    actor_id: UUID | None
    request_id: str = Field(description="`X-Request-Id` of the answer to the request; empty on the command line.")
    subject: str = Field(description="Table and key of the row.")
    before: str | None = Field(description="SHA-256 of what was there.")
    after: str | None = Field(description="SHA-256 of what is there now.")
    facts: dict[str, Any]
    body: str = Field(description="The entry as RFC 8785 JSON, byte for byte.")
    leaf: str | None = Field(description="SHA-256 of a zero byte and the body; null until the entry has a number.")

    @classmethod
    def of(cls, entry: Entry | PendingEntry) -> Self:
        """Show an entry."""
        number, leaf = (entry.number, entry.leaf.hex()) if isinstance(entry, Entry) else (None, None)
        said = json.loads(entry.body)
        shown = ("action", "actor", "actor_id", "request_id", "subject", "before", "after", "facts")
        return cls(
            id=entry.id,
            number=number,
            recorded_at=entry.recorded_at,
            body=entry.body,
            leaf=leaf,
            **{name: said[name] for name in shown},
        )


class EntriesOut(Schema):
    """A page of numbered entries, the newest first."""

    items: list[EntryOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class InclusionOut(Schema):
    """A proof of RFC 6962, section 2.1.1, that an entry is in the log."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"number": 0, "size": 2, "leaf": _HASH, "path": [_OTHER_HASH], "root": _OTHER_HASH}]
        }
    )

    number: int
    size: int = Field(description="Of the tree that has the root.")
    leaf: str
    path: list[str] = Field(description="Hashes of the siblings on the way to the root, the lowest first.")
    root: str = Field(description="To be compared with that of a signed checkpoint of this size.")

    @classmethod
    def of(cls, proof: Inclusion) -> Self:
        """Show a proof."""
        path = [part.hex() for part in proof.path]
        return cls(number=proof.number, size=proof.size, leaf=proof.leaf.hex(), path=path, root=proof.root.hex())


class PendingOut(Schema):
    """The entry is written and has no number yet."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d", "state": "pending"}]}
    )

    id: UUID
    state: str = Field(description="Always `pending`.")


class ConsistencyOut(Schema):
    """A proof of RFC 6962, section 2.1.2, that the log of one size begins with the whole log of an earlier size."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"from_size": 1, "to_size": 2, "from_root": _HASH, "to_root": _OTHER_HASH, "path": [_OTHER_HASH]}
            ]
        }
    )

    from_size: int
    to_size: int
    from_root: str
    to_root: str
    path: list[str]

    @classmethod
    def of(cls, proof: Consistency) -> Self:
        """Show a proof."""
        return cls(
            from_size=proof.from_size,
            to_size=proof.to_size,
            from_root=proof.from_root.hex(),
            to_root=proof.to_root.hex(),
            path=[part.hex() for part in proof.path],
        )


class CheckpointOut(Schema):
    """Size and root of the log at an instant, signed: keep it where the service cannot write."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "7b1d4c6e-2c9a-4f0e-9f3a-8e5d1b2a7c33",
                    "at": "2026-11-27T02:03:04.000005Z",
                    "size": 1,
                    "root": _HASH,
                    "key_id": _OTHER_HASH,
                    "signed": _SIGNED,
                    "signature": _HASH + _OTHER_HASH,
                }
            ]
        }
    )

    id: UUID
    at: datetime
    size: int = Field(description="Numbered entries.")
    root: str
    key_id: str = Field(description="SHA-256 of the public key: GET /v1/audit/keys.")
    signed: str = Field(description="The text that was signed, byte for byte: RFC 8785 JSON.")
    signature: str = Field(description="Ed25519, of RFC 8032.")

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """Show a checkpoint."""
        return cls(
            id=checkpoint.id,
            at=checkpoint.at,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            key_id=checkpoint.key_id,
            signed=checkpoint.signed,
            signature=checkpoint.signature.hex(),
        )


class CheckpointsOut(Schema):
    """A page of checkpoints, the newest first."""

    items: list[CheckpointOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class KeyOut(Schema):
    """A public key of the installation's."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key_id": _OTHER_HASH, "public_key": _HASH, "is_current": True}]}
    )

    key_id: str = Field(description="SHA-256 of the public key's 32 bytes.")
    public_key: str = Field(description="The 32 bytes of RFC 8032, in hexadecimal.")
    is_current: bool = Field(description="Whether it signs now; the others verify what they signed.")

    @classmethod
    def of(cls, key: PublicKey) -> Self:
        """Show a key."""
        return cls(key_id=key.id, public_key=key.raw.hex(), is_current=key.is_current)


class KeysOut(Schema):
    """The keys that sign or signed, the newest first."""

    items: list[KeyOut]
