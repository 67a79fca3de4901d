"""Routes of the audit log: an organisation's own entries, their proofs, and what was signed of them."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from service.audit import use_cases
from service.audit.schemas import (
    CheckpointOut,
    CheckpointsOut,
    ConsistencyOut,
    EntriesOut,
    EntryOut,
    InclusionOut,
    Instant,
    KeyOut,
    KeysOut,
    PendingOut,
)
from service.audit.signing import SigningKeys
from service.errors import CREATING, InvalidPayload, responses
from service.identity.use_cases import own_organisation
from service.kit.http import Session, Text
from service.kit.idempotency import OnceOnly
from service.kit.paging import NOT_OURS, PAGE_SIZE, Count, Cursor, Limit, cut, decode, decode_place, place_of

router = APIRouter(prefix="/v1/audit", tags=["audit"])
EntryId = Annotated[UUID, Path(description="Id of an entry.", examples=["9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d"])]
LARGEST = 10**15
Size = Annotated[
    Count | None,
    Query(ge=1, le=LARGEST, description="Numbered entries of the later tree, such as a checkpoint's; else all of now."),
]
DAMAGED = NO_KEY = HTTPStatus.SERVICE_UNAVAILABLE
RETRY_SECONDS = 1
_PENDING: dict[int | str, dict[str, Any]] = {
    int(HTTPStatus.ACCEPTED): {
        "model": PendingOut,
        "description": "The entry has no number yet",
        "headers": {
            "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}, "example": 1}
        },
    }
}


def _signing_keys(request: Request) -> SigningKeys:
    keys: SigningKeys = request.app.state.signing_keys
    return keys


Keys = Annotated[SigningKeys, Depends(_signing_keys)]


@router.get("/entries", responses=responses(), summary="List entries of the audit log")
def get_entries(
    session: Session,
    subject: Annotated[Text | None, Query(description="Only those about this row, such as `review:<id>`.")] = None,
    actor: Annotated[Text | None, Query(description="Only those of this person or key, by name.")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Only those recorded from here on.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Only those recorded before.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> EntriesOut:
    """Return a page of the organisation's own numbered entries, the newest first."""
    found = use_cases.list_entries(
        session,
        subject=subject,
        actor=actor,
        since=since,
        until=until,
        below=None if cursor is None else _number(cursor),
        limit=limit + 1,
    )
    entries, following = cut(found, limit, lambda entry: [str(entry.number)])
    return EntriesOut(items=[EntryOut.of(entry) for entry in entries], next=following)


def _number(cursor: str) -> int:
    (number,) = decode(cursor, 1)
    if not (number.isascii() and number.isdecimal() and len(number) <= len(str(LARGEST))):
        raise InvalidPayload(NOT_OURS)
    return int(number)


@router.get("/entries/{entry_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show an entry of the audit log")
def get_entry(session: Session, entry_id: EntryId) -> EntryOut:
    """Return an entry, also one that has no number yet."""
    return EntryOut.of(use_cases.get_entry(session, entry_id))


@router.get(
    "/entries/{entry_id}/proof",
    response_model=InclusionOut,
    responses={**responses(HTTPStatus.NOT_FOUND, DAMAGED), **_PENDING},
    summary="Prove that an entry is in the log",
)
def get_proof(session: Session, entry_id: EntryId, size: Size = None) -> InclusionOut | JSONResponse:
    """Return the entry's proof in the tree of a size, the present one if none is given; 202 while it has no number."""
    proof = use_cases.prove_inclusion(session, entry_id, size)
    if proof is not None:
        return InclusionOut.of(proof)
    pending = PendingOut(id=entry_id, state="pending")
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return JSONResponse(pending.model_dump(mode="json"), HTTPStatus.ACCEPTED, headers=headers)


@router.get("/consistency", responses=responses(DAMAGED), summary="Prove that the log has only grown")
def get_consistency(
    session: Session,
    from_size: Annotated[
        Count, Query(alias="from", ge=1, le=LARGEST, description="Numbered entries of the earlier tree.", examples=[1])
    ],
    to_size: Annotated[
        Count | None,
        Query(alias="to", ge=1, le=LARGEST, description="Numbered entries of the later tree; else all of now."),
    ] = None,
) -> ConsistencyOut:
    """Return the proof that the log of a size, the present one if none is given, begins with all of an earlier size."""
    return ConsistencyOut.of(use_cases.prove_consistency(session, from_size, to_size))


@router.get("/checkpoints", responses=responses(), summary="List signed checkpoints")
def get_checkpoints(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> CheckpointsOut:
    """Return a page of checkpoints, the newest first."""
    found = use_cases.list_checkpoints(session, decode_place(cursor), limit + 1)
    checkpoints, following = cut(found, limit, lambda checkpoint: place_of(checkpoint.at, checkpoint.id))
    return CheckpointsOut(items=[CheckpointOut.of(checkpoint) for checkpoint in checkpoints], next=following)


@router.post(
    "/checkpoints",
    status_code=HTTPStatus.CREATED,
    response_model=CheckpointOut,
    responses=responses(*CREATING, NO_KEY),
    summary="Sign a checkpoint",
)
def post_checkpoint(session: Session, keys: Keys, once: OnceOnly) -> Response:
    """Sign size and root of the log as it is now. A checkpoint is signed each day of itself."""

    def act() -> CheckpointOut:
        return CheckpointOut.of(use_cases.make_checkpoint(session, keys, own_organisation(session).name))

    return once.answer(session, act)


@router.get("/keys", responses=responses(NO_KEY), summary="List the public keys of checkpoints")
def get_keys(keys: Keys) -> KeysOut:
    """Return the public keys. Note their ids once, from somebody you trust: a checkpoint cannot vouch for its key."""
    return KeysOut(items=[KeyOut.of(key) for key in keys.public_keys()])
