"""Queries of natural persons."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from service.kit.db import TenantSession
from service.people.tables import KeyringMark, Person


def find_person(session: TenantSession, person_id: UUID, *, for_update: bool = False) -> Person | None:
    """Return a person of the tenant's, in reach or not."""
    query = select(Person).where(Person.id == person_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def find_by_mac(session: TenantSession, id_mac: bytes, *, for_update: bool = False) -> Person | None:
    """Return the person of a keyed hash."""
    query = select(Person).where(Person.id_mac == id_mac)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def read_persons(session: TenantSession, person_ids: Sequence[UUID]) -> list[Person]:
    """Return those of the ids that are persons', in order of their ids."""
    return list(session.exec(select(Person).where(col(Person.id).in_(person_ids)).order_by(col(Person.id))))


def add_person(session: TenantSession, person: Person) -> bool:
    """Add a person unless its keyed hash is there, and tell whether it was added.

    A violated constraint would write the hash to the server's log.
    """
    unless_there = insert(Person).values(person.model_dump()).on_conflict_do_nothing().returning(col(Person.id))
    return session.scalars(unless_there).one_or_none() is not None


def lock_with_key_to_destroy(session: TenantSession) -> list[UUID]:
    """Return erased persons whose key may still be there; whom another transaction is at is its own business."""
    is_due = (col(Person.erased_at).is_not(None), col(Person.key_destroyed_at).is_(None))
    return list(session.exec(select(Person.id).where(*is_due).with_for_update(skip_locked=True)))


def read_erased(session: TenantSession) -> list[UUID]:
    """Return every erased person."""
    return list(session.exec(select(Person.id).where(col(Person.erased_at).is_not(None))))


def lock_unerased(session: TenantSession, person_ids: Sequence[UUID]) -> list[Person]:
    """Return those of the ids that are of persons not erased."""
    query = select(Person).where(col(Person.id).in_(person_ids), col(Person.erased_at).is_(None))
    return list(session.exec(query.with_for_update()))


def lock_shared(session: TenantSession, person_ids: Sequence[UUID]) -> list[tuple[UUID, datetime | None]]:
    """Return which of the ids are persons', and when each was erased; nobody is erased before the transaction ends."""
    query = select(Person.id, Person.erased_at).where(col(Person.id).in_(person_ids)).order_by(col(Person.id))
    return [(person_id, erased_at) for person_id, erased_at in session.exec(query.with_for_update(read=True))]


def read_ids(session: TenantSession) -> set[UUID]:
    """Return every person, erased or not."""
    return set(session.exec(select(Person.id)))


def note_destroyed(session: TenantSession, person_ids: Sequence[UUID], at: datetime) -> None:
    """Note that the keys of erased persons are gone."""
    session.execute(update(Person).where(col(Person.id).in_(person_ids)).values(key_destroyed_at=at))


def read_fingerprint(session: TenantSession) -> bytes | None:
    """Return the fingerprint of the database's keyring; None before its first person."""
    return session.exec(select(KeyringMark.fingerprint)).one_or_none()


def note_fingerprint(session: TenantSession, fingerprint: bytes) -> None:
    """Note the fingerprint of the database's keyring unless one is noted."""
    session.execute(insert(KeyringMark).values(id=1, fingerprint=fingerprint).on_conflict_do_nothing())


def any_erased(session: TenantSession, pseudonyms: Sequence[str], since: datetime) -> bool:
    """Tell whether a person of one of these pseudonyms was erased from an instant on."""
    is_one = cast(col(Person.id), Text).in_(pseudonyms)
    query = select(Person.id).where(col(Person.erased_at) >= since, is_one)
    return session.exec(query.limit(1)).first() is not None
