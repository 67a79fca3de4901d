"""A client of the application that tests talk through."""

import uuid
from typing import Any

import anyio
import httpx

from service.identity.access import BRANCH_ROLES, Role
from service.identity.keys import create_key
from service.identity.use_cases import tenant_id_of

UNLIMITED = {
    "requests_per_minute": 0,
    "tenant_requests_per_minute": 0,
    "failed_requests_per_minute": 0,
    "login_attempts": 0,
    "login_attempts_per_address": 0,
}
"""Settings of an application that counts nothing, and so opens no connections to count."""


class Client:
    """Sends requests to the application, with a key."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.app, self.token = app, token

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **options)

        return anyio.run(call)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.send("GET", path, params=params or None)

    def post(self, path: str, body: Any = None, *, key: str | None = "", **options: Any) -> httpx.Response:
        """POST with a fresh Idempotency-Key, the one given, or (None) without."""
        headers = options.pop("headers", {})
        if key is not None:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        if body is not None:
            options["json"] = body
        return self.send("POST", path, headers=headers, **options)


HOME = "https://credit.bank.test"
"""Where a browser finds the application."""


class Browser:
    """A person's browser: it keeps cookies, and says where its requests come from."""

    def __init__(self, app: Any, home: str = HOME, address: str = "127.0.0.1") -> None:
        self.app, self.home, self.address, self.cookies = app, home, address, httpx.Cookies()

    def send(self, method: str, path: str, *, origin: str | None = "", **options: Any) -> httpx.Response:
        """Send a request as the home's own page does, as another origin's, or (None) without Origin."""
        headers = options.pop("headers", {})
        if origin is not None and method not in {"GET", "HEAD"}:
            headers = {"Origin": origin or self.home, **headers}

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.address, 50000))
            async with httpx.AsyncClient(transport=transport, base_url=self.home, cookies=self.cookies) as client:
                answer = await client.request(method, path, headers=headers, **options)
                self.cookies = client.cookies
                return answer

        return anyio.run(call)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST with a fresh Idempotency-Key."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), **options.pop("headers", {})}
        return self.send("POST", path, json=body, headers=headers, **options)

    def sign_in(self, organisation: str, login: str, password: str, **options: Any) -> httpx.Response:
        body = {"organisation": organisation, "login": login, "password": password}
        return self.post("/v1/sessions", body, **options)


def make_client(app, database, tenant: str, role: Role = Role.LOAN_OFFICER, **reach: Any) -> Client:
    """Return a client of a tenant's, with a key of its own; by default one that reaches all firms."""
    if role in BRANCH_ROLES and "branch_id" not in reach:
        reach.setdefault("all_branches", True)
    with database.session(tenant_id_of(tenant)) as session:
        _, token = create_key(session, f"test {role}", role, **reach)
    return Client(app, token)
