"""Signing in by an OpenID Connect issuer: authorization code, PKCE, state and nonce (OpenID Connect Core 1.0, 3.1).

Between the two requests of a sign-in everything is with the browser, sealed under the client secret; nothing is kept
here. The issuer's description and keys are read anew for every sign-in: they are few, and a key that the issuer
withdrew is not used a moment longer.
"""

import hmac
import json
import os
import secrets
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.errors import IssuerUnavailable, NotFound, SignInFailed
from service.identity.network import BoundedNetwork
from service.kit.turns import Turns
from service.settings import Settings

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key that the issuer alone has: neither `none`, nor a shared secret."""
LEEWAY: Final = 60
"""Seconds that the issuer's clock may differ."""
FLOW_SECONDS: Final = 10 * 60
"""How long a person may take at the issuer."""
TIMEOUT: Final = httpx.Timeout(5, connect=3)
SECONDS: Final = 10
"""For all calls to the issuer of one request, however slowly it trickles."""
BYTES: Final = 1024 * 1024
"""Of all its answers to one request; descriptions and keys have a few thousand."""
CALLS: Final = Turns("signing in by the identity provider", running=4, waiting=0, seconds=5)
"""Of this process: a slow issuer holds four requests up, and not the others."""
FAILED: Final = "The sign-in was not completed. Start again with GET /v1/oidc/login."
_NONCE_BYTES: Final = 12


@dataclass(frozen=True)
class Provider:
    """The issuer, and this service as its client.

    Attributes
    ----------
    organisation
        Whose people sign in by it.
    claim
        What of the id token names a person.
    """

    issuer: str
    client_id: str
    client_secret: str
    organisation: str
    claim: str


@dataclass(frozen=True)
class Answer:
    """What the issuer sent the browser back with."""

    code: str | None
    state: str | None
    iss: str | None
    error: str | None


@dataclass(frozen=True)
class _Flow:
    """What a sign-in is recognised by when the browser comes back."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    until: int


def provider_of(settings: Settings) -> Provider:
    """Return the issuer that is set.

    Raises
    ------
    NotFound
        If none is.
    """
    issuer, client_id, secret = settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret
    if issuer is None or client_id is None or secret is None or settings.oidc_organisation is None:
        raise NotFound("No identity provider is set. Sign in with POST /v1/sessions, or set CLUSTERCREDIT_OIDC_ISSUER.")
    return Provider(issuer, client_id, secret.get_secret_value(), settings.oidc_organisation, settings.oidc_claim)


def begin(provider: Provider, redirect_uri: str, now: int) -> tuple[str, str]:
    """Return where to send the browser, and what it has to bring back sealed.

    Parameters
    ----------
    redirect_uri
        Where the issuer shall send it back to; registered there.
    now
        Seconds since 1970.

    Raises
    ------
    IssuerUnavailable
        If the issuer cannot be used.
    TooManyRequests
        If too many are signing in by it.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    flow = _Flow(state, nonce, verifier, redirect_uri, now + FLOW_SECONDS)
    with CALLS.place(), CALLS.turn(), _http() as http:
        endpoint = _described(http, provider)["authorization_endpoint"]
        location, _ = _client(http, provider, flow).create_authorization_url(
            endpoint, state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
        )
    return str(location), _seal(provider, flow)


def finish(provider: Provider, sealed: str | None, answer: Answer, now: int) -> str:
    """Return the subject that the issuer vouches for.

    Parameters
    ----------
    sealed
        What the browser brought back.

    Raises
    ------
    SignInFailed
        If the answer is to no sign-in of this browser's, or the issuer does not vouch for anybody.
    IssuerUnavailable
        If the issuer cannot be used.
    TooManyRequests
        If too many are signing in by it.
    """
    flow = _unseal(provider, sealed)
    is_ours = flow is not None and now < flow.until and _is_same(flow.state, answer.state)
    if flow is None or not is_ours or answer.iss not in {None, provider.issuer}:
        raise SignInFailed(FAILED)
    if answer.error is not None or answer.code is None:
        raise SignInFailed(f"The identity provider refused. {FAILED}")
    with CALLS.place(), CALLS.turn(), _http() as http:
        described = _described(http, provider)
        if answer.iss is None and described.get("authorization_response_iss_parameter_supported"):
            raise SignInFailed(FAILED)
        token = _redeem(http, provider, flow, described["token_endpoint"], answer.code)
        keys = _fetch(http, described["jwks_uri"])
    return _subject(provider, flow, token, keys, now)


def _http() -> httpx.Client:
    """Return a client for one step of a sign-in: all its calls together have a deadline and a number of bytes."""
    http: Any = httpx.Client(
        timeout=TIMEOUT,
        verify=_tls(),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_refuse_packed]},
    )
    network = BoundedNetwork(SECONDS, BYTES)
    for transport in _transports(http):
        transport._pool._network_backend = network  # noqa: SLF001 - httpx passes none on
    return cast("httpx.Client", http)


