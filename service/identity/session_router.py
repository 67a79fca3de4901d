"""Routes of signing in and out."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.errors import SignInFailed, responses
from service.identity import oidc, passwords, sessions
from service.identity.browser import COOKIE, check_origin, clear_cookie, give_cookie, own_origin
from service.identity.guard import Acting
from service.identity.throttle import count_address, count_attempt, count_return
from service.identity.use_cases import own_organisation
from service.identity.user_schemas import PasswordChange, SessionOut, SignIn
from service.kit import clock
from service.kit.http import Session, open_query
from service.settings import Settings

router = APIRouter(prefix="/v1", tags=["signing in"])
FLOW_COOKIE: Final = "__Host-clustercredit-oidc"
"""Sent along when the issuer sends the browser back, hence `lax`; it opens nothing by itself."""
FLOW_CLEARED: Final = f'{FLOW_COOKIE}=""; HttpOnly; Max-Age=0; Path=/; SameSite=lax; Secure'
CALLBACK: Final = "/v1/oidc/callback"
LANDING: Final = "/docs"
"""Where a person lands; there are no other pages."""
Sent = Annotated[
    str | None,
    Query(max_length=4096, pattern=r"^[\x20-\x7e]+$", description="As the identity provider sends it."),
]


@router.post(
    "/sessions",
    status_code=HTTPStatus.CREATED,
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
    summary="Sign in",
)
def post_session(request: Request, response: Response, session: Session, body: SignIn) -> SessionOut:
    """Begin a session by a password; the answer sets its cookie, and the session of the cookie before it ends.

    It takes no Idempotency-Key: a replay would have to keep a token that opens the door, for whoever knows the key.
    When an answer is lost, sign in again; the session that nobody holds ends by itself in half an hour.
    """
    check_origin(request, request.app.state.settings.origins, is_required=False)
    with passwords.PLACES.place():
        count_attempt(request, f"{body.organisation}/{body.login}")
        sessions.end_presented_session(session, request.cookies.get(COOKIE))
        begun = sessions.sign_in(session, body.organisation, body.login, body.password.get_secret_value())
    give_cookie(response, begun.token)
    return SessionOut.begun(begun, own_organisation(session).name)


@router.delete(
    "/sessions/current",
    status_code=HTTPStatus.NO_CONTENT,
    responses=responses(HTTPStatus.CONFLICT),
    summary="Sign out",
)
def delete_session(response: Response, session: Session, actor: Acting) -> None:
    """End the session that the request came with, and take its cookie back."""
    sessions.end_session(session, sessions.session_of(actor))
    clear_cookie(response)


@router.post(
    "/me/password",
    status_code=HTTPStatus.NO_CONTENT,
    responses=responses(HTTPStatus.CONFLICT),
    summary="Change one's own password",
)
def post_password(request: Request, session: Session, actor: Acting, body: PasswordChange) -> None:
    """Replace the asker's password; its other sessions end. Sent again it is refused, since the old one is gone."""
    own = sessions.session_of(actor)
    with passwords.PLACES.place():
        count_attempt(request, str(actor.id))
        current, new = body.current.get_secret_value(), body.new.get_secret_value()
        sessions.change_own_password(session, actor.id, current, new, kept=own)


@router.get(
    "/oidc/login",
    status_code=HTTPStatus.FOUND,
    response_class=RedirectResponse,
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY),
    summary="Sign in by the identity provider",
)
def get_oidc_login(request: Request) -> Response:
    """Send the browser to the organisation's identity provider."""
    settings: Settings = request.app.state.settings
    provider = oidc.provider_of(settings)
    count_address(request)
    home = next(iter(settings.origins), own_origin(request))
    location, sealed = oidc.begin(provider, home + CALLBACK, int(clock.now().timestamp()))
    response = RedirectResponse(location, HTTPStatus.FOUND, {"Cache-Control": "no-store"})
    response.set_cookie(
        FLOW_COOKIE, sealed, max_age=oidc.FLOW_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


@router.get(
    "/oidc/callback",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=RedirectResponse,
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY
    ),
    summary="Come back from the identity provider",
)
@open_query
def get_oidc_callback(
    request: Request,
    session: Session,
    code: Sent = None,
    state: Sent = None,
    iss: Sent = None,
    error: Sent = None,
) -> Response:
    """Begin a session for the person whom the identity provider names, and send the browser to `/docs`.

    Providers add parameters of their own, which are passed over (RFC 6749, section 4.1.2).
    """
    provider = oidc.provider_of(request.app.state.settings)
    count_return(request)
    answer = oidc.Answer(code, state, iss, error)
    sealed = request.cookies.get(FLOW_COOKIE)
    try:
        subject = oidc.finish(provider, sealed, answer, int(clock.now().timestamp()))
        sessions.end_presented_session(session, request.cookies.get(COOKIE))
        begun = sessions.sign_in_subject(session, provider.organisation, subject)
    except SignInFailed as failure:
        raise SignInFailed(failure.detail, headers={"Set-Cookie": FLOW_CLEARED}) from None
    response = RedirectResponse(LANDING, HTTPStatus.SEE_OTHER, {"Set-Cookie": FLOW_CLEARED})
    give_cookie(response, begun.token)
    return response
