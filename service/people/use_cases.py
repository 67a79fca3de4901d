"""Enter, find, show and erase natural persons; their consents and records."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from features.consent import SCOPES
from service.audit.use_cases import append
from service.errors import Conflict, Forbidden, NotFound
from service.firms import use_cases as firms
from service.firms.use_cases import ConsentView, Link
from service.identity.access import Role
from service.kit import clock, idempotency
from service.kit.db import Database, TenantSession, after_commit, tenant_of
from service.kit.etag import Precondition, save
from service.kit.keyring import ABANDONED, Keyring, KeyringError
from service.kit.paging import cut
from service.kit.personal_id import PSEUDONYM, IdKind, mask_name, mask_number
from service.people import repository
from service.people.sealing import Identity, seal, unseal
from service.people.tables import Person

ANOTHER_KEYRING = (
    "The keyring (CLUSTERCREDIT_KEYRING_DIR) is not the one that this database's persons were sealed with. Name that "
    "folder, or restore it from its own backup; a new keyring cannot open what is there."
)
TRIES = 5
PURGED = ("person", "idempotency_key")
"""Tables in which an erased person's keyed hash is left until they are written anew."""


@dataclass(frozen=True)
class PersonView:
    """A person as it may be shown: number and name masked, none of them once erased."""

    id: UUID
    id_kind: str
    number: str | None
    name: str | None
    firms: tuple[Link, ...]
    created_at: datetime
    erased_at: datetime | None
    version: int


@dataclass(frozen=True)
class Swept:
    """What a sweep did: keys that it destroyed, persons that a restored database had again, and keys of nobody's."""

    keys: int
    persons: int
    orphans: int = 0


def enter_person(
    session: TenantSession, keyring: Keyring, firm_id: UUID, kind: IdKind, identity: Identity, row: dict[str, Any]
) -> PersonView:
    """Find the person of a checked number, or make one, and add what it is to a firm.

    A person who is known under another name goes by the new one from now on, if the asker sees all of its firms;
    else the name stays that was there.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    KeyringError
        If the keys cannot be used.
    """
    firms.get_firm(session, firm_id)
    _begin(session, keyring)
    person = _find_or_make(session, keyring, kind, identity)
    firms.observe_person(session, firm_id, {**row, "person_id": str(person.id)})
    return _views(session, keyring, [person])[0]


def get_person(session: TenantSession, keyring: Keyring, person_id: UUID) -> PersonView:
    """Return a person.

    Raises
    ------
    NotFound
        If no firm within reach has such a person.
    """
    return _views(session, keyring, [_in_reach(session, person_id)])[0]


def list_people(
    session: TenantSession, keyring: Keyring, firm_id: UUID, after: str | None, limit: int
) -> tuple[list[PersonView], str | None]:
    """Return a page of a firm's people, and the cursor of the next one.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    """
    names, following = cut(firms.list_people(session, firm_id, after, limit + 1), limit, lambda name: [name])
    persons = repository.read_persons(session, [UUID(name) for name in names])
    return _views(session, keyring, persons), following


def find_people(session: TenantSession, keyring: Keyring, kind: IdKind, number: str) -> list[PersonView]:
    """Return the person of a checked number, if a firm within reach has it; who asked for whom goes on record."""
    person = None
    if repository.read_fingerprint(session) is not None:
        _check(session, keyring)
        person = repository.find_by_mac(session, _mac(session, keyring, kind, number))
    append(session, "person.looked_up", f"person:{'unknown' if person is None else person.id}", {"id_kind": kind})
    views = _views(session, keyring, [] if person is None else [person])
    return [view for view in views if view.firms]


def erase(
    session: TenantSession, keyring: Keyring, person_id: UUID, precondition: Precondition | None = None
) -> PersonView:
    """Forget a person; once that is committed, destroy its key. Done again, it changes nothing and says the same.

    Observations, consents and scores stay, under the pseudonym. Every consent to the use of its data is withdrawn as
    of today, in the same transaction, so that no later score reads them.

    Raises
    ------
    NotFound, PreconditionFailed
        If no firm within reach has such a person, or it is no longer what it was.
    KeyringError
        If the keyring is not this database's: nothing is forgotten then, because the key could not be destroyed.
    """
    person = _in_reach(session, person_id, for_update=True)
    _check(session, keyring)
    if person.erased_at is None:
        if precondition is not None:
            precondition.check(person)
        _forget(session, person)
    elif precondition is not None:
        precondition.check_repeated(person)
    after_commit(session, lambda: finish_erasures(session, keyring))
    return _views(session, keyring, [person])[0]


def finish_erasures(session: TenantSession, keyring: Keyring) -> None:
    """Destroy the keys of the tenant's erased persons, of those too where a kill came in between.

    Raises
    ------
    KeyringError
        If a key cannot be destroyed, or the keyring is not this database's; the next erasure, start or sweep tries
        again.
    """
    with session.begin():
        _check(session, keyring)
        due = repository.lock_with_key_to_destroy(session)
        try:
            for person_id in due:
                keyring.destroy(tenant_of(session), person_id)
        except OSError as error:
            raise KeyringError(
                f"The person is erased from the database, but its key could not be destroyed: {error.strerror}. Mend "
                "that, then send the request again, or run: clustercredit person sweep"
            ) from error
        repository.note_destroyed(session, due, clock.now())


