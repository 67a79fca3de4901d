"""Queries of jobs. Every change of a job goes through `change`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, text, tuple_
from sqlmodel import col, select

from service.jobs.rules import FINAL, Standing, State
from service.jobs.tables import Job, Upload
from service.kit.db import TenantSession

Decide = Callable[[Standing, datetime], Standing | None]
LOST = {
    "type": "urn:clustercredit:worker-lost",
    "title": "The job cost too many workers",
    "detail": "Each worker that took the job ended before it was done, for want of memory perhaps. Start it again with"
    " less data, or on a larger machine.",
}
_IS_UNFINISHED = col(Job.state).in_((State.QUEUED, State.RUNNING))
LOCK_SECONDS = 10
"""How long a stopped process may keep a job's row locked: after that the database ends its session."""


def add(session: TenantSession, job: Job, parts: Iterable[bytes]) -> None:
    """Add a job, with the parts of its file."""
    session.add(job)
    session.flush()
    for number, part in enumerate(parts):
        session.add(Upload(tenant_id=job.tenant_id, job_id=job.id, number=number, content=part))
        session.flush()


def change(
    session: TenantSession,
    job_id: UUID,
    decide: Decide,
    *,
    waits: bool = True,
    lost: Mapping[str, str] = LOST,
    **told: Any,
) -> Job | None:
    """Lock a job, let the rules decide by the database's clock, and write what they say.

    Parameters
    ----------
    waits
        Whether to wait for another transaction that has the row; else the job counts as not there.
    lost
        What to tell if the rules give the job up.
    told
        Columns to set if the change is made: what there is to tell of the job.

    Returns
    -------
    Job | None
        As it is then; None if there is no such job, or the rules refuse.
    """
    session.execute(
        text("select set_config('idle_in_transaction_session_timeout', :limit, true)"), {"limit": f"{LOCK_SECONDS}s"}
    )
    query = select(Job).where(Job.id == job_id).execution_options(populate_existing=True)
    job = session.exec(query.with_for_update(skip_locked=not waits, key_share=True)).one_or_none()
    if job is None:
        return None
    now = database_clock(session)
    before = job.standing()
    after = decide(before, now)
    if after is None:
        return None
    if told or replace(after, leased_until=None) != replace(before, leased_until=None):
        job.version += 1
    for name, value in told.items():
        setattr(job, name, value)
    _write(job, before, after, now)
    if after.state is State.FAILED and job.error is None:
        job.error = dict(lost)
    session.add(job)
    session.flush()
    if after.state in FINAL:
        session.execute(delete(Upload).where(col(Upload.job_id) == job_id))
    return job


def _write(job: Job, before: Standing, after: Standing, now: datetime) -> None:
    job.state, job.attempt, job.losses = after.state, after.attempt, after.losses
    job.leased_until, job.not_before = after.leased_until, after.not_before
    if after.state is State.RUNNING and job.started_at is None:
        job.started_at = now
    if after.is_cancel_requested and not before.is_cancel_requested:
        job.cancel_requested_at = now
    if after.state in FINAL and before.state not in FINAL:
        job.finished_at = now
        if after.state is State.CANCELLED:
            job.cancel_requested_at = job.cancel_requested_at or now


def lock_standing(session: TenantSession, job_id: UUID) -> Standing | None:
    """Return how a job stands, and keep it so until the transaction ends."""
    session.execute(
        text("select set_config('idle_in_transaction_session_timeout', :limit, true)"), {"limit": f"{LOCK_SECONDS}s"}
    )
    query = select(Job).where(Job.id == job_id).execution_options(populate_existing=True)
    job = session.exec(query.with_for_update(read=True)).one_or_none()
    return None if job is None else job.standing()


def find(session: TenantSession, job_id: UUID) -> Job | None:
    """Return a job."""
    return session.exec(select(Job).where(Job.id == job_id)).one_or_none()


def states(session: TenantSession, job_ids: Sequence[UUID]) -> dict[UUID, State]:
    """Return the states of those of the jobs that there are."""
    rows = session.exec(select(Job.id, Job.state).where(col(Job.id).in_(job_ids)))
    return {job_id: State(state) for job_id, state in rows}


def page(
    session: TenantSession, *, state: str | None, kind: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Job]:
    """Return jobs, the newest first."""
    query = select(Job)
    if state is not None:
        query = query.where(Job.state == state)
    if kind is not None:
        query = query.where(Job.kind == kind)
    if before is not None:
        query = query.where(tuple_(col(Job.created_at), col(Job.id)) < tuple_(*before))
    return list(session.exec(query.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)))


def count_unfinished(session: TenantSession) -> int:
    """Return how many jobs of the tenant's wait or run."""
    return session.exec(select(func.count()).select_from(Job).where(_IS_UNFINISHED)).one()


def is_kept(session: TenantSession, facts: Mapping[str, str]) -> bool:
    """Tell whether a job that waits or runs has these facts in its checkpoint."""
    query = select(Job.id).where(_IS_UNFINISHED, col(Job.checkpoint).contains(facts))
    return session.exec(query.limit(1)).first() is not None


def read_upload(session: TenantSession, job_id: UUID) -> Iterator[bytes]:
    """Return the parts of a job's file, one in memory at a time."""
    count = select(func.count()).select_from(Upload).where(Upload.job_id == job_id)
    for number in range(session.exec(count).one()):
        query = select(Upload.content).where(Upload.job_id == job_id, Upload.number == number)
        yield session.exec(query).one()


def database_clock(session: TenantSession) -> datetime:
    """Return the database's time."""
    now = session.scalars(select(func.clock_timestamp())).one()
    assert isinstance(now, datetime)
    return now
