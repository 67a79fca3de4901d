"""One attempt at a job: sessions that commit only while it holds the job, and the pulse that prolongs its lease."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.jobs import repository, rules
from service.jobs.tables import Job
from service.kit.db import NOBODY, Author, Database, TenantSession

log = structlog.get_logger()

CONNECTIONS = 2
BEAT_SECONDS, PROGRESS_SECONDS = 2.0, 0.5
"""Longest time between two looks at the row, for cancellation above all; shortest between two notes of progress."""
FINISHED = "is_job_finished"


class InterruptionError(Exception):
    """The work ends at this safe point, and its transaction with it."""


class SupersededError(InterruptionError):
    """Another worker has the job."""


class CancelledError(InterruptionError):
    """Somebody asked to cancel the job."""


class GivenBackError(InterruptionError):
    """The worker is about to end."""


def sessions_of(job_id: UUID) -> str:
    """Return how the names of the database sessions of a job's attempts begin."""
    return f"clustercredit job {job_id}/"


class AttemptDatabase(Database):
    """The database, for the work of one attempt: every transaction ends by checking that it still holds the job.

    So whatever the work commits, however deep inside another domain, a worker that was stopped for longer than its
    lease cannot. The check locks the job's row, shared, until the commit. Its sessions bear the job's name, so that a
    later attempt can end those of earlier ones, with all that they have locked.
    """

    def __init__(self, url: str, job: Job) -> None:
        super().__init__(url, CONNECTIONS, f"{sessions_of(job.id)}{job.attempt}")
        self.tenant_id, self.job_id, self.attempt, self._author = job.tenant_id, job.id, job.attempt, job.author()

    @contextmanager
    def session(self, tenant_id: UUID | None = None, author: Author = NOBODY) -> Iterator[TenantSession]:
        """Open a transaction of the job's tenant, on behalf of who started the job unless an author is known by id.

        Raises
        ------
        SupersededError
            At its end, instead of the commit, if another attempt has the job, or it is over.
        """
        with super().session(tenant_id or self.tenant_id, self._author if author.id is None else author) as session:
            yield session
            if not session.info.get(FINISHED):
                standing = repository.lock_standing(session, self.job_id)
                if standing is None or not rules.holds(standing, self.attempt):
                    raise SupersededError


class Pulse:
    """Prolongs an attempt's lease from a thread of its own, writes its progress, and learns what others want of it.

    Parameters
    ----------
    database
        The worker's own: its beats wait for no connection of the work's.
    lease
        Time without a beat after which others may take the job.
    must_stop
        Whether the worker gives its jobs back.
    """

    def __init__(
        self,
        database: Database,
        tenant_id: UUID,
        job_id: UUID,
        attempt: int,
        lease: timedelta,
        must_stop: Callable[[], bool],
    ) -> None:
        self._database, self._tenant_id, self._job_id, self._attempt = database, tenant_id, job_id, attempt
        self._lease, self._must_stop = lease, must_stop
        self._every = min(BEAT_SECONDS, lease.total_seconds() / 4)
        self._lock, self._ended = Lock(), Event()
        self._progress: dict[str, Any] = {}
        self._is_new = False
        self._is_superseded = self._is_cancelled = False
        self._thread = Thread(target=self._run, name=f"pulse of {job_id}", daemon=True)

    def __enter__(self) -> Self:
        """Start beating."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()

    def note(self, phase: str, done: int, total: int) -> None:
        """Take down how far the work is; it is written with the next beat."""
        with self._lock:
            self._progress = {"phase": phase, "done": done, "total": total}
            self._is_new = True

    def progress(self) -> dict[str, Any]:
        """Return how far the work was when it last said so."""
        with self._lock:
            return dict(self._progress)

    def check(self) -> None:
        """Pass a safe point.

        Raises
        ------
        InterruptionError
            If the work must end here.
        """
        if self._is_superseded:
            raise SupersededError
        if self._is_cancelled:
            raise CancelledError
        if self._must_stop():
            raise GivenBackError

    def _run(self) -> None:
        last = monotonic()
        while not self._ended.wait(min(PROGRESS_SECONDS, self._every)):
            if not self._is_new and monotonic() - last < self._every:
                continue
            last = monotonic()
            try:
                self.beat()
            except SQLAlchemyError as error:
                log.warning("pulse missed", job_id=str(self._job_id), error=type(error).__name__)

    def beat(self) -> None:
        """Prolong the lease, and write the progress that is new."""
        with self._lock:
            told, self._is_new = self._progress if self._is_new else {}, False
        with self._database.session(self._tenant_id) as session:
            job = repository.change(
                session,
                self._job_id,
                lambda standing, now: rules.renew(standing, self._attempt, now, self._lease),
                **told,
            )
        self._is_superseded = job is None
        self._is_cancelled = job is not None and job.cancel_requested_at is not None
