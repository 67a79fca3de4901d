"""A small OpenID Connect issuer on 127.0.0.1, which can be told to misbehave."""

import base64
import gzip
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "clustercredit", "a secret of 28 characters : %"


@dataclass
class Issuer:
    """What it is, whom it vouches for, and what it does wrong."""

    url: str = ""
    subject: str = "248289761001"
    key: RSAKey | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    describes: dict[str, Any] = field(default_factory=dict)
    sign: Any = None
    trickles: bool = False
    packs: bool = False
    fails: dict[str, int] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def description(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            **self.describes,
        }

    def authorize(self, location: str) -> str:
        """Do as the person at the issuer's page does; return where the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert asked["client_id"] == CLIENT_ID
        assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == ("code", "openid", "S256")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"/v1/oidc/callback?code={code}&state={asked['state']}&session_state=its-own"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code, once, for its verifier's holder."""
        kind, _, credentials = authorization.partition(" ")
        name, _, secret = base64.b64decode(credentials).decode().partition(":")
        if (kind, unquote(name), unquote(secret)) != ("Basic", CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, form["redirect_uri"]):
            return 400, {"error": "invalid_grant", "error_description": "授权码无效"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": self.subject, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"]} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": (self.sign or self.signed)(claims)}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
        return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])

    def signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """HS256 with what everybody has: an attack on those who let the token choose the algorithm."""
        header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        mac = hmac.digest(self.key.as_pem(private=False), f"{header}.{body}".encode(), "sha256")
        return f"{header}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def signed_with_a_shared_key(self, claims: dict[str, Any]) -> str:
        """HS256 with a symmetric key that the issuer even publishes."""
        return jwt.encode({"alg": "HS256", "kid": "shared"}, claims, OctKey.import_key("k" * 32, {"kid": "shared"}))

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048, {"kid": "one"}))

    def keys(self) -> dict[str, Any]:
        shared = OctKey.import_key("k" * 32, {"kid": "shared"})
        return {"keys": [*KeySet([self.key]).as_dict()["keys"], shared.as_dict(private=True)]}


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Serve an issuer until the end of the block."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages = {"/.well-known/openid-configuration": issuer.description, "/jwks": issuer.keys}
            self.answer(200, pages[self.path]())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.answer(*issuer.token(form, self.headers["Authorization"]))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            issuer.seen.append(self.path)
            status = issuer.fails.get(self.path, status)
            body = json.dumps(content).encode() if status else b"<html>"
            body = gzip.compress(body) if issuer.packs else body
            self.send_response(status or 200)
            self.send_header("Content-Type", "application/json")
            if issuer.packs:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(len(body)) if issuer.trickles else ():
                self.wfile.write(body[at : at + 1])
                time.sleep(0.02)
            if not issuer.trickles:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
