"""Acts on runs and scores that meet: what one has committed the other sees, and nobody waits for ever."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from service.errors import Conflict
from service.firms.use_cases import firm_id_of
from service.kit.db import Author
from service.rescoring import use_cases
from service.rescoring.use_cases import check, get_run, publish, rescore, roll_back, withdraw
from service.rescoring.work import work_on
from service.scoring.use_cases import current_score, score_firm
from tests.service.rescoring.house import FIRST, PRODUCT, SECOND, THIRD, make_bank, prepared

WAITING = text("""
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()
""")


@pytest.fixture
def bank(database):
    return make_bank(database, 5)


def within(database, bank, act):
    with database.session(bank, Author("manager")) as session:
        return act(session)


def wait_until_somebody_waits(database):
    for _ in range(500):
        with database.engine.connect() as connection:
            if connection.scalar(WAITING):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waited")


@contextmanager
def beside(act):
    """Act in a thread of its own, which has ended when the block's follower goes on; its error is raised here."""
    failed = []

    def run() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=run)
    try:
        yield thread
    finally:
        thread.join(30)
    if failed:
        raise failed[0]


def test_rolling_back_leaves_the_score_that_somebody_makes_meanwhile(database, bank):
    """The roll-back waits for the officer's look at the firm, and then finds the score it had not seen."""
    run_id = rescore(database, bank, PRODUCT, SECOND, "nightly").run_id
    firm = firm_id_of(bank, "F0000003")
    with (
        beside(lambda: within(database, bank, lambda s: roll_back(s, run_id, "manager", "why"))) as rival,
        database.session(bank, Author("officer")) as session,
    ):
        made = score_firm(session, firm, PRODUCT, FIRST, "officer").score.id
        rival.start()
        wait_until_somebody_waits(database)
    assert within(database, bank, lambda s: current_score(s, firm, PRODUCT)).score.id == made


def test_concluding_and_withdrawing_a_run_do_not_wait_for_each_other(database, bank):
    run_id = prepared(database, bank)
    work_on(database, bank, run_id, "nightly")

    def withdraw_in_vain() -> None:
        with pytest.raises(Conflict, match="The run is published"):
            within(database, bank, lambda s: withdraw(s, run_id, "manager", "why"))

    with beside(withdraw_in_vain) as rival, database.session(bank, Author("nightly")) as session:
        check(session, run_id, "nightly")
        rival.start()
        wait_until_somebody_waits(database)
        publish(session, run_id, "nightly")
    assert within(database, bank, lambda s: get_run(s, run_id)).run.state == "published"


def test_a_run_begins_after_what_is_being_published(database, bank):
    """Its chunks compare with one day: the publication that it would else have seen half-way is over when it begins."""
    rescore(database, bank, PRODUCT, FIRST, "nightly")
    middle = rescore(database, bank, PRODUCT, SECOND, "nightly", is_published=False).run_id
    with (
        beside(lambda: prepared(database, bank, THIRD)) as rival,
        database.session(bank, Author("manager")) as session,
    ):
        publish(session, middle, "manager", "a test")
        rival.start()
        wait_until_somebody_waits(database)
    begun = within(database, bank, lambda s: use_cases.list_runs(s)[0].run)
    published = within(database, bank, lambda s: get_run(s, middle).history[-1].at)
    assert (begun.as_of, begun.started_at > published) == (THIRD, True)


def test_of_two_who_score_a_firm_at_once_the_last_counts(database, bank):
    """The second waits for the first's pointer, whose score it does not see, and yet knows that its own is newer."""
    firm, made = firm_id_of(bank, "F0000003"), []

    def score(session):
        made.append(score_firm(session, firm, PRODUCT, FIRST, "officer").score.id)

    within(database, bank, score)
    with (
        beside(lambda: within(database, bank, score)) as rival,
        database.session(bank, Author("officer")) as session,
    ):
        score(session)
        rival.start()
        wait_until_somebody_waits(database)
    assert within(database, bank, lambda s: current_score(s, firm, PRODUCT)).score.id == made[-1]
    assert len(set(made)) == 3
