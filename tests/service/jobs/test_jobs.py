"""What becomes of a job: its effect and its end are one, whoever dies, stops, or comes late."""

import errno
import threading
import uuid
from datetime import timedelta

import pytest
from psycopg.errors import DiskFull
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.errors import Conflict, TooManyRequests
from service.jobs import repository, runner, use_cases
from service.jobs.attempt import SupersededError
from service.jobs.rules import MOST_LOSSES, State
from service.kit import clock
from tests.service.jobs.desk import LEASE_SECONDS, Desk, add_effect

WAKEUPS = "select count(*) from jobs.procrastinate_jobs where queueing_lock = '{}'"


@pytest.fixture
def desk(database, tenant) -> Desk:
    return Desk(database, tenant)


def test_a_job_is_done_once(desk):
    job_id = desk.start(product="p")
    for _ in range(3):
        desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.attempt, job.result, job.counts) == (State.SUCCEEDED, 1, {"by": "test"}, {"effects": 1})
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.leased_until is None
    assert desk.effects(job_id) == 1


def test_a_job_is_seen_after_the_commit_and_never_after_a_rollback(desk, database, server):
    name = database.engine.url.database

    def wakeups(job_id):
        return int(server.psql(WAKEUPS.format(job_id), name))

    with database.session(desk.tenant_id) as session:
        path = session.execute(text("show search_path")).scalar_one()
        job_id = use_cases.start(session, desk.actor, "test", {}).id
        assert wakeups(job_id) == 0
        desk.run(job_id)
        assert session.execute(text("show search_path")).scalar_one() == path
    assert wakeups(job_id) == 1
    assert desk.job(job_id).state == State.QUEUED
    with database.session(desk.tenant_id) as session:
        outer = session.begin_nested()
        gone = use_cases.start(session, desk.actor, "test", {}).id
        outer.rollback()
    assert wakeups(gone) == 0
    with pytest.raises(use_cases.NotFound):
        desk.job(gone)


def test_a_stopped_worker_that_comes_back_cannot_commit(database, tenant):
    """It is stopped at three places in turn: before its work, before its end, and before its commit."""
    stopped, go_on = threading.Event(), threading.Event()
    seen, slow = [], True

    def run(context):
        nonlocal slow
        is_first, slow = slow, False

        def pause(here):
            if is_first and where == here:
                stopped.set()
                go_on.wait(20)

        try:
            pause("before the work")
            with context.session() as session:
                add_effect(session, context)
                pause("before the end")
                if where == "before the commit, of a chunk":
                    stopped.set()
                    if is_first:
                        go_on.wait(20)
                        return
                context.finish(session, {"first": is_first})
        except (SupersededError, OperationalError) as error:
            seen.append(type(error))
            raise

    for where in ("before the work", "before the end", "before the commit, of a chunk"):
        slow = True
        stopped.clear()
        go_on.clear()
        desk = Desk(database, tenant, run)
        job_id = desk.start()
        zombie = threading.Thread(target=desk.run, args=(job_id,))
        zombie.start()
        assert stopped.wait(20)
        desk.let_lease_run_out(job_id)
        desk.run(job_id)
        assert desk.job(job_id).state == State.SUCCEEDED
        go_on.set()
        zombie.join(20)
        job = desk.job(job_id)
        assert (job.state, job.attempt, job.losses, job.result) == (State.SUCCEEDED, 2, 1, {"first": False}), where
        assert desk.effects(job_id) == 1, where
    assert len(seen) >= 2


