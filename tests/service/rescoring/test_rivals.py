"""Acts on runs and scores that meet: what one has committed the other sees, and nobody waits for ever."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from service.firms.use_cases import firm_id_of
from service.kit.db import Author
from service.rescoring.use_cases import rescore, roll_back
from service.scoring.use_cases import current_score, score_firm
from tests.service.rescoring.house import FIRST, PRODUCT, SECOND, make_bank

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
