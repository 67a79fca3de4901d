"""A database of this folder's own: workers take every tenant's jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from http_client import UNLIMITED

from service.app import create_app
from service.identity.use_cases import create_tenant
from service.jobs.worker import Worker
from service.kit import migrations
from service.kit.db import Database
from service.settings import Settings
from tests.conftest import fresh_database

TENANT = "bank of jobs"


@pytest.fixture(scope="module")
def own_database(server) -> Iterator[Database]:
    for database in fresh_database(server):
        migrations.upgrade(database.engine)
        with database.session() as session:
            create_tenant(session, TENANT)
        yield database


@pytest.fixture
def own_settings(tmp_path) -> Settings:
    return Settings(max_body_bytes=1 << 20, keyring_dir=tmp_path / "keyring", job_lease_seconds=2, **UNLIMITED)


@pytest.fixture
def own_app(own_database, own_settings):
    yield create_app(own_settings, own_database)
    own_database.dispose()


@contextmanager
def working(database, settings, kinds, **options) -> Iterator[Worker]:
    """Let a worker work in a thread."""
    worker = Worker(database, settings, kinds, **options)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
        assert not thread.is_alive()
