"""A full disk is 507 and a database that is away 503, nothing is lost; for real: `tests/chaos/test_full_disk.py`."""

import errno
import uuid

import psycopg
import pytest
from http_client import UNLIMITED, Client, make_client
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.app import create_app
from service.errors import fault_of
from service.kit.db import Database
from service.settings import Settings

FIRM = {"key": "E-full", "name": "甲", "observed_on": "2024-01-01"}


@pytest.fixture
def full_disk(database):
    """Fail one firm's insert as PostgreSQL does when a file cannot grow, until it is called."""
    name = f"full_{uuid.uuid4().hex[:8]}"
    body = "begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end"
    with database.engine.begin() as connection:
        connection.execute(text(f"create function {name}() returns trigger language plpgsql as $$ {body} $$"))
        when = f"when (new.key = '{FIRM['key']}') execute function {name}()"
        connection.execute(text(f"create trigger {name} before insert on firm for each row {when}"))

    def end():
        with database.engine.begin() as connection:
            connection.execute(text(f"drop function if exists {name} cascade"))

    yield end
    end()


def test_a_full_disk_is_507_and_the_same_request_is_done_when_there_is_room(app, database, tenant, full_disk):
    client, key = make_client(app, database, tenant), str(uuid.uuid4())
    for _ in range(2):
        answer = client.post("/v1/firms", FIRM, key=key)
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:clustercredit:insufficient-storage")
        assert answer.headers["x-request-id"]
    assert client.get("/v1/firms").json()["items"] == []
    full_disk()
    assert client.post("/v1/firms", FIRM, key=key).status_code == 201
    assert len(client.get("/v1/firms").json()["items"]) == 1


def test_a_database_that_is_away_is_503(tmp_path):
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    client = Client(create_app(Settings(keyring_dir=tmp_path, **UNLIMITED), database), "cck_" + "x" * 43)
    answer = client.get("/v1/firms")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:clustercredit:database-unavailable")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.errors.DiskFull("could not extend file"), "insufficient-storage"),
        (OSError(errno.ENOSPC, "No space left on device"), "insufficient-storage"),
        (OperationalError("insert", {}, psycopg.errors.DiskFull("")), "insufficient-storage"),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "database-unavailable"),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), "database-unavailable"),
        (psycopg.errors.CrashShutdown(""), "database-unavailable"),
        (psycopg.errors.QueryCanceled("statement timeout"), None),
        (psycopg.errors.UniqueViolation(""), None),
        (OSError(errno.EIO, "Input/output error"), None),
        (ValueError(""), None),
    ],
)
def test_only_faults_of_disk_and_server_are_called_so(error, code):
    assert getattr(fault_of(error), "code", None) == code
