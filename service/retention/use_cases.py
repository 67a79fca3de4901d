"""Make the coming years' partitions, and drop the years that need not be kept; end what a restore brought back.

All of it is on record in each tenant's audit log.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from service.audit.use_cases import append, tree_head
from service.errors import Conflict, Forbidden, Problem
from service.identity.keys import count_good_keys, revoke_all_keys
from service.identity.sessions import end_all_sessions
from service.kit.db import Author, Database, enter_tenant, in_role
from service.kit.idempotency import forget_all
from service.kit.partitions import (
    PARTITIONED,
    digests,
    make_room,
    missing_years,
    partition,
    rows_of,
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
_NOTED = "exists (select from noted where noted.place = r.ctid)"
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


@dataclass(frozen=True)
class Settled:
    """What was ended in a restored database, of all tenants, and how many API keys are good in it."""

    sessions: int
    revoked: int
    good: int


def settle_restored(
    database: Database, sha256: str, made_at: datetime, author: Author, *, revoke_keys: bool = False
) -> Settled:
    """End what a dump brings back to life, and enter the restore into each tenant's audit log.

    People's sessions end, and stored answers to requests are forgotten: what they say was done may be gone. A person
    that was erased since the dump is not entered anew by a late retry: keys of such requests stay used.

    Parameters
    ----------
    database
        The restored one, for a login that sees every tenant; nobody works in it yet.
    sha256, made_at
        Of the dump.
    revoke_keys
        End every API key, too: one that was revoked after the dump is good again otherwise.
    """
    with database.engine.connect() as connection:
        tenants = connection.scalars(text("select id from tenant order by id")).all()
    sessions = revoked = good = 0
    for tenant_id in tenants:
        with database.session(tenant_id, author) as session:
            facts: dict[str, str | int | bool | None] = {"dump_sha256": sha256, "dump_made_at": made_at.isoformat()}
            with suppress(Problem):  # whose log was damaged in the dump gets its entry, without the head
                head = tree_head(session)
                facts |= {"entries": head.size, "root": head.root.hex()}
            ended, gone = end_all_sessions(session), revoke_all_keys(session) if revoke_keys else 0
            forget_all(session)
            facts |= {"sessions_ended": ended, "keys_revoked": gone}
            append(session, "database.restored", f"dump:{sha256}", facts)
            sessions, revoked, good = sessions + ended, revoked + gone, good + count_good_keys(session)
    return Settled(sessions, revoked, good)


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
    Conflict
        If what points to rows changed while a year was looked at; the years before it are dropped.
    """
    made, expired = [], []
    with database.engine.connect() as connection:
        for table in PARTITIONED:
            _check_owns(connection, table)
            new = (missing_years if is_dry_run else make_room)(connection, table, today, years[table])
            connection.commit()
            made += [partition(table, year) for year in new]
            over = sorted(year for year in {*years_of(connection, table), *new} if is_over(year, today, years[table]))
            measured = [_measure(connection, table, year) for year in over]
            connection.rollback()
            expired += [one for one in measured if one.kept < one.rows or not one.rows]
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
    """Count a year's rows, under no lock: others go on."""
    source = rows_of(connection, table, year)
    counts = f"select count(*) as rows, count(*) filter (where {_is_kept(table)}) as kept from {source} r"  # noqa: S608
    found = [
        connection.execute(text(f"{counts} where tenant_id = :tenant"), {"tenant": tenant_id}).one()
        for tenant_id in _tenants(connection, source)
    ]
    return Expired(table, year, sum(one.rows for one in found), len(found), sum(one.kept for one in found))


def _tenants(connection: Connection, source: str) -> Iterator[UUID]:
    """Yield the tenants that have rows somewhere, and let the owner see each one's rows of other tables meanwhile.

    Row-level security binds the owner, too. To lift it would lock everybody out of those tables.
    """
    tenants = connection.scalars(text(f"select distinct tenant_id from {source} r order by 1")).all()  # noqa: S608
    for tenant_id in tenants:
        connection.execute(text("select set_config('app.tenant', :tenant, true)"), {"tenant": str(tenant_id)})
        yield tenant_id


def _is_kept(table: str) -> str:
    conditions = [
        f"exists (select from {pointer} p where p.tenant_id = r.tenant_id and ({how}))"
        for pointer, how in POINTERS.get(table, {}).items()
    ]
    return " or ".join(conditions) or "false"


def _drop(database: Database, found: Expired, years: int, author: Author) -> None:
    """Drop a year, in one transaction with the entries that say so; what is kept stays alone in its partition.

    Rows are looked at and hashed while others go on; only new rows of this very year wait. Then what points to them is
    locked, against changes first, and looked at again.

    Raises
    ------
    Conflict
        If something came to point to one of them meanwhile, or ceased to.
    """
    name = partition(found.table, found.year)
    with database.session(author=author) as session:
        with in_role(session, LOGIN):
            connection = session.connection()
            connection.execute(text("set local lock_timeout = '5s'"))
            connection.execute(text(f"lock table {name} in share row exclusive mode"))
            is_any_kept = _note_kept(connection, found.table, name)
            content = digests(connection, f"(select * from {name} r where not {_NOTED})")  # noqa: S608
            _check_pointers(connection, found.table, name)
        for tenant_id, (rows, digest) in content.items():
            enter_tenant(session, tenant_id)
            facts: dict[str, str | int | bool | None] = {"table": found.table, "year": found.year, "rows": rows}
            facts["years_kept"] = years
            append(session, "year.dropped", f"{found.table}:{found.year}", facts, before=digest)
        with in_role(session, LOGIN):
            if is_any_kept:
                kept = f"create temp table kept on commit drop as select * from {name} r where {_NOTED}"  # noqa: S608
                connection.execute(text(kept))
                with without_foreign_keys(connection, found.table):
                    connection.execute(text(f"truncate {name}"))
                    connection.execute(text(f"insert into {name} select * from kept"))  # noqa: S608
            else:
                connection.execute(text(f"drop table {name}"))


def _note_kept(connection: Connection, table: str, name: str) -> bool:
    """Note where the rows are that something points to, and tell whether there are any."""
    connection.execute(text("create temp table noted (place tid) on commit drop"))
    note = f"insert into noted select r.ctid from {name} r where r.tenant_id = :tenant and ({_is_kept(table)})"  # noqa: S608
    noted = [connection.execute(text(note), {"tenant": tenant_id}).rowcount for tenant_id in _tenants(connection, name)]
    return sum(noted) > 0


def _check_pointers(connection: Connection, table: str, name: str) -> None:
    """Lock what points to rows, and check that it still points to those noted, and to no others."""
    for pointer in POINTERS.get(table, {}):
        connection.execute(text(f"lock table {pointer} in share row exclusive mode"))
    changed = f"select exists (select from {name} r where r.tenant_id = :tenant and ({_is_kept(table)}) <> {_NOTED})"  # noqa: S608
    for tenant_id in _tenants(connection, name):
        if connection.scalar(text(changed), {"tenant": tenant_id}):
            raise Conflict(f"What points to rows of {name} changed meanwhile; nothing of it was dropped. Run it again.")
