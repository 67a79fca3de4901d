"""Sessions that act as the run-time role, for one tenant, in one transaction a request or command.

Tenants are kept apart twice: by the database (row-level security for a role that owns nothing), and by the queries
(each is narrowed to the session's tenant before it is sent). Either is enough without the other, and tested so.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any
from uuid import UUID

import polars as pl
from psycopg import sql
from sqlalchemy import ColumnElement, Engine, column, create_engine, event, func, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlmodel import Session

from service.errors import Problem, Unfinished
from service.kit.rows import TenantRow

RUNTIME_ROLE = "clustercredit_app"
FUND_ROLE = "clustercredit_fund"
SEQUENCER_ROLE = "clustercredit_sequencer"
JOBS_ROLE = "clustercredit_jobs"
APPLICATION = "clustercredit"
_SETTINGS = text(
    "select set_config('role', :role, true), set_config('app.tenant', :tenant, true),"
    " set_config('app.secret_sha256', :secret, true), set_config('app.actor', :actor, true),"
    " set_config('app.actor_id', :actor_id, true), set_config('app.request_id', :request_id, true)"
)


@dataclass(frozen=True)
class Author:
    """On whose behalf a session changes rows: it goes into the audit log with every change.

    Attributes
    ----------
    name
        Of a person, a key, or ``cli:<user>``.
    id
        Of the person or key; None on the command line.
    request_id
        Of the HTTP request, or the job.
    """

    name: str
    id: UUID | None = None
    request_id: str = ""


NOBODY = Author("")


class TenantSession(Session):
    """A session whose every transaction runs as the run-time role and sees one tenant's rows."""


ANY_TENANT = {"any_tenant": True}
"""Execution option of the few queries that find out whose tenant a request is for; row-level security still holds."""


def of_row(row: Any, name: str) -> Any:
    """Return a column of a mapped class; of a class that several share, which has none, one of the name."""
    return getattr(row, name, column(name))


@event.listens_for(TenantSession, "do_orm_execute")
def scope_to_tenant(state: ORMExecuteState) -> None:
    """Narrow a query to the session's tenant; without one it finds nothing."""
    if state.execution_options.get("any_tenant") or state.is_column_load:
        return
    tenant_id = state.session.info.get("tenant_id")
    state.statement = state.statement.options(
        with_loader_criteria(TenantRow, lambda row: of_row(row, "tenant_id") == tenant_id, include_aliases=True)
    )


@event.listens_for(TenantSession, "after_begin")
def _enter_role(session: TenantSession, _transaction: object, connection: Any) -> None:
    connection.execute(_SETTINGS, _settings_of(session))


def _settings_of(session: Session) -> dict[str, str]:
    author: Author = session.info.get("author", NOBODY)
    return {
        "role": session.info.get("role", RUNTIME_ROLE),
        "tenant": str(session.info.get("tenant_id", "")),
        "secret": session.info.get("secret_sha256", ""),
        "actor": author.name,
        "actor_id": "" if author.id is None else str(author.id),
        "request_id": author.request_id,
    }