def test_a_new_attempt_ends_the_sessions_of_the_old_one_with_their_locks(database, tenant):
    """A stopped process keeps its transaction open, and with it a lock that the next attempt needs."""
    stopped, go_on = threading.Event(), threading.Event()
    lock = text("select pg_advisory_xact_lock(hashtext(:name))")

    def run(context):
        with context.session() as session:
            session.execute(text("set local lock_timeout = '5s'"))
            session.execute(lock, {"name": tenant})
            if not stopped.is_set():
                stopped.set()
                go_on.wait(20)
            add_effect(session, context)
            context.finish(session, {})

    desk = Desk(database, tenant, run)
    job_id = desk.start()
    zombie = threading.Thread(target=desk.run, args=(job_id,))
    zombie.start()
    assert stopped.wait(20)
    desk.let_lease_run_out(job_id)
    desk.run(job_id)
    assert desk.job(job_id).state == State.SUCCEEDED
    go_on.set()
    zombie.join(20)
    assert (desk.job(job_id).attempt, desk.effects(job_id)) == (2, 1)


def test_a_job_under_a_lease_is_left_alone(database, tenant):
    desk = Desk(database, tenant, lambda context: desk.run(context.job_id) or desk.work(context))
    job_id = desk.start()
    desk.run(job_id)
    assert (desk.job(job_id).attempt, desk.effects(job_id)) == (1, 1)


@pytest.mark.parametrize("hours", [-1, 1])
def test_only_the_databases_clock_counts(database, tenant, monkeypatch, hours):
    """A worker whose clock is an hour wrong neither loses its job nor takes another's."""
    now = clock.now

    def run(context):
        monkeypatch.setattr(clock, "now", now)
        desk.run(context.job_id)
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(hours=hours))
        desk.run(context.job_id)
        context._pulse.beat()
        lease = desk.job(context.job_id).leased_until - now()
        assert timedelta(0) < lease <= timedelta(seconds=LEASE_SECONDS + 1)
        desk.work(context)

    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(hours=hours))
    desk = Desk(database, tenant, run)
    job_id = desk.start()
    desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.attempt, desk.effects(job_id)) == (State.SUCCEEDED, 1, 1)
    assert abs(job.finished_at - now()) < timedelta(minutes=1)


class Panic(BaseException):
    """Like those of libraries in Rust, it is no Exception."""


@pytest.mark.parametrize(
    ("error", "type_", "says"),
    [
        (Conflict("There is no live model. Train one."), "conflict", "There is no live model. Train one."),
        (ValueError("a value of somebody's"), "internal-error", "log says"),
        (Panic("a value of somebody's"), "internal-error", "log says"),
        (Conflict("Columns found: f\0i\0"), "conflict", "Columns found: f␀i␀"),
    ],
)
def test_a_failed_job_says_why_and_leaves_nothing(database, tenant, error, type_, says):
    def run(context):
        with context.session() as session:
            add_effect(session, context)
            raise error

    desk = Desk(database, tenant, run)
    job_id = desk.start()
    desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.error["type"]) == (State.FAILED, f"urn:clustercredit:{type_}")
    assert says in job.error["detail"]
    assert "somebody" not in str(job.error)
    assert desk.effects(job_id) == 0


def test_a_function_that_does_not_finish_has_failed(database, tenant):
    desk = Desk(database, tenant, lambda _: None)
    job_id = desk.start()
    desk.run(job_id)
    assert desk.job(job_id).state == State.FAILED


def test_what_the_database_says_in_passing_is_tried_again(database, tenant):
    def run(context):
        with context.session() as session:
            add_effect(session, context)
            if desk.job(job_id).attempt < 3:
                with database.engine.connect() as connection:
                    connection.execute(ended, {"name": context.database.application_name})
            context.finish(session, {})

    ended = text("select pg_terminate_backend(pid) from pg_stat_activity where application_name = :name")
    desk = Desk(database, tenant, run)
    job_id = desk.start()
    for state in (State.QUEUED, State.QUEUED, State.SUCCEEDED):
        desk.let_lease_run_out(job_id)
        desk.run(job_id)
        assert desk.job(job_id).state == state
    assert (desk.job(job_id).losses, desk.effects(job_id)) == (2, 1)


