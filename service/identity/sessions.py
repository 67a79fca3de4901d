"""A person's session: begun by signing in, shown by a cookie, ended by signing out, by rest, or by an administrator."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, update
from sqlmodel import col, select

from service.errors import Conflict, InvalidPayload, SignInFailed, Unauthenticated
from service.identity import passwords
from service.identity.actor import Actor, act
from service.identity.keys import actor_of, digest_of
from service.identity.tables import AppUser, LoginSession
from service.identity.use_cases import tenant_id_of
from service.kit import clock
from service.kit.db import ANY_TENANT, Author, TenantSession, author_of, enter_tenant, present, set_author
from service.kit.etag import save

log = structlog.get_logger()

TOKEN_PREFIX = "ccs_"  # noqa: S105 - a prefix
LONGEST = timedelta(hours=12)
"""A working day; then the person signs in again."""
IDLE = timedelta(minutes=30)
"""How long a session lasts without a request, to the minute."""
KEPT = timedelta(days=30)
"""How long a session that has ended is kept, until its person signs in again."""
HOW = "Sign in with POST /v1/sessions, or send the header: Authorization: Bearer <API key>."
FAILED = "Organisation, login or password is wrong, or the person may not sign in. An administrator can set a password."


@dataclass(frozen=True)
class Begun:
    """A session that was begun just now.

    Attributes
    ----------
    token
        For the cookie; it cannot be shown again.
    """

    token: str
    actor: Actor
    expires_at: datetime


def sign_in(session: TenantSession, organisation: str, login: str, password: str) -> Begun:
    """Begin a session for whoever knows a person's password; the caller holds a place of `passwords.PLACES`.

    Answer and work are the same for an organisation or a login that is not there, for a wrong password, and for a
    person without one or disabled.

    Raises
    ------
    SignInFailed
        If nobody is to be signed in by this.
    TooManyRequests
        If too many passwords are at work.
    """
    enter_tenant(session, tenant_id_of(organisation))
    found = session.exec(select(AppUser).where(AppUser.login == login)).one_or_none()
    stored = found.password_hash if found is not None and found.disabled_at is None else None
    is_right, better = passwords.verify(password, stored)
    if found is None or not is_right:
        log.warning("sign_in_failed", by="password")
        raise SignInFailed(FAILED)
    user = lock_user(session, found.id)
    if user.disabled_at is not None or user.password_hash != stored:
        raise SignInFailed(FAILED)
    user.password_hash = better or stored
    return _begin(session, user, by="password")


def sign_in_subject(session: TenantSession, organisation: str, subject: str) -> Begun:
    """Begin a session for the person to whom an issuer's subject is linked.

    Raises
    ------
    SignInFailed
        If it is linked to nobody, or to somebody who is disabled.
    """
    enter_tenant(session, tenant_id_of(organisation))
    query = select(AppUser).where(AppUser.oidc_subject == subject, col(AppUser.disabled_at).is_(None))
    user = session.exec(query.with_for_update()).one_or_none()
    if user is None:
        log.warning("sign_in_failed", by="oidc")
        raise SignInFailed(
            "Nobody here who may sign in is linked to this identity. An administrator links it, as a person's"
            " oidc_subject."
        )
    return _begin(session, user, by="oidc")


def _begin(session: TenantSession, user: AppUser, by: str) -> Begun:
    set_author(session, Author(user.name, user.id, author_of(session).request_id))
    _forget_old_sessions(session, user.id)
    token, now = TOKEN_PREFIX + secrets.token_urlsafe(32), clock.now()
    row = LoginSession(
        tenant_id=user.tenant_id,
        id=clock.new_id(),
        token_sha256=digest_of(token),
        user_id=user.id,
        created_at=now,
        expires_at=now + LONGEST,
        last_seen_at=now,
        ended_at=None,
    )
    user.last_login_at = now
    session.add_all([user, row])
    session.flush()
    log.info("sign_in", by=by, user=str(user.id), session=str(row.id))
    return Begun(token, _person(session, user, row), row.expires_at)


def _forget_old_sessions(session: TenantSession, user_id: UUID) -> None:
    old = delete(LoginSession).where(col(LoginSession.user_id) == user_id)
    session.execute(old.where(col(LoginSession.expires_at) < clock.now() - KEPT))


def end_presented_session(session: TenantSession, token: str | None) -> None:
    """Sign out whoever's session a browser brings along to a new sign-in, in whichever organisation it is."""
    if token is None:
        return
    digest = digest_of(token)
    present(session, digest)
    query = select(LoginSession).where(col(LoginSession.token_sha256) == digest).execution_options(**ANY_TENANT)
    row = session.exec(query).one_or_none()
    if row is not None:
        enter_tenant(session, row.tenant_id)
        end_session(session, row.id)