class Database:
    """The database of one process.

    Parameters
    ----------
    url
        ``postgresql://...``
    pool_size
        Connections kept open.
    application_name
        What the database's list of sessions calls them.

    Errors of its statements name no values: they may be logged, and a value may be a person's keyed hash.
    """

    def __init__(self, url: str, pool_size: int = 20, application_name: str = APPLICATION) -> None:
        self.url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        self.application_name = application_name
        self.engine: Engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"application_name": application_name},
        )
        self._beside: list[Database] = []

    def beside(self, pool_size: int) -> "Database":
        """Return the same database with a pool of its own, for what must not wait for a request; closed with this."""
        other = Database(self.url, pool_size)
        self._beside.append(other)
        return other

    def renamed(self, name: str) -> "Database":
        """Return another database of the same server, for the same login."""
        url = self.engine.url.set(database=name)
        return Database(url.render_as_string(hide_password=False), pool_size=2)

    @contextmanager
    def session(self, tenant_id: UUID | None = None, author: Author = NOBODY) -> Iterator[TenantSession]:
        """Open a transaction for a tenant; commit it at the end, roll it back on any error.

        Raises
        ------
        Unfinished
            If it is committed, and what was to be done then failed.
        """
        with TenantSession(self.engine, expire_on_commit=False) as session:
            session.info["author"] = author
            if tenant_id is not None:
                session.info["tenant_id"] = tenant_id
            with session.begin():
                yield session
            for act in session.info.pop("after_commit", ()):
                _follow(act)

    def analyze(self) -> None:
        """Let the planner see what a bulk load changed; without, the first large reads may take minutes."""
        with self.engine.connect() as connection:
            connection.execute(text("analyze"))
            connection.commit()

    def rewrite(self, *tables: str) -> bool:
        """Write tables anew without what was deleted from them, and let the write-ahead log of before go.

        Returns
        -------
        bool
            Whether the log is gone; the login role may lack the right to end its segments.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in tables:
                connection.execute(text(f"vacuum full {table}"))
            try:
                for statement in ("checkpoint", "select pg_switch_wal()", "checkpoint"):
                    connection.execute(text(statement))
            except ProgrammingError:
                return False
        return True

    def dispose(self) -> None:
        """Close the pooled connections."""
        for database in (self, *self._beside):
            database.engine.dispose()


def _follow(act: Callable[[], None]) -> None:
    try:
        act()
    except Problem:
        raise
    except Exception as error:
        raise Unfinished(error) from error


def enter_tenant(session: Session, tenant_id: UUID, author: Author | None = None) -> None:
    """Let the session's present and later transactions see the rows of this tenant, and no others.

    An author that is known by then is set with it, in one call to the database.
    """
    session.info["author"] = author or author_of(session)
    session.info["tenant_id"] = tenant_id
    session.info["secret_sha256"] = ""
    session.connection().execute(_SETTINGS, _settings_of(session))


def set_author(session: Session, author: Author) -> None:
    """Let the session's present and later transactions change rows on behalf of this author."""
    if author == author_of(session):
        return
    session.info["author"] = author
    session.connection().execute(_SETTINGS, _settings_of(session))


def author_of(session: Session) -> Author:
    """Return on whose behalf the session works."""
    author = session.info.get("author", NOBODY)
    assert isinstance(author, Author)
    return author


def present(session: Session, secret_sha256: bytes) -> None:
    """Let the session see the one row that this secret's hash opens: an API key, or a person's session."""
    session.info["secret_sha256"] = secret_sha256.hex()
    session.connection().execute(
        text("select set_config('app.secret_sha256', :secret, true)"), {"secret": secret_sha256.hex()}
    )


def after_commit(session: Session, act: Callable[[], None]) -> None:
    """Do something once the session's transaction is committed, before the request is answered; else never."""
    session.info.setdefault("after_commit", []).append(act)


@contextmanager
def in_role(session: Session, role: str) -> Iterator[None]:
    """Let the session work for a while as another role of the database, one that may see less.

    After an error the role stays until the transaction ends, which an error ends anyhow.
    """
    session.info["role"] = role
    _set_role(session, role)
    try:
        yield
    finally:
        del session.info["role"]
    _set_role(session, RUNTIME_ROLE)


def _set_role(session: Session, role: str) -> None:
    session.connection().execute(text("select set_config('role', :role, true)"), {"role": role})


@contextmanager
def name_fund(session: Session, fund_id: UUID) -> Iterator[None]:
    """Let the session see for a while the one guarantee fund that it can name: its name and kind."""
    setting = text("select set_config('app.fund', :fund, true)")
    session.connection().execute(setting, {"fund": str(fund_id)})
    yield
    session.connection().execute(setting, {"fund": ""})


def tenant_of(session: Session) -> UUID:
    """Return the tenant that the session works for."""
    tenant = session.info["tenant_id"]
    assert isinstance(tenant, UUID)
    return tenant


