"""What a dump or a restore refuses, and that the database is then as it was; in full: `tests/e2e/test_backup.py`."""

import json
import uuid
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from typer.testing import CliRunner

from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.audit.use_cases import TreeHead, sign_checkpoint, tree_head
from service.cli import app as app_of_commands
from service.identity.access import Role
from service.identity.keys import create_key
from service.identity.use_cases import create_tenant
from service.kit import backup, clock, migrations
from service.kit.backup import BackupError, manifest_path
from service.kit.db import Author, Database
from service.retention.use_cases import Settled, settle_restored


def silent(*_):
    """Report nothing."""


def _make(database, rows):
    """Make a table, and say that every migration is there."""
    head = migrations.head()
    with database.engine.begin() as connection:
        connection.execute(text(f"create table alembic_version as select '{head}' as version_num"))
        connection.execute(text(f"create table kept as select x from generate_series(1, {rows}) x"))
    database.dispose()


def _rows(database):
    with database.engine.connect() as connection:
        found = connection.scalar(text("select count(*) from kept"))
    database.dispose()
    return found


@pytest.fixture
def dumped(empty_database, tmp_path):
    """Return a dump of a database with a table of 100 rows, of which five are gone since."""
    _make(empty_database, 100)
    file = tmp_path / "kept.dump"
    backup.dump(empty_database, file, silent)
    with empty_database.engine.begin() as connection:
        connection.execute(text("delete from kept where x > 95"))
    empty_database.dispose()
    return file


def _databases(database):
    """Return a database and those beside it; a neighbour's tests make and drop others."""
    with database.engine.connect() as connection:
        found = set(
            connection.scalars(text("select datname from pg_database where starts_with(datname, current_database())"))
        )
    database.dispose()
    return found


def test_a_database_is_replaced_when_its_name_is_typed(empty_database, dumped):
    name, before = empty_database.engine.url.database, _databases(empty_database)
    with pytest.raises(BackupError, match=f"--replace {name}"):
        backup.restore(empty_database, dumped, silent, replace="another")
    assert _rows(empty_database) == 95
    backup.restore(empty_database, dumped, silent, replace=name)
    assert _rows(empty_database) == 100
    assert _databases(empty_database) == before


def test_a_restore_that_fails_leaves_the_database_as_it_was(empty_database, dumped):
    name, before = empty_database.engine.url.database, _databases(empty_database)
    manifest = json.loads(manifest_path(dumped).read_text())
    manifest["rows"]["kept"] += 1
    manifest_path(dumped).write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match="not those of the dump, in: kept"):
        backup.restore(empty_database, dumped, silent, replace=name)
    manifest_path(dumped).write_text(json.dumps({**manifest, "roles": ["nobody-here"]}))
    with pytest.raises(BackupError, match="Create: nobody-here"):
        backup.restore(empty_database, dumped, silent, replace=name)
    manifest_path(dumped).write_text(json.dumps({**manifest, "revision": "9999"}))
    with pytest.raises(BackupError, match="does not know"):
        backup.restore(empty_database, dumped, silent, replace=name)
    assert _rows(empty_database) == 95
    assert _databases(empty_database) == before


def test_a_name_that_cannot_be_lengthened_is_refused_before_anything_is_dropped(server, empty_database, dumped):
    """PostgreSQL cuts a name at 63 bytes: with an ending it would be the database itself."""
    assert len(f"{'c' * backup.LONGEST_NAME}{backup.RESTORING}") == 63
    name = f"c{uuid.uuid4().hex}".ljust(backup.LONGEST_NAME + 1, "c")
    server.psql(f"create database {name}", "postgres")
    try:
        with pytest.raises(BackupError, match="more than 53 bytes"):
            backup.restore(empty_database.renamed(name), dumped, silent, replace=name)
        assert server.psql("select current_database()", name).strip() == name
    finally:
        server.psql(f"drop database {name}", "postgres")


