"""Promise 20: years of leases and retries on a virtual clock, by the very rules that the queries apply.

The virtual database applies `service.jobs.rules` to one row at a time, as `repository.change` does to a locked row,
and commits an effect together with the job's end or not at all. Workers claim, beat, work, stop, come back, die, and
finish late; wake-ups get lost. After each step the invariants are looked at.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from service.jobs import rules
from service.jobs.rules import FINAL, Standing, State

LEASE, BEAT, SWEEP = timedelta(seconds=20), timedelta(seconds=2), timedelta(seconds=5)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
WORKERS, JOBS, WITHIN = 3, 6, timedelta(minutes=1)


@dataclass
class Row:
    """A job's row, and what has been committed for it."""

    standing: Standing = field(default_factory=Standing)
    effects: int = 0
    alone_since: datetime | None = None
    """Since when a worker was free, and none has worked on it; a pause that the rules set is over by then."""


@dataclass
class Hand:
    """A worker's hold on a job: whether the worker still runs is the world's business, not the row's."""

    job: int
    attempt: int
    beats_until: datetime
    is_stopped: bool = False


class World:
    """A database, workers, and somebody who cancels."""

    def __init__(self, seed: int) -> None:
        self.dice, self.now, self.number = random.Random(seed), EPOCH, itertools.count()
        self.rows, self.agenda, self.slowest = {}, [], timedelta(0)
        self.free = WORKERS
        bursts = [timedelta(days=730 * self.dice.random()) for _ in range(2)]
        for job in range(JOBS):
            at = EPOCH + self.dice.choice(bursts) + self.seconds(0, 60)
            self.at(at, self.arrive, job)
            if self.dice.random() < 0.15:
                self.at(at + self.seconds(0, 120), self.cancel, job)

    def seconds(self, low: float, high: float) -> timedelta:
        return timedelta(seconds=self.dice.uniform(low, high))

    def at(self, when: datetime, act, *what) -> None:
        heapq.heappush(self.agenda, (when, next(self.number), act, what))

    def run(self) -> None:
        while self.agenda:
            self.now, _, act, what = heapq.heappop(self.agenda)
            job = what[0].job if isinstance(what[0], Hand) else what[0]
            before = self.rows[job].standing if job in self.rows else Standing()
            act(*what)
            self.check(self.rows[job], before)
        assert len(self.rows) == JOBS
        assert all(row.standing.state in FINAL for row in self.rows.values())

    def check(self, row: Row, before: Standing) -> None:
        """Look at the one job that the step was about: done once or not at all, and over for good."""
        assert before.state not in FINAL or row.standing == before
        assert row.standing.attempt >= before.attempt
        assert row.effects == (row.standing.state is State.SUCCEEDED)
        assert (row.standing.state is State.RUNNING) == (row.standing.leased_until is not None)

    def change(self, job: int, decide) -> Standing | None:
        after = decide(self.rows[job].standing)
        if after is not None:
            self.rows[job].standing = after
        return after

    def arrive(self, job: int) -> None:
        self.rows[job] = Row(alone_since=self.now)
        if self.dice.random() < 0.9:
            self.at(self.now + self.seconds(0, 1), self.wake, job)
        self.at(self.now + SWEEP, self.sweep, job)

    def sweep(self, job: int) -> None:
        standing = self.rows[job].standing
        if standing.state in FINAL:
            return
        if rules.is_due(standing, self.now):
            self.wake(job)
            if self.dice.random() < 0.2:
                self.wake(job)
        self.at(self.now + SWEEP, self.sweep, job)

    def wake(self, job: int) -> None:
        """Let a worker look at a job: it is another process's whatever the row says."""
        if self.free == 0:
            self.rows[job].alone_since = self.now
            return
        before = self.rows[job].standing
        claimed = self.change(job, lambda standing: rules.claim(standing, self.now, LEASE))
        if claimed is None or claimed.state is not State.RUNNING:
            return
        self.free -= 1
        row = self.rows[job]
        assert before.not_before is None or before.not_before <= self.now
        self.slowest = max(self.slowest, self.now - row.alone_since)
        hand = Hand(job, claimed.attempt, self.now)
        self.at(self.now + BEAT, self.beat, hand)
        work = self.seconds(0.1, 90)
        fate = self.dice.random()
        if fate < 0.25:
            self.at(self.now + work * self.dice.random(), self.die, hand)
        elif fate < 0.5:
            self.at(self.now + work * self.dice.random(), self.stop, hand, self.seconds(1, 200))
        elif fate < 0.6:
            self.at(self.now + work * self.dice.random(), self.leave, hand, self.dice.choice(("lost", "full", "back")))
        self.at(self.now + work, self.end, hand)

    def is_gone(self, hand: Hand) -> bool:
        return hand.attempt < 0

    def leave_alone(self, hand: Hand) -> None:
        if rules.holds(self.rows[hand.job].standing, hand.attempt):
            self.rows[hand.job].alone_since = self.now

    def die(self, hand: Hand) -> None:
        if not self.is_gone(hand):
            self.leave_alone(hand)
            self.quit(hand)

    def quit(self, hand: Hand) -> None:
        hand.attempt = -1
        self.free += 1

    def stop(self, hand: Hand, length: timedelta) -> None:
        if not self.is_gone(hand):
            hand.is_stopped = True
            self.leave_alone(hand)
            self.at(self.now + length, self.go_on, hand)

    def go_on(self, hand: Hand) -> None:
        hand.is_stopped = False
        if not self.is_gone(hand):
            self.at(self.now + self.seconds(0, 2), self.beat, hand)
            self.at(self.now + self.seconds(0, 2), self.end, hand)

    def beat(self, hand: Hand) -> None:
        if self.is_gone(hand) or hand.is_stopped:
            return
        renewed = self.change(hand.job, lambda job: rules.renew(job, hand.attempt, self.now, LEASE))
        if renewed is None:
            self.quit(hand)
        elif renewed.is_cancel_requested and self.dice.random() < 0.7:
            assert self.change(hand.job, lambda job: rules.stop(job, hand.attempt)).state is State.CANCELLED
            self.quit(hand)
        else:
            self.at(self.now + BEAT, self.beat, hand)

    def leave(self, hand: Hand, how: str) -> None:
        if self.is_gone(hand) or hand.is_stopped:
            return
        self.leave_alone(hand)
        if how == "back":
            self.change(hand.job, lambda job: rules.give_back(job, hand.attempt))
        else:
            is_lost = how == "lost"
            self.change(hand.job, lambda job: rules.set_back(job, hand.attempt, self.now, is_lost=is_lost))
            row = self.rows[hand.job]
            row.alone_since = row.standing.not_before or row.alone_since
        self.quit(hand)

    def end(self, hand: Hand) -> None:
        """Commit the effect with the job's end, or neither; or fail."""
        if self.is_gone(hand) or hand.is_stopped:
            return
        if self.dice.random() < 0.1:
            self.change(hand.job, lambda job: rules.fail(job, hand.attempt))
        elif self.change(hand.job, lambda job: rules.finish(job, hand.attempt)) is not None:
            self.rows[hand.job].effects += 1
        self.quit(hand)

    def cancel(self, job: int) -> None:
        self.change(job, rules.request_cancel)


@pytest.mark.parametrize("seeds", [300, pytest.param(10_000, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_years_of_jobs(seeds, capsys):
    slowest, ended = timedelta(0), {}
    for seed in range(seeds):
        world = World(seed)
        world.run()
        slowest = max(slowest, world.slowest)
        for row in world.rows.values():
            ended[row.standing.state] = ended.get(row.standing.state, 0) + 1
    if seeds > 300:
        with capsys.disabled():
            print(f"\npromise 20: {seeds:,} seeds of two years: {ended}; longest without a worker {slowest}")  # noqa: T201
    assert set(ended) == FINAL
    assert slowest <= WITHIN


def test_the_simulation_finds_a_rule_that_is_broken(monkeypatch):
    """A finish that is not fenced by attempt lets a zombie commit twice."""
    monkeypatch.setattr(rules, "finish", lambda job, _: Standing(State.SUCCEEDED, job.attempt, job.losses))

    def simulate():
        for seed in range(50):
            World(seed).run()

    with pytest.raises(AssertionError):
        simulate()