@pytest.mark.parametrize(
    "error",
    [OperationalError("insert", {}, DiskFull("could not extend file")), OSError(errno.ENOSPC, "no room")],
    ids=["database", "worker"],
)
def test_a_full_disk_is_waited_for_however_long_it_lasts(database, tenant, error):
    """It is looked at less and less often, and the job is done as soon as there is room."""
    is_full, pauses = True, []

    def run(context):
        with context.session() as session:
            add_effect(session, context)
            if is_full:
                raise error
            context.finish(session, {})

    desk = Desk(database, tenant, run)
    job_id = desk.start()
    for _ in range(MOST_LOSSES + 1):
        desk.run(job_id)
        job = desk.job(job_id)
        assert (job.state, job.losses, job.error) == (State.QUEUED, 0, None)
        pauses.append(job.not_before - clock.now())
        desk.run(job_id)
        assert desk.job(job_id).attempt == job.attempt, "the pause is not kept"
        desk.let_lease_run_out(job_id)
    assert timedelta(0) < pauses[0] < timedelta(seconds=2)
    assert timedelta(minutes=4) < pauses[-1] <= timedelta(minutes=5)
    is_full = False
    desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.not_before, desk.effects(job_id)) == (State.SUCCEEDED, None, 1)


def test_a_full_disk_that_keeps_the_pause_from_being_noted_costs_no_worker(database, tenant, monkeypatch):
    def change(*args, **options):
        if len(refusals) < 2 * runner.SETTLE_TRIES:
            refusals.append(1)
            raise OperationalError("update", {}, DiskFull("could not extend file"))
        return as_it_is(*args, **options)

    refusals, as_it_is = [], repository.change
    desk = Desk(database, tenant)
    job = desk.runner()._claim(desk.tenant_id, desk.start())
    monkeypatch.setattr(runner, "SETTLE_PAUSE_SECONDS", 0)
    monkeypatch.setattr(repository, "change", change)
    assert desk.runner()._failed(job, desk.kind, OSError(errno.ENOSPC, "no room")) == State.QUEUED
    assert desk.job(job.id).losses == 0


def test_a_job_that_the_database_breaks_off_every_time_says_so(database, tenant):
    def run(context):
        with database.session(desk.tenant_id) as holder, context.session() as session:
            holder.execute(lock, {"name": tenant})
            session.execute(text("set local lock_timeout = '1ms'"))
            session.execute(lock, {"name": tenant})

    lock = text("select pg_advisory_xact_lock(hashtext(:name))")
    desk = Desk(database, tenant, run)
    job_id = desk.start()
    for _ in range(MOST_LOSSES):
        assert desk.job(job_id).state == State.QUEUED
        desk.run(job_id)
        desk.let_lease_run_out(job_id)
    job = desk.job(job_id)
    assert (job.state, job.losses, job.error["type"]) == (State.FAILED, MOST_LOSSES, "urn:clustercredit:broken-off")
    assert "LockNotAvailable" not in str(job.error)


def test_what_the_database_will_never_do_is_not_tried_again(database, tenant):
    def run(context):
        with context.session() as session:
            session.execute(text(f"select {'(' * 20_000}1{')' * 20_000}"))

    desk = Desk(database, tenant, run)
    job_id = desk.start()
    desk.run(job_id)
    assert (desk.job(job_id).state, desk.job(job_id).attempt) == (State.FAILED, 1)


def test_a_job_that_costs_every_worker_is_given_up(database, tenant):
    desk = Desk(database, tenant)
    job_id = desk.start()
    for _ in range(MOST_LOSSES):
        assert desk.runner()._claim(desk.tenant_id, job_id) is not None
        desk.let_lease_run_out(job_id)
    assert desk.runner()._claim(desk.tenant_id, job_id) is None
    job = desk.job(job_id)
    assert (job.state, job.attempt, job.error["type"]) == (
        State.FAILED,
        MOST_LOSSES,
        "urn:clustercredit:worker-lost",
    )


def _cancel(desk, job_id):
    with desk.database.session(desk.tenant_id) as session:
        return use_cases.cancel(session, job_id)


