"""Routes of people, for administrators."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from service.errors import CHANGING, CREATING, responses
from service.identity import users
from service.identity.guard import Acting
from service.identity.user_schemas import UserIn, UserOut, UserPatch, UsersOut
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of

router = APIRouter(prefix="/v1/users", tags=["identity"])
UserId = Annotated[UUID, Path(description="Id of a person.", examples=["c2a4d1c0-6f1e-4b52-8f0e-9a7d4c3b2a10"])]


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=UserOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add a person",
)
def post_user(session: Session, actor: Acting, once: OnceOnly, body: UserIn) -> Response:
    """Add a person, who signs in by a password, by the organisation's identity provider, or by either."""

    def act() -> UserOut:
        password = None if body.password is None else body.password.get_secret_value()
        user = users.create_user(
            session,
            body.login,
            body.name,
            body.duty(),
            password=password,
            oidc_subject=body.oidc_subject,
            created_by=actor.name,
            created_by_id=actor.id,
        )
        return UserOut.of_user(user)

    return once.answer(session, act)


@router.get("", responses=responses(), summary="List people")
def get_users(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> UsersOut:
    """Return a page of people, the oldest first, disabled ones included."""
    found, following = cut(
        users.list_users(session, decode_place(cursor), limit + 1), limit, lambda row: place_of(row.created_at, row.id)
    )
    return UsersOut(items=[UserOut.of_user(user) for user in found], next=following)


@router.get("/{user_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a person")
def get_user(session: Session, response: Response, user_id: UserId) -> UserOut:
    """Return a person: role, reach, and when it last signed in."""
    user = users.get_user(session, user_id)
    tag(response, user.version)
    return UserOut.of_user(user)


@router.patch("/{user_id}", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Change a person")
def patch_user(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, user_id: UserId, body: UserPatch
) -> UserOut:
    """Rename, give another role or reach, disable or let in again, set a password, link to an identity.

    Whoever is disabled, or gets another role, password or identity, is signed out everywhere. The API keys that the
    person made end with being disabled or getting another role, and so do the keys made with these. An administrator
    cannot shut out itself or the last administrator who can sign in (409).
    """
    user = users.change_user(session, user_id, precondition, body.change(), actor)
    tag(response, user.version)
    return UserOut.of_user(user)