def sweep(database: Database, keyring: Keyring, *, with_orphans: bool = False) -> Swept:
    """Bring database and keyring to agree on who is erased, for every tenant, whichever of the two was restored.

    Parameters
    ----------
    with_orphans
        Destroy keys, too, that are older than an hour and that no row names: those of requests that were rolled back.
        To an old database restored beside a newer keyring, everybody entered since is such a one.

    Raises
    ------
    KeyringError
        If the database has persons, and the keyring is not there or not theirs.
    """
    with database.session() as session:
        if repository.read_fingerprint(session) is None:
            return Swept(0, 0)
        _check(session, keyring)
    keys = persons = orphans = 0
    before = clock.now() - ABANDONED
    for tenant_id in keyring.tenants():
        with database.session(tenant_id) as session:
            again = repository.lock_unerased(session, list(keyring.destroyed(tenant_id)))
            for person in again:
                _forget(session, person)
            persons += len(again)
        with database.session(tenant_id) as session:
            keys += sum(keyring.destroy(tenant_id, person_id) for person_id in repository.read_erased(session))
            repository.note_destroyed(session, repository.lock_with_key_to_destroy(session), clock.now())
            if with_orphans:
                nobodys = set(keyring.keys(tenant_id, before)) - repository.read_ids(session)
                orphans += sum(keyring.discard(tenant_id, person_id) for person_id in nobodys)
    if with_orphans:
        keyring.discard_drafts(before)
    return Swept(keys, persons, orphans)


def erased_among(session: TenantSession, names: Iterable[str]) -> set[str]:
    """Return which of these pseudonyms are erased persons'; until the transaction ends, the others are not erased."""
    ids = [UUID(name) for name in names if re.fullmatch(PSEUDONYM, name)]
    persons = repository.lock_shared(session, ids)
    return {str(person_id) for person_id, erased_at in persons if erased_at is not None}


def check_may_record(role: Role, *, is_given: bool) -> None:
    """Check that somebody of a role may record a consent: a firm cannot consent for a person.

    Raises
    ------
    Forbidden
        If a firm would give one; to withdraw and to refuse are open to it.

    Examples
    --------
    >>> check_may_record(Role.FIRM, is_given=False)
    """
    if is_given and role is Role.FIRM:
        raise Forbidden(
            "A firm cannot consent for a person; it may record that a person withdraws or refuses. What a person "
            "consents to is recorded by the lender's officers."
        )


def add_consent(
    session: TenantSession, person_id: UUID, firm_id: UUID, row: dict[str, Any], follow: Callable[[UUID], object]
) -> int:
    """Record what a person consented to or refused on a day, for a firm; return 1, or 0 if it was known.

    Parameters
    ----------
    follow
        Called with the firm once something was said of automated decisions, in the same transaction.

    Raises
    ------
    NotFound
        If the firm is not within reach, or has no such person.
    Conflict
        If an erased person would consent.
    """
    person = _person_of(session, person_id, firm_id)
    if row["is_given"] and person.erased_at is not None:
        raise Conflict("This person has been erased. A withdrawal is recorded, a consent is not.")
    added = firms.add_consent(session, firm_id, {**row, "person_id": str(person_id)}).added
    if row["scope"] == "automated_decision":
        follow(firm_id)
    return added


def list_consents(
    session: TenantSession, person_id: UUID, after: tuple[date, bytes] | None, limit: int
) -> list[ConsentView]:
    """Return a person's consents for the firms within reach, the oldest first.

    Raises
    ------
    NotFound
        If no firm within reach has such a person.
    """
    _in_reach(session, person_id)
    return firms.list_consents(session, str(person_id), after, limit)


def data_withdrawn(session: TenantSession, firm_id: UUID, since: datetime) -> bool:
    """Tell whether, from an instant on, a person behind a firm withdrew a consent to its data's use or was erased."""
    if firms.has_withdrawal(session, firm_id, since):
        return True
    return repository.any_erased(session, firms.people_of(session, firm_id), since)


def add_record(session: TenantSession, person_id: UUID, firm_id: UUID, row: dict[str, Any]) -> int:
    """Add a negative record of a person for a firm; return 1, or 0 if it was known.

    Raises
    ------
    NotFound
        If the firm is not within reach, or has no such person.
    Conflict
        If the person is erased, or no consent to it is in force.
    """
    person, scope = _person_of(session, person_id, firm_id), SCOPES["personal_record"]
    if person.erased_at is not None:
        raise Conflict("This person has been erased.")
    if not firms.has_consent(session, firm_id, str(person_id), scope):
        raise Conflict(f"No consent of this person to '{scope}' is in force for this firm. Record one first.")
    return firms.add_personal_record(session, firm_id, {**row, "person_id": str(person_id)}).added