def test_a_database_of_somebody_else_is_never_dropped(server, empty_database, dumped):
    name = empty_database.engine.url.database
    for beside in (name + backup.RESTORING, name + backup.REPLACED):
        server.psql(f"create database {beside}", "postgres")
        with pytest.raises(BackupError, match=f"'{beside}'.*Rename it"):
            backup.restore(empty_database, dumped, silent, replace=name)
        assert _databases(empty_database) == {name, beside}
        assert _rows(empty_database) == 95
        server.psql(f"drop database {beside}", "postgres")


def test_what_a_broken_off_restore_left_is_dropped(server, empty_database, dumped):
    name = empty_database.engine.url.database
    for beside in (name + backup.RESTORING, name + backup.REPLACED):
        server.psql(f"create database {beside}", "postgres")
        server.psql(f"comment on database {beside} is '{backup.OURS}'", "postgres")
    backup.restore(empty_database, dumped, silent, replace=name)
    assert _databases(empty_database) == {name}
    assert _rows(empty_database) == 100
    comment = f"select shobj_description(oid, 'pg_database') from pg_database where datname = '{name}'"
    assert server.psql(comment, "postgres").strip() == ""


def test_a_database_that_holds_anything_is_not_empty(empty_database):
    things = (
        "view kept as select 1",
        "function kept() returns int language sql as 'select 42'",
        "sequence kept",
        "type kept as enum ('a')",
        "schema kept",
        "table kept (x int) partition by range (x)",
        "extension if not exists plpgsql",
        "temp table of_a_session (x int)",
    )
    with closing(psycopg.connect(backup._conninfo(empty_database))) as connection:
        found = []
        for thing in things:
            connection.execute(f"create {thing}")
            found.append(backup._holds_anything(connection))
            connection.rollback()
        connection.execute("select lo_create(0)")
        assert backup._holds_anything(connection)
    assert found == [True] * 6 + [False] * 2


def test_nothing_is_replaced_under_somebody(empty_database, dumped):
    name = empty_database.engine.url.database
    with empty_database.engine.connect(), pytest.raises(BackupError, match="Somebody is connected"):
        backup.restore(empty_database, dumped, silent, replace=name)


def test_a_damaged_dump_is_found_out(empty_database, dumped):
    content = bytearray(dumped.read_bytes())
    content[len(content) // 2] ^= 1
    dumped.write_bytes(content)
    with pytest.raises(BackupError, match="is damaged"):
        backup.restore(empty_database, dumped, silent)
    manifest_path(dumped).unlink()
    with pytest.raises(BackupError, match="a dump is two files"):
        backup.restore(empty_database, dumped, silent)


def test_a_dump_is_never_written_over(empty_database, dumped):
    with pytest.raises(BackupError, match="is there already"):
        backup.dump(empty_database, dumped, silent)


def test_who_does_not_see_every_row_may_not_dump(empty_database, server, dumped, tmp_path):
    role = f"blind_{uuid.uuid4().hex[:8]}"
    server.psql(f"create role {role} login", "postgres")
    url = empty_database.engine.url.set(username=role)
    blind = Database(url.render_as_string(hide_password=False))
    try:
        with pytest.raises(BackupError, match="BYPASSRLS"):
            backup.dump(blind, tmp_path / "blind.dump", silent)
        with pytest.raises(BackupError, match="may not restore"):
            backup.restore(blind, dumped, silent)
    finally:
        server.psql(f"drop role {role}", "postgres")


def test_a_password_is_on_no_command_line():
    with backup._without_password("host=db user=a password=se:cr\\\\et") as place:
        assert "se:" not in place
        file = Path(conninfo_to_dict(place)["passfile"])
        assert file.read_text() == "*:*:*:*:se\\:cr\\\\et\n"


def test_a_program_older_than_the_server_is_not_used():
    with pytest.raises(BackupError, match="Put one of 99 on the PATH"):
        backup._program("pg_dump", 99)


OF_THE_DATABASE = """
    select array(select (x.grantee::regrole, x.privilege_type, x.is_grantable)::text from aclexplode(datacl) x
        where x.grantee <> datdba order by 1), datconnlimit, shobj_description(d.oid, 'pg_database'),
      array(select (setrole, setconfig)::text from pg_db_role_setting where setdatabase = d.oid order by 1)
    from pg_database d where datname = current_database()
"""
REVIVED = """
    select (select count(*) from login_session where ended_at is null), (select count(*) from idempotency_key),
      (select count(*) from api_key where revoked_at is null)
"""


def _fill_with_what_ends(database, name):
    migrations.upgrade(database.engine)
    with database.session(author=Author("cli:tester")) as session:
        tenant = create_tenant(session, "bank")
        create_key(session, "stolen", Role.ADMINISTRATOR)
    values = {"tenant": tenant, "id": uuid.uuid4(), "in_an_hour": clock.now() + timedelta(hours=1)}
    user = "insert into app_user (tenant_id, version, id, name, role, limits, created_at, created_by, login)"
    answer = "insert into idempotency_key"
    answer += " (tenant_id, asker_id, key, secret_mac, request_mac, status, sealed_body, created_at)"
    statements = (
        f"{user} values (:tenant, 1, :id, 'li.na', 'administrator', '[]', now(), 'cli', 'li.na')",
        "insert into login_session values (:tenant, :id, 'token', :id, now(), :in_an_hour, now(), null)",
        f"{answer} values (:tenant, :id, 'k', 's', 'm', 201, 'answer', now())",
        f"revoke all on database {name} from public",
        f"grant connect on database {name} to clustercredit_fund",
        f"alter database {name} connection limit 17",
        f"alter database {name} set statement_timeout = '1h'",
        f'alter database {name} set search_path = public, "$user", "a, b"',
        f"alter role clustercredit_fund in database {name} set lock_timeout = '7s'",
        f"comment on database {name} is 'the bank''s'",
    )
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), {key: values[key] for key in values if f":{key}" in statement})
    return tenant


