"""Queries of runs and chunks. Leases and acts of a run go by the database's clock, which its workers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, tuple_
from sqlmodel import col, select

from service.kit.db import TenantSession, tenant_of
from service.rescoring.tables import Chunk, Run, Transition

_CLAIM = text("""
    with free as materialized (
      select number from rescoring_chunk
      where tenant_id = :tenant and run_id = :run and done_at is null
        and (leased_until is null or leased_until <= clock_timestamp() or leased_by = :worker)
      order by number limit 1 for update skip locked
    )
    update rescoring_chunk c
    set attempt = c.attempt + 1, leased_until = clock_timestamp() + make_interval(secs => :seconds),
      leased_by = :worker
    from free
    where c.tenant_id = :tenant and c.run_id = :run and c.number = free.number
      and exists (select from rescoring_run r where r.tenant_id = :tenant and r.id = :run and r.state = 'preparing')
    returning c.number, c.attempt, c.first_key, c.last_key, c.firm_keys
""")
_MINE = "where tenant_id = :tenant and run_id = :run and number = :number and attempt = :attempt and done_at is null"
_RENEW = "update rescoring_chunk set leased_until = clock_timestamp() + make_interval(secs => :seconds) {mine}"
_LET_GO = "update rescoring_chunk set leased_until = null {mine}"
_COMPLETE = """
    update rescoring_chunk
    set done_at = clock_timestamp(), leased_until = null, scored = :scored, alerts = :alerts,
      refusals = cast(:refusals as jsonb)
    {mine}
"""
_PROGRESS = text("""
    select count(*) as chunks, count(done_at) as done, coalesce(sum(scored), 0)::int as scored,
      coalesce(sum(jsonb_array_length(refusals)), 0)::int as refused, coalesce(sum(alerts), 0)::int as findings
    from rescoring_chunk where tenant_id = :tenant and run_id = :run
""")
_MOVE = text("""
    update rescoring_run set state = :state, version = version + 1
    where tenant_id = :tenant and id = :run and state = any(:since)
      and (:state <> 'prepared' or not exists (
        select from rescoring_chunk c where c.tenant_id = :tenant and c.run_id = :run and c.done_at is null
      ))
""")
_NOTE = text("""
    insert into rescoring_transition (tenant_id, run_id, state, at, actor, reason)
    values (:tenant, :run, :state, clock_timestamp(), :actor, :reason)
""")


@dataclass(frozen=True)
class Claim:
    """A chunk that somebody works on, as the ``attempt``-th."""

    number: int
    attempt: int
    first_key: str
    last_key: str
    firm_keys: list[str] | None


@dataclass(frozen=True)
class Progress:
    """How far a run's chunks are."""

    chunks: int
    done: int
    scored: int
    refused: int
    findings: int


def find_open(session: TenantSession, product: str, as_of: date) -> Run | None:
    """Return the run of every firm, of a product and day, that is not checked yet."""
    is_open = (col(Run.state).in_(("preparing", "prepared")), Run.kind == "all")
    return session.exec(select(Run).where(Run.product == product, Run.as_of == as_of, *is_open)).one_or_none()


def is_worked_on(session: TenantSession, run_id: UUID, seconds: float) -> bool:
    """Tell whether a worker has a chunk of a run on lease, or has done one within so many seconds.

    It takes the next one by then, or checks the run.
    """
    query = text("""
        select exists (select from rescoring_chunk
          where tenant_id = :tenant and run_id = :run
            and coalesce(done_at + make_interval(secs => :seconds), leased_until) > clock_timestamp())
    """)
    values = {"tenant": tenant_of(session), "run": run_id, "seconds": seconds}
    return bool(session.execute(query, values).scalar_one())


def find_later(session: TenantSession, product: str, as_of: date) -> Run | None:
    """Return a run of a later day that is being prepared: it compares with what is published."""
    query = select(Run).where(Run.product == product, Run.as_of > as_of, Run.state == "preparing")
    return session.exec(query.limit(1)).first()


def find_published(session: TenantSession, product: str, before: date) -> Run | None:
    """Return the newest published run of every firm of an earlier day."""
    query = select(Run).where(Run.product == product, Run.as_of < before, Run.state == "published", Run.kind == "all")
    return session.exec(query.order_by(col(Run.as_of).desc(), col(Run.started_at).desc()).limit(1)).first()


