"""Yearly partitions of the ledgers that grow without end (docs/adr/0028). All of this needs the tables' owner.

A partition is ``partitions.<table>_<year>``. A row of a year that has none is kept in ``partitions.<table>_default``
until `make_room` makes its partition: the run-time role, which inserts rows, may make nothing.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

SCHEMA = "partitions"
PARTITIONED = {"invoice": "observed_on", "score": "as_of"}
"""Tables that have yearly partitions, and the day that a row belongs to."""
YEARS_AHEAD = 2
_YEARS = text("""
    select substring(c.relname from '_(\\d+)$')::int
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = cast(:table as regclass) and c.relname ~ '_\\d+$'
    order by 1
""")
_OPTIONS = text("select array_to_string(reloptions, ', ') from pg_class where oid = cast(:table as regclass)")
_FOREIGN_KEYS = text("""
    select conrelid::regclass::text as holder, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
    from pg_constraint where confrelid = cast(:table as regclass) and contype = 'f' and conparentid = 0
""")


def partition(table: str, year: int) -> str:
    """Return the name of a year's partition."""
    return f"{SCHEMA}.{table}_{year:04}"


def years_of(connection: Connection, table: str) -> list[int]:
    """Return the years that have a partition."""
    return list(connection.scalars(_YEARS, {"table": table}))


def rows_of(connection: Connection, table: str, year: int) -> str:
    """Return what follows FROM to read a year's rows: its partition, or the part of the one that catches all."""
    if year in years_of(connection, table):
        return partition(table, year)
    column = PARTITIONED[table]
    days = f"{column} >= '{year:04}-01-01' and {column} < '{year + 1:04}-01-01'"
    return f"(select * from {SCHEMA}.{table}_default where {days})"  # noqa: S608


def missing_years(connection: Connection, table: str, today: date, years_back: int) -> list[int]:
    """Return the years that lack a partition: of those that are kept, of the next two, and of rows that have none."""
    wanted = set(range(today.year - years_back, today.year + YEARS_AHEAD + 1))
    column, catch_all = PARTITIONED[table], f"{SCHEMA}.{table}_default"
    strays = set(connection.scalars(text(f"select distinct extract(year from {column})::int from {catch_all}")))  # noqa: S608
    return sorted((wanted | strays) - set(years_of(connection, table)))


def make_room(connection: Connection, table: str, today: date, years_back: int) -> list[int]:
    """Make the partitions that lack (`missing_years`), and move rows into them.

    Returns
    -------
    list of int
        The years made.
    """
    catch_all = f"{SCHEMA}.{table}_default"
    connection.execute(text("set local lock_timeout = '5s'"))
    connection.execute(text(f"lock table {catch_all} in access exclusive mode"))
    missing = missing_years(connection, table, today, years_back)
    has_strays = connection.scalar(text(f"select exists (select from {catch_all})"))  # noqa: S608
    with without_foreign_keys(connection, table) if has_strays else nullcontext():
        _make(connection, table, missing)
    return missing


def _make(connection: Connection, table: str, years: list[int]) -> None:
    """Make partitions, and move the rows of their years there from the one that catches all.

    A partition is attached empty: the check of foreign keys would not see the rows of other tables that an owner bound
    by row-level security may not see, while single inserts are checked without it.
    """
    column, catch_all = PARTITIONED[table], f"{SCHEMA}.{table}_default"
    options = connection.scalar(_OPTIONS, {"table": catch_all})
    for year in years:
        name = partition(table, year)
        first, end = f"'{year:04}-01-01'", f"'{year + 1:04}-01-01'"
        strays = f"from {catch_all} where {column} >= {first} and {column} < {end}"
        connection.execute(text(f"create temp table strays on commit drop as select * {strays}"))
        connection.execute(text(f"delete {strays}"))
        connection.execute(text(f"create table {name} (like {table} including all)"))
        connection.execute(text(f"alter table {table} attach partition {name} for values from ({first}) to ({end})"))
        connection.execute(text(f"insert into {name} select * from strays"))  # noqa: S608
        connection.execute(text("drop table strays"))
        connection.execute(text(f"alter table {name} enable row level security"))
        if options:
            connection.execute(text(f"alter table {name} set ({options})"))


@contextmanager
def without_foreign_keys(connection: Connection, table: str) -> Iterator[None]:
    """Take away the foreign keys to a table while its rows move, and check them all when they are back."""
    keys = connection.execute(_FOREIGN_KEYS, {"table": table}).all()
    holders = sorted({key.holder for key in keys})
    for key in keys:
        connection.execute(text(f"alter table {key.holder} drop constraint {key.name}"))
    yield
    with seen_by_owner(connection, table, *holders):
        for key in keys:
            connection.execute(text(f"alter table {key.holder} add constraint {key.name} {key.definition}"))


@contextmanager
def seen_by_owner(connection: Connection, *tables: str) -> Iterator[None]:
    """Let the owner see all rows of tables for a while: row-level security binds it, too; nobody else comes near."""
    for table in tables:
        connection.execute(text(f"alter table {table} no force row level security"))
    yield
    for table in tables:
        connection.execute(text(f"alter table {table} force row level security"))


def digests(connection: Connection, name: str) -> dict[UUID, tuple[int, bytes]]:
    """Return, by tenant, the number of a table's rows, and the SHA-256 of the rows' SHA-256s in their order.

    A row's SHA-256 is that of its text (``row::text``, days ISO, instants UTC), so that whoever has the rows, from an
    old dump, can tell whether they are the ones.
    """
    for setting in ("timezone = 'UTC'", "datestyle = 'ISO'", "extra_float_digits = 1", "bytea_output = 'hex'"):
        connection.execute(text(f"set local {setting}"))
    query = f"select tenant_id, sha256(convert_to(r::text, 'UTF8')) as digest from {name} r order by 1, 2"  # noqa: S608
    hashes: dict[UUID, tuple[int, Any]] = {}
    rows = connection.execute(text(query), execution_options={"yield_per": 10_000})
    for tenant_id, digest in rows:
        count, whole = hashes.get(tenant_id) or (0, hashlib.sha256())
        whole.update(digest)
        hashes[tenant_id] = count + 1, whole
    return {tenant_id: (count, whole.digest()) for tenant_id, (count, whole) in hashes.items()}
