"""Workers: a job that is started is done, also when its worker is killed, its wake-up lost, or its database away."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from http_client import make_client
from sqlalchemy import text

from service.audit.sequencer import count_waiting
from service.identity.access import Role
from service.identity.use_cases import create_tenant
from service.jobs.context import Kind
from service.jobs.rules import State
from service.jobs.use_cases import cancel
from tests.chaos.own_server import HOST, OwnServer, OwnWorker
from tests.service.jobs.conftest import TENANT, working
from tests.service.jobs.desk import KIND, Desk

ROOT = Path(__file__).parents[3]
WITHIN = 30
CODE = """
import sys, time
import service.identity.tables
from service.jobs.context import Kind
from service.jobs.worker import Worker
from service.kit.db import Database
from service.kit.logs import configure_logging
from service.settings import Settings

configure_logging("ERROR")

def run(context):
    print("working", context.job_id, flush=True)
    with context.session() as session:
        while True:
            context.progress("for ever", 1, 2)
            time.sleep(0.05)

Worker(Database(sys.argv[1]), Settings(job_lease_seconds=2), {"test": Kind("test", run)}).run()
print("ended", flush=True)
"""


@pytest.fixture
def desk(own_database) -> Desk:
    return Desk(own_database, TENANT, job_lease_seconds=2)


def wait_for(desk, job_id, *states):
    deadline = time.monotonic() + WITHIN
    while (job := desk.job(job_id)).state not in states:
        assert time.monotonic() < deadline, (job.state, job.attempt, job.leased_until)
        time.sleep(0.05)
    return job


def queue(desk, server) -> int:
    return int(server.psql("select count(*) from jobs.procrastinate_jobs", desk.database.engine.url.database))


def start_child(database) -> subprocess.Popen:
    command = [sys.executable, "-c", CODE, database.url.replace("+psycopg", "")]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout.readline().startswith("working")
    return child


def end_child(child) -> None:
    child.wait(30)
    child.stdout.close()


def test_jobs_are_done_and_the_queue_is_emptied(desk, server, own_settings):
    before = [desk.start() for _ in range(3)]
    with working(desk.database, own_settings, {KIND: desk.kind}, concurrency=2):
        begun = time.monotonic()
        after = desk.start()
        wait_for(desk, after, State.SUCCEEDED)
        assert time.monotonic() - begun < 10
        for job_id in before:
            assert wait_for(desk, job_id, State.SUCCEEDED).attempt == 1
            assert desk.effects(job_id) == 1
        deadline = time.monotonic() + WITHIN
        while queue(desk, server):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_killed_workers_job_is_done_by_another(desk, own_settings):
    job_id = desk.start()
    child = start_child(desk.database)
    os.kill(child.pid, signal.SIGKILL)
    end_child(child)
    assert desk.job(job_id).state == State.RUNNING
    with working(desk.database, own_settings, {KIND: desk.kind}):
        job = wait_for(desk, job_id, State.SUCCEEDED)
    assert (job.attempt, job.losses, desk.effects(job_id)) == (2, 1, 1)


def test_a_worker_that_is_told_to_end_gives_its_job_back(desk, own_settings):
    job_id = desk.start()
    child = start_child(desk.database)
    child.send_signal(signal.SIGTERM)
    end_child(child)
    assert child.returncode == 0
    job = desk.job(job_id)
    assert (job.state, job.losses) == (State.QUEUED, 0)
    with working(desk.database, own_settings, {KIND: desk.kind}):
        assert wait_for(desk, job_id, State.SUCCEEDED).attempt == 2


def test_a_lost_wake_up_is_made_good(desk, server, own_settings):
    job_id = desk.start()
    server.psql("set search_path = jobs; delete from procrastinate_jobs", desk.database.engine.url.database)
    with working(desk.database, own_settings, {KIND: desk.kind}):
        assert wait_for(desk, job_id, State.SUCCEEDED).attempt == 1


def test_a_worker_outlives_its_connections(desk, own_settings):
    """All of them are cut, again and again, the deaf one that listens too."""
    end_all = text(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    with working(desk.database, own_settings, {KIND: desk.kind}):
        for _ in range(3):
            job_ids = [desk.start() for _ in range(2)]
            with desk.database.engine.connect() as connection:
                assert connection.execute(end_all).scalar_one() > 0
            for job_id in job_ids:
                wait_for(desk, job_id, State.SUCCEEDED)
                assert desk.effects(job_id) == 1


@pytest.mark.allow_hosts([HOST])
def test_a_server_keeps_a_worker_that_ends_with_it(own_app, own_database, tmp_path):
    """However the server ends: here it is killed."""
    at_work = text(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and application_name = 'clustercredit worker'"
    )

    def workers() -> int:
        with own_database.engine.connect() as connection:
            return connection.execute(at_work).scalar_one()

    token = make_client(own_app, own_database, TENANT, Role.BATCH).token
    server = OwnServer(own_database.url, tmp_path, "--worker")
    server.start()
    try:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once", "Content-Type": "text/csv"}
        content = b"firm_id,observed_on,name\nW1,2024-01-31,x\n"
        started = httpx.post(f"{server.url}/v1/imports?kind=firm", headers=headers, content=content)
        with httpx.stream(
            "GET", f"{server.url}{started.headers['location']}/events", headers=headers, timeout=60
        ) as events:
            assert '"state":"succeeded"' in "".join(events.iter_lines())
        assert workers() > 0
    finally:
        server.kill()
    deadline = time.monotonic() + WITHIN
    while workers():
        assert time.monotonic() < deadline, "the worker outlives its server"
        time.sleep(0.1)


def test_a_worker_that_stands_alone_numbers_the_audit_log(own_database, tmp_path):
    with own_database.session() as session:
        create_tenant(session, "numbered by a worker")
    assert count_waiting(own_database).entries > 0
    worker = OwnWorker(own_database.url, tmp_path, 1)
    worker.start()
    try:
        deadline = time.monotonic() + 3 * WITHIN
        while count_waiting(own_database).entries:
            assert time.monotonic() < deadline, "the worker numbers nothing"
            time.sleep(0.1)
    finally:
        worker.kill()
    assert not (tmp_path / "signing").exists()


def test_a_worker_leaves_kinds_that_it_does_not_know(desk, own_settings):
    job_id = desk.start()
    with working(desk.database, own_settings, {}):
        time.sleep(1.0)
    assert (desk.job(job_id).state, desk.job(job_id).attempt) == (State.QUEUED, 0)
    with working(desk.database, own_settings, {KIND: desk.kind}):
        wait_for(desk, job_id, State.SUCCEEDED)


def test_jobs_that_nobody_here_can_do_keep_no_other_from_being_found(desk, server, own_settings, monkeypatch):
    monkeypatch.setattr("service.jobs.worker.WOKEN_AT_ONCE", 2)
    unknown = [desk.start() for _ in range(6)]
    name = desk.database.engine.url.database
    server.psql("update job set kind = 'unknown' where state = 'queued'", name)
    job_id = desk.start()
    server.psql("set search_path = jobs; delete from procrastinate_jobs", name)
    with working(desk.database, own_settings, {KIND: desk.kind}):
        wait_for(desk, job_id, State.SUCCEEDED)
    for other in unknown:
        with desk.database.session(desk.tenant_id) as session:
            cancel(session, other)


@pytest.mark.parametrize("are_lost", [False, True], ids=["woken", "swept"])
def test_a_tenant_does_not_wait_for_all_of_anothers_jobs(desk, server, own_settings, are_lost):
    with desk.database.session() as session:
        create_tenant(session, other := f"small bank {are_lost}")
    many = [desk.start() for _ in range(5)]
    small = Desk(desk.database, other)
    job_id = small.start()
    if are_lost:
        server.psql("set search_path = jobs; delete from procrastinate_jobs", desk.database.engine.url.database)
    with working(desk.database, own_settings, {KIND: desk.kind}):
        done_at = wait_for(small, job_id, State.SUCCEEDED).finished_at
        ends = [wait_for(desk, of_many, State.SUCCEEDED).finished_at for of_many in many]
    assert sum(end < done_at for end in ends) <= 2


def test_a_long_queue_gets_its_turns_while_others_go_on_starting_jobs(desk, server, own_settings):
    """Two other tenants start a job whenever one of theirs is at work, each with none of the tenant's own before it."""
    with desk.database.session() as session:
        names = [f"busy bank {number}" for number in range(2)]
        for name in names:
            create_tenant(session, name)
    many, is_over, busy = [desk.start() for _ in range(4)], threading.Event(), []

    def work(context):
        if context.tenant_id != desk.tenant_id and not is_over.is_set():
            time.sleep(0.02)
            other = next(one for one in busy if one.tenant_id != context.tenant_id)
            other.start()
        desk.work(context)

    busy.extend(Desk(desk.database, name, work) for name in names)
    kind = Kind(KIND, work)
    busy[0].start()
    with working(desk.database, own_settings, {KIND: kind}):
        try:
            for job_id in many:
                wait_for(desk, job_id, State.SUCCEEDED)
        finally:
            is_over.set()
        deadline = time.monotonic() + WITHIN
        unfinished = "select count(*) from job where state in ('queued', 'running')"
        while int(server.psql(unfinished, desk.database.engine.url.database)):
            assert time.monotonic() < deadline, "other tests would find the others' jobs"
            time.sleep(0.05)
