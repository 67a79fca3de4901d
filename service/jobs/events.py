"""A job's progress as server-sent events.

A stream holds no database connection and no turn of the admission: it looks at the row once a second, in a short
transaction on a pool of its own, from threads of its own. It ends with the job, after some minutes, or when the server
is told to stop; a browser then comes back by itself, and says what it has seen.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from uuid import UUID

from starlette.responses import StreamingResponse

from service.errors import TooManyRequests
from service.identity.actor import Actor
from service.jobs import repository
from service.jobs.rules import FINAL, State
from service.jobs.schemas import JobOut
from service.jobs.tables import Job
from service.kit.db import Database

CONNECTIONS = 2
MOST_STREAMS, MOST_STREAMS_EACH = 100, 10
LOOK_SECONDS, SILENT_SECONDS = 1.0, 10.0
RETRY_SECONDS = 3
_RETRY = f"retry: {RETRY_SECONDS * 1000}\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def is_over(job: Job) -> bool:
    """Tell whether there will be nothing more to tell of a job."""
    return State(job.state) in FINAL


class Streams:
    """The open streams of a process.

    Parameters
    ----------
    database
        Jobs are read beside it.
    seconds
        How long a stream lasts.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database, self._seconds = database.beside(CONNECTIONS), seconds
        self._readers = ThreadPoolExecutor(CONNECTIONS, "job events")
        self._open: Counter[UUID] = Counter()

    def answer(self, actor: Actor, job_id: UUID, seen: int, stopping: asyncio.Event | None) -> StreamingResponse:
        """Return the stream of a job.

        Parameters
        ----------
        seen
            Number of the last event that the client has; 0 if it has none.
        stopping
            Set when the server is to stop.

        Raises
        ------
        TooManyRequests
            If too many are open, of everybody's or of the actor's.
        """
        if self._is_full(actor):
            words = f"At most {MOST_STREAMS_EACH} streams of one asker, and {MOST_STREAMS} in all, are open at a time."
            raise TooManyRequests(words, RETRY_SECONDS)
        events = self._events(actor, job_id, seen, stopping or asyncio.Event())
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    async def _events(self, actor: Actor, job_id: UUID, seen: int, stopping: asyncio.Event) -> AsyncIterator[str]:
        if self._is_full(actor):  # since `answer` looked, in another thread, a burst of others has begun
            yield _RETRY
            return
        self._open[actor.id] += 1
        try:
            yield _RETRY
            loop = asyncio.get_running_loop()
            told_at = begun = monotonic()
            while not stopping.is_set() and monotonic() - begun < self._seconds:
                job = await loop.run_in_executor(self._readers, self._read, actor.tenant_id, job_id)
                if job is None:
                    return
                if job.version != seen:
                    seen, told_at = job.version, monotonic()
                    yield _event(job, actor)
                if is_over(job):
                    return
                if monotonic() - told_at >= SILENT_SECONDS:
                    told_at = monotonic()
                    yield ": still there\n\n"
                await _pause(stopping)
        finally:
            self._open[actor.id] -= 1
            self._open += Counter()  # drops those who have none

    def _is_full(self, actor: Actor) -> bool:
        return self._open.total() >= MOST_STREAMS or self._open[actor.id] >= MOST_STREAMS_EACH

    def _read(self, tenant_id: UUID, job_id: UUID) -> Job | None:
        with self._database.session(tenant_id) as session:
            return repository.find(session, job_id)


def _event(job: Job, actor: Actor) -> str:
    name = "end" if is_over(job) else "progress"
    return f"id: {job.version}\nevent: {name}\ndata: {JobOut.of(job, actor).model_dump_json()}\n\n"


async def _pause(stopping: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
    except TimeoutError:
        return
