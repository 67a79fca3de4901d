"""Queries of the audit log."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

from sqlalchemy import text, tuple_
from sqlmodel import col, select

from service.audit.merkle import Span, Subtree, complete_subtrees, fold
from service.audit.tables import Checkpoint, Entry, Node, PendingEntry
from service.errors import Problem
from service.kit.db import ANY_TENANT, TenantSession

ROWS_AT_A_TIME: Final = 5_000
_LOCK: Final = text("select pg_try_advisory_xact_lock(hashtextextended('clustercredit audit sequencer', 0))")
_PENDING: Final = text("""
    select tenant_id, id, body from audit_pending where tenant_id <> all(cast(:without as uuid[]))
    order by recorded_at, id limit :limit
""")
_WAITING: Final = text("""
    select count(*), greatest(0, coalesce(extract(epoch from clock_timestamp() - min(recorded_at)), 0))
    from audit_pending where tenant_id is not null
""")
_SIZE: Final = text("select number + 1 from audit_entry where tenant_id = :tenant order by number desc limit 1")
_NUMBER: Final = text("""
    insert into audit_entry (tenant_id, number, id, recorded_at, actor, subject, body, leaf)
    select p.tenant_id, :first + n.place - 1, p.id, p.recorded_at, p.actor, p.subject, p.body, n.leaf
    from unnest(cast(:ids as uuid[]), cast(:leaves as bytea[])) with ordinality as n (id, leaf, place)
    join audit_pending p on p.tenant_id = :tenant and p.id = n.id
""")
_NODES: Final = text("""
    insert into audit_node (tenant_id, level, place, hash)
    select :tenant, n.level, n.place, n.hash
    from unnest(cast(:levels as int[]), cast(:places as bigint[]), cast(:hashes as bytea[])) as n (level, place, hash)
""")
_DONE: Final = text("delete from audit_pending where tenant_id = :tenant and id = any(cast(:ids as uuid[]))")
_LEAVES: Final = text("select number, leaf from audit_entry where tenant_id = :tenant and number = any(:numbers)")
_INNER: Final = text("""
    select n.level, n.place, n.hash from audit_node n
    join unnest(cast(:levels as int[]), cast(:places as bigint[])) as w (level, place)
      on n.level = w.level and n.place = w.place
    where n.tenant_id = :tenant
""")
_TENANTS: Final = text("select id as tenant_id from tenant order by id")
_GROWN: Final = text("""
    select t.id, t.name from tenant t
    cross join lateral (
      select e.number + 1 as size from audit_entry e where e.tenant_id = t.id order by e.number desc limit 1
    ) as tree
    left join lateral (
      select c.size, c.at from audit_checkpoint c where c.tenant_id = t.id order by c.at desc, c.id desc limit 1
    ) as signed on true
    where signed.at is null or (signed.at < :since and signed.size < tree.size)
    order by t.id
""")
"""Tenants whose log has grown since a checkpoint that is older than the instant, or that have none."""


class TreeDamagedError(Problem):
    """Somebody took hashes of the tree away."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "audit-log-damaged"
    title = "The audit log is damaged"


@dataclass(frozen=True)
class Pending:
    """An entry without a number."""

    tenant_id: UUID
    id: UUID
    body: str


@dataclass(frozen=True)
class Waiting:
    """Entries without a number, and the seconds since the oldest was recorded, by the database's clock."""

    entries: int
    seconds: float


def read_waiting(session: TenantSession) -> Waiting:
    """Return how many entries of every tenant wait for a number, and for how long."""
    entries, seconds = session.execute(_WAITING).one()
    return Waiting(entries, float(seconds))


def take_the_turn(session: TenantSession) -> bool:
    """Be the only sequencer until the transaction ends, unless another one is."""
    return bool(session.execute(_LOCK).scalar_one())


def read_pending(session: TenantSession, limit: int, without: Collection[UUID]) -> list[Pending]:
    """Return committed entries of every tenant but some that have no number, the oldest first."""
    return [Pending(*row) for row in session.execute(_PENDING, {"limit": limit, "without": list(without)})]


def tree_size(session: TenantSession, tenant_id: UUID) -> int:
    """Return how many entries of a tenant's are numbered."""
    return int(session.execute(_SIZE, {"tenant": tenant_id}).scalar() or 0)


def number_entries(
    session: TenantSession, tenant_id: UUID, first: int, ids: Sequence[UUID], leaves: Sequence[bytes]
) -> None:
    """Move pending entries into the log, under the numbers from ``first`` on."""
    values = {"tenant": tenant_id, "first": first, "ids": list(ids), "leaves": list(leaves)}
    session.execute(_NUMBER, values)
    session.execute(_DONE, {"tenant": tenant_id, "ids": list(ids)})


def insert_nodes(session: TenantSession, tenant_id: UUID, nodes: Mapping[Subtree, bytes]) -> None:
    """Add hashes of complete subtrees."""
    levels, places = [subtree.level for subtree in nodes], [subtree.place for subtree in nodes]
    values = {"tenant": tenant_id, "levels": levels, "places": places, "hashes": list(nodes.values())}
    session.execute(_NODES, values)


