"""Routes of natural persons, their consents and records."""

from collections.abc import Callable
from datetime import date
from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from service.errors import CHANGING, CREATING, InvalidPayload, responses
from service.firms.router import FirmId
from service.firms.use_cases import ConsentView
from service.identity.actor import Actor
from service.identity.guard import Acting
from service.kit.db import TenantSession
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.keyring import Keyring
from service.kit.paging import NOT_OURS, PAGE_SIZE, Cursor, Limit, cut, decode
from service.people import use_cases
from service.people.schemas import (
    ConsentIn,
    ConsentOut,
    ConsentsOut,
    FoundOut,
    IdIn,
    NotedOut,
    PeopleOut,
    PersonIn,
    PersonOut,
    RecordIn,
)

router = APIRouter(prefix="/v1", tags=["people"])
PersonId = Annotated[
    UUID, Path(description="Pseudonym of a person.", examples=["5d2c7c1e-2b5a-4c0f-8f43-0d1a6f2e9b04"])
]
NO_KEYS = HTTPStatus.SERVICE_UNAVAILABLE


def _keyring(request: Request) -> Keyring:
    keyring: Keyring = request.app.state.keyring
    return keyring


Keys = Annotated[Keyring, Depends(_keyring)]
FollowRefusals = Callable[[TenantSession, Actor, UUID], object]


def _follow_refusals(request: Request) -> FollowRefusals:
    """Return what opens and withdraws reviews, which are a later domain's."""
    follow: FollowRefusals = request.app.state.follow_refusals
    return follow


Following = Annotated[FollowRefusals, Depends(_follow_refusals)]


@router.post(
    "/firms/{firm_id}/people",
    status_code=HTTPStatus.CREATED,
    response_model=PersonOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND, NO_KEYS),
    summary="Enter a person behind a firm",
)
def post_person(session: Session, keyring: Keys, once: OnceOnly, firm_id: FirmId, body: PersonIn) -> Response:
    """Find the person by its number, or make one, and add what it is to the firm. The answer is masked."""

    def act() -> PersonOut:
        identity, row = body.identity(), body.row()
        return PersonOut.of(use_cases.enter_person(session, keyring, firm_id, body.id_kind, identity, row))

    return once.answer(session, act, is_about_person=True)


@router.get(
    "/firms/{firm_id}/people",
    responses=responses(HTTPStatus.NOT_FOUND, NO_KEYS),
    summary="List a firm's people, masked",
)
def get_people(
    session: Session, keyring: Keys, firm_id: FirmId, cursor: Cursor = None, limit: Limit = PAGE_SIZE
) -> PeopleOut:
    """Return a page of the people entered for a firm. Pseudonyms of imported files are not among them."""
    after = None if cursor is None else decode(cursor, 1)[0]
    views, following = use_cases.list_people(session, keyring, firm_id, after, limit)
    return PeopleOut(items=[PersonOut.of(view) for view in views], next=following)


@router.post("/search/people", responses=responses(NO_KEYS), summary="Find a person by a document's number")
def search_people(session: Session, keyring: Keys, body: IdIn) -> FoundOut:
    """Return who has the number, masked, and the firms within reach. The number is in the body, never in the URL."""
    views = use_cases.find_people(session, keyring, body.id_kind, body.number.get_secret_value())
    return FoundOut(items=[PersonOut.of(view) for view in views])


@router.get("/people/{person_id}", responses=responses(HTTPStatus.NOT_FOUND, NO_KEYS), summary="Show a person, masked")
def get_person(session: Session, response: Response, keyring: Keys, person_id: PersonId) -> PersonOut:
    """Return a person, seen through the firms within reach."""
    person = use_cases.get_person(session, keyring, person_id)
    tag(response, person.version)
    return PersonOut.of(person)


@router.delete("/people/{person_id}", responses=responses(*CHANGING, NO_KEYS), summary="Erase a person")
def delete_person(
    session: Session, response: Response, keyring: Keys, precondition: IfMatch, person_id: PersonId
) -> PersonOut:
    """Forget number and name for good and destroy the person's key. Scores and observations stay, pseudonymous."""
    person = use_cases.erase(session, keyring, person_id, precondition)
    tag(response, person.version)
    return PersonOut.of(person)


@router.post(
    "/people/{person_id}/consents",
    status_code=HTTPStatus.CREATED,
    response_model=NotedOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Record a person's consent, refusal or withdrawal",
)
def post_consent(
    session: Session, actor: Acting, once: OnceOnly, follow: Following, person_id: PersonId, body: ConsentIn
) -> Response:
    """Add to what the person consented to for a firm; of a firm, scope and purpose the newest day counts.

    A firm may record that a person withdraws or refuses, not that one consents (403). A refusal of
    `automated_decision` opens a review unless one is open.
    """
    use_cases.check_may_record(actor.role, is_given=body.is_given)

    def act() -> NotedOut:
        row, then = body.row(), partial(follow, session, actor)
        added = use_cases.add_consent(session, person_id, body.firm_id, row, then)
        return NotedOut(person_id=person_id, firm_id=body.firm_id, added=added)

    return once.answer(session, act)


@router.get(
    "/people/{person_id}/consents", responses=responses(HTTPStatus.NOT_FOUND), summary="List a person's consents"
)
def get_consents(session: Session, person_id: PersonId, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> ConsentsOut:
    """Return a page of consents, refusals and withdrawals for the firms within reach, the oldest first."""
    after = None if cursor is None else _decode(cursor)
    consents, following = cut(use_cases.list_consents(session, person_id, after, limit + 1), limit, _place_of)
    return ConsentsOut(items=[ConsentOut.of(view) for view in consents], next=following)


@router.post(
    "/people/{person_id}/records",
    status_code=HTTPStatus.CREATED,
    response_model=NotedOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add a negative record of a person, or that there is none",
)
def post_record(session: Session, once: OnceOnly, person_id: PersonId, body: RecordIn) -> Response:
    """Add a record from a credit bureau or a court. It takes a consent to `bureau` in force, else 409."""

    def act() -> NotedOut:
        added = use_cases.add_record(session, person_id, body.firm_id, body.row())
        return NotedOut(person_id=person_id, firm_id=body.firm_id, added=added)

    return once.answer(session, act)


def _place_of(consent: ConsentView) -> list[str]:
    return [consent.observed_on.isoformat(), consent.content_sha256.hex()]


def _decode(cursor: str) -> tuple[date, bytes]:
    day, digest = decode(cursor, 2)
    try:
        return date.fromisoformat(day), bytes.fromhex(digest)
    except ValueError:
        raise InvalidPayload(NOT_OURS) from None
