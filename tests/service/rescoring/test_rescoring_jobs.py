"""Rescorings as jobs beside runs of others: whose run a job goes on with, and what it does when it may not publish."""

import uuid

import pytest
from psycopg.errors import ConnectionFailure
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.app import KINDS
from service.errors import Conflict
from service.identity.access import Role
from service.identity.actor import act
from service.jobs.rules import State
from service.jobs.runner import Runner
from service.jobs.use_cases import cancel
from service.kit.db import Author
from service.rescoring import jobs, repository, use_cases, work
from service.rescoring.jobs import start_rescoring
from service.rescoring.use_cases import check, get_run, prepare, publish, rescore, withdraw
from service.rescoring.work import work_on
from tests.service.jobs.desk import Desk, actor_of
from tests.service.rescoring.house import FIRST, PRODUCT, SECOND, add_model, make_bank, prepared


@pytest.fixture
def bank(database):
    return make_bank(database, 5)


@pytest.fixture
def desk(database, bank):
    with database.session(bank) as session:
        return Desk(database, session.execute(text("select name from tenant")).scalar_one())


def begin(desk, day, *, is_published=True):
    actor = actor_of(desk.tenant, Role.BATCH)
    with desk.database.session(desk.tenant_id) as session:
        act(session, actor)
        return start_rescoring(session, actor, PRODUCT, day, is_published=is_published).id


def finish(desk, job_id):
    Runner(desk.database, desk.settings, KINDS, lambda: False).run(desk.tenant_id, job_id)
    return desk.job(job_id)


def test_a_job_that_may_not_publish_leaves_a_checked_run(database, bank, desk):
    """The later day's run compares with what is published; once it is done this one can be published."""
    later = prepared(database, bank, SECOND)
    job = finish(desk, begin(desk, FIRST))
    assert (job.state, job.result["state"]) == (State.SUCCEEDED, "checked")
    assert str(later) in job.result["held_up"]
    work_on(database, bank, later, "nightly")
    with database.session(bank, Author("nightly")) as session:
        check(session, later, "nightly")
        run_id = uuid.UUID(job.result["run_id"])
        assert publish(session, run_id, "nightly", "a test").run.state == "published"


def test_a_job_goes_on_with_its_actors_own_run(database, bank, desk):
    run_id = prepared(database, bank)
    job = finish(desk, begin(desk, FIRST))
    assert (job.result["run_id"], job.result["is_resumed"], job.result["state"]) == (str(run_id), True, "published")


@pytest.mark.parametrize("why", ["somebody else's", "another model's"])
def test_a_job_does_not_publish_a_run_that_is_not_its_own(database, bank, desk, why):
    """A manager's run, left to be looked at, or one by a model that is live no more, ends; the job's is its own."""
    left = prepared(database, bank, actor="manager" if why == "somebody else's" else "nightly")
    if why == "another model's":
        with database.session(bank) as session:
            session.execute(text("update model_version set state = 'retired'"))
            add_model(session, 2)
    job = finish(desk, begin(desk, FIRST))
    assert job.result["run_id"] != str(left)
    assert (job.result["is_resumed"], job.result["state"]) == (False, "published")
    assert job.result["model_version"] == (f"{PRODUCT}/2" if why == "another model's" else f"{PRODUCT}/1")
    with database.session(bank) as session:
        last = get_run(session, left).history[-1]
    assert (last.state, last.actor) == ("withdrawn", "nightly")


def test_a_job_ends_no_run_that_somebody_works_on(database, bank, desk):
    left = prepared(database, bank, actor="manager")
    with database.session(bank) as session:
        repository.claim(session, left, uuid.uuid4(), 60)
    job = finish(desk, begin(desk, FIRST))
    assert (job.state, str(left) in job.error["detail"]) == (State.FAILED, True)
    with database.session(bank) as session:
        assert get_run(session, left).run.state == "preparing"


def begin_anew(database, bank):
    with database.session(bank, Author("manager")) as session:
        return prepare(session, PRODUCT, FIRST, "manager")


def test_a_job_between_two_attempts_still_works_on_its_run(database, bank, desk, monkeypatch):
    """Nothing is on lease while it is set back; once it is cancelled, somebody else may begin."""
    with monkeypatch.context() as broken:
        broken.setattr(jobs, "work_on", no_database)
        job = finish(desk, job_id := begin(desk, FIRST))
    assert (job.state, job.not_before is None) == (State.QUEUED, False)
    with pytest.raises(Conflict, match=job.checkpoint["run_id"]):
        begin_anew(database, bank)
    desk.let_lease_run_out(job_id)
    assert finish(desk, job_id).result["state"] == "published"
    with monkeypatch.context() as broken:
        broken.setattr(jobs, "work_on", no_database)
        finish(desk, job_id := begin(desk, SECOND))
    with database.session(bank) as session:
        cancel(session, job_id)
    with database.session(bank, Author("manager")) as session:
        assert prepare(session, PRODUCT, SECOND, "manager")[0].actor == "manager"


def no_database(*_):
    raise OperationalError("select", {}, ConnectionFailure("no connection"))


def test_nobody_begins_a_day_anew_between_two_chunks(database, bank, monkeypatch):
    take, refused = work._take, []

    def take_after_another(*args):
        if len(refused) < 3 and (refused or has_done_a_chunk(database, bank, args[2])):
            with pytest.raises(Conflict, match="is being prepared") as caught:
                begin_anew(database, bank)
            refused.append(caught.value)
        return take(*args)

    monkeypatch.setattr(work, "_take", take_after_another)
    assert rescore(database, bank, PRODUCT, FIRST, "nightly", chunk_firms=2).state == "published"
    assert len(refused) == 3


def has_done_a_chunk(database, bank, run_id):
    with database.session(bank) as session:
        return repository.progress_of(session, run_id).done > 0


def test_a_run_that_worked_long_ago_is_begun_anew(database, bank):
    left = prepared(database, bank, chunk_firms=5)
    work_on(database, bank, left, "nightly")
    with database.session(bank) as session:
        session.execute(text("update rescoring_chunk set done_at = done_at - interval '61 seconds'"))
    assert begin_anew(database, bank)[0].id != left
    with database.session(bank) as session:
        assert get_run(session, left).run.state == "withdrawn"


@pytest.mark.parametrize("how", ["job", "command"])
def test_who_rescores_is_told_that_the_run_was_withdrawn(database, bank, desk, monkeypatch, how):
    def withdraw_then(database, tenant_id, run_id, *_):
        with database.session(tenant_id, Author("manager")) as session:
            withdraw(session, run_id, "manager", "a broken feed")

    monkeypatch.setattr(jobs if how == "job" else use_cases, "work_on", withdraw_then)
    if how == "job":
        job = finish(desk, begin(desk, FIRST))
        assert (job.state, job.result) == (State.FAILED, None)
        assert "a broken feed" in job.error["detail"]
    else:
        with pytest.raises(Conflict, match="a broken feed"):
            rescore(database, bank, PRODUCT, FIRST, "nightly")