def read_subtrees(session: TenantSession, tenant_id: UUID, subtrees: Sequence[Subtree]) -> dict[Subtree, bytes]:
    """Return the hashes of complete subtrees of a tenant's tree.

    Raises
    ------
    TreeDamagedError
        If one that must be there is not.
    """
    numbers = [subtree.place for subtree in subtrees if subtree.level == 0]
    inner = [subtree for subtree in subtrees if subtree.level]
    leaves = session.execute(_LEAVES, {"tenant": tenant_id, "numbers": numbers})
    found = {Subtree(0, number): bytes(leaf) for number, leaf in leaves}
    values = {"tenant": tenant_id, "levels": [s.level for s in inner], "places": [s.place for s in inner]}
    found |= {Subtree(level, place): bytes(digest) for level, place, digest in session.execute(_INNER, values)}
    if missing := set(subtrees) - found.keys():
        raise TreeDamagedError(
            f"{len(missing)} hashes of the audit log's tree are missing. Run: clustercredit audit verify, with a "
            "checkpoint that was kept elsewhere."
        )
    return found


def read_roots(session: TenantSession, tenant_id: UUID, spans: Sequence[Span]) -> list[bytes]:
    """Return the root over each of these ranges of leaves, every one a subtree of some tree."""
    made_of = [complete_subtrees(span) for span in spans]
    hashes = read_subtrees(session, tenant_id, [subtree for parts in made_of for subtree in parts])
    return [fold([hashes[subtree] for subtree in parts]) for parts in made_of]


def read_grown(session: TenantSession, since: datetime) -> list[tuple[UUID, str]]:
    """Return id and name of the tenants whose log has grown since a checkpoint of before an instant."""
    return [(tenant_id, name) for tenant_id, name in session.execute(_GROWN, {"since": since})]


def read_tenants(session: TenantSession) -> list[UUID]:
    """Return every tenant, to whom is the sequencer."""
    return list(session.execute(_TENANTS).scalars())


def read_recorded(session: TenantSession, subjects: Collection[str]) -> set[str]:
    """Return which of these subjects the log has an entry of, numbered or not."""
    # The pending ones first, as below.
    kinds = (PendingEntry, Entry)
    return {
        found for kind in kinds for found in session.exec(select(kind.subject).where(col(kind.subject).in_(subjects)))
    }


def find_entry(session: TenantSession, entry_id: UUID) -> Entry | PendingEntry | None:
    """Return an entry, numbered or not."""
    # The pending ones first: an entry that is numbered in between is then found among the others.
    pending = session.exec(select(PendingEntry).where(PendingEntry.id == entry_id)).one_or_none()
    return session.exec(select(Entry).where(Entry.id == entry_id)).one_or_none() or pending


def page_entries(
    session: TenantSession,
    *,
    subject: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
    below: int | None,
    limit: int,
) -> list[Entry]:
    """Return numbered entries, the newest first."""
    query = select(Entry)
    if subject is not None:
        query = query.where(Entry.subject == subject)
    if actor is not None:
        query = query.where(Entry.actor == actor)
    if since is not None:
        query = query.where(Entry.recorded_at >= since)
    if until is not None:
        query = query.where(Entry.recorded_at < until)
    if below is not None:
        query = query.where(Entry.number < below)
    return list(session.exec(query.order_by(col(Entry.number).desc()).limit(limit)))


def stream_entries(session: TenantSession) -> Iterator[tuple[int, bytes, str]]:
    """Yield number, leaf hash and body of every numbered entry, in order, with few of them in memory."""
    query = select(Entry.number, Entry.leaf, Entry.body).order_by(col(Entry.number))
    # Closed when the reader stops early, as a verifier does that has found something.
    with session.exec(query, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
        yield from rows


def stream_nodes(session: TenantSession) -> Iterator[tuple[Subtree, bytes]]:
    """Yield every hash that is kept of the tenant's tree, level by level."""
    query = select(Node.level, Node.place, Node.hash).order_by(col(Node.level), col(Node.place))
    for level, place, digest in session.exec(query, execution_options={"yield_per": ROWS_AT_A_TIME}):
        yield Subtree(level, place), digest


def read_leaves(session: TenantSession, size: int) -> bytes:
    """Return the leaf hashes of the first entries, one behind the other."""
    query = select(Entry.number, Entry.leaf).where(Entry.number < size).order_by(col(Entry.number))
    rows = session.exec(query, execution_options={"yield_per": ROWS_AT_A_TIME})
    return b"".join(leaf for _, leaf in rows)


def page_checkpoints(
    session: TenantSession, before: tuple[datetime, UUID] | None, limit: int | None
) -> list[Checkpoint]:
    """Return checkpoints, the newest first."""
    place = (col(Checkpoint.at), col(Checkpoint.id))
    query = select(Checkpoint).order_by(*(part.desc() for part in place)).limit(limit)
    return list(session.exec(query if before is None else query.where(tuple_(*place) < tuple_(*before))))


def newest_checkpoint(session: TenantSession, tenant_id: UUID) -> Checkpoint | None:
    """Return the checkpoint of a tenant's that was signed last."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.tenant_id == tenant_id)
        .order_by(col(Checkpoint.at).desc(), col(Checkpoint.id).desc())
    )
    # Also for the sequencer, which works for no tenant; row-level security still holds.
    return session.exec(query.limit(1), execution_options=ANY_TENANT).one_or_none()
