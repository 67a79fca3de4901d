"""The guard of every route: who is asking, and whether its role may."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from service.errors import Forbidden, Unauthenticated
from service.identity.access import ACCESS, PUBLIC, TITLES
from service.identity.actor import Actor
from service.identity.browser import CLEARED, COOKIE, SAFE, check_origin
from service.identity.keys import authenticate
from service.identity.sessions import HOW, authenticate_session
from service.identity.uses import Uses
from service.kit.http import Session
from service.kit.rate_limit import Failures, Limiter, address_of_peer
from service.settings import Settings

MINUTE = 60

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer cck_...`: an API key.")
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description="A person's session, from `POST /v1/sessions`; not looked at beside a key.",
)


def guard(
    request: Request,
    session: Session,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Actor | None:
    """Return who is asking, None on a public route.

    Raises
    ------
    Unauthenticated
        If nobody is.
    TooManyRequests
        If the asker or its tenant has used up its requests, or its address its failures.
    Forbidden
        If the table of access does not name the role for this route, or another site's page sent the cookie along.
    """
    route = f"{request.method} {request.scope['route'].path}"
    roles = ACCESS.get(route)
    if roles is PUBLIC:
        return None
    if credentials is not None:
        actor = _identify(request, session, credentials.credentials, is_key=True)
    elif cookie:
        if request.method not in SAFE:
            check_origin(request, request.app.state.settings.origins, is_required=True)
        actor = _identify(request, session, cookie, is_key=False)
    else:
        raise Unauthenticated(HOW)
    _count(request, actor)
    if roles is None or actor.role not in roles:
        may = ", ".join(sorted(TITLES[role][0] for role in roles or ())) or "nobody"
        raise Forbidden(f"Your role is {TITLES[actor.role][0]}; this may be done by: {may}.")
    return actor


def _identify(request: Request, session: Session, secret: str, *, is_key: bool) -> Actor:
    """Find out who asks, and note it, unless the address has failed too often; a cookie in vain is taken back."""
    request.state.secret = secret
    failures: Failures = request.app.state.failures
    address = address_of_peer(request)
    failures.check(address, secret)
    try:
        actor = authenticate(session, secret) if is_key else authenticate_session(session, secret)
    except Unauthenticated as error:
        failures.note_bad(address, secret)
        raise Unauthenticated(error.detail, headers=None if is_key else {"Set-Cookie": CLEARED}) from None
    failures.note_good(address, secret)
    uses: Uses = request.app.state.uses
    uses.note(actor)
    return actor


def _count(request: Request, actor: Actor) -> None:
    """Count the request; a refused key uses up nothing of its tenant's."""
    settings: Settings = request.app.state.settings
    limiter: Limiter = request.app.state.limiter
    limiter.take(actor.tenant_id, f"asker:{actor.id}", settings.requests_per_minute, MINUTE)
    limiter.take(actor.tenant_id, "tenant", settings.tenant_requests_per_minute, MINUTE)


Acting = Annotated[Actor, Depends(guard)]