def _read(database, query):
    with database.engine.connect() as connection:
        found = tuple(connection.execute(text(query)).one())
    database.dispose()
    return found


def test_a_restore_ends_what_it_would_bring_back_and_is_on_record(empty_database, tmp_path, monkeypatch):
    name, file = empty_database.engine.url.database, tmp_path / "bank.dump"
    tenant = _fill_with_what_ends(empty_database, name)
    number_all(empty_database)
    manifest = backup.dump(empty_database, file, silent)
    with empty_database.engine.begin() as connection:
        connection.execute(text("update api_key set revoked_at = now()"))
    own = _read(empty_database, OF_THE_DATABASE)
    assert [bool(part) for part in own] == [True] * 4
    monkeypatch.setenv("CLUSTERCREDIT_DATABASE_URL", empty_database.url.replace("+psycopg", ""))
    monkeypatch.setenv("CLUSTERCREDIT_KEYRING_DIR", str(tmp_path / "keyring"))
    monkeypatch.setenv("CLUSTERCREDIT_SIGNING_DIR", str(tmp_path / "signing"))
    with empty_database.session(tenant) as session:
        sign_checkpoint(session, SigningKeys(tmp_path / "signing"), tenant, "bank")
    empty_database.dispose()
    done = CliRunner().invoke(app_of_commands, ["db", "restore", str(file), "--replace", name])
    assert done.exit_code == 0, done.output
    assert "1 sessions ended, 0 API keys revoked" in done.output
    assert "have signed logs" in done.output
    assert "1 API keys are good, also such as were revoked after the dump" in done.output
    assert _read(empty_database, OF_THE_DATABASE) == own
    assert _read(empty_database, REVIVED) == (0, 0, 1)
    body = "body::jsonb ->> 'action' = 'database.restored'"
    (entry,) = _read(empty_database, f"select body::jsonb from audit_pending where {body}")
    assert entry["tenant_id"] == str(tenant)
    facts = entry["facts"]
    assert (facts["dump_sha256"], facts["sessions_ended"], facts["keys_revoked"]) == (manifest.sha256, 1, 0)
    assert facts["entries"] > 0
    with empty_database.session(tenant) as session:
        assert tree_head(session) == TreeHead(facts["entries"], bytes.fromhex(facts["root"]))
    settled = settle_restored(empty_database, manifest.sha256, manifest.made_at, Author("t"), revoke_keys=True)
    assert settled == Settled(sessions=0, revoked=1, good=0)
    assert _read(empty_database, REVIVED) == (0, 0, 0)
