"""Promise 1, fast form: however workers are cut off, a run has one score a firm, the same as if nobody had been."""

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from psycopg.errors import ConnectionFailure
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from service.jobs.attempt import AttemptDatabase
from service.jobs.tables import Job
from service.kit.db import Database
from service.rescoring import repository, work
from service.rescoring.use_cases import check
from service.rescoring.work import LostChunkError, work_on
from tests.service.rescoring.house import FIRST, hash_of, make_bank, prepared

FIRMS = 240
pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture(scope="module")
def bank(database):
    return make_bank(database, FIRMS)


@pytest.fixture(scope="module")
def uninterrupted(database, bank):
    """Return the hash of a run that one worker does without being disturbed."""
    run_id = prepared(database, bank, chunk_firms=20)
    work_on(database, bank, run_id, "nightly")
    with database.session(bank) as session:
        check(session, run_id, "nightly")
    return hash_of(database, bank, run_id)


def finished(database, bank, run_id):
    with database.session(bank) as session:
        assert check(session, run_id, "nightly").run.state == "checked"
        return repository.progress_of(session, run_id)


class CutOffError(Exception):
    """Stands for whatever ends a worker in mid-statement."""


@contextmanager
def cut_off(database: Database, seed: int, share: float):
    """Let statements that touch chunks and scores, and commits, end in an error now and then: before, or after."""
    chance, lock = random.Random(seed), threading.Lock()

    def strike(*_arguments) -> None:
        with lock:
            is_struck = threading.current_thread().name.startswith("worker") and chance.random() < share
        if is_struck:
            raise CutOffError

    def at_statement(_connection, _cursor, statement, *_rest) -> None:
        if "rescoring_chunk" in statement or "score" in statement:
            strike()

    names = (("before_cursor_execute", at_statement), ("after_cursor_execute", at_statement), ("commit", strike))
    for name, act in names:
        event.listen(database.engine, name, act)
    try:
        yield
    finally:
        for name, act in names:
            event.remove(database.engine, name, act)


@pytest.mark.parametrize("seed", range(2))
def test_workers_that_are_cut_off_leave_one_score_a_firm(database, bank, uninterrupted, seed):
    run_id = prepared(database, bank, chunk_firms=20)
    strikes = []

    def worker(_number) -> None:
        while True:
            try:
                return work_on(database, bank, run_id, "nightly", lease_seconds=0.6)
            except CutOffError as error:
                strikes.append(error)

    with cut_off(database, seed, 0.06), ThreadPoolExecutor(3, thread_name_prefix="worker") as pool:
        list(pool.map(worker, range(3)))
    done = finished(database, bank, run_id)
    assert len(strikes) > 5
    assert (done.scored, done.refused, done.chunks) == (FIRMS, 0, 12)
    assert hash_of(database, bank, run_id) == uninterrupted


def test_several_workers_share_the_chunks(database, bank, uninterrupted):
    run_id = prepared(database, bank, chunk_firms=20)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: work_on(database, bank, run_id, f"worker {n}"), range(3)))
    with database.session(bank) as session:
        query = text("select count(distinct actor), count(distinct firm_id) from score where run_id = :run")
        actors, firms = session.execute(query, {"run": run_id}).one()
    assert finished(database, bank, run_id).done == 12
    assert actors > 1
    assert firms == FIRMS
    assert hash_of(database, bank, run_id) == uninterrupted


def test_a_chunk_on_lease_is_left_alone_until_the_lease_ends(database, bank):
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    with database.session(bank) as session:
        first = repository.claim(session, run_id, uuid.uuid4(), 0.5)
    with database.session(bank) as session:
        assert repository.claim(session, run_id, uuid.uuid4(), 60) is None
        assert repository.renew(session, run_id, first, 0.3)
        session.execute(text("select pg_sleep(0.35)"))
    with database.session(bank) as session:
        second = repository.claim(session, run_id, uuid.uuid4(), 60)
        assert (second.number, second.attempt) == (first.number, 2)
        assert not repository.renew(session, run_id, first, 60)
        repository.let_go(session, run_id, first)
        assert repository.claim(session, run_id, uuid.uuid4(), 60) is None
        repository.let_go(session, run_id, second)
    work_on(database, bank, run_id, "nightly")
    finished(database, bank, run_id)


def test_a_zombie_commits_nothing(database, bank, uninterrupted):
    """A worker that sleeps past its lease wakes up when another has the chunk, or has done it."""
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    with database.session(bank) as session:
        zombie = repository.claim(session, run_id, uuid.uuid4(), 0.01)
        run = repository.find_run(session, run_id)
    work_on(database, bank, run_id, "nightly")
    with database.session(bank) as session:
        assert not repository.complete(session, run_id, zombie, scored=1, alerts=0, refusals="[]")
    before = hash_of(database, bank, run_id)
    with pytest.raises(LostChunkError):
        work._work(database, run, zombie, "zombie", 60)
    finished(database, bank, run_id)
    assert hash_of(database, bank, run_id) == before == uninterrupted


def test_a_silent_worker_does_not_hold_the_others_up(database, bank, uninterrupted):
    """Its uncommitted scores would: the server ends its transaction, and the chunk is taken over."""
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    with database.session(bank) as session:
        silent = repository.claim(session, run_id, uuid.uuid4(), 0.2)
        run = repository.find_run(session, run_id)

    def sleep_past_the_lease():
        with database.session(bank) as session:
            work.score_chunk(session, run, silent, "zombie")
            repository.limit_idleness(session, 0.4)
            work_on(database, bank, run_id, "nightly")
            session.execute(text("select 1"))

    with pytest.raises(DBAPIError, match=r"idle|closed|lost"):
        sleep_past_the_lease()
    finished(database, bank, run_id)
    assert hash_of(database, bank, run_id) == uninterrupted