def _begin(session: TenantSession, keyring: Keyring) -> None:
    """Make the keyring with the database's first person; later, see that it is the same one."""
    if repository.read_fingerprint(session) is None:
        keyring.make_secret()
        repository.note_fingerprint(session, keyring.fingerprint())
    _check(session, keyring)


def _check(session: TenantSession, keyring: Keyring) -> None:
    if not keyring.has_secret() or keyring.fingerprint() != repository.read_fingerprint(session):
        raise KeyringError(ANOTHER_KEYRING)


def _mac(session: TenantSession, keyring: Keyring, kind: IdKind, number: str) -> bytes:
    return keyring.keyed_hash(tenant_of(session), f"{kind}\n{number}")


def _find_or_make(session: TenantSession, keyring: Keyring, kind: IdKind, identity: Identity) -> Person:
    """Return the person of a number, whoever enters it first of several at once.

    Raises
    ------
    Conflict
        If the person is entered and erased by others all the while.
    """
    tenant_id, mac = tenant_of(session), _mac(session, keyring, kind, identity.number)
    for _ in range(TRIES):
        person = repository.find_by_mac(session, mac, for_update=True)
        if person is None:
            person = _made(session, keyring, kind, mac, identity)
            if repository.add_person(session, person):
                return person
            keyring.destroy(tenant_id, person.id)
        elif keyring.is_destroyed(tenant_id, person.id):
            _forget(session, person)
        else:
            _rename(session, keyring, person, identity)
            return person
    raise Conflict("Others enter and erase this person at this moment. Send the request again.")


def _made(session: TenantSession, keyring: Keyring, kind: IdKind, mac: bytes, identity: Identity) -> Person:
    tenant_id, person_id = tenant_of(session), clock.new_id()
    key = keyring.create(tenant_id, person_id)
    return Person(
        tenant_id=tenant_id,
        id=person_id,
        id_kind=kind,
        id_mac=mac,
        sealed=seal(key, tenant_id, person_id, identity),
        created_at=clock.now(),
        erased_at=None,
        key_destroyed_at=None,
    )


def _rename(session: TenantSession, keyring: Keyring, person: Person, identity: Identity) -> None:
    """Seal a person's name if it is another one, or if the key was lost: the number is at hand again.

    A key that does not open the text is as good as lost: the request that made it was rolled back. A name changes only
    by who sees every firm of the person: it is not for one branch to change what another one entered.
    """
    key = keyring.load(person.tenant_id, person.id)
    known = _opened(key, person)
    if known == identity or (known is not None and not firms.sees_all_of(session, str(person.id))):
        return
    key = key or keyring.create(person.tenant_id, person.id)
    person.sealed = seal(key, person.tenant_id, person.id, identity)
    save(session, person)


def _opened(key: bytes | None, person: Person) -> Identity | None:
    """Return what is sealed; None if nothing is, or if the key is lost or another."""
    if key is None or person.sealed is None:
        return None
    try:
        return unseal(key, person.tenant_id, person.id, person.sealed)
    except KeyringError:
        return None


def _forget(session: TenantSession, person: Person) -> None:
    """Leave of a person its pseudonym and when it was erased, of answers about it nothing; end the use of its data."""
    person.id_mac = person.sealed = None
    person.erased_at = clock.now()
    save(session, person)
    idempotency.forget(session, person.id)
    firms.withdraw(session, str(person.id))


def _in_reach(session: TenantSession, person_id: UUID, *, for_update: bool = False) -> Person:
    person = repository.find_person(session, person_id, for_update=for_update)
    if person is None or not firms.links_of(session, [str(person_id)]):
        raise NotFound("No person has this id.")
    return person


def _person_of(session: TenantSession, person_id: UUID, firm_id: UUID) -> Person:
    person = _in_reach(session, person_id)
    if firm_id not in {link.firm_id for link in firms.links_of(session, [str(person_id)])}:
        raise NotFound("This firm has no person of this id. Enter the person for the firm first.")
    return person


def _views(session: TenantSession, keyring: Keyring, persons: Sequence[Person]) -> list[PersonView]:
    if any(person.sealed for person in persons):
        _check(session, keyring)
    names = [str(person.id) for person in persons]
    links = defaultdict(list)
    for link in firms.links_of(session, names):
        links[link.person_id].append(link)
    entered = firms.entered_at(session, names)
    return [_view(keyring, person, links[str(person.id)], entered.get(str(person.id))) for person in persons]


def _view(keyring: Keyring, person: Person, links: Sequence[Link], entered_at: datetime | None) -> PersonView:
    """Show a person; number and name of one whose key is lost, damaged or another are not known.

    It is as old as its first link within reach: that another branch knew it before is no business of the asker's.
    """
    try:
        identity = None if person.sealed is None else _opened(keyring.load(person.tenant_id, person.id), person)
    except KeyringError:
        identity = None
    return PersonView(
        id=person.id,
        id_kind=person.id_kind,
        number=None if identity is None else mask_number(identity.number),
        name=None if identity is None else mask_name(identity.name),
        firms=tuple(links),
        created_at=entered_at or person.created_at,
        erased_at=person.erased_at,
        version=person.version,
    )
