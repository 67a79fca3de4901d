"""What a browser sends by itself: the session's cookie, and where a request comes from."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request, Response

from service.errors import Forbidden

COOKIE: Final = "__Host-clustercredit"
"""Of this host alone, over HTTPS alone, unseen by scripts, and never sent along from another site."""
_ATTRIBUTES: Final[dict[str, Any]] = {"path": "/", "secure": True, "httponly": True, "samesite": "strict"}
CLEARED: Final = f'{COOKIE}=""; HttpOnly; Max-Age=0; Path=/; SameSite=strict; Secure'
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def give_cookie(response: Response, token: str) -> None:
    """Send a session's token; without an age, so that the browser forgets it when it is closed."""
    response.set_cookie(COOKIE, token, **_ATTRIBUTES)
    response.headers["Cache-Control"] = "no-store"


def clear_cookie(response: Response) -> None:
    """Let the browser forget the session's token."""
    response.headers.append("Set-Cookie", CLEARED)


def own_origin(request: Request) -> str:
    """Return the origin that the request was sent to.

    The host is the client's word. It cannot be used to pass for this host: a browser sends our cookie to our host
    only, and the host that it sends is the one that it sends to.
    """
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}".lower()


def check_origin(request: Request, allowed: Sequence[str], *, is_required: bool) -> None:
    """Refuse what a page of another site made the browser send.

    Parameters
    ----------
    allowed
        The service's own origins; if there are none, it is the one that the request was sent to.
    is_required
        Whether to refuse a request without Origin, which no browser's unsafe request is.

    Raises
    ------
    Forbidden
        If the origin is another, or missing where it is required.
    """
    origin = request.headers.get("origin")
    is_missing = origin is None and is_required
    is_foreign = origin is not None and origin.lower() not in (allowed or (own_origin(request),))
    if is_missing:
        own = allowed[0] if allowed else own_origin(request)
        raise Forbidden(
            f"A change by session needs the header Origin, which browsers send: Origin: {own}. Or use a key."
        )
    if is_foreign or request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden(
            "The request comes from another site's page. Send it from the service's own, or with an API key. Behind a"
            " proxy, its address is to be among CLUSTERCREDIT_ALLOWED_ORIGINS."
        )
