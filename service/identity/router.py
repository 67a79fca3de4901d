"""Routes of who is asking, branches and API keys."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response

from service.errors import CHANGING, CREATING, responses
from service.identity import keys, use_cases
from service.identity.guard import Acting
from service.identity.schemas import (
    BranchesOut,
    BranchIn,
    BranchOut,
    KeyIn,
    KeyOut,
    KeyPatch,
    KeysOut,
    MeOut,
    NewKeyOut,
)
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of

router = APIRouter(prefix="/v1", tags=["identity"])
BranchId = Annotated[UUID, Path(description="Id of a branch.", examples=["0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"])]
KeyId = Annotated[UUID, Path(description="Id of an API key.", examples=["7a1c9c7e-6d1b-4f4e-8f5e-2d7a9e1b3c02"])]


@router.get("/me", responses=responses(), summary="Show who is asking")
def get_me(session: Session, actor: Acting) -> MeOut:
    """Return the holder of the key or session, its role and its reach."""
    return MeOut.of(actor, use_cases.own_organisation(session).name)


@router.post(
    "/branches",
    status_code=HTTPStatus.CREATED,
    response_model=BranchOut,
    responses=responses(*CREATING),
    summary="Add a branch",
)
def post_branch(session: Session, once: OnceOnly, body: BranchIn) -> Response:
    """Add a branch of the bank."""
    return once.answer(session, lambda: BranchOut.of(use_cases.create_branch(session, body.name)))


@router.get("/branches", responses=responses(), summary="List branches")
def get_branches(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> BranchesOut:
    """Return a page of branches, the oldest first."""
    branches, following = cut(
        use_cases.list_branches(session, decode_place(cursor), limit + 1),
        limit,
        lambda branch: place_of(branch.created_at, branch.id),
    )
    return BranchesOut(items=[BranchOut.of(branch) for branch in branches], next=following)


@router.get("/branches/{branch_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a branch")
def get_branch(session: Session, response: Response, branch_id: BranchId) -> BranchOut:
    """Return a branch."""
    branch = use_cases.get_branch(session, branch_id)
    tag(response, branch.version)
    return BranchOut.of(branch)


@router.patch("/branches/{branch_id}", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Rename a branch")
def patch_branch(
    session: Session, response: Response, precondition: IfMatch, branch_id: BranchId, body: BranchIn
) -> BranchOut:
    """Give a branch another name."""
    branch = use_cases.rename_branch(session, branch_id, body.name, precondition)
    tag(response, branch.version)
    return BranchOut.of(branch)


@router.post(
    "/keys",
    status_code=HTTPStatus.CREATED,
    response_model=NewKeyOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Make an API key",
)
def post_key(session: Session, actor: Acting, once: OnceOnly, body: KeyIn) -> Response:
    """Make an API key; the answer is the only place where the key itself is shown.

    It ends at the latest when the person who made it is disabled or gets another role.
    """

    def act() -> NewKeyOut:
        maker: dict[str, Any] = {"created_by": actor.name, "created_by_id": actor.id}
        made = keys.create_key(session, body.name, body.role, **body.holder(), days=body.days, **maker)
        return NewKeyOut.made(*made)

    return once.answer(session, act)


@router.get("/keys", responses=responses(), summary="List API keys")
def get_keys(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> KeysOut:
    """Return a page of API keys, the oldest first: their ends and last uses, not the keys themselves."""
    found, following = cut(
        keys.list_keys(session, decode_place(cursor), limit + 1), limit, lambda row: place_of(row.created_at, row.id)
    )
    return KeysOut(items=[KeyOut.of(key) for key in found], next=following)


@router.get("/keys/{key_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show an API key")
def get_key(session: Session, response: Response, key_id: KeyId) -> KeyOut:
    """Return an API key: its end and last use, not the key itself."""
    key = keys.get_key(session, key_id)
    tag(response, key.version)
    return KeyOut.of(key)


@router.patch(
    "/keys/{key_id}", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Rename an API key, or move its end"
)
def patch_key(session: Session, response: Response, precondition: IfMatch, key_id: KeyId, body: KeyPatch) -> KeyOut:
    """Change a key's name, or let it end some days from now; one that has ended is not revived (409)."""
    key = keys.change_key(session, key_id, precondition, name=body.name, days=body.days)
    tag(response, key.version)
    return KeyOut.of(key)


@router.delete("/keys/{key_id}", responses=responses(*CHANGING), summary="Revoke an API key")
def delete_key(session: Session, response: Response, precondition: IfMatch, key_id: KeyId) -> KeyOut:
    """End a key at once. It stays in the list, so that what was done with it stays explained."""
    key = keys.revoke_key(session, key_id, precondition)
    tag(response, key.version)
    return KeyOut.of(key)