def find_run(session: TenantSession, run_id: UUID, *, for_update: bool = False) -> Run | None:
    """Return a run, locked if it is to be changed; as it is now, whatever the session has seen before."""
    query = select(Run).where(Run.id == run_id).execution_options(populate_existing=True)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def page_runs(session: TenantSession, before: tuple[datetime, UUID] | None, limit: int) -> list[Run]:
    """Return runs, the newest first."""
    place = col(Run.started_at), col(Run.id)
    query = select(Run).order_by(place[0].desc(), place[1].desc()).limit(limit)
    return list(session.exec(query if before is None else query.where(tuple_(*place) < tuple_(*before))))


def add_run(session: TenantSession, run: Run, chunks: Sequence[Chunk]) -> None:
    """Add a run and its chunks."""
    session.add(run)
    session.flush()
    session.add_all(chunks)
    session.flush()
    _note(session, run.id, "preparing", run.actor, None)


def move(
    session: TenantSession, run_id: UUID, since: Sequence[str], state: str, actor: str, reason: str | None = None
) -> bool:
    """Let a run enter a state from one of others; return whether it was this call that did.

    It is ``prepared`` only once no chunk is open.
    """
    values = {"tenant": tenant_of(session), "run": run_id, "since": list(since), "state": state}
    result: Any = session.execute(_MOVE, values)
    if result.rowcount:
        _note(session, run_id, state, actor, reason)
    return bool(result.rowcount)


def _note(session: TenantSession, run_id: UUID, state: str, actor: str, reason: str | None) -> None:
    session.execute(
        _NOTE, {"tenant": tenant_of(session), "run": run_id, "state": state, "actor": actor, "reason": reason}
    )


def history_of(session: TenantSession, run_id: UUID) -> list[Transition]:
    """Return the states that a run entered, the first first."""
    query = select(Transition).where(Transition.run_id == run_id)
    return list(session.exec(query.order_by(col(Transition.at), col(Transition.state))))


def progress_of(session: TenantSession, run_id: UUID) -> Progress:
    """Return how far a run's chunks are."""
    return Progress(*session.execute(_PROGRESS, {"tenant": tenant_of(session), "run": run_id}).one())


def refusals_of(session: TenantSession, run_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Return the first firms that a run could not score, and why."""
    query = text("""
        select r.value from rescoring_chunk c, jsonb_array_elements(c.refusals) with ordinality r
        where c.tenant_id = :tenant and c.run_id = :run order by c.number, r.ordinality limit :limit
    """)
    values = {"tenant": tenant_of(session), "run": run_id, "limit": limit}
    return list(session.execute(query, values).scalars())


def limit_idleness(session: TenantSession, seconds: float) -> None:
    """Let the server end the session's transaction once its worker is silent for so long.

    A worker that is stopped, or whose machine is gone, would else keep its uncommitted scores, and the index of one
    score a firm a run would let whoever takes the chunk over wait for them for ever.
    """
    setting = text("select set_config('idle_in_transaction_session_timeout', :value, true)")
    session.execute(setting, {"value": f"{int(seconds * 1000)}ms"})


def claim(session: TenantSession, run_id: UUID, worker: UUID, seconds: float) -> Claim | None:
    """Take a chunk that is not done and that no other worker has on lease, if the run is being prepared.

    A worker that asks works on nothing: what it has on lease it took without hearing so, before the connection broke.
    """
    values = {"tenant": tenant_of(session), "run": run_id, "worker": worker, "seconds": seconds}
    row = session.execute(_CLAIM, values).one_or_none()
    return None if row is None else Claim(*row)


def renew(session: TenantSession, run_id: UUID, mine: Claim, seconds: float) -> bool:
    """Prolong a lease; return whether the chunk is still this attempt's."""
    return _change(session, _RENEW, run_id, mine, seconds=seconds)


def let_go(session: TenantSession, run_id: UUID, mine: Claim) -> None:
    """End a lease early, so that the chunk can be taken at once."""
    _change(session, _LET_GO, run_id, mine)


def complete(session: TenantSession, run_id: UUID, mine: Claim, *, scored: int, alerts: int, refusals: str) -> bool:
    """Mark a chunk done, if it is still this attempt's; return whether it was. Else roll everything back."""
    return _change(session, _COMPLETE, run_id, mine, scored=scored, alerts=alerts, refusals=refusals)


def _change(session: TenantSession, statement: str, run_id: UUID, mine: Claim, **values: object) -> bool:
    whose = {"tenant": tenant_of(session), "run": run_id, "number": mine.number, "attempt": mine.attempt}
    result: Any = session.execute(text(statement.format(mine=_MINE)), whose | values)
    return bool(result.rowcount)
