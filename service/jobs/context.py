"""What a kind of job is, and what its function is given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from service.jobs import repository, rules
from service.jobs.attempt import FINISHED, AttemptDatabase, Pulse, SupersededError
from service.jobs.tables import Job
from service.kit.db import Database, TenantSession, after_commit
from service.settings import Settings

log = structlog.get_logger()

Tidy = Callable[[Settings, Database], None]
"""Does what a kill left undone."""


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes
    ----------
    name
        What its rows say.
    run
        Does the work. It passes safe points (`Context.progress`), and calls `Context.finish` in the transaction of
        its effect, as the last thing there; that transaction is the effect and the job's end in one.
    errors
        Exceptions of the domain whose words tell the user what to do, with the type's name and the title.
    on_end
        Called with the settings, the tenant and the job once the job is over, however it ended.
    tidy
        Called now and then by every worker: does what a kill between a job's end and ``on_end`` left undone.
    """

    name: str
    run: Callable[["Context"], None]
    errors: Mapping[type[Exception], tuple[str, str]] = field(default_factory=dict)
    on_end: Callable[[Settings, UUID, UUID], None] | None = None
    tidy: Tidy | None = None


class Context:
    """One attempt at a job, for the function of its kind.

    Attributes
    ----------
    database
        For work in several transactions: each commits only while this attempt holds the job.
    author
        Who started the job.
    """

    def __init__(self, job: Job, database: AttemptDatabase, pulse: Pulse, settings: Settings) -> None:
        self.job_id, self.tenant_id, self.args, self.settings = job.id, job.tenant_id, job.args, settings
        self.checkpoint: dict[str, Any] = dict(job.checkpoint)
        self.author = job.author()
        self.database, self.is_finished = database, False
        self._attempt, self._pulse = job.attempt, pulse

    def session(self) -> AbstractContextManager[TenantSession]:
        """Open a transaction on behalf of who started the job."""
        return self.database.session(self.tenant_id, self.author)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Tell how far the work is: ``done`` of ``total``, in the phase's own unit. A safe point.

        Raises
        ------
        service.jobs.attempt.InterruptionError
            If the work must end here; nothing of the open transaction stays.
        """
        self._pulse.note(phase, done, total)
        self._pulse.check()

    def keep(self, session: TenantSession, **facts: str) -> None:
        """Let a later attempt find these facts in its ``checkpoint``, exactly if the session's transaction commits.

        Raises
        ------
        SupersededError
            If another attempt has the job.
        """
        self.checkpoint |= facts
        self._change(session, lambda job: job if rules.holds(job, self._attempt) else None, checkpoint=self.checkpoint)

    def finish(
        self, session: TenantSession, result: Mapping[str, Any], counts: Mapping[str, int] | None = None
    ) -> None:
        """End the job in the transaction of its effect: both are there, or neither.

        Raises
        ------
        SupersededError
            If another attempt has the job.
        """
        told = {"result": dict(result), "counts": dict(counts or {}), **self._pulse.progress()}
        self._change(session, lambda job: rules.finish(job, self._attempt), **told)
        session.info[FINISHED] = True
        after_commit(session, self._note_finished)

    def check_finished(self) -> None:
        """Check that the kind's function kept its word.

        Raises
        ------
        RuntimeError
            If it ended without `finish`.
        """
        if not self.is_finished:
            raise RuntimeError("the kind's function ended without Context.finish in a committed transaction")

    def upload(self, session: TenantSession) -> Iterator[bytes]:
        """Return the parts of the file that the job was started with."""
        return repository.read_upload(session, self.job_id)

    def _change(
        self, session: TenantSession, decide: Callable[[rules.Standing], rules.Standing | None], **told: Any
    ) -> None:
        if repository.change(session, self.job_id, lambda standing, _: decide(standing), **told) is None:
            raise SupersededError

    def _note_finished(self) -> None:
        self.is_finished = True


Kinds = Mapping[str, Kind]


def wind_up(kinds: Kinds, settings: Settings, job: Job) -> None:
    """Let a job's kind put away what the job needed; what fails is left to the kind's ``tidy``."""
    kind = kinds.get(job.kind)
    if kind is None or kind.on_end is None:
        return
    try:
        kind.on_end(settings, job.tenant_id, job.id)
    except Exception:
        log.exception("job not wound up", job_id=str(job.id))
