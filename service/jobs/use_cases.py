"""Start jobs, look at them, and ask for their end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from service.errors import NotFound, TooManyRequests
from service.identity.actor import Actor
from service.jobs import repository, rules
from service.jobs.rules import State
from service.jobs.tables import Job
from service.jobs.wakeups import wake
from service.kit import clock
from service.kit.db import TenantSession, after_commit, tenant_of

MOST_UNFINISHED = 1000
"""Jobs of a tenant that may wait or run at a time."""


def start(
    session: TenantSession,
    actor: Actor,
    kind: str,
    args: Mapping[str, Any],
    parts: Callable[[UUID], Iterable[bytes]] | None = None,
) -> Job:
    """Start a job in the session's transaction: a worker sees it once that is committed, and never if it is not.

    Parameters
    ----------
    args
        What the kind's function is given; anybody who may see the job sees them.
    parts
        Given the job's id, returns the parts of a file to keep until the job is over.

    Raises
    ------
    TooManyRequests
        If too many of the tenant's jobs wait.
    """
    ahead = repository.count_unfinished(session)
    if ahead >= MOST_UNFINISHED:
        raise TooManyRequests(f"{MOST_UNFINISHED} jobs wait already. Look at them in GET /v1/jobs, and come back.", 60)
    job_id = clock.new_id()
    job = Job(
        tenant_id=tenant_of(session), id=job_id, kind=kind, args=dict(args), actor=actor.name, actor_id=actor.id,
        state=State.QUEUED, attempt=0, losses=0, leased_until=None, phase="", done=0, total=0, checkpoint={}, counts={},
        result=None, error=None, created_at=repository.database_clock(session), started_at=None, finished_at=None,
        cancel_requested_at=None, version=1,
    )  # fmt: skip
    repository.add(session, job, () if parts is None else parts(job_id))
    wake(session, job_id, ahead)
    return job


def get_job(session: TenantSession, job_id: UUID) -> Job:
    """Return a job.

    Raises
    ------
    NotFound
        If the tenant has no such job.
    """
    job = repository.find(session, job_id)
    if job is None:
        raise NotFound("No job has this id.")
    return job


def list_jobs(
    session: TenantSession, *, state: State | None, kind: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Job]:
    """Return jobs, the newest first."""
    return repository.page(session, state=state, kind=kind, before=before, limit=limit)


def is_kept(session: TenantSession, **facts: str) -> bool:
    """Tell whether a job that waits or runs has kept these facts: some attempt of its will go on with them."""
    return repository.is_kept(session, facts)


def cancel(session: TenantSession, job_id: UUID, at_end: Callable[[Job], None] = lambda _: None) -> Job:
    """Ask for a job's end: one that waits is over at once, one at work at its next safe point, whole or not at all.

    Parameters
    ----------
    at_end
        Called once the session's transaction is committed, if the job is over then: no worker will see to it.

    Raises
    ------
    NotFound
        If the tenant has no such job.
    """
    job = repository.change(session, job_id, lambda standing, _: rules.request_cancel(standing))
    if job is None:
        raise NotFound("No job has this id.")
    if State(job.state) in rules.FINAL:
        after_commit(session, lambda: at_end(job))
    return job


def states(session: TenantSession, job_ids: Sequence[UUID]) -> dict[UUID, State]:
    """Return the states of those of the jobs that there are."""
    return repository.states(session, job_ids)
