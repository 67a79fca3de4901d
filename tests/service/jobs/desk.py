"""A worker's desk in the test's own process: jobs of a kind of the test's, claimed and run when the test says so."""

import uuid
from collections.abc import Callable

from sqlalchemy import text

from service.identity.access import Organisation, Role
from service.identity.actor import Actor, Reach, act
from service.identity.use_cases import tenant_id_of
from service.jobs.context import Context, Kind
from service.jobs.runner import Runner
from service.jobs.use_cases import get_job, start
from service.settings import Settings

KIND = "test"
LEASE_SECONDS = 20
EFFECTS = text("select count(*) from branch where name like :name")
EFFECT = text("insert into branch (tenant_id, id, name, created_at, version) values (:tenant, :id, :name, now(), 1)")


def actor_of(tenant: str, role: Role = Role.BATCH) -> Actor:
    return Actor(tenant_id_of(tenant), Organisation.BANK, uuid.uuid4(), "nightly", role, Reach(), ())


class Desk:
    """One tenant's jobs, and a worker for them.

    A job's effect is a branch of the job's name: what it does can be counted.
    """

    def __init__(self, database, tenant: str, run: Callable[[Context], None] | None = None, **settings) -> None:
        self.database, self.tenant, self.tenant_id = database, tenant, tenant_id_of(tenant)
        self.actor, self.must_stop = actor_of(tenant), False
        self.settings = Settings(**{"job_lease_seconds": LEASE_SECONDS, **settings})
        self.kind = Kind(KIND, run or self.work)

    def runner(self) -> Runner:
        return Runner(self.database, self.settings, {KIND: self.kind}, lambda: self.must_stop)

    def start(self, **args) -> uuid.UUID:
        with self.database.session(self.tenant_id) as session:
            act(session, self.actor)
            return start(session, self.actor, KIND, args).id

    def job(self, job_id: uuid.UUID):
        with self.database.session(self.tenant_id) as session:
            return get_job(session, job_id)

    def run(self, job_id: uuid.UUID) -> None:
        self.runner().run(self.tenant_id, job_id)

    def work(self, context: Context) -> None:
        with context.session() as session:
            add_effect(session, context)
            context.finish(session, {"by": "test"}, {"effects": 1})

    def effects(self, job_id: uuid.UUID) -> int:
        with self.database.session(self.tenant_id) as session:
            return session.execute(EFFECTS, {"name": f"{job_id}%"}).scalar_one()

    def let_lease_run_out(self, job_id: uuid.UUID) -> None:
        """Turn the database's clock on, for this one job: a pause ends, too."""
        past = text("""
            update job set not_before = null,
              leased_until = case when state = 'running' then clock_timestamp() - interval '1 second' end
            where id = :id""")
        with self.database.session(self.tenant_id) as session:
            session.execute(past, {"id": job_id})


def add_effect(session, context: Context) -> None:
    name = f"{context.job_id} {uuid.uuid4()}"
    session.execute(EFFECT, {"tenant": context.tenant_id, "id": uuid.uuid4(), "name": name})
