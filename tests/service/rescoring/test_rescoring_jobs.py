"""Rescorings as jobs beside runs of others: whose run a job goes on with, and what it does when it may not publish."""

import uuid

import pytest
from sqlalchemy import text

from service.app import KINDS
from service.identity.access import Role
from service.identity.actor import act
from service.jobs.rules import State
from service.jobs.runner import Runner
from service.kit.db import Author
from service.rescoring import repository
from service.rescoring.jobs import start_rescoring
from service.rescoring.use_cases import check, get_run, publish
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