def test_a_waiting_job_is_cancelled_at_once(desk):
    job_id = desk.start()
    assert _cancel(desk, job_id).state == State.CANCELLED
    desk.run(job_id)
    assert _cancel(desk, job_id).state == State.CANCELLED
    assert desk.effects(job_id) == 0


def test_a_running_job_is_cancelled_at_a_safe_point_and_leaves_nothing(database, tenant):
    def run(context):
        with context.session() as session:
            add_effect(session, context)
            assert _cancel(desk, context.job_id).state == State.RUNNING
            for number in range(200):
                context.progress("steps", number, 200)
                pause.wait(0.05)
            context.finish(session, {})

    pause = threading.Event()
    desk = Desk(database, tenant, run, job_lease_seconds=1)
    job_id = desk.start()
    desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.result, desk.effects(job_id)) == (State.CANCELLED, None, 0)
    assert job.phase == "steps"
    assert job.done < 199


def test_a_finished_job_stays_finished(desk):
    job_id = desk.start()
    desk.run(job_id)
    job = _cancel(desk, job_id)
    assert (job.state, job.cancel_requested_at) == (State.SUCCEEDED, None)


def test_a_worker_that_must_stop_gives_its_job_back(database, tenant, server):
    def run(context):
        with context.session() as session:
            add_effect(session, context)
            context.progress("steps", 1, 2)
            context.finish(session, {})

    desk = Desk(database, tenant, run)
    desk.must_stop = True
    job_id = desk.start()
    desk.run(job_id)
    job = desk.job(job_id)
    assert (job.state, job.losses, desk.effects(job_id)) == (State.QUEUED, 0, 0)
    desk.must_stop = False
    desk.run(job_id)
    assert (desk.job(job_id).attempt, desk.effects(job_id)) == (2, 1)


def test_a_lease_is_prolonged_while_the_work_goes_on(database, tenant):
    leases = []

    def run(context):
        for _ in range(8):
            pause.wait(0.25)
            leases.append(desk.job(context.job_id).leased_until)
            desk.run(context.job_id)
        desk.work(context)

    pause = threading.Event()
    desk = Desk(database, tenant, run, job_lease_seconds=1)
    job_id = desk.start()
    desk.run(job_id)
    assert desk.job(job_id).attempt == 1
    assert len(set(leases)) > 4


def test_there_is_an_end_to_how_many_may_wait(desk, monkeypatch):
    monkeypatch.setattr(use_cases, "MOST_UNFINISHED", 2)
    first = desk.start()
    desk.start()
    with pytest.raises(TooManyRequests):
        desk.start()
    _cancel(desk, first)
    desk.start()


def test_a_wake_up_of_nothing_does_nothing(desk):
    desk.run(uuid.uuid4())
    desk.runner().run(uuid.uuid4(), desk.start())


def test_the_app_role_may_put_in_and_nothing_else(database, server):
    """procrastinate's tables are under no row-level security: they hold ids, and the role of requests reads none."""
    rights = text("""
        select c.relname, p.privilege from pg_class c join pg_namespace n on n.oid = c.relnamespace,
          unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as p(privilege)
        where n.nspname = 'jobs' and c.relkind = 'r' and has_table_privilege('clustercredit_app', c.oid, p.privilege)
    """)
    columns = text("""
        select attname from pg_attribute where attrelid = 'jobs.procrastinate_jobs'::regclass and attnum > 0
          and has_column_privilege('clustercredit_app', attrelid, attnum, 'select')
    """)
    with database.engine.connect() as connection:
        assert set(connection.execute(rights).all()) == {
            ("procrastinate_jobs", "insert"),
            ("procrastinate_events", "insert"),
        }
        assert set(connection.scalars(columns)) == {"id"}


def test_the_queue_holds_ids_alone(desk, server):
    job_id = desk.start(secret="a firm's")
    name = desk.database.engine.url.database
    args = server.psql(f"select args from jobs.procrastinate_jobs where queueing_lock = '{job_id}'", name)
    assert args.strip() == f'{{"job_id": "{job_id}", "tenant_id": "{desk.tenant_id}"}}'
