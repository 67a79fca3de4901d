"""Sessions that act as the run-time role, for one tenant, in one transaction a request or command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import polars as pl
from psycopg import sql
from sqlalchemy import Engine, create_engine, event, text
from sqlmodel import Session

RUNTIME_ROLE = "clustercredit_app"
_SETTINGS = text(
    "select set_config('role', :role, true), set_config('app.tenant', :tenant, true),"
    " set_config('app.api_key_sha256', :key, true)"
)


class TenantSession(Session):
    """A session whose every transaction runs as the run-time role and sees one tenant's rows."""


@event.listens_for(TenantSession, "after_begin")
def _enter_role(session: TenantSession, _transaction: object, connection: Any) -> None:
    tenant, key = session.info.get("tenant_id", ""), session.info.get("api_key_sha256", "")
    connection.execute(_SETTINGS, {"role": RUNTIME_ROLE, "tenant": str(tenant), "key": key})


class Database:
    """The database of one process.

    Parameters
    ----------
    url
        ``postgresql://...``
    pool_size
        Connections kept open.
    """

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine: Engine = create_engine(self.url, pool_size=pool_size, max_overflow=10, pool_pre_ping=True)

    @contextmanager
    def session(self, tenant_id: UUID | None = None) -> Iterator[TenantSession]:
        """Open a transaction for a tenant; commit it at the end, roll it back on any error."""
        with TenantSession(self.engine, expire_on_commit=False) as session:
            if tenant_id is not None:
                session.info["tenant_id"] = tenant_id
            with session.begin():
                yield session

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def enter_tenant(session: Session, tenant_id: UUID) -> None:
    """Let the session's present and later transactions see the rows of this tenant, and no others."""
    session.info["tenant_id"] = tenant_id
    session.info["api_key_sha256"] = ""
    session.connection().execute(_SETTINGS, {"role": RUNTIME_ROLE, "tenant": str(tenant_id), "key": ""})


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
    with connection.cursor().copy(statement) as copy:
        copy.write(frame.write_csv(include_header=False).encode())


def copy_out(session: Session, query: str, schema: dict[str, pl.DataType], values: dict[str, Any]) -> pl.DataFrame:
    """COPY a query's rows out of the session's own transaction into a frame.

    Parameters
    ----------
    query
        A SELECT with ``{name}`` placeholders, its columns in the order of ``schema``.
    values
        The placeholders' values, quoted by the driver.
    """
    connection: Any = session.connection().connection.driver_connection
    filled = sql.SQL(query).format(**{name: sql.Literal(value) for name, value in values.items()})
    statement = sql.SQL("copy ({}) to stdout (format csv)").format(filled)
    with connection.cursor().copy(statement) as copy:
        data = b"".join(copy)
    read = {name: pl.String() if dtype == pl.Boolean else dtype for name, dtype in schema.items()}
    booleans = [(pl.col(name) == "t").alias(name) for name, dtype in schema.items() if dtype == pl.Boolean]
    frame = pl.read_csv(data, has_header=False, schema=read, raise_if_empty=False)
    return frame.with_columns(booleans)
