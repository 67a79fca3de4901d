"""Fixtures on a real PostgreSQL: one embedded server, one migrated database a worker, one tenant a test."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from http_client import UNLIMITED, Client, make_client

from service.app import create_app
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.keyring import Keyring
from service.kit.logs import configure_logging
from service.settings import Settings

ROOT = Path(__file__).parents[1]
RUN = os.environ.setdefault("CLUSTERCREDIT_TEST_RUN", uuid.uuid4().hex[:8])
"""Of this run and all its workers, which inherit it."""
hypothesis.settings.register_profile("no test is held to seconds", deadline=None)
hypothesis.settings.load_profile("no test is held to seconds")
SERVER = EmbeddedPostgres(ROOT / ".local" / f"tests-{RUN}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and SERVER.data.exists():
        SERVER.stop()
        shutil.rmtree(SERVER.home, ignore_errors=True)
        shutil.rmtree(SERVER.local_dir, ignore_errors=True)


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


@pytest.fixture(autouse=True)
def _few_connections(request) -> Iterator[None]:
    """Give a test's connections back: the server has 60, for all workers and the servers that tests start."""
    yield
    if "database" in request.fixturenames:
        request.getfixturevalue("database").dispose()


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
    with database.session(tenant_id_of(tenant)) as session:
        outer = session.begin_nested()
        yield session
        if outer.is_active:
            outer.rollback()


@pytest.fixture(scope="session")
def keyring(tmp_path_factory) -> Keyring:
    """Return the keyring of the worker's database."""
    return Keyring(tmp_path_factory.mktemp("keyring"))


@pytest.fixture(scope="session")
def app(database, keyring):
    folders = {"keyring_dir": keyring.folder, "signing_dir": keyring.folder / "signing"}
    return create_app(Settings(max_body_bytes=1 << 20, **folders, **UNLIMITED), database)


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


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    configure_logging("ERROR")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
