"""Run one job: claim it, let its kind's function work, and see to it that every way to end is noted."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from time import sleep
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.errors import Problem
from service.jobs import repository, rules
from service.jobs.attempt import (
    AttemptDatabase,
    CancelledError,
    GivenBackError,
    InterruptionError,
    Pulse,
    sessions_of,
)
from service.jobs.context import Context, Kind, wind_up
from service.jobs.faults import is_full_disk, is_passing
from service.jobs.rules import FINAL, MOST_LOSSES, State
from service.jobs.tables import Job
from service.kit.db import Database, set_author
from service.settings import Settings

log = structlog.get_logger()

SUPERSEDED = "superseded"
_NULL_SHOWN = "\N{SYMBOL FOR NULL}"
"""In place of the one character that PostgreSQL cannot keep."""
SETTLE_TRIES, SETTLE_PAUSE_SECONDS = 5, 1.0
INTERNAL = {
    "type": "urn:clustercredit:internal-error",
    "title": "Something went wrong that should not",
    "detail": "Nothing of the job's open work was kept. Tell whoever runs the service the job's id: its log says more.",
}
BROKEN_OFF = {
    "type": "urn:clustercredit:broken-off",
    "title": "The database broke the job off again and again",
    "detail": f"{MOST_LOSSES} attempts were lost, the last one to a connection that broke, or to a lock that was not to"
    " be had. Tell whoever runs the service the job's id: its log and the database's say more. Then start it again.",
}
"""What is told of a job that the database broke off too often; one that lost workers alone is `worker-lost`."""


class Runner:
    """Runs jobs, in as many threads as call it.

    Parameters
    ----------
    database
        The worker's own, for claims and pulses.
    kinds
        What this worker can do; it leaves other jobs to others.
    must_stop
        Whether jobs are to be given back at their next safe point.
    """

    def __init__(
        self, database: Database, settings: Settings, kinds: Mapping[str, Kind], must_stop: Callable[[], bool]
    ) -> None:
        self._database, self._settings, self._kinds, self._must_stop = database, settings, kinds, must_stop
        self._lease = timedelta(seconds=settings.job_lease_seconds)

    def run(self, tenant_id: UUID, job_id: UUID) -> None:
        """Do a job unless it is done, or somebody else's; a database that fails now leaves it to a later wake-up."""
        with structlog.contextvars.bound_contextvars(job_id=str(job_id)):
            try:
                job = self._claim(tenant_id, job_id)
                if job is not None:
                    self._attempt(job)
            except Exception as error:
                if is_passing(error):
                    log.warning("job left to a later wake-up", error=_name(error))
                else:
                    log.exception("job neither begun nor ended")

    def _claim(self, tenant_id: UUID, job_id: UUID) -> Job | None:
        with self._database.session(tenant_id) as session:
            found = repository.find(session, job_id)
            if found is None or found.kind not in self._kinds:
                return None
            set_author(session, found.author())
            claim = partial(rules.claim, lease=self._lease)
            job = repository.change(session, job_id, claim, waits=False)
        if job is None or job.state != State.RUNNING:
            if job is not None:
                wind_up(self._kinds, self._settings, job)
            return None
        if job.attempt > 1:
            self._end_former_sessions(job)
        return job

    def _end_former_sessions(self, job: Job) -> None:
        """End the transactions of earlier attempts, whose processes may be stopped or cut off, with all their locks."""
        query = text(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where starts_with(application_name, :names)"
        )
        with self._database.engine.connect() as connection:
            ended = connection.execute(query, {"names": sessions_of(job.id)}).scalar_one()
        log.info("earlier attempts ended", attempt=job.attempt, sessions=ended)

    def _attempt(self, job: Job) -> None:
        kind = self._kinds[job.kind]
        own = AttemptDatabase(self._database.url, job)
        log.info("job started", kind=job.kind, attempt=job.attempt)
        try:
            with Pulse(self._database, job.tenant_id, job.id, job.attempt, self._lease, self._must_stop) as pulse:
                state = self._work(kind, Context(job, own, pulse, self._settings), job)
        finally:
            own.dispose()
        log.info("job ended", kind=job.kind, attempt=job.attempt, state=state)
        if state in FINAL:
            wind_up(self._kinds, self._settings, job)

    def _work(self, kind: Kind, context: Context, job: Job) -> str:
        """Let the kind's function work, and note how it ended; return the state that the job has then."""
        try:
            kind.run(context)
            context.check_finished()
        except InterruptionError as why:
            return self._interrupted(job, why)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if not context.is_finished:
                return self._failed(job, kind, error)
            log.exception("job failed after its end")
        return State.SUCCEEDED

    def _interrupted(self, job: Job, why: InterruptionError) -> str:
        if isinstance(why, CancelledError):
            return self._settle(job, lambda standing, _: rules.stop(standing, job.attempt))
        if isinstance(why, GivenBackError):
            return self._settle(job, lambda standing, _: rules.give_back(standing, job.attempt))
        return SUPERSEDED

    def _failed(self, job: Job, kind: Kind, error: BaseException) -> str:
        if is_passing(error):
            log.warning("job tried again", error=_name(error))
            is_lost = not is_full_disk(error)
            return self._settle(
                job, lambda standing, now: rules.set_back(standing, job.attempt, now, is_lost=is_lost), lost=BROKEN_OFF
            )
        told = _told_of(error, kind)
        if told is INTERNAL:
            log.error("job failed", exc_info=error)
        return self._settle(job, lambda standing, _: rules.fail(standing, job.attempt), error=told)

    def _settle(self, job: Job, decide: repository.Decide, **told: Any) -> str:
        """Note an end without an effect. If the database cannot, the lease runs out, which counts as a lost worker.

        So a full disk, which may not count, is waited for unless the worker is to stop. A job that is given back is
        woken by the next sweep, of another worker if this one is to stop.
        """
        tries = 0
        while tries < SETTLE_TRIES:
            try:
                with self._database.session(job.tenant_id, job.author()) as session:
                    settled = repository.change(session, job.id, decide, **told)
            except SQLAlchemyError as error:
                log.warning("end not noted yet", error=_name(error))
                tries += not is_full_disk(error) or self._must_stop()
                sleep(SETTLE_PAUSE_SECONDS)
            else:
                return SUPERSEDED if settled is None else settled.state
        return "unknown"


def _name(error: BaseException) -> str:
    """Return what may be logged of an error that is no fault of the code."""
    return type(getattr(error, "orig", None) or error).__name__


def _told_of(error: BaseException, kind: Kind) -> dict[str, str]:
    """Return what a user is told of an error: only words that were written for users."""
    if isinstance(error, Problem):
        return _problem(error.code, error.title, error.detail)
    for known, (code, title) in kind.errors.items():
        if isinstance(error, known):
            return _problem(code, title, str(error))
    return INTERNAL


def _problem(code: str, title: str, detail: str) -> dict[str, str]:
    told = {"type": f"urn:clustercredit:{code}", "title": title, "detail": detail}
    return {name: words.replace("\0", _NULL_SHOWN) for name, words in told.items()}
