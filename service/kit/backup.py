"""Dump a whole database and restore it: PostgreSQL's own programs, and a manifest of what a dump holds.

What is outside the database is in no dump: the keyring of persons (docs/adr/0017) above all.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, Field, ValidationError

from service.kit import clock, migrations
from service.kit.db import Database
from service.kit.embedded_postgres import programs

Report = Callable[[str, int, int], None]

MAINTENANCE = "postgres"
"""Database that every server has, to work from while another is made, renamed or dropped."""
RESTORING, REPLACED = "_restoring", "_replaced"
LONGEST_NAME = 63 - len(RESTORING)
"""Bytes of a database's name to which these can be added: PostgreSQL cuts longer ones, to the name of another."""
OURS = "Of a restore that is under way or was broken off: clustercredit db restore drops it."
"""Comment on a database that a restore has made or replaced, and may drop."""
_BLOCK = 1 << 20
_TABLE_LINE = re.compile(r'(?:dumping contents of|processing data for) table "([^"]+)"')
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_TABLES = """
    select c.oid::regclass::text as leaf, coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as root,
      quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
    order by 1
"""
_COMMENT = "select shobj_description(oid, 'pg_database') from pg_database where datname = %s"
_RIGHTS = """
    select a.privilege_type, r.rolname, a.is_grantable
    from pg_database d cross join aclexplode(d.datacl) a left join pg_roles r on r.oid = a.grantee
    where d.datname = %s and (a.grantee = 0 or r.rolname is not null)
"""
_SETTINGS = """
    select r.rolname, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
    from pg_database d join pg_db_role_setting s on s.setdatabase = d.oid cross join unnest(s.setconfig) c
    left join pg_roles r on r.oid = s.setrole
    where d.datname = %s
"""
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_ANYTHING = """
    with mine as (select oid from pg_namespace where nspname !~ '^pg_')
    select exists (select from pg_namespace where oid >= 16384 and nspname !~ '^pg_')
      or exists (select from pg_class where oid >= 16384 and relnamespace in (select oid from mine))
      or exists (select from pg_type where oid >= 16384 and typnamespace in (select oid from mine))
      or exists (select from pg_proc where oid >= 16384 and pronamespace in (select oid from mine))
      or exists (select from pg_extension where oid >= 16384)
      or exists (select from pg_largeobject_metadata)
"""
"""Whether anybody has made anything in a database: what a server comes with has lower numbers."""
_GRANTEES = """
    select distinct r.rolname from pg_class c cross join aclexplode(c.relacl) a
    join pg_roles r on r.oid = a.grantee
    where c.relowner <> a.grantee
    order by 1
"""


class BackupError(RuntimeError):
    """A dump or a restore that cannot be done; the message says why and what to do. Nothing was changed."""


class Manifest(BaseModel):
    """What a dump holds. It lies beside it, as ``<dump>.json``, and is written last: without it no dump is whole."""

    sha256: str
    size: int
    made_at: datetime
    product_version: str
    revision: str
    server_version: int
    roles: list[str] = Field(description="Roles that have rights in it; a server to restore on needs them.")
    rows: dict[str, int] = Field(description="Rows of each table at the moment of the dump.")


def manifest_path(dump: Path) -> Path:
    """Return where a dump's manifest is."""
    return dump.with_name(f"{dump.name}.json")


