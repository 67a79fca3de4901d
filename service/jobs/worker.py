"""A worker: procrastinate's loop over the queue of wake-ups, and a sweep of what the queue has lost.

Nothing here decides who may do a job: that is the job's row (`service.jobs.rules`). So a wake-up too many is harmless,
and one too few is made good by the next sweep of any worker.
"""

import asyncio
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from types import MappingProxyType
from typing import Any, LiteralString
from uuid import UUID

import procrastinate
import structlog
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status

from service.jobs.context import Kind, Tidy
from service.jobs.rules import Standing, State, is_due
from service.jobs.runner import Runner
from service.jobs.wakeups import QUEUE, TASK, worker_app
from service.kit.db import Database
from service.settings import Settings

log = structlog.get_logger()

POLL_SECONDS, SWEEP_SECONDS = 5.0, 5.0
"""LISTEN may be deaf without knowing; polling is not."""
HEARTBEAT_SECONDS, STALLED_SECONDS = 5.0, 30.0
TIDY_SECONDS = 60.0
RESTART_SECONDS = 1.0
GRACE_SECONDS = 5.0
"""What a job gets to finish in when the worker is to stop; then it is given back at its next safe point."""
WOKEN_AT_ONCE = 100
RAISED_AT_ONCE = 10
"""Of a tenant: who waits behind them is raised when they are done."""
UNSEEN: LiteralString = """
    select job.tenant_id, job.id, job.state, job.attempt, job.leased_until, job.not_before,
        clock_timestamp() as now, row_number() over (partition by job.tenant_id order by job.id) - 1 as ahead
    from public.job job
    where job.state in ('queued', 'running') and job.kind = any(%(kinds)s) and not exists (
        select from procrastinate_jobs wakeup where wakeup.queueing_lock = job.id::text and wakeup.status = 'todo')
    order by ahead, job.id
"""
"""Every tenant's unfinished jobs that no wake-up in the queue names, the tenants in turn."""
RAISE: LiteralString = """
    with turn as (
        select wakeup.id, row_number() over (partition by job.tenant_id order by wakeup.id nulls first) - 1 as ahead
        from public.job job left join procrastinate_jobs wakeup
            on wakeup.queueing_lock = job.id::text and wakeup.status = 'todo'
        where job.state = 'running' or wakeup.id is not null
    ), raised as materialized (
        select wakeup.id, turn.ahead from procrastinate_jobs wakeup join turn on turn.id = wakeup.id
        where wakeup.status = 'todo' and wakeup.priority < -turn.ahead and turn.ahead < %(most)s
        for update of wakeup skip locked)
    update procrastinate_jobs wakeup set priority = -raised.ahead from raised where raised.id = wakeup.id
"""
"""Let wake-ups move up as their tenant's jobs are done: else those that others go on starting always come first."""


class Worker:
    """One worker.

    Parameters
    ----------
    database
        An open one; the worker has connections of its own beside it.
    concurrency
        Jobs at a time, each in a thread.
    chores
        What is to be tidied beside what the kinds leave, by the domain's name.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        kinds: Mapping[str, Kind],
        *,
        concurrency: int = 1,
        chores: Mapping[str, Tidy] = MappingProxyType({}),
    ) -> None:
        self._database, self._settings, self._kinds = database.beside(concurrency + 2), settings, kinds
        self._chores = {kind.name: kind.tidy for kind in kinds.values() if kind.tidy is not None} | dict(chores)
        self._tidied_at = float("-inf")
        self._concurrency = concurrency
        self._sweep_seconds = min(SWEEP_SECONDS, settings.job_lease_seconds / 4)
        self._stop_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self.runner = Runner(self._database, settings, kinds, self._must_stop)

    def run(self) -> None:
        """Work until `stop` is called or, in the main thread, SIGTERM or SIGINT comes."""
        log.info("worker started", concurrency=self._concurrency)
        asyncio.run(self._run())
        log.info("worker stopped")

    def stop(self) -> None:
        """Take no more jobs, let those at work finish for a moment, then give them back; from any thread."""
        if self._stop_at is None:
            self._stop_at = monotonic() + GRACE_SECONDS
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopped.set)

    def _must_stop(self) -> bool:
        return self._stop_at is not None and monotonic() >= self._stop_at

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self.stop)
        while self._stop_at is None:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker must go on
                log.warning("worker begins anew", error=type(error).__name__, why=str(error.__cause__ or "")[:200])
            if self._stop_at is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), RESTART_SECONDS)

    async def _serve(self) -> None:
        """Work until told to stop, or until procrastinate's worker gives up: its heartbeat found no database."""
        app = worker_app(self._database.url, connections=3)
        app.task(name=TASK, queue=QUEUE)(self._run_job)
        async with app.open_async():
            worker = asyncio.create_task(self._work_through(app))
            beside = [asyncio.create_task(self._sweep_on(app)), asyncio.create_task(self._stopped.wait())]
            try:
                await asyncio.wait({worker, beside[1]}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (worker, *beside):
                    task.cancel()
                ended, *_ = await asyncio.gather(worker, *beside, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended

    async def _work_through(self, app: procrastinate.App) -> None:
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=self._concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            delete_jobs="always",
            install_signal_handlers=False,
        )

    def _run_job(self, tenant_id: str, job_id: str) -> None:
        self.runner.run(UUID(tenant_id), UUID(job_id))

    async def _sweep_on(self, app: procrastinate.App) -> None:
        while True:
            try:
                await self.sweep(app)
            except ConnectorException as error:
                log.warning("sweep missed", why=str(error.__cause__ or error)[:200])
            if monotonic() - self._tidied_at >= TIDY_SECONDS:
                self._tidied_at = monotonic()
                await asyncio.to_thread(self.tidy)
            await asyncio.sleep(self._sweep_seconds)

    def tidy(self) -> None:
        """Do what a kill left undone, at a job's end or a request's; what fails is done the next time."""
        for name, tidy in self._chores.items():
            try:
                tidy(self._settings, self._database)
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker must go on
                log.warning("not tidied", kind=name, error=type(error).__name__)

    async def sweep(self, app: procrastinate.App) -> int:
        """Drop wake-ups that dead workers hold, and wake every job that waits without one; return how many.

        Those that wait longest move up.
        """
        for stalled in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=STALLED_SECONDS):
            assert stalled.id is not None
            with suppress(ConnectorException):  # another worker's sweep was first
                await app.job_manager.finish_job_by_id_async(stalled.id, Status.FAILED, delete_job=True)
        woken = 0
        for row in await app.connector.execute_query_all_async(UNSEEN, kinds=list(self._kinds)):
            if woken < WOKEN_AT_ONCE and is_due(_standing(row), row["now"]):
                with suppress(AlreadyEnqueued):
                    task = app.configure_task(TASK, queueing_lock=str(row["id"]), queue=QUEUE, priority=-row["ahead"])
                    await task.defer_async(tenant_id=str(row["tenant_id"]), job_id=str(row["id"]))
                    woken += 1
        await app.connector.execute_query_async(RAISE, most=RAISED_AT_ONCE)
        return woken


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(State(row["state"]), row["attempt"], leased_until=row["leased_until"], not_before=row["not_before"])
