"""Wake-ups: rows of procrastinate's queue that name a job, and nothing else.

They may be lost, late or doubled: our own row says whether there is something to do. They are in a schema of their own.
"""

import logging
from uuid import UUID

import procrastinate
from sqlalchemy import text

from service.kit.db import JOBS_ROLE, TenantSession, tenant_of

QUEUE = "jobs"
TASK = "run_job"
SCHEMA = "jobs"
_DEFERRER = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
_PATH = text("select set_config('search_path', :path, true)")

for _name in ("procrastinate", "psycopg.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
"""What they have to say of errors is raised, and logged as JSON where it is caught."""


def wake(session: TenantSession, job_id: UUID, ahead: int) -> None:
    """Let a worker look at a job once the session's transaction is committed; if it is not, nobody ever does.

    Parameters
    ----------
    ahead
        Jobs of the same tenant that wait or run: the fewer, the sooner, so that no tenant waits for all of another's.
    """
    before = session.execute(text("select current_setting('search_path')")).scalar_one()
    session.execute(_PATH, {"path": SCHEMA})
    connection = session.connection().connection.driver_connection
    task = _DEFERRER.configure_task(
        TASK, connection=connection, queue=QUEUE, queueing_lock=str(job_id), priority=-ahead
    )
    task.defer(tenant_id=str(tenant_of(session)), job_id=str(job_id))
    session.execute(_PATH, {"path": before})


def worker_app(url: str, connections: int) -> procrastinate.App:
    """Return procrastinate's application for a worker: its connections may use the queue, and see which jobs wait."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url.replace("+psycopg", "", 1),
        min_size=1,
        max_size=connections,
        kwargs={"options": f"-c search_path={SCHEMA} -c role={JOBS_ROLE}", "application_name": "clustercredit worker"},
    )
    return procrastinate.App(connector=connector)
