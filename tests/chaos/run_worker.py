"""A worker of a rescoring as a process of its own: ``python run_worker.py URL TENANT RUN LEASE_SECONDS``."""

import os
import sys
from uuid import UUID

os.environ["OMP_NUM_THREADS"] = os.environ["POLARS_MAX_THREADS"] = "1"

from service.kit.db import Database
from service.rescoring.work import work_on

if __name__ == "__main__":
    url, tenant_id, run_id, lease_seconds = sys.argv[1:]
    database = Database(url, pool_size=4)
    work_on(database, UUID(tenant_id), UUID(run_id), f"worker {os.getpid()}", lease_seconds=float(lease_seconds))