def authenticate_session(session: TenantSession, token: str) -> Actor:
    """Find out whose session it is, and let the database session work for its tenant within its reach.

    Raises
    ------
    Unauthenticated
        If it is nobody's, or has ended.
    """
    digest = digest_of(token)
    present(session, digest)
    query = select(LoginSession).where(col(LoginSession.token_sha256) == digest).execution_options(**ANY_TENANT)
    row = session.exec(query).one_or_none()
    if row is None:
        raise Unauthenticated(f"The session is not known. {HOW}")
    enter_tenant(session, row.tenant_id)
    user = session.exec(select(AppUser).where(AppUser.id == row.user_id)).one()
    now = clock.now()
    if row.ended_at is not None or min(row.expires_at, row.last_seen_at + IDLE) <= now or user.disabled_at is not None:
        raise Unauthenticated(f"The session has ended. {HOW}")
    actor = _person(session, user, row)
    act(session, actor)
    return actor


def session_of(actor: Actor) -> UUID:
    """Return the id of the session that the asker came with.

    Raises
    ------
    Conflict
        If it came with a key.
    """
    if actor.session_id is None:
        raise Conflict("You came with an API key, not with a session: this is for people who have signed in.")
    return actor.session_id


def end_session(session: TenantSession, session_id: UUID) -> None:
    """Sign out."""
    ended = update(LoginSession).where(col(LoginSession.id) == session_id, col(LoginSession.ended_at).is_(None))
    session.execute(ended.values(ended_at=clock.now()))


def end_sessions(session: TenantSession, user_id: UUID, *, but: UUID | None = None) -> None:
    """End a person's sessions, all of them or all but one."""
    ended = update(LoginSession).where(col(LoginSession.user_id) == user_id, col(LoginSession.ended_at).is_(None))
    if but is not None:
        ended = ended.where(col(LoginSession.id) != but)
    session.execute(ended.values(ended_at=clock.now()))


def end_all_sessions(session: TenantSession) -> int:
    """End every session of the tenant's people, and return how many that were."""
    ended: Any = session.execute(
        update(LoginSession).where(col(LoginSession.ended_at).is_(None)).values(ended_at=clock.now())
    )
    return int(ended.rowcount)


def change_own_password(session: TenantSession, user_id: UUID, current: str, new: str, *, kept: UUID) -> None:
    """Replace a person's password by its own wish; the caller holds a place of `passwords.PLACES`.

    Parameters
    ----------
    kept
        The session that goes on; the person's others end.

    Raises
    ------
    Conflict
        If the person has no password, or has just got another.
    InvalidPayload
        If the present password is another, or the new one too easy to guess.
    TooManyRequests
        If too many passwords are at work.
    """
    found = session.exec(select(AppUser).where(AppUser.id == user_id)).one()
    login, stored = found.login, found.password_hash
    if stored is None:
        raise Conflict("You have no password to change. An administrator can set one.")
    is_right, _ = passwords.verify(current, stored)
    if not is_right:
        raise InvalidPayload("The present password is another.")
    new_hash = passwords.hash_new(new, login)
    user = lock_user(session, user_id)
    if user.password_hash != stored:
        raise Conflict("The password was changed a moment ago. Sign in again.")
    user.password_hash, user.password_changed_at = new_hash, clock.now()
    save(session, user)
    end_sessions(session, user_id, but=kept)


def lock_user(session: TenantSession, user_id: UUID) -> AppUser:
    """Return a person of the tenant's who is there, as it is now, and let nobody else change it."""
    query = select(AppUser).where(AppUser.id == user_id).with_for_update().execution_options(populate_existing=True)
    return session.exec(query).one()


def _person(session: TenantSession, user: AppUser, row: LoginSession) -> Actor:
    return replace(actor_of(session, user), session_id=row.id, seen_at=row.last_seen_at)
