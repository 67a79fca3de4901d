"""Make tenants and keys, and find out who holds a key."""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

from sqlmodel import col, select

from service.errors import Forbidden, NotFound, Unauthenticated
from service.identity.tables import ApiKey, Tenant
from service.kit import clock
from service.kit.db import TenantSession, enter_tenant, tenant_of

TENANT_NAMESPACE = UUID("6f1dca1e-51f0-4c5c-9f0d-0d8a6cbd7a11")
KEY_PREFIX = "cck_"


class Role(StrEnum):
    """What a key may do."""

    OFFICER = "officer"
    READER = "reader"


@dataclass(frozen=True)
class Actor:
    """Who is asking, and as what."""

    tenant_id: UUID
    name: str
    role: Role


def tenant_id_of(name: str) -> UUID:
    """Return a tenant's id, which is a function of its name, so that finding one needs no look at the others."""
    return uuid5(TENANT_NAMESPACE, name)


def create_tenant(session: TenantSession, name: str) -> UUID:
    """Make a tenant unless it is there, and let the session work for it."""
    tenant_id = tenant_id_of(name)
    enter_tenant(session, tenant_id)
    if session.get(Tenant, tenant_id) is None:
        session.add(Tenant(id=tenant_id, name=name, created_at=clock.now()))
        session.flush()
    return tenant_id


def enter_named_tenant(session: TenantSession, name: str) -> UUID:
    """Let the session work for the tenant of this name.

    Raises
    ------
    NotFound
        If there is no such tenant.
    """
    tenant_id = tenant_id_of(name)
    enter_tenant(session, tenant_id)
    if session.get(Tenant, tenant_id) is None:
        raise NotFound(f"There is no tenant '{name}'. Make it with: clustercredit tenant create {name}")
    return tenant_id


def create_key(session: TenantSession, name: str, role: Role) -> str:
    """Make an API key of 256 random bits for the session's tenant and return it; it cannot be shown again."""
    token = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        id=clock.new_id(),
        tenant_id=tenant_of(session),
        name=name,
        role=role,
        sha256=_digest(token),
        created_at=clock.now(),
    )
    session.add(key)
    return token


def authenticate(session: TenantSession, token: str) -> Actor:
    """Find out who holds a key, and let the session work for its tenant.

    Raises
    ------
    Unauthenticated
        If nobody does.
    """
    digest = _digest(token)
    session.info["api_key_sha256"] = digest.hex()
    key = session.exec(select(ApiKey).where(col(ApiKey.sha256) == digest)).one_or_none()
    if key is None:
        raise Unauthenticated("The API key is not known. Make one with: clustercredit key create")
    enter_tenant(session, key.tenant_id)
    return Actor(tenant_id=key.tenant_id, name=key.name, role=Role(key.role))


def require_writer(actor: Actor) -> None:
    """Let only those through who may change something.

    Raises
    ------
    Forbidden
        If the actor may only read.
    """
    if actor.role is not Role.OFFICER:
        raise Forbidden(f"A key of role '{actor.role}' may only read; this needs a key of role 'officer'.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
