"""Fixtures on a real PostgreSQL: one embedded server, one migrated database a worker, one tenant a test."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from service.app import create_app
from service.identity.use_cases import Role, create_key, create_tenant, tenant_id_of
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.settings import Settings

ROOT = Path(__file__).parents[1]
SERVER = EmbeddedPostgres(ROOT / ".local" / "tests")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and SERVER.data.exists():
        SERVER.stop()


@pytest.fixture(scope="session")
def server() -> EmbeddedPostgres:
    """Start the tests' server."""
    SERVER.start()
    return SERVER


def fresh_database(server: EmbeddedPostgres) -> Iterator[Database]:
    """Make an empty database, and drop it in the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    server.psql(f"create database {name}", "postgres")
    database = Database(server.url(name))
    yield database
    database.dispose()
    server.psql(f"drop database {name} with (force)", "postgres")


@pytest.fixture(scope="session")
def database(server) -> Iterator[Database]:
    """Return a migrated database that the worker's tests share."""
    for database in fresh_database(server):
        migrations.upgrade(database.engine)
        yield database


@pytest.fixture
def empty_database(server) -> Iterator[Database]:
    """Return a database without any table."""
    yield from fresh_database(server)


@pytest.fixture
def tenant(database) -> str:
    """Return the name of a tenant without data."""
    name = f"tenant-{uuid.uuid4().hex[:12]}"
    with database.session() as session:
        create_tenant(session, name)
    return name


@pytest.fixture
def session(database, tenant):
    """Return a transaction of the tenant's, rolled back in the end."""
    with pytest.raises(RollBackError), database.session(tenant_id_of(tenant)) as session:
        yield session
        raise RollBackError


class RollBackError(Exception):
    """Ends a test's transaction."""


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


@pytest.fixture(scope="session")
def app(database):
    return create_app(Settings(max_body_bytes=1 << 20), database)


def make_client(app, database, tenant: str, role: Role = Role.OFFICER) -> Client:
    """Return a client of a tenant's, with a key of its own."""
    with database.session(tenant_id_of(tenant)) as session:
        token = create_key(session, f"test {role}", role)
    return Client(app, token)


@pytest.fixture
def client(app, database, tenant) -> Client:
    return make_client(app, database, tenant)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets, or skip."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not here: ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
