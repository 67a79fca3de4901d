"""People: who may sign in, as what, and how far each reaches."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, tuple_
from sqlmodel import col, select

from service.errors import Conflict, NotFound
from service.identity import passwords
from service.identity.access import Role
from service.identity.actor import Actor, ApprovalLimit
from service.identity.keys import firm_must_exist, fit, revoke_keys_made_by
from service.identity.sessions import end_sessions, lock_user
from service.identity.tables import AppUser
from service.kit import clock
from service.kit.db import LockSeed, TenantSession, tenant_of, wait_for_lock
from service.kit.etag import Precondition, save


@dataclass(frozen=True)
class Duty:
    """A role, its reach, and its limits."""

    role: Role
    branch_id: UUID | None = None
    firm_id: UUID | None = None
    limits: tuple[ApprovalLimit, ...] = ()
    all_branches: bool = False

    def check(self, session: TenantSession) -> None:
        """Check that the session's organisation can give it.

        Raises
        ------
        InvalidPayload, NotFound
            If it cannot; if there is no such branch.
        """
        fit(session, self.role, self.branch_id, self.firm_id, self.limits, all_branches=self.all_branches)

    def limits_json(self) -> list[dict[str, object]]:
        """Return the limits as they are kept."""
        return [limit.model_dump(mode="json") for limit in self.limits]


@dataclass(frozen=True)
class UserChange:
    """What to change of a person; None leaves a thing as it is.

    Attributes
    ----------
    oidc_subject
        An empty one unlinks the person.
    """

    name: str | None = None
    duty: Duty | None = None
    is_disabled: bool | None = None
    password: str | None = None
    oidc_subject: str | None = None


def create_user(
    session: TenantSession,
    login: str,
    name: str,
    duty: Duty,
    *,
    password: str | None = None,
    oidc_subject: str | None = None,
    created_by: str = "cli",
    created_by_id: UUID | None = None,
) -> AppUser:
    """Add a person to the session's tenant.

    Parameters
    ----------
    password
        None if the person signs in by an outside identity alone, or gets a password later.

    Raises
    ------
    InvalidPayload
        If the organisation has no such role, reach or limits do not fit it, or the password is too easy to guess.
    NotFound
        If there is no such branch or firm.
    Conflict
        If the login or the identity is another person's.
    TooManyRequests
        If too many passwords are at work.
    """
    password_hash = None if password is None else _hash_new(password, login)
    wait_for_lock(session, LockSeed.PEOPLE)
    duty.check(session)
    if session.exec(select(AppUser.id).where(AppUser.login == login)).first() is not None:
        raise Conflict(f"There is a person with the login '{login}' already.")
    _check_subject(session, oidc_subject)
    now = clock.now()
    user = AppUser(
        tenant_id=tenant_of(session),
        id=clock.new_id(),
        name=name,
        role=duty.role,
        branch_id=duty.branch_id,
        firm_id=duty.firm_id,
        limits=duty.limits_json(),
        created_at=now,
        created_by=created_by,
        created_by_id=created_by_id,
        login=login,
        password_hash=password_hash,
        oidc_subject=oidc_subject,
        disabled_at=None,
        password_changed_at=None if password is None else now,
        last_login_at=None,
    )
    with firm_must_exist(session):
        session.add(user)
        session.flush()
    return user


def get_user(session: TenantSession, user_id: UUID) -> AppUser:
    """Return a person.

    Raises
    ------
    NotFound
        If the tenant has no such person.
    """
    user = session.exec(select(AppUser).where(AppUser.id == user_id)).one_or_none()
    if user is None:
        raise NotFound("No person has this id.")
    return user


def list_users(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[AppUser]:
    """Return people, the oldest first, disabled ones included."""
    query = select(AppUser).order_by(col(AppUser.created_at), col(AppUser.id)).limit(limit)
    if after is not None:
        query = query.where(tuple_(col(AppUser.created_at), col(AppUser.id)) > tuple_(*after))
    return list(session.exec(query))


def change_user(
    session: TenantSession, user_id: UUID, precondition: Precondition, change: UserChange, asker: Actor
) -> AppUser:
    """Change a person; whoever is disabled, or gets another role, password or identity, is signed out everywhere.

    Of whoever is disabled, or gets another role, the keys that the person made end as well, and the keys made by
    these.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such person, branch or firm; if the person is no longer what it was.
    InvalidPayload
        If role, reach and limits do not fit, or the password is too easy to guess.
    Conflict
        If an administrator would shut out itself or the last one, or the identity is another person's.
    TooManyRequests
        If too many passwords are at work.
    """
    login = get_user(session, user_id).login
    password_hash = None if change.password is None else _hash_new(change.password, login)
    wait_for_lock(session, LockSeed.PEOPLE)
    user = lock_user(session, user_id)
    precondition.check(user)
    _check_administration(session, user, change, asker)
    is_signed_out, is_relieved = _changes_sign_in(user, change), _is_relieved(user, change)
    user.name = change.name or user.name
    if change.duty is not None:
        _give(session, user, change.duty)
    if change.is_disabled is not None:
        user.disabled_at = (user.disabled_at or clock.now()) if change.is_disabled else None
    if password_hash is not None:
        user.password_hash, user.password_changed_at = password_hash, clock.now()
    if change.oidc_subject is not None and change.oidc_subject != user.oidc_subject:
        _check_subject(session, change.oidc_subject)
        user.oidc_subject = change.oidc_subject or None
    with firm_must_exist(session):
        save(session, user)
    if is_signed_out:
        end_sessions(session, user.id)
    if is_relieved:
        revoke_keys_made_by(session, user.id)
    return user


def _hash_new(password: str, login: str) -> str:
    with passwords.PLACES.place():
        return passwords.hash_new(password, login)


def _is_relieved(user: AppUser, change: UserChange) -> bool:
    return bool(change.is_disabled) or (change.duty is not None and change.duty.role != user.role)


def _changes_sign_in(user: AppUser, change: UserChange) -> bool:
    has_other_subject = change.oidc_subject is not None and change.oidc_subject != (user.oidc_subject or "")
    return _is_relieved(user, change) or has_other_subject or change.password is not None


def _check_administration(session: TenantSession, user: AppUser, change: UserChange, asker: Actor) -> None:
    """Let no administrator lock itself out, take over its own session, or leave the organisation without one."""
    if user.id == asker.id and change.password is not None:
        raise Conflict("Change your own password with POST /v1/me/password, which asks for the present one.")
    is_demoted = change.duty is not None and change.duty.role != Role.ADMINISTRATOR
    is_shut_out = bool(change.is_disabled) or is_demoted
    if user.role != Role.ADMINISTRATOR or user.disabled_at is not None:
        return
    if is_shut_out and user.id == asker.id:
        raise Conflict("You cannot disable yourself, or give yourself another role. Another administrator can.")
    if (is_shut_out or _loses_its_ways_in(user, change)) and not _has_other_administrator(session, user):
        raise Conflict("This is the last administrator who can sign in. Make another one first.")


def _loses_its_ways_in(user: AppUser, change: UserChange) -> bool:
    is_unlinked = change.oidc_subject == "" and user.oidc_subject is not None
    return is_unlinked and user.password_hash is None and change.password is None


def _has_other_administrator(session: TenantSession, user: AppUser) -> bool:
    can_sign_in = or_(col(AppUser.password_hash).is_not(None), col(AppUser.oidc_subject).is_not(None))
    others = select(AppUser.id).where(
        AppUser.id != user.id, AppUser.role == Role.ADMINISTRATOR, col(AppUser.disabled_at).is_(None), can_sign_in
    )
    return session.exec(others).first() is not None


def _check_subject(session: TenantSession, oidc_subject: str | None) -> None:
    if oidc_subject and session.exec(select(AppUser.id).where(AppUser.oidc_subject == oidc_subject)).first():
        raise Conflict("This identity is linked to a person already.")


def _give(session: TenantSession, user: AppUser, duty: Duty) -> None:
    duty.check(session)
    user.role, user.branch_id, user.firm_id, user.limits = duty.role, duty.branch_id, duty.firm_id, duty.limits_json()
