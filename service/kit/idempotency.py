"""Doing it once: a creating POST's answer is stored in the same transaction as its effect, and replayed.

Same key and body: the same answer. Same key, other body: 422. Same key while the first is still at work: 409. Keys are
each asker's own, and kept for 24 hours.

An answer may hold a secret, a request a person's id. So the answer is kept encrypted and the request as a keyed hash,
both under the asker's own secret, which the database does not have. Once the person is erased, neither is kept.
"""

import hmac
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import DateTime, Index, LargeBinary, Text, delete, func, select, text, tuple_, update
from sqlmodel import Field, col

from service.errors import Conflict, IdempotencyKeyReused, InvalidPayload, MissingIdempotencyKey
from service.kit import clock
from service.kit.db import LockSeed, TenantSession, tenant_of
from service.kit.etag import tag
from service.kit.personal_id import holds_national_id
from service.kit.rows import TenantRow

KEPT = timedelta(hours=24)
PRUNED_AT_ONCE = 100
"""Old keys that a request forgets on its way: more than it adds, too few to be felt."""
_NONCE = 12


class IdempotencyKey(TenantRow, table=True):
    """A key that was used, what for, and the answer it got."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        Index("ix_idempotency_key_created_at", "tenant_id", "created_at"),
        Index("ix_idempotency_key_subject", "tenant_id", "subject_id", postgresql_where=text("subject_id is not null")),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    asker_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True, sa_type=Text)
    secret_mac: bytes = Field(sa_type=LargeBinary)
    request_mac: bytes = Field(sa_type=LargeBinary)
    status: int
    version: int | None
    sealed_body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    subject_id: UUID | None = None


_BLANK = update(IdempotencyKey).values(request_mac=b"", sealed_body=b"")


class Once:
    """The Idempotency-Key of one request.

    Parameters
    ----------
    key
        As the client sent it.
    request
        Method, path and body.
    secret
        The asker's: its API key, or its session's token.
    """

    def __init__(self, key: str, request: bytes, secret: str) -> None:
        self.key = key
        self.secret_mac = hmac.digest(secret.encode(), b"secret", "sha256")
        self.request_mac = hmac.digest(secret.encode(), b"request\n" + request, "sha256")
        self._seal = AESGCM(hmac.digest(secret.encode(), b"answer\n" + key.encode(), "sha256"))

    def answer(
        self,
        session: TenantSession,
        act: Callable[[], BaseModel],
        status: HTTPStatus = HTTPStatus.CREATED,
        *,
        is_about_person: bool = False,
    ) -> Response:
        """Run ``act`` and store its answer, or replay the answer that is stored.

        An answer with a ``version`` carries it as its ETag.

        Parameters
        ----------
        is_about_person
            The answer's ``id`` is a person's: when that person is erased, so is the answer.

        Raises
        ------
        Conflict
            If another request with the key is still at work, its answer was about a person and has been forgotten, or
            the asker has signed in anew since, so that the answer cannot be read.
        IdempotencyKeyReused
            If the key was used for another request.
        """
        tenant_id, asker_id, now = tenant_of(session), session.info["asker_id"], clock.now()
        lock = func.hashtextextended(f"{tenant_id}/{asker_id}/{self.key}", LockSeed.IDEMPOTENCY)
        if not session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            words = "A request with this Idempotency-Key is still at work. Wait, then send it again."
            raise Conflict(words, headers={"Retry-After": "1"})
        of_asker = (col(IdempotencyKey.asker_id) == asker_id, col(IdempotencyKey.key) == self.key)
        session.execute(delete(IdempotencyKey).where(*of_asker, col(IdempotencyKey.created_at) < now - KEPT))
        prune(session, PRUNED_AT_ONCE)
        stored = session.scalars(select(IdempotencyKey).where(*of_asker)).one_or_none()
        if stored is None:
            answer = act()
            body = answer.model_dump_json().encode()
            stored = IdempotencyKey(
                tenant_id=tenant_id, asker_id=asker_id, key=self.key, secret_mac=self.secret_mac,
                request_mac=self.request_mac, status=int(status), version=getattr(answer, "version", None),
                sealed_body=self._sealed(body), created_at=now,
                subject_id=getattr(answer, "id", None) if is_about_person else None,
            )  # fmt: skip
            session.add(stored)
        elif not stored.sealed_body:
            raise Conflict(
                "The answer to this request is forgotten, since the person that it was about has been erased or the "
                "database was restored. Choose a new key to enter the person anew."
            )
        elif not hmac.compare_digest(stored.secret_mac, self.secret_mac):
            raise Conflict(
                "You used this Idempotency-Key before you signed in anew. What it asked for was done then; its answer "
                "can no longer be read. Look whether it is there before you send it again with another key."
            )
        elif not hmac.compare_digest(stored.request_mac, self.request_mac):
            raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Choose a new key.")
        else:
            body = self._seal.decrypt(stored.sealed_body[:_NONCE], stored.sealed_body[_NONCE:], None)
        response = Response(body, status_code=stored.status, media_type="application/json")
        if stored.version is not None:
            tag(response, stored.version)
        return response

    def _sealed(self, body: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._seal.encrypt(nonce, body, None)


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="A key of your own choice (a UUID, say): sending the request again with it is harmless.",
            examples=["5f0c1a52-7f3e-4d0e-9d07-3a8f2c1b6a01"],
        ),
    ] = None,
) -> Once:
    if holds_national_id(idempotency_key or ""):
        raise InvalidPayload("The Idempotency-Key must not contain a person's identity number. Choose a UUID.")
    if idempotency_key is None:
        raise MissingIdempotencyKey("Send an Idempotency-Key header, a UUID for example, and keep it for retries.")
    line = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Once(idempotency_key, line + await request.body(), request.state.secret)


OnceOnly = Annotated[Once, Depends(_once)]


def forget(session: TenantSession, subject_id: UUID) -> None:
    """Forget requests and answers about a person; the keys stay used, so that a late retry does not enter it anew."""
    session.execute(_BLANK.where(col(IdempotencyKey.subject_id) == subject_id))


def forget_all(session: TenantSession) -> None:
    """Forget all of the tenant's requests and answers; keys of those about persons stay used, as in `forget`."""
    session.execute(_BLANK.where(col(IdempotencyKey.subject_id).is_not(None)))
    session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.subject_id).is_(None)))


def prune(session: TenantSession, limit: int | None = None) -> int:
    """Forget the tenant's keys older than 24 hours, all or some; return how many. Nobody waits for it."""
    row = (col(IdempotencyKey.asker_id), col(IdempotencyKey.key))
    old = select(*row).where(col(IdempotencyKey.created_at) < clock.now() - KEPT)
    some = old.limit(limit).with_for_update(skip_locked=True)
    which = tuple_(*row)
    result: Any = session.execute(delete(IdempotencyKey).where(which.in_(some)))
    return int(result.rowcount)