def dump(database: Database, out: Path, report: Report) -> Manifest:
    """Write everything that is in a database, as of one moment, to a file that appears when it is whole.

    Parameters
    ----------
    database
        Others may go on using it.
    out
        The file, in the custom format of ``pg_dump``; only its owner may read it.
    report
        Called with what is done, rows so far, rows of all.

    Raises
    ------
    BackupError
        If the file is there already, the login does not see every row, or ``pg_dump`` is missing or fails.
    """
    for path in (out, manifest_path(out)):
        if path.exists():
            raise BackupError(f"{path} is there already. Choose another name: a dump is never written over.")
    draft = out.with_name(f"{out.name}.{os.getpid()}.part")
    url = _conninfo(database)
    with closing(psycopg.connect(url)) as connection:
        _check_sees_all(connection)
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        snapshot = _value(connection, "select pg_export_snapshot()")
        rows, leaves = _count(connection, report)
        manifest = {
            "made_at": clock.now(),
            "product_version": version("clustercredit"),
            "revision": _value(connection, "select version_num from alembic_version"),
            "server_version": connection.info.server_version // 10000,
            "roles": [name for (name,) in connection.execute(_GRANTEES)],
            "rows": rows,
        }
        program = _program("pg_dump", connection.info.server_version // 10000)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            arguments = ["--format=custom", f"--snapshot={snapshot}", f"--file={draft}"]
            _run(program, arguments, url, _progress(leaves, "dumping", report))
            whole = Manifest(**manifest, sha256=_sha256(draft, report), size=draft.stat().st_size)
            _write_through(draft)
            draft.rename(out)
        finally:
            draft.unlink(missing_ok=True)
    path = manifest_path(out)
    path.write_text(whole.model_dump_json(indent=2) + "\n")
    _write_through(path)
    return whole


def restore(
    database: Database,
    file: Path,
    report: Report,
    *,
    replace: str | None = None,
    jobs: int = 1,
    settle: Callable[[Database, Manifest], None] | None = None,
) -> Manifest:
    """Restore a dump in place of a database, which changes in one step at the end, or not at all.

    The dump goes into a new database of the same server, is counted, brought to today's schema and analysed, and then
    takes the other's name.

    Parameters
    ----------
    database
        The one to take the place of: it need not exist.
    file
        A dump with its manifest.
    replace
        The database's name, if it may hold anything; that is gone afterwards.
    jobs
        Processes that restore side by side.
    settle
        What to do in the new database before it takes its place.

    Raises
    ------
    BackupError
        If the file is not what its manifest says, the login may not, the place is not empty, somebody is connected to
        it, its name is too long, a name beside it is taken, or ``pg_restore`` fails.
    """
    manifest = read_manifest(file, report)
    url = _conninfo(database)
    name = conninfo_to_dict(url)["dbname"]
    assert isinstance(name, str)
    if len(name.encode()) > LONGEST_NAME:
        raise BackupError(
            f"The database's name has more than {LONGEST_NAME} bytes, too many to restore beside it. Restore into one "
            "with a shorter name; it can be renamed afterwards."
        )
    with closing(psycopg.connect(make_conninfo(url, dbname=MAINTENANCE), autocommit=True)) as server:
        _check_may_restore(server, manifest)
        exists = _exists(server, name)
        if exists:
            _check_nobody_connected(server, name)
        if exists and replace != name and not _is_empty(url):
            raise BackupError(f"The database '{name}' is not empty. To lose all that is in it: --replace {name}")
        program = _program("pg_restore", server.info.server_version // 10000)
        _check_names_are_free(server, name)
        _drop_ours(server, name)
        fresh = database.renamed(name + RESTORING)
        try:
            server.execute(_identified("create database {} template template0 encoding 'UTF8'", name + RESTORING))
            _mark(server, name + RESTORING)
            _fill(fresh, program, file, manifest, jobs, report)
            if settle is not None:
                settle(fresh, manifest)
            fresh.dispose()
            _switch(server, name, is_there=exists)
        except psycopg.errors.InsufficientPrivilege as error:
            raise BackupError(
                f"This login may not do all of a restore: {error.diag.message_primary}. Restore as a superuser."
            ) from None
        except psycopg.errors.ObjectInUse:
            raise BackupError(_CONNECTED.format(name=name)) from None
        finally:
            fresh.dispose()
            with suppress(psycopg.Error):
                _drop_ours(server, name)
    return manifest


_CONNECTED = "Somebody is connected to the database '{name}'. Stop what serves and works on it, then restore again."


def read_manifest(file: Path, report: Report) -> Manifest:
    """Return a dump's manifest, when the file is what it says.

    Raises
    ------
    BackupError
        If one of the two is missing, or the file was damaged or changed.
    """
    path = manifest_path(file)
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        found = _sha256(file, report)
    except FileNotFoundError as error:
        raise BackupError(f"{error.filename} is missing: a dump is two files, {file.name} and {path.name}.") from None
    except ValidationError:
        raise BackupError(f"{path} is not a manifest of a dump.") from None
    if found != manifest.sha256:
        raise BackupError(f"{file} is damaged: its SHA-256 is not the one in {path.name}. Take another copy.")
    return manifest


def _fill(fresh: Database, program: str, file: Path, manifest: Manifest, jobs: int, report: Report) -> None:
    with fresh.engine.connect() as connection:
        for role in migrations.ROLES:
            migrations.ensure_role(connection, role)
    arguments = ["--no-owner", "--exit-on-error", f"--jobs={jobs}"]
    url = _conninfo(fresh)
    _run(program, arguments, url, _progress(manifest.rows, "restoring", report), str(file))
    with closing(psycopg.connect(url)) as connection:
        rows, _ = _count(connection, report)
    if rows != manifest.rows:
        wrong = sorted(name for name in rows.keys() | manifest.rows if rows.get(name) != manifest.rows.get(name))
        raise BackupError(f"The restored rows are not those of the dump, in: {', '.join(wrong)}.")
    report("migrating", 0, 0)
    migrations.upgrade(fresh.engine)
    report("analysing", 0, 0)
    fresh.analyze()


def _switch(server: psycopg.Connection[Any], name: str, *, is_there: bool) -> None:
    """Give the new database the name of the old one, in one transaction, and drop the old one."""
    said = None
    with server.transaction():
        if is_there:
            said = _value(server, _COMMENT, name)
            _take_over(server, name, name + RESTORING)
            server.execute(_identified("alter database {} rename to {}", name, name + REPLACED))
            _mark(server, name + REPLACED)
        server.execute(_identified("alter database {} rename to {}", name + RESTORING, name))
        comment = sql.SQL("comment on database {} is {}")
        server.execute(comment.format(sql.Identifier(name), sql.Literal(said)))


def _take_over(server: psycopg.Connection[Any], old: str, new: str) -> None:
    """Give a database the rights, settings and limit of another."""
    to = sql.Identifier(new)
    if _value(server, "select datacl is not null from pg_database where datname = %s", old):
        server.execute(_identified("revoke all on database {} from public", new))
    for right, grantee, may_grant in server.execute(_RIGHTS, [old]).fetchall():
        whom = sql.SQL("public") if grantee is None else sql.Identifier(grantee)
        grant = sql.SQL("grant {} on database {} to {} {}")
        server.execute(grant.format(sql.SQL(right), to, whom, sql.SQL("with grant option" if may_grant else "")))
    for role, setting, value in server.execute(_SETTINGS, [old]).fetchall():
        name = sql.Identifier(*setting.split("."))
        if setting in _LISTS:  # their text is quoted already, which only the server reads and writes aright
            server.execute("select set_config(%s, %s, true)", [setting, value])
            change = sql.SQL("set {} from current").format(name)
        else:
            change = sql.SQL("set {} to {}").format(name, sql.Literal(value))
        whose = sql.SQL("database {}").format(to)
        if role is not None:
            whose = sql.SQL("role {} in database {}").format(sql.Identifier(role), to)
        server.execute(sql.SQL("alter {} {}").format(whose, change))
    limit = _value(server, "select datconnlimit from pg_database where datname = %s", old)
    server.execute(sql.SQL("alter database {} connection limit {}").format(to, sql.Literal(limit)))


def _check_names_are_free(server: psycopg.Connection[Any], name: str) -> None:
    for beside in (name + RESTORING, name + REPLACED):
        if _exists(server, beside) and not _is_ours(server, beside):
            raise BackupError(
                f"A restore needs the name '{beside}' for a while, and a database of that name is there which no "
                "restore has left. Rename it, or drop it if it is of no use."
            )


def _mark(server: psycopg.Connection[Any], name: str) -> None:
    server.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(OURS)))