def test_a_worker_that_needs_long_between_statements_gets_longer_the_next_time(database, bank, monkeypatch):
    """The server ends the first attempts; each later one may be silent for twice as long."""
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    attempts, as_it_is = [], work.score_chunk

    def compute_for_long(session, run, claim, *rest):
        attempts.append(claim.attempt)
        session.execute(text("select 1"))
        threading.Event().wait(0.6)
        as_it_is(session, run, claim, *rest)

    monkeypatch.setattr(work, "score_chunk", compute_for_long)
    monkeypatch.setattr(work, "_PAUSE_SECONDS", 0.01)
    work_on(database, bank, run_id, "nightly", lease_seconds=0.25)
    assert attempts[:2] == [1, 2]
    finished(database, bank, run_id)


def test_a_chunk_that_ends_every_connection_is_not_tried_for_ever(database, bank, monkeypatch):
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    ended = []

    def end_the_connection(session, *_):
        ended.append(session.execute(text("select pg_backend_pid()")).scalar_one())
        assert len(ended) <= work.MOST_LOSSES
        with database.engine.connect() as connection:
            connection.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": ended[-1]})
        session.execute(text("select 1"))

    with monkeypatch.context() as patch:
        patch.setattr(work, "score_chunk", end_the_connection)
        patch.setattr(work, "_PAUSE_SECONDS", 0.01)
        with pytest.raises(DBAPIError):
            work_on(database, bank, run_id, "nightly")
    assert len(ended) == work.MOST_LOSSES
    work_on(database, bank, run_id, "nightly")
    finished(database, bank, run_id)


class AskedToEndError(Exception):
    """What a safe point raises."""


def ends_at(call: int):
    """Return a safe point that lets the work end when it is passed for the n-th time."""
    calls = iter(range(1, 1000))

    def safe_point(*_told):
        if next(calls) == call:
            raise AskedToEndError

    return safe_point


def test_a_worker_ends_within_a_chunk_and_lets_it_go(database, bank, uninterrupted, monkeypatch):
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    monkeypatch.setattr(work.slices, "__defaults__", (50,))
    with pytest.raises(AskedToEndError):
        work_on(database, bank, run_id, "nightly", ends_at(3))
    assert hash_of(database, bank, run_id) == (None, 0)
    with database.session(bank) as session:
        again = repository.claim(session, run_id, uuid.uuid4(), 60)
        assert again.attempt == 2, "the chunk was not let go"
        repository.let_go(session, run_id, again)
    with pytest.raises(AskedToEndError):
        work_on(database, bank, run_id, "nightly", ends_at(7))
    finished(database, bank, run_id)
    assert hash_of(database, bank, run_id) == uninterrupted


def test_a_worker_that_waits_for_the_database_heeds_the_safe_point():
    def act():
        raise OperationalError("select", {}, ConnectionFailure("no connection"))

    with pytest.raises(AskedToEndError):
        work.steadily(act, safe_point=ends_at(2))


def test_a_heartbeat_hears_that_another_has_the_job(database, bank):
    """Its session then refuses to commit: the chunk is as good as lost."""
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    with database.session(bank) as session:
        claim, run = repository.claim(session, run_id, uuid.uuid4(), 60), repository.find_run(session, run_id)
    superseded = AttemptDatabase(
        database.url, Job(tenant_id=bank, id=uuid.uuid4(), attempt=1, actor="nightly", actor_id=uuid.uuid4())
    )
    with work._heartbeat(superseded, run, claim, 0.15) as is_mine:
        deadline = time.monotonic() + 10
        while is_mine():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    superseded.dispose()
    with database.session(bank) as session:
        repository.let_go(session, run_id, claim)
    work_on(database, bank, run_id, "nightly")
    finished(database, bank, run_id)


def test_no_work_is_done_for_a_run_that_was_withdrawn(database, bank):
    run_id = prepared(database, bank, chunk_firms=FIRMS)
    with database.session(bank) as session:
        repository.move(session, run_id, ["preparing"], "withdrawn", "manager", "not needed")
    work_on(database, bank, run_id, "nightly")
    assert hash_of(database, bank, run_id) == (None, 0)


def test_a_run_is_begun_once(database, bank):
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: prepared(database, bank, FIRST, chunk_firms=FIRMS), range(4)))
    assert len(ids) == 1
    work_on(database, bank, *ids, "nightly")
    finished(database, bank, *ids)


def test_a_worker_that_did_not_hear_that_it_took_a_chunk_gets_it_again(database, bank):
    run_id, worker = prepared(database, bank, chunk_firms=FIRMS), uuid.uuid4()
    with database.session(bank) as session:
        unheard = repository.claim(session, run_id, worker, 60)
    with database.session(bank) as session:
        assert repository.claim(session, run_id, uuid.uuid4(), 60) is None
        again = repository.claim(session, run_id, worker, 60)
        assert (again.number, again.attempt) == (unheard.number, 2)
        repository.let_go(session, run_id, again)
    work_on(database, bank, run_id, "nightly")
    finished(database, bank, run_id)