def _transports(http: Any) -> list[Any]:
    """Return the client's own transport, and those by a proxy that the environment names."""
    mounted = http._mounts.values()  # noqa: SLF001 - not to be had otherwise
    return [http._transport, *(transport for transport in mounted if transport is not None)]  # noqa: SLF001 - nor this


def _refuse_packed(answer: httpx.Response) -> None:
    """Refuse what was packed though it was asked for as it is: a few bytes could unpack to any number."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise httpx.DecodingError("packed", request=answer.request)


@cache
def _tls() -> ssl.SSLContext:
    """Return the authorities that are trusted, read once: a tenth of a second."""
    return httpx.create_ssl_context()


def _described(http: httpx.Client, provider: Provider) -> dict[str, Any]:
    """Return the issuer's description of itself, in which it must be the one that is set (RFC 8414, section 3.3)."""
    described = _fetch(http, get_well_known_url(provider.issuer, external=True))
    if described.get("issuer") != provider.issuer:
        raise IssuerUnavailable("The identity provider says that it is another one. Check CLUSTERCREDIT_OIDC_ISSUER.")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        url = described.get(name)
        if not isinstance(url, str) or urlsplit(url).scheme not in {"https", urlsplit(provider.issuer).scheme}:
            raise IssuerUnavailable(f"The identity provider names no usable {name}. Its administrator can mend that.")
    return described


def _fetch(http: httpx.Client, url: str) -> dict[str, Any]:
    try:
        answer = http.get(url).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _unavailable(error) from None
    if not isinstance(answer, dict):
        raise _unavailable(ValueError("not a JSON object"))
    return answer


def _redeem(http: httpx.Client, provider: Provider, flow: _Flow, endpoint: str, code: str) -> dict[str, Any]:
    """Exchange the code for tokens; the issuer takes a code once, and with the verifier of its sign-in only."""
    credentials = httpx.BasicAuth(quote(provider.client_id, safe=""), quote(provider.client_secret, safe=""))
    try:
        token = _client(http, provider, flow).fetch_token(
            endpoint, grant_type="authorization_code", code=code, code_verifier=flow.verifier, auth=credentials
        )
    except AuthlibBaseError as error:
        if error.error in {"invalid_client", "unauthorized_client"}:
            raise IssuerUnavailable(
                "The identity provider does not know this service. Check CLUSTERCREDIT_OIDC_CLIENT_ID and its secret."
            ) from None
        raise SignInFailed(f"The identity provider refused. {FAILED}") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _unavailable(error) from None
    return dict(token)


def _subject(provider: Provider, flow: _Flow, token: dict[str, Any], keys: dict[str, Any], now: int) -> str:
    """Check the id token (OpenID Connect Core 1.0, 3.1.3.7) and return whom it names."""
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
    }
    try:
        key_set = KeySet.import_key_set({"keys": keys["keys"]})
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _unavailable(error) from None
    try:
        decoded = jwt.decode(str(token.get("id_token")), key_set, ALGORITHMS)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options,
            {"nonce": flow.nonce, "client_id": provider.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now, LEEWAY)
    except (JoseError, ValueError, TypeError):
        raise SignInFailed(FAILED) from None
    subject = claims.get(provider.claim)
    if not isinstance(subject, str) or not subject:
        raise SignInFailed(f"The identity provider says nothing of '{provider.claim}'. {FAILED}")
    if provider.claim == "email" and claims.get("email_verified") is not True:
        raise SignInFailed(f"The identity provider has not verified the address. {FAILED}")
    return subject


def _client(http: httpx.Client, provider: Provider, flow: _Flow) -> Any:
    client = OAuth2Client(
        http,
        client_id=provider.client_id,
        scope="openid",
        redirect_uri=flow.redirect_uri,
        code_challenge_method="S256",
    )
    client.oauth_error_class = AuthlibBaseError  # Authlib's own takes no description but in ASCII
    return client


def _unavailable(error: Exception) -> IssuerUnavailable:
    return IssuerUnavailable(
        f"The identity provider did not answer as it should ({type(error).__name__}). Try again, or sign in with"
        " POST /v1/sessions; an administrator checks CLUSTERCREDIT_OIDC_ISSUER and the network."
    )


def _is_same(ours: str, theirs: str | None) -> bool:
    return hmac.compare_digest(ours.encode(), (theirs or "").encode())


def _cipher(provider: Provider) -> AESGCM:
    return AESGCM(hmac.digest(provider.client_secret.encode(), b"clustercredit sign-in", "sha256"))


def _seal(provider: Provider, flow: _Flow) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return urlsafe_b64encode(
        nonce + _cipher(provider).encrypt(nonce, json.dumps(flow.__dict__).encode(), provider.issuer.encode())
    ).decode()


def _unseal(provider: Provider, sealed: str | None) -> _Flow | None:
    try:
        raw = urlsafe_b64decode(sealed or "")
        return _Flow(
            **json.loads(_cipher(provider).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], provider.issuer.encode()))
        )
    except (InvalidTag, ValueError, TypeError):
        return None