def _is_ours(server: psycopg.Connection[Any], name: str) -> bool:
    return bool(_value(server, _COMMENT, name) == OURS)


def _drop_ours(server: psycopg.Connection[Any], name: str) -> None:
    """Drop what this or an earlier restore of a database has left."""
    for leftover in (name + RESTORING, name + REPLACED):
        if _is_ours(server, leftover):
            server.execute(_identified("drop database if exists {}", leftover))


def _check_sees_all(connection: psycopg.Connection[Any]) -> None:
    if not _value(connection, "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"):
        raise BackupError(
            "Row-level security hides rows from this login, so its dump would lack them. Dump as a superuser or a role "
            "with BYPASSRLS that may read every table: put its URL into CLUSTERCREDIT_DATABASE_URL for this command."
        )


def _check_may_restore(server: psycopg.Connection[Any], manifest: Manifest) -> None:
    may = "select rolsuper or (rolbypassrls and rolcreatedb and rolcreaterole) from pg_roles where rolname=current_user"
    if not _value(server, may):
        raise BackupError(
            "This login may not restore. Restore as a superuser, or as a role with CREATEDB, CREATEROLE and BYPASSRLS: "
            "put its URL into CLUSTERCREDIT_DATABASE_URL for this command."
        )
    if not migrations.is_known(manifest.revision):
        raise BackupError(
            f"The dump is of clustercredit {manifest.product_version}, whose schema ({manifest.revision}) this release "
            "does not know. Install that release, or a later one."
        )
    there = {name for (name,) in server.execute("select rolname from pg_roles")} | set(migrations.ROLES)
    if missing := [name for name in manifest.roles if name not in there]:
        raise BackupError(f"Roles with rights in the dump are not on this server. Create: {', '.join(missing)}.")


