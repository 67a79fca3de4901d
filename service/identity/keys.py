"""API keys: made once, shown once, with an end; and who holds one."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import func, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from service.errors import Conflict, Forbidden, InvalidPayload, NotFound, Unauthenticated
from service.identity.access import Organisation, Role
from service.identity.actor import Actor, ApprovalLimit, Reach, act, check_holder
from service.identity.tables import ApiKey, AppUser, Holder
from service.identity.use_cases import get_branch, own_organisation
from service.kit import clock
from service.kit.db import ANY_TENANT, TenantSession, author_of, enter_tenant, present, tenant_of
from service.kit.etag import Precondition, save

KEY_PREFIX = "cck_"
DAYS = 365
LONGEST_DAYS = 730
SEEN_EVERY = timedelta(minutes=1)
"""How exact the last use is: a busy key is not written to on every request."""


def create_key(
    session: TenantSession,
    name: str,
    role: Role,
    *,
    branch_id: UUID | None = None,
    all_branches: bool = False,
    firm_id: UUID | None = None,
    limits: tuple[ApprovalLimit, ...] = (),
    days: int = DAYS,
    created_by: str = "cli",
    created_by_id: UUID | None = None,
) -> tuple[ApiKey, str]:
    """Make an API key of 256 random bits for the session's tenant.

    Parameters
    ----------
    branch_id, all_branches
        One of them, for a role whose reach is a branch.
    days
        How long it is good.
    created_by_id
        Of the person, or the key, that makes it: it ends with its maker's duty.

    Returns
    -------
    tuple
        The row, and the key, which cannot be shown again.

    Raises
    ------
    InvalidPayload
        If the organisation has no such role, or reach and limits do not fit it.
    NotFound
        If there is no such branch or firm.
    Forbidden
        If the maker was disabled or relieved a moment ago.
    """
    fit(session, role, branch_id, firm_id, limits, all_branches=all_branches)
    if created_by_id is not None:
        _must_be_in_office(session, created_by_id)
    token = KEY_PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    key = ApiKey(
        tenant_id=tenant_of(session),
        id=clock.new_id(),
        name=name,
        role=role,
        branch_id=branch_id,
        firm_id=firm_id,
        limits=[limit.model_dump(mode="json") for limit in limits],
        created_at=now,
        created_by=created_by,
        created_by_id=created_by_id,
        sha256=digest_of(token),
        expires_at=now + timedelta(days=days),
        revoked_at=None,
        last_used_at=None,
    )
    with firm_must_exist(session):
        session.add(key)
        session.flush()
    return key, token


def _must_be_in_office(session: TenantSession, maker_id: UUID) -> None:
    """Let nobody disable or revoke the maker until the new key is there to be revoked, too."""
    key = select(ApiKey.id).where(ApiKey.id == maker_id, col(ApiKey.revoked_at).is_(None))
    user = select(AppUser.id).where(
        AppUser.id == maker_id, AppUser.role == Role.ADMINISTRATOR, col(AppUser.disabled_at).is_(None)
    )
    if not any(session.exec(query.with_for_update(read=True)).first() for query in (key, user)):
        raise Forbidden("You may not make keys any more.")


def fit(
    session: TenantSession,
    role: Role,
    branch_id: UUID | None,
    firm_id: UUID | None,
    limits: tuple[ApprovalLimit, ...],
    *,
    all_branches: bool,
) -> None:
    """Check that the session's organisation can give a role with this reach and these limits.

    Raises
    ------
    InvalidPayload, NotFound
        If it cannot; if there is no such branch.
    """
    kind = Organisation(own_organisation(session).kind)
    try:
        check_holder(
            kind,
            role,
            branch_id=branch_id,
            all_branches=all_branches,
            firm_id=firm_id,
            limits=list(limits),
        )
    except ValueError as error:
        raise InvalidPayload(f"This role cannot be given: {error}.") from None
    if branch_id is not None:
        get_branch(session, branch_id)


@contextmanager
def firm_must_exist(session: TenantSession) -> Iterator[None]:
    """Keep a holder; only the database, which sees every domain's rows, knows whether its firm is there.

    Raises
    ------
    NotFound
        If it is not.
    """
    try:
        with session.begin_nested():
            yield
    except IntegrityError as error:
        cause = error.orig
        if isinstance(cause, ForeignKeyViolation) and str(cause.diag.constraint_name).endswith("_firm_id"):
            raise NotFound("No firm has this id.") from None
        raise


def authenticate(session: TenantSession, token: str) -> Actor:
    """Find out who holds a key, and let the session work for its tenant within its reach.

    Raises
    ------
    Unauthenticated
        If nobody does, or the key has ended.
    """
    digest = digest_of(token)
    present(session, digest)
    query = select(ApiKey).where(col(ApiKey.sha256) == digest).execution_options(**ANY_TENANT)
    key = session.exec(query).one_or_none()
    if key is None:
        raise Unauthenticated("The API key is not known. Make one with: clustercredit key create --tenant ORGANISATION")
    now = clock.now()
    if key.revoked_at is not None or key.expires_at <= now:
        ended = "was revoked" if key.revoked_at is not None else f"ended on {key.expires_at:%Y-%m-%d}"
        raise Unauthenticated(f"The API key {ended}. Ask your administrator for another.")
    enter_tenant(session, key.tenant_id, replace(author_of(session), name=key.name, id=key.id))
    actor = replace(actor_of(session, key), seen_at=key.last_used_at)
    act(session, actor)
    return actor


def actor_of(session: TenantSession, holder: Holder) -> Actor:
    """Return who a holder is and how far it reaches."""
    return Actor(
        tenant_id=holder.tenant_id,
        organisation=Organisation(own_organisation(session).kind),
        id=holder.id,
        name=holder.name,
        role=Role(holder.role),
        reach=Reach(holder.branch_id, holder.firm_id),
        limits=tuple(ApprovalLimit.model_validate(limit) for limit in holder.limits),
    )


def get_key(session: TenantSession, key_id: UUID, *, for_update: bool = False) -> ApiKey:
    """Return a key.

    Raises
    ------
    NotFound
        If the tenant has no such key.
    """
    query = select(ApiKey).where(ApiKey.id == key_id)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    key = session.exec(query).one_or_none()
    if key is None:
        raise NotFound("No API key has this id.")
    return key


def list_keys(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[ApiKey]:
    """Return keys, the oldest first, those that ended included."""
    query = select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id)).limit(limit)
    if after is not None:
        query = query.where(tuple_(col(ApiKey.created_at), col(ApiKey.id)) > tuple_(*after))
    return list(session.exec(query))


def change_key(
    session: TenantSession, key_id: UUID, precondition: Precondition, *, name: str | None, days: int | None
) -> ApiKey:
    """Rename a key, or let it end some days from now.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such key, or it is no longer what it was.
    Conflict
        If it has ended: what has ended is not revived.
    """
    key = get_key(session, key_id, for_update=True)
    precondition.check(key)
    key.name = name or key.name
    if days is not None:
        now = clock.now()
        if key.revoked_at is not None or key.expires_at <= now:
            raise Conflict("The key has ended, and does not open anything again. Make another one: POST /v1/keys.")
        key.expires_at = now + timedelta(days=days)
    save(session, key)
    return key


def count_good_keys(session: TenantSession) -> int:
    """Return how many of the tenant's keys open something now."""
    is_good = (col(ApiKey.revoked_at).is_(None), col(ApiKey.expires_at) > clock.now())
    return session.scalar(select(func.count()).select_from(ApiKey).where(*is_good)) or 0


def revoke_all_keys(session: TenantSession) -> int:
    """End all the tenant's keys at once, and return how many that were."""
    ended: Any = session.execute(
        update(ApiKey)
        .where(col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=clock.now(), version=col(ApiKey.version) + 1)
    )
    return int(ended.rowcount)


def revoke_key(session: TenantSession, key_id: UUID, precondition: Precondition) -> ApiKey:
    """End a key at once; from the next request on it opens nothing.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such key, or it is no longer what it was.
    """
    key = get_key(session, key_id, for_update=True)
    precondition.check(key)
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        save(session, key)
    return key


def revoke_keys_made_by(session: TenantSession, maker_id: UUID) -> None:
    """End the keys that a person made, and the keys made with these, and so on."""
    makers, now = [maker_id], clock.now()
    while makers:
        made = select(ApiKey).where(col(ApiKey.created_by_id).in_(makers)).order_by(col(ApiKey.id)).with_for_update()
        found = list(session.exec(made.execution_options(populate_existing=True)))
        for key in found:
            if key.revoked_at is None and key.expires_at > now:
                key.revoked_at = now
                save(session, key)
        makers = [key.id for key in found]


def digest_of(token: str) -> bytes:
    """Return what is kept of a token: its SHA-256; 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).digest()
