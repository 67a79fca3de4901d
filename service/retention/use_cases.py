"""Make the coming years' partitions, and drop the years that need not be kept, on record in each tenant's audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from service.audit.use_cases import append
from service.errors import Forbidden
from service.kit.db import Author, Database, enter_tenant, in_role
from service.kit.partitions import (
    PARTITIONED,
    digests,
    make_room,
    partition,
    seen_by_owner,
    without_foreign_keys,
    years_of,
)

POINTERS = {
    "score": {
        "current_score": "p.score_id = r.id and p.as_of = r.as_of",
        "review": "p.score_id = r.id or p.score_id_at_decision = r.id",
        "alert": "p.acknowledged_at is null and p.firm_id = r.firm_id and p.evidence ->> 'score_id' = r.id::text",
    }
}
"""What points to a row `r` of a table that has partitions, by the table of the pointer `p`: such rows are kept."""
LOGIN = "none"
"""For `in_role`: the role that logged in, which owns the tables."""
_OWNS = text("select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = cast(:table as regclass)")


@dataclass(frozen=True)
class Expired:
    """A year of a table that need not be kept any more: its rows, of how many tenants, and of these the rows kept.

    Kept is what something points to: a current score, one that a review rests on, one of an alert nobody acknowledged.
    """

    table: str
    year: int
    rows: int
    tenants: int
    kept: int


@dataclass(frozen=True)
class Maintained:
    """What was made and what was dropped, or what would be."""

    made: tuple[str, ...]
    expired: tuple[Expired, ...]


def maintain(
    database: Database, today: date, years: Mapping[str, int], author: Author, *, is_dry_run: bool = False
) -> Maintained:
    """Make the partitions that lack, and drop those of which every day is older than the years to keep.

    What goes is on record: an entry in each tenant's audit log, with the year, the number of rows and their digest, in
    the transaction of the drop.

    Parameters
    ----------
    years
        Years to keep, by table.
    is_dry_run
        Change nothing, and say what would be.

    Raises
    ------
    Forbidden
        If the login does not own the tables.
    """
    made, expired = [], []
    with database.engine.connect() as connection:
        for table in PARTITIONED:
            _check_owns(connection, table)
            new = make_room(connection, table, today, years[table])
            made += [partition(table, year) for year in new]
            over = [year for year in years_of(connection, table) if is_over(year, today, years[table])]
            measured = [_measure(connection, table, year) for year in over]
            expired += [one for one in measured if one.kept < one.rows or not one.rows]
            if is_dry_run:
                connection.rollback()
            else:
                connection.commit()
    if not is_dry_run:
        for found in expired:
            _drop(database, found, years[found.table], author)
    return Maintained(tuple(made), tuple(expired))


def is_over(year: int, today: date, years: int) -> bool:
    """Tell whether every day of a year is older than so many years.

    Examples
    --------
    >>> is_over(2015, date(2025, 12, 31), 10), is_over(2015, date(2026, 1, 1), 10)
    (False, True)
    """
    return year + years < today.year


def _check_owns(connection: Connection, table: str) -> None:
    if not connection.scalar(_OWNS, {"table": table}):
        raise Forbidden(
            "This login does not own the tables, so it can neither make nor drop their partitions. Put the owner's URL "
            "into CLUSTERCREDIT_DATABASE_URL for this command."
        )


def _measure(connection: Connection, table: str, year: int) -> Expired:
    with seen_by_owner(connection, *POINTERS.get(table, {})):
        counts = text(
            f"select count(*), count(distinct tenant_id), count(*) filter (where {_is_kept(table)})"  # noqa: S608
            f" from {partition(table, year)} r"
        )
        rows, tenants, kept = connection.execute(counts).one()
    return Expired(table, year, rows, tenants, kept)


def _is_kept(table: str) -> str:
    conditions = [
        f"exists (select from {pointer} p where p.tenant_id = r.tenant_id and ({how}))"
        for pointer, how in POINTERS.get(table, {}).items()
    ]
    return " or ".join(conditions) or "false"


def _drop(database: Database, found: Expired, years: int, author: Author) -> None:
    """Drop a year, in one transaction with the entries that say so; what is kept stays alone in its partition."""
    name = partition(found.table, found.year)
    with database.session(author=author) as session:
        with in_role(session, LOGIN):
            connection = session.connection()
            connection.execute(text("set local lock_timeout = '5s'"))
            connection.execute(text(f"lock table {name} in share row exclusive mode"))
            with seen_by_owner(connection, *POINTERS.get(found.table, {})):
                kept = f"create temp table kept on commit drop as select * from {name} r where {_is_kept(found.table)}"  # noqa: S608
                is_any_kept = connection.execute(text(kept)).rowcount > 0
                content = digests(connection, f"(select * from {name} r where not ({_is_kept(found.table)}))")  # noqa: S608
        for tenant_id, (rows, digest) in content.items():
            enter_tenant(session, tenant_id)
            facts: dict[str, str | int | bool | None] = {"table": found.table, "year": found.year, "rows": rows}
            facts["years_kept"] = years
            append(session, "year.dropped", f"{found.table}:{found.year}", facts, before=digest)
        with in_role(session, LOGIN):
            if is_any_kept:
                with without_foreign_keys(connection, found.table):
                    connection.execute(text(f"truncate {name}"))
                    connection.execute(text(f"insert into {name} select * from kept"))  # noqa: S608
            else:
                connection.execute(text(f"drop table {name}"))