def _check_nobody_connected(server: psycopg.Connection[Any], name: str) -> None:
    others = "select exists (select from pg_stat_activity where datname = %s and backend_type = 'client backend')"
    if _value(server, others, name):
        raise BackupError(_CONNECTED.format(name=name))


def _conninfo(database: Database) -> str:
    return make_conninfo(database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False))


def _exists(server: psycopg.Connection[Any], name: str) -> bool:
    return bool(_value(server, "select exists (select from pg_database where datname = %s)", name))


def _is_empty(url: str) -> bool:
    with closing(psycopg.connect(url)) as connection:
        return not _holds_anything(connection)


def _holds_anything(connection: psycopg.Connection[Any]) -> bool:
    return bool(_value(connection, _ANYTHING))


def _value(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]


def _count(connection: psycopg.Connection[Any], report: Report) -> tuple[dict[str, int], dict[str, int]]:
    """Return the rows of each table, partitions added up, and of each table or partition by its name in messages."""
    rows: dict[str, int] = {}
    leaves: dict[str, int] = {}
    tables = connection.execute(_TABLES).fetchall()
    for done, (leaf, root, name) in enumerate(tables):
        report(f"counting {leaf}", done, len(tables))
        leaves[name] = _value(connection, f"select count(*) from {leaf}")  # noqa: S608 - quoted by the database
        rows[root] = rows.get(root, 0) + leaves[name]
    return rows, leaves


def _progress(rows: dict[str, int], what: str, report: Report) -> Callable[[str], None]:
    """Return what turns a program's line about a table into progress by rows."""
    total = sum(rows.values())
    sizes = {name.removeprefix("public."): count for name, count in rows.items()}
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        if match := _TABLE_LINE.search(line):
            name = match[1].removeprefix("public.")
            report(f"{what} {name}", done, total)
            done += sizes.get(name, 0)

    return on_line


def _program(name: str, server: int) -> str:
    """Return the oldest of PostgreSQL's programs at hand that is no older than the server.

    Raises
    ------
    BackupError
        If there is none.
    """
    places = [str(programs() / name), shutil.which(name)]
    found: dict[int, str] = {}
    for place in filter(None, places):
        with suppress(OSError):
            done = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
            if match := _VERSION.search(done.stdout):
                found.setdefault(int(match[1]), place)
    fitting = [major for major in found if major >= server]
    if not fitting:
        have = ", ".join(map(str, sorted(found))) or "none"
        raise BackupError(
            f"The server is PostgreSQL {server}; {name} at hand: {have}. Put one of {server} on the PATH."
        )
    return str(found[min(fitting)])


def _run(program: str, arguments: list[str], url: str, on_line: Callable[[str], None], *files: str) -> None:
    """Run a program on a database.

    Raises
    ------
    BackupError
        If it fails, with what it said last.
    """
    last: list[str] = []
    with _without_password(url) as place:
        command = [program, *arguments, "--verbose", "--no-password", f"--dbname={place}", *files]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    last = [*last[-4:], line.strip()]
                    on_line(line)
            except BaseException:
                process.terminate()
                raise
    if process.returncode != 0:
        raise BackupError(f"{Path(program).name} failed:\n" + "\n".join(last))


@contextmanager
def _without_password(url: str) -> Iterator[str]:
    """Return where a database is, its password in a file: everybody can read a command line."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    if password is None:
        yield make_conninfo("", **parts)
        return
    escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
    with NamedTemporaryFile("w", prefix="clustercredit-", suffix=".pgpass") as file:  # mode 0600
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield make_conninfo("", **{**parts, "passfile": file.name})


def _sha256(path: Path, report: Report) -> str:
    digest, size, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            report("checking", done, size)
    return digest.hexdigest()


def _write_through(path: Path) -> None:
    """Have a file and its name on the disk."""
    for place in (path, path.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _identified(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))
