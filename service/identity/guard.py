"""The guard of every route: who is asking, and whether its role may."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import Forbidden, Unauthenticated
from service.identity.access import ACCESS, PUBLIC, TITLES
from service.identity.actor import Actor
from service.identity.keys import authenticate
from service.kit.http import Session

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer cck_...`: an API key.")


def guard(
    request: Request,
    session: Session,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Actor | None:
    """Return who is asking, None on a public route.

    Raises
    ------
    Unauthenticated
        If nobody is.
    Forbidden
        If the table of access does not name the role for this route.
    """
    route = f"{request.method} {request.scope['route'].path}"
    roles = ACCESS.get(route)
    if roles is PUBLIC:
        return None
    if credentials is None:
        raise Unauthenticated("Send the header: Authorization: Bearer <API key>.")
    request.state.secret = credentials.credentials
    actor = authenticate(session, credentials.credentials)
    if roles is None or actor.role not in roles:
        may = ", ".join(sorted(TITLES[role][0] for role in roles or ())) or "nobody"
        raise Forbidden(f"Your role is {TITLES[actor.role][0]}; this may be done by: {may}.")
    return actor


Acting = Annotated[Actor, Depends(guard)]
