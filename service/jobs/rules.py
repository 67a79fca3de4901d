"""What may become of a job: pure functions of where it stands and of the database's clock.

Each says how the job stands afterwards, or None where the move is not allowed. The queries apply them to a locked row
(`service.jobs.repository.change`); the simulation of years applies the same to a virtual database
(`tests/service/jobs/test_simulated_years.py`).

A job is held by *attempt*: a claim raises the number, and whoever comes with an older one is refused. The lease only
says when others may claim, so clocks that differ, stops and late answers delay a job but never do it twice.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

MOST_LOSSES = 25
"""Attempts that may be lost before a job is given up: one that exhausts the memory would go round for ever."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
"""How long a job waits after what it needs has failed it: twice as long after each attempt."""


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True)
class Standing:
    """How a job stands.

    Attributes
    ----------
    attempt
        Times it was claimed.
    losses
        Attempts whose worker was lost, or that the database broke off.
    leased_until
        When others may claim a running job.
    not_before
        Until when a queued job is left alone, since what it needs has failed it.
    """

    state: State = State.QUEUED
    attempt: int = 0
    losses: int = 0
    leased_until: datetime | None = None
    is_cancel_requested: bool = False
    not_before: datetime | None = None


def holds(job: Standing, attempt: int) -> bool:
    """Tell whether an attempt is the one that may change the job, and commit work for it."""
    return job.state is State.RUNNING and job.attempt == attempt


def is_due(job: Standing, now: datetime) -> bool:
    """Tell whether the job waits for a worker: it is queued, or its worker's lease has run out."""
    if job.state is State.RUNNING:
        return job.leased_until is None or job.leased_until <= now
    return job.state is State.QUEUED and (job.not_before is None or job.not_before <= now)


def claim(job: Standing, now: datetime, lease: timedelta) -> Standing | None:
    """Take a job that is due; one that was to be cancelled, or has cost too many workers, ends instead.

    Examples
    --------
    >>> from datetime import UTC
    >>> now, lease = datetime(2026, 3, 1, tzinfo=UTC), timedelta(seconds=20)
    >>> first = claim(Standing(), now, lease)
    >>> first.attempt, claim(first, now, lease), claim(first, now + lease, lease).attempt
    (1, None, 2)
    """
    if not is_due(job, now):
        return None
    if job.state is State.RUNNING:
        job = _lost(job)
    if job.state in FINAL:
        return job
    return replace(job, state=State.RUNNING, attempt=job.attempt + 1, leased_until=now + lease, not_before=None)


def renew(job: Standing, attempt: int, now: datetime, lease: timedelta) -> Standing | None:
    """Prolong the lease, also one that has run out while nobody else claimed the job."""
    return replace(job, leased_until=now + lease) if holds(job, attempt) else None


def finish(job: Standing, attempt: int) -> Standing | None:
    """End a job that has done its work, even if somebody asks to cancel it at this moment: the work is whole."""
    return _ended(job, State.SUCCEEDED) if holds(job, attempt) else None


def fail(job: Standing, attempt: int) -> Standing | None:
    """End a job that cannot be done."""
    return _ended(job, State.FAILED) if holds(job, attempt) else None


def stop(job: Standing, attempt: int) -> Standing | None:
    """End a job at a safe point, because somebody asked to cancel it."""
    return _ended(job, State.CANCELLED) if holds(job, attempt) and job.is_cancel_requested else None


def give_back(job: Standing, attempt: int) -> Standing | None:
    """Let another worker have the job: this one ends."""
    if not holds(job, attempt):
        return None
    return _ended(job, State.CANCELLED) if job.is_cancel_requested else _queued(job)


def set_back(job: Standing, attempt: int, now: datetime, *, is_lost: bool) -> Standing | None:
    """Let the job be tried again after a pause: what it needs has failed it.

    Parameters
    ----------
    is_lost
        Whether the job itself may be the cause, so that the attempt counts as lost. A full disk is not its doing.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> job = set_back(Standing(State.RUNNING, attempt=4, leased_until=now), 4, now, is_lost=False)
    >>> job.state.value, job.losses, (job.not_before - now).seconds
    ('queued', 0, 8)
    """
    if not holds(job, attempt):
        return None
    after = _lost(job) if is_lost or job.is_cancel_requested else _queued(job)
    if after.state in FINAL:
        return after
    doublings = min(attempt - 1, 10)
    return replace(after, not_before=now + min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE))


def request_cancel(job: Standing) -> Standing:
    """Ask for an end: at once while nobody works on the job, at the next safe point if somebody does."""
    if job.state is State.QUEUED:
        return _ended(job, State.CANCELLED)
    return job if job.state in FINAL else replace(job, is_cancel_requested=True)


def _lost(job: Standing) -> Standing:
    """Return a running job whose attempt is lost: what that had not committed is gone, and nothing more will be."""
    losses = job.losses + 1
    if job.is_cancel_requested:
        return _ended(job, State.CANCELLED)
    if losses >= MOST_LOSSES:
        return replace(_ended(job, State.FAILED), losses=losses)
    return replace(_queued(job), losses=losses)


def _queued(job: Standing) -> Standing:
    return replace(job, state=State.QUEUED, leased_until=None)


def _ended(job: Standing, state: State) -> Standing:
    return replace(job, state=state, leased_until=None, not_before=None)
