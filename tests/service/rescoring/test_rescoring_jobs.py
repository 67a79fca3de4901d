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
from service.rescoring.jobs import start_rescoring
from service.rescoring.use_cases import check, publish
from service.rescoring.work import work_on
from tests.service.jobs.desk import Desk, actor_of
from tests.service.rescoring.house import FIRST, PRODUCT, SECOND, make_bank, prepared


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
