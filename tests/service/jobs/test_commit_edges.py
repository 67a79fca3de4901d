"""Hypothesis walks over the commit edges of jobs on a real PostgreSQL: death, zombies, cancellation, in any order.

Leases run out by turning the database's clock on for a row, never by waiting.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg.errors import DiskFull, LockNotAvailable

from service.jobs import rules, use_cases
from service.jobs.attempt import AttemptDatabase, Pulse, SupersededError
from service.jobs.context import Context
from service.jobs.rules import FINAL, State
from tests.service.jobs.desk import Desk, add_effect

FULL = pytest.param(300, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])
WAYS_OUT = [ValueError("no"), DiskFull(), LockNotAvailable(), "stop", "back"]


class DiedError(Exception):
    """The process is gone."""


def die(is_so):
    if is_so:
        raise DiedError


class Machine(RuleBasedStateMachine):
    """One job, the hands that ever held it, and what was seen of it last."""

    desk: Desk

    def __init__(self):
        super().__init__()
        self.job_id = self.desk.start()
        self.hands, self.seen = [], {}

    def teardown(self):
        for _, context in self.hands:
            context.database.dispose()

    @rule()
    def claim(self):
        job = self.desk.runner()._claim(self.desk.tenant_id, self.job_id)
        if job is None:
            return
        own = AttemptDatabase(self.desk.database.url, job)
        pulse = Pulse(
            self.desk.database, self.desk.tenant_id, job.id, job.attempt, self.desk.runner()._lease, lambda: False
        )
        self.hands.append((job, Context(job, own, pulse, self.desk.settings)))

    @rule()
    def the_lease_runs_out(self):
        self.desk.let_lease_run_out(self.job_id)

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 5), dies=st.sampled_from(["no", "before", "after"]))
    def finish(self, which, dies):
        """Any hand, the newest or a zombie's, does its work; it may die before its commit, or right after."""
        job, context = self.hands[which % len(self.hands)]
        holds = rules.holds(self.desk.job(self.job_id).standing(), job.attempt)
        try:
            with context.session() as session:
                add_effect(session, context)
                context.finish(session, {"attempt": job.attempt})
                die(dies == "before")
            assert holds
        except SupersededError:
            assert not holds
        except DiedError:
            assert holds
        if dies != "no":
            self.hands.remove((job, context))
            context.database.dispose()

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 5))
    def commit_a_chunk(self, which):
        """A transaction that says nothing of jobs is fenced too."""
        job, context = self.hands[which % len(self.hands)]
        holds = rules.holds(self.desk.job(self.job_id).standing(), job.attempt)
        try:
            with context.session():
                pass
            assert holds
        except SupersededError:
            assert not holds

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 5))
    def beat(self, which):
        job, context = self.hands[which % len(self.hands)]
        context._pulse.beat()
        assert context._pulse._is_superseded != rules.holds(self.desk.job(self.job_id).standing(), job.attempt)

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 5), how=st.sampled_from(WAYS_OUT))
    def give_up(self, which, how):
        job, _ = self.hands[which % len(self.hands)]
        runner = self.desk.runner()
        if isinstance(how, Exception):
            runner._failed(job, self.desk.kind, how)
        elif how == "stop":
            runner._settle(job, lambda standing, _: rules.stop(standing, job.attempt))
        else:
            runner._settle(job, lambda standing, _: rules.give_back(standing, job.attempt))

    @rule()
    def cancel(self):
        with self.desk.database.session(self.desk.tenant_id) as session:
            use_cases.cancel(session, self.job_id)

    @invariant()
    def an_end_is_an_end_and_the_effect_is_there_exactly_with_it(self):
        job = self.desk.job(self.job_id)
        assert self.desk.effects(self.job_id) == (job.state == State.SUCCEEDED)
        if self.seen.get("state") in FINAL:
            assert (job.state, job.version, job.result) == tuple(self.seen.values())
        self.seen = {"state": job.state, "version": job.version, "result": job.result}


@pytest.mark.parametrize("examples", [12, FULL])
def test_commit_edges(database, tenant, examples):
    run_state_machine_as_test(
        type("MachineOfOneTenant", (Machine,), {"desk": Desk(database, tenant)}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
