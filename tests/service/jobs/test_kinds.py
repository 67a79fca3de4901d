"""Trainings and rescorings as jobs: what they leave, and what a second attempt finds of the first."""

import json
import uuid

import pytest
from sqlalchemy import text

from service.app import KINDS
from service.errors import Conflict
from service.identity.access import Role
from service.identity.actor import act
from service.jobs.rules import State
from service.jobs.runner import Runner
from service.jobs.use_cases import get_job
from service.rescoring.jobs import start_rescoring
from service.training import jobs as training
from service.training.use_cases import _keep, list_versions
from tests.contracts import world
from tests.models import handmade
from tests.service.jobs.desk import Desk, actor_of

MANY = "select count(*) from {}"


@pytest.fixture
def desk(database, tenant) -> Desk:
    return Desk(database, tenant)


def start(desk, make, *args, **options) -> uuid.UUID:
    actor = actor_of(desk.tenant, Role.RISK_MANAGER)
    with desk.database.session(desk.tenant_id) as session:
        act(session, actor)
        return make(session, actor, *args, **options).id


def run(desk, job_id):
    Runner(desk.database, desk.settings, KINDS, lambda: False).run(desk.tenant_id, job_id)
    with desk.database.session(desk.tenant_id) as session:
        return get_job(session, job_id)


def entries(desk) -> list[dict]:
    """Return the bodies of the tenant's entries in the audit log."""
    query = text("select body from audit_entry where tenant_id = :tenant union all"
                 " select body from audit_pending where tenant_id = :tenant")  # fmt: skip
    with desk.database.engine.connect() as connection:
        return [json.loads(body) for body in connection.scalars(query, {"tenant": desk.tenant_id})]


def count(desk, table: str) -> int:
    with desk.database.session(desk.tenant_id) as session:
        return session.execute(text(MANY.format(table))).scalar_one()


def test_a_rescoring(desk, monkeypatch):
    with desk.database.session(desk.tenant_id) as session:
        world.add_model(session)
        branch = world.create_branch(session, "here").id
        for number in range(3):
            world.add_firm(session, desk.tenant, branch, f"E-{number}")
    job_id = start(desk, start_rescoring, world.PRODUCT, world.SECOND, is_published=True)
    job = run(desk, job_id)
    assert (job.state, job.counts) == (State.SUCCEEDED, {"firms": 3, "scored": 3, "alerts": 0, "refused": 0})
    assert job.result["model_version"] == f"{world.PRODUCT}/1"
    assert count(desk, "score") == 3


def test_whatever_a_job_does_is_in_the_audit_log_under_who_started_it(desk):
    with desk.database.session(desk.tenant_id) as session:
        world.add_model(session)
        world.add_firm(session, desk.tenant, world.create_branch(session, "here").id, "E-1")
    job_id = start(desk, start_rescoring, world.PRODUCT, world.SECOND, is_published=True)
    assert run(desk, job_id).state == State.SUCCEEDED
    by_job = {entry["action"] for entry in entries(desk) if entry["request_id"] == str(job_id)}
    assert {"job.updated", "scores.added", "rescoring_run.inserted"} <= by_job
    for entry in entries(desk):
        if entry["action"] in by_job:
            assert (entry["actor"], entry["request_id"]) == ("nightly", str(job_id)), entry
            assert entry["actor_id"] == str(desk.job(job_id).actor_id), entry


def test_a_failure_is_in_the_audit_log_under_who_started_the_job(desk):
    options = {"seed": 7, "estimator": "auto", "central_tendency": None}
    job_id = start(desk, training.start_training, world.PRODUCT, world.FIRST, **options)
    assert run(desk, job_id).state == State.FAILED
    moves = [entry for entry in entries(desk) if entry["action"] == "job.updated"]
    assert [entry["actor"] for entry in moves] == ["nightly"] * 2


def test_a_rescoring_that_waits_to_be_published(desk):
    with desk.database.session(desk.tenant_id) as session:
        world.add_model(session)
        world.add_firm(session, desk.tenant, world.create_branch(session, "here").id, "E-1")
    job = run(desk, start(desk, start_rescoring, world.PRODUCT, world.SECOND, is_published=False))
    assert (job.state, job.result["state"]) == (State.SUCCEEDED, "checked")
    assert count(desk, "current_score") == 0


def test_a_rescoring_that_lacked_only_its_end_is_not_done_again(desk, monkeypatch):
    with desk.database.session(desk.tenant_id) as session:
        world.add_model(session)
        world.add_firm(session, desk.tenant, world.create_branch(session, "here").id, "E-1")
    job_id = start(desk, start_rescoring, world.PRODUCT, world.SECOND, is_published=True)
    end = "service.jobs.context.Context.finish"
    with monkeypatch.context() as patch:
        patch.setattr(end, lambda *_: desk.let_lease_run_out(job_id) or 1 / 0)
        patch.setattr("service.jobs.runner.Runner._failed", lambda *_: "killed")
        assert run(desk, job_id).state == State.RUNNING
    desk.let_lease_run_out(job_id)
    job = run(desk, job_id)
    assert (job.state, job.attempt, job.counts["scored"]) == (State.SUCCEEDED, 2, 1)
    assert job.result["run_id"] == job.checkpoint["run_id"]
    assert (count(desk, "score"), count(desk, "rescoring_run")) == (1, 1)


@pytest.mark.parametrize("breaks", [False, True])
def test_a_training(desk, monkeypatch, breaks):
    """The fit itself is another test's; here it is whether the version and the job's end are one."""

    def train(session, product, as_of, *, actor, seed, estimator, central_tendency, progress):
        progress("fitting", 0, 1)
        assert central_tendency is None
        report = {**handmade.REPORT, "sample": {"rows": 30, "firms": 20, "defaulted_firms": 5, "default_rate": 0.2}}
        version = _keep(session, product, as_of, actor, seed, handmade.model(), report)
        if breaks:
            raise Conflict("It broke off.")
        return version

    monkeypatch.setattr(training, "train", train)
    options = {"seed": 7, "estimator": "auto", "central_tendency": None}
    job = run(desk, start(desk, training.start_training, world.PRODUCT, world.FIRST, **options))
    with desk.database.session(desk.tenant_id) as session:
        versions = list_versions(session)
    if breaks:
        assert (job.state, versions) == (State.FAILED, [])
    else:
        assert (job.state, job.counts) == (State.SUCCEEDED, {"rows": 30, "firms": 20, "defaulted_firms": 5})
        assert job.result == {"model_id": str(versions[0].id), "name": f"{world.PRODUCT}/1", "state": "live"}
        assert versions[0].created_by == "nightly"
