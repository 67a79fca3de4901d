"""How often anybody may try to sign in: by the login that is tried, and by the address that tries."""

import hashlib
from typing import Final

from fastapi import Request

from service.kit.rate_limit import NOBODY, Limiter, address_of_peer
from service.settings import Settings

SECONDS: Final = 15 * 60


def count_attempt(request: Request, login: str) -> None:
    """Count an attempt to sign in, before it is known whether there is such a login.

    Parameters
    ----------
    login
        What identifies who is tried, with its organisation.

    Raises
    ------
    TooManyRequests
        If the login or the address has no attempts left.
    """
    settings: Settings = request.app.state.settings
    limiter: Limiter = request.app.state.limiter
    count_address(request)
    limiter.take(NOBODY, subject_of(login), settings.login_attempts, SECONDS)


def count_address(request: Request) -> None:
    """Count an attempt of an address: the other end of the connection, never what a header of the client's says.

    Raises
    ------
    TooManyRequests
        If the address has no attempts left.
    """
    _count(request, "sign-in")


def count_return(request: Request) -> None:
    """Count that a browser comes back from the identity provider, apart from its going there: a sign-in is one of each.

    Raises
    ------
    TooManyRequests
        If the address has come back too often.
    """
    _count(request, "sign-in-return")


def _count(request: Request, what: str) -> None:
    settings: Settings = request.app.state.settings
    limiter: Limiter = request.app.state.limiter
    limiter.take(NOBODY, f"{what}:{address_of_peer(request)}", settings.login_attempts_per_address, SECONDS)


def subject_of(login: str) -> str:
    """Return what is counted of a login: a hash, since people type their passwords into the wrong field.

    Examples
    --------
    >>> subject_of("bank/li.na")
    'login:7f03ccb7ea1c149e'
    """
    return f"login:{hashlib.sha256(login.encode()).hexdigest()[:16]}"
