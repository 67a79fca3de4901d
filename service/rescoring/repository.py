"""Queries of runs and chunks."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select

from service.kit.db import LockSeed, TenantSession, wait_for_lock
from service.rescoring.tables import Chunk, Run


def lock_run(session: TenantSession, product: str, as_of: date) -> None:
    """Let one transaction at a time start the run of a product and day."""
    wait_for_lock(session, LockSeed.RESCORING, product, as_of)


def find_unfinished(session: TenantSession, product: str, as_of: date) -> Run | None:
    """Return the run of a product and day that is not finished."""
    query = select(Run).where(Run.product == product, Run.as_of == as_of, col(Run.finished_at).is_(None))
    return session.exec(query).one_or_none()


def add_run(session: TenantSession, run: Run, ranges: Sequence[tuple[str, str]]) -> None:
    """Add a run and a chunk for each range of keys."""
    session.add(run)
    session.flush()
    for number, (first_key, last_key) in enumerate(ranges):
        session.add(
            Chunk(
                tenant_id=run.tenant_id,
                run_id=run.id,
                number=number,
                first_key=first_key,
                last_key=last_key,
                done_at=None,
                scored=0,
                alerts=0,
                refusals=[],
            )
        )
    session.flush()


def chunks_of(session: TenantSession, run_id: UUID) -> list[Chunk]:
    """Return a run's chunks in order."""
    return list(session.exec(select(Chunk).where(Chunk.run_id == run_id).order_by(col(Chunk.number))))


def claim(session: TenantSession, run_id: UUID, number: int) -> Chunk | None:
    """Lock a chunk that is not done, after any other process that has it; nothing if it is done then."""
    query = select(Chunk).where(Chunk.run_id == run_id, Chunk.number == number, col(Chunk.done_at).is_(None))
    return session.exec(query.with_for_update()).one_or_none()


def finish(session: TenantSession, run_id: UUID, at: datetime) -> bool:
    """Mark a run finished if every chunk is done; return whether it was this call that did."""
    open_chunks = select(Chunk.number).where(Chunk.run_id == run_id, col(Chunk.done_at).is_(None)).exists()
    statement = update(Run).where(col(Run.id) == run_id, col(Run.finished_at).is_(None), ~open_chunks)
    result: Any = session.execute(statement.values(finished_at=at))
    return bool(result.rowcount)
