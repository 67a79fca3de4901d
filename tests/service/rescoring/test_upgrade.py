"""A bank's runs of before they were published: what an upgrade makes of one that is under way."""

import uuid

import pytest
from sqlalchemy import text

from service.kit import migrations
from service.rescoring import repository
from service.rescoring.use_cases import get_run, publish, rescore
from service.rescoring.work import score_chunk
from tests.service.rescoring.house import FIRST, PRODUCT, THIRD, make_bank, pointers, prepared

BEFORE = "0010"
MOVE = """
    insert into current_score (tenant_id, firm_id, product, score_id, as_of)
    select tenant_id, firm_id, product, id, as_of from score where run_id = :run
    on conflict (tenant_id, firm_id, product) do update set score_id = excluded.score_id, as_of = excluded.as_of
"""
ALERT = """
    insert into alert (tenant_id, id, rule, firm_id, product, severity, fingerprint, as_of, raised_at, run_id, text,
      evidence, version)
    select tenant_id, gen_random_uuid(), 'grade-drop', firm_id, product, 'H', id, as_of, scored_at, run_id, '{}',
      '{}', 1
    from score where run_id = :run
"""


@pytest.fixture
def half_done(empty_database):
    """Make a bank of version 0.2 with a finished run, and one that moved eight firms' grades, one of them the first."""
    migrations.upgrade(empty_database.engine)
    bank = make_bank(empty_database, 12)
    keys = [f"F{number:07}" for number in range(1, 12)]
    rescore(empty_database, bank, PRODUCT, FIRST, "nightly", firm_keys=keys)
    run_id = prepared(empty_database, bank, THIRD, chunk_firms=8)
    with empty_database.session(bank) as session:
        before = pointers(session)
        claim = repository.claim(session, run_id, uuid.uuid4(), 60)
        score_chunk(session, get_run(session, run_id).run, claim, "nightly")
    migrations.downgrade(empty_database.engine, BEFORE)
    with empty_database.engine.begin() as connection:
        for statement in (MOVE, ALERT):
            assert connection.execute(text(statement), {"run": run_id}).rowcount == 8
    return bank, run_id, before


def test_an_unfinished_run_is_in_force_no_more(empty_database, half_done):
    bank, run_id, before = half_done
    migrations.upgrade(empty_database.engine)
    alerts = text("select count(*) filter (where withdrawn_at is null), count(*) from alert where run_id = :run")
    chunks = text("select array_agg(firms order by number) from rescoring_chunk where run_id = :run")
    with empty_database.session(bank) as session:
        assert pointers(session) == before
        assert tuple(session.execute(alerts, {"run": run_id}).one()) == (0, 8)
        assert session.execute(chunks, {"run": run_id}).scalar_one() == [8, 4]
        assert (get_run(session, run_id).run.firms, get_run(session, run_id).run.state) == (12, "preparing")
    summary = rescore(empty_database, bank, PRODUCT, THIRD, "nightly", is_published=False)
    with empty_database.session(bank) as session:
        publish(session, run_id, "manager", "a test")
        assert summary.run_id == run_id
        assert session.execute(alerts, {"run": run_id}).one()[0] >= 8