def copy_in(session: Session, table: str, frame: pl.DataFrame) -> None:
    """COPY a frame into a table of the session's own transaction; the frame's columns name the table's."""
    connection: Any = session.connection().connection.driver_connection
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(sql.Identifier(table), columns)
    rows = BytesIO()
    frame.write_csv(rows, include_header=False)
    with connection.cursor().copy(statement) as copy:
        copy.write(rows.getbuffer())


class LockSeed(IntEnum):
    """Seeds of the advisory locks' hashes, one for each thing that is locked, so that none waits for another's."""

    IDEMPOTENCY = 0
    TRAINING = 1
    FIRMS = 3
    PEOPLE = 4
    BRANCHES = 5
    GUARANTEES = 7
    APPROVALS = 11
    PUBLICATION = 13
    DOCUMENTS = 17


_LOOK_AGAIN = 0.05
"""Seconds between two looks at a lock."""


def wait_for_lock(session: Session, seed: LockSeed, *place: object) -> None:
    """Wait until no other transaction has this place of the tenant's, and hold it until this one ends."""
    session.execute(select(func.pg_advisory_xact_lock(_lock_of(session, seed, place))))


def has_lock_within(seconds: float, session: Session, seed: LockSeed, *place: object) -> bool:
    """Wait as `wait_for_lock` does, but only so long, and tell whether this transaction holds the place."""
    query, until = select(func.pg_try_advisory_xact_lock(_lock_of(session, seed, place))), time.monotonic() + seconds
    while not session.execute(query).scalar_one():
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _lock_of(session: Session, seed: LockSeed, place: tuple[object, ...]) -> ColumnElement[int]:
    return func.hashtextextended("/".join(map(str, (tenant_of(session), *place))), int(seed))


def read_groups(
    session: Session, source: str, schema: Mapping[str, pl.DataType], group: str, values: dict[str, Any]
) -> pl.DataFrame:
    """Read a table's rows in bulk, inside the session's own transaction.

    The server joins the rows of each group to one text, so that the driver handles a message a group and not one a
    row: as fast as ADBC, which would need a connection and a snapshot of its own (docs/adr/0007).

    Parameters
    ----------
    source
        What follows FROM, with ``{name}`` placeholders. No text in the columns may have control characters, which
        the ledger refuses.
    schema
        Columns to read and their types.
    group
        A further column of type UUID, returned as text; the rows of one of its values may take up to 1 GB.
    values
        The placeholders' values, quoted by the driver.
    """
    connection: Any = session.connection().connection.driver_connection
    fields = [
        f"coalesce({name}{'::int' if dtype == pl.Boolean else ''}::text, {_NULL})" for name, dtype in schema.items()
    ]
    lines = f"string_agg(concat_ws({_FIELD}, {', '.join(fields)}), {_LINE})"
    query = f"select {group}::text, count(*), convert_to({lines}, 'UTF8') from {source} group by {group}"  # noqa: S608
    filled = sql.SQL(query).format(**{name: sql.Literal(value) for name, value in values.items()})
    with connection.cursor(binary=True) as cursor:
        groups = cursor.execute(filled).fetchall()
    frame = pl.read_csv(
        b"\n".join(text for _, _, text in groups),
        has_header=False,
        schema={name: pl.Int8() if dtype == pl.Boolean else dtype for name, dtype in schema.items()},
        separator="\x1f",
        null_values="\x1e",
        quote_char=None,
        raise_if_empty=False,
    ).cast(pl.Schema(schema))
    names = pl.Series(group, [name for name, _, _ in groups], dtype=pl.String)
    counts = pl.Series("count", [count for _, count, _ in groups], dtype=pl.Int64)
    return frame.with_columns(pl.select(names.repeat_by(counts).explode(empty_as_null=False)).to_series())


_FIELD, _NULL, _LINE = "E'\\x1f'", "E'\\x1e'", "E'\\n'"
