"""Doing it once: a creating POST's answer is stored in the same transaction as its effect, and replayed.

Same key and body: the same answer. Same key, other body: 422. Same key while the first is still at work: 409. Keys
are kept for 24 hours.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import DateTime, LargeBinary, Text, delete, func, select
from sqlmodel import Field, SQLModel, col

from service.errors import Conflict, IdempotencyKeyReused, MissingIdempotencyKey
from service.kit import clock
from service.kit.db import TenantSession, tenant_of

KEPT = timedelta(hours=24)


class IdempotencyKey(SQLModel, table=True):
    """A key that was used, what for, and the answer it got."""

    __tablename__ = "idempotency_key"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    key: str = Field(primary_key=True, sa_type=Text)
    request_sha256: bytes = Field(sa_type=LargeBinary)
    status: int
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class Once:
    """The Idempotency-Key of one request.

    Parameters
    ----------
    key
        As the client sent it.
    request_sha256
        Hash of method, path and body.
    """

    def __init__(self, key: str, request_sha256: bytes) -> None:
        self.key = key
        self.request_sha256 = request_sha256

    def answer(
        self, session: TenantSession, act: Callable[[], BaseModel], status: HTTPStatus = HTTPStatus.CREATED
    ) -> JSONResponse:
        """Run ``act`` and store its answer, or replay the answer that is stored.

        Raises
        ------
        Conflict
            If another request with the key is still at work.
        IdempotencyKeyReused
            If the key was used for another request.
        """
        tenant_id, now = tenant_of(session), clock.now()
        lock = func.hashtextextended(f"{tenant_id}/{self.key}", 0)
        if not session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            raise Conflict("A request with this Idempotency-Key is still at work. Wait, then send it again.")
        expired = col(IdempotencyKey.created_at) < now - KEPT
        session.execute(delete(IdempotencyKey).where(expired, col(IdempotencyKey.key) == self.key))
        stored = session.get(IdempotencyKey, (tenant_id, self.key))
        if stored is None:
            body = act().model_dump_json()
            stored = IdempotencyKey(
                tenant_id=tenant_id, key=self.key, request_sha256=self.request_sha256, status=int(status), body=body,
                created_at=now,
            )  # fmt: skip
            session.add(stored)
        elif stored.request_sha256 != self.request_sha256:
            raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Choose a new key.")
        return JSONResponse(json.loads(stored.body), status_code=stored.status)


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
    if idempotency_key is None:
        raise MissingIdempotencyKey("Send an Idempotency-Key header, a UUID for example, and keep it for retries.")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return Once(idempotency_key, digest.digest())


OnceOnly = Annotated[Once, Depends(_once)]


def prune(session: TenantSession) -> int:
    """Forget the tenant's keys older than 24 hours; return how many."""
    result: Any = session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < clock.now() - KEPT))
    return int(result.rowcount)
