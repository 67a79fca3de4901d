"""Promises 2 and "nobody needs to help" in full: workers stopped past their leases, and everything killed at random.

The work of a job here is a line in its own table of effects, committed with the job's end; a job is done exactly once
when there is one line.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from http_client import UNLIMITED, make_client
from sqlalchemy import text

from service.app import create_app
from service.identity.access import Role
from service.jobs.rules import FINAL, State
from service.settings import Settings
from tests.chaos.own_server import HOST, OwnServer, OwnWorker
from tests.service.jobs.conftest import TENANT, own_database  # noqa: F401 - a fixture
from tests.service.jobs.desk import Desk

ROOT = Path(__file__).parents[2]
STOPS, LEASE_SECONDS, KILLS = 50, 2, 30
CODE = """
import random, sys, time
from datetime import timedelta
import service.identity.tables
from service.jobs.attempt import SupersededError
from service.jobs.context import Kind
from service.jobs.worker import Worker
from service.kit import clock
from service.kit.db import Database
from service.kit.logs import configure_logging
from service.settings import Settings
from tests.service.jobs.desk import add_effect

configure_logging("ERROR")
shift, now = timedelta(hours=float(sys.argv[2])), clock.now
clock.now = lambda: now() + shift

def run(context):
    print("working", context.job_id, flush=True)
    try:
        with context.session() as session:
            for step in range(6):
                context.progress("steps", step, 6)
                time.sleep(0.1)
            add_effect(session, context)
            time.sleep(0.2)
            context.finish(session, {})
            time.sleep(0.2)
    except SupersededError:
        print("refused", flush=True)
        raise

Worker(Database(sys.argv[1]), Settings(job_lease_seconds=2), {"test": Kind("test", run)}).run()
"""

pytestmark = [pytest.mark.chaos, pytest.mark.allow_hosts([HOST]), pytest.mark.timeout(3600)]


def start_worker(database, hours: float) -> subprocess.Popen:
    """Start a worker whose own clock is wrong by some hours."""
    command = [sys.executable, "-c", CODE, database.url.replace("+psycopg", ""), str(hours)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def until(condition, seconds: float, why: str) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, why
        time.sleep(0.05)
    return time.monotonic() - begun


def test_workers_stopped_past_their_lease_commit_nothing(own_database):  # noqa: F811
    """Two workers, an hour early and an hour late; one is stopped in the middle of its job, the other takes it."""
    desk, dice, slowest = Desk(own_database, TENANT), random.Random(2), 0.0
    for number in range(STOPS):
        job_id = desk.start()
        zombie = start_worker(own_database, 1 if number % 2 else -1)
        assert zombie.stdout.readline().startswith("working")
        time.sleep(dice.uniform(0, 1.0))
        zombie.send_signal(signal.SIGSTOP)
        other = start_worker(own_database, -1 if number % 2 else 1)
        taken = until(lambda job_id=job_id: desk.job(job_id).state in FINAL, 60, "nobody took the job")
        slowest = max(slowest, taken)
        zombie.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        for process in (zombie, other):
            process.terminate()
            process.wait(30)
            process.stdout.close()
        assert (desk.job(job_id).state, desk.effects(job_id)) == (State.SUCCEEDED, 1)
    print(f"\npromise 2: {STOPS} stops past the lease, clocks 1 h wrong: 0 stale commits; slowest {slowest:.1f} s")


def test_everything_killed_at_random_needs_nobody(own_database, server, tmp_path):  # noqa: F811
    """Workers and the server by SIGKILL, the database's processes by SIGKILL of one: imports all end, each once."""
    dice, done = random.Random(3), []
    web, workers = OwnServer(own_database.url, tmp_path), [OwnWorker(own_database.url, tmp_path, n) for n in range(2)]
    for process in (web, *workers):
        process.start()
    app = create_app(Settings(keyring_dir=tmp_path / "keyring", **UNLIMITED), own_database)
    token = make_client(app, own_database, TENANT, Role.RISK_MANAGER).token
    try:
        for number in range(KILLS):
            done.append(_import(web, token, number))
            time.sleep(dice.uniform(0, 1.5))
            victim = dice.choice([web, *workers, "database"])
            if victim == "database":
                _kill_a_backend(server, own_database)
            else:
                victim.kill()
                victim.start()
        slowest = max(_until_over(web, token, location) for location in done)
    finally:
        for process in (web, *workers):
            process.kill()
    with own_database.session(Desk(own_database, TENANT).tenant_id) as session:
        firms = session.execute(text("select count(*) from firm where key like 'K%'")).scalar_one()
        observed = session.execute(text("select count(*) from firm_observation where name like '厂%'")).scalar_one()
        uploads = session.execute(text("select count(*) from upload")).scalar_one()
    assert (firms, observed, uploads) == (KILLS * 200, KILLS * 200, 0)
    print(f"\nkills: {KILLS} of worker, server or database: {KILLS} imports, each once; last wait {slowest:.1f} s")


def _import(web: OwnServer, token: str, number: int) -> str:
    """Start an import, trying again with the same key until it is answered."""
    rows = "".join(f"K{number}-{row},2024-01-31,厂{number}\n" for row in range(200))
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex, "Content-Type": "text/csv"}
    content = f"firm_id,observed_on,name\n{rows}".encode()
    while True:
        try:
            answer = httpx.post(f"{web.url}/v1/imports?kind=firm", headers=headers, content=content, timeout=30)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 202:
            return answer.headers["location"]
        time.sleep(0.2)


def _until_over(web: OwnServer, token: str, location: str) -> float:
    def is_over() -> bool:
        try:
            answer = httpx.get(f"{web.url}{location}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            return False
        job = answer.json()
        assert job["state"] not in {"failed", "cancelled"}, json.dumps(job)
        return job["state"] == "succeeded"

    return until(is_over, 120, location)


def _kill_a_backend(server, database) -> None:
    """Kill one process of the database's: it then ends every session, and recovers."""
    query = f"select pid from pg_stat_activity where datname = '{database.engine.url.database}' limit 1"
    pid = server.psql(query, "postgres").strip()
    if pid:
        os.kill(int(pid), signal.SIGKILL)
        until(server.is_ready, 60, "the database does not recover")
