"""A run counts from its publication on, all at once; rolled back, everything is as it was without it."""

import threading
import uuid

import pytest
from http_client import make_client
from sqlalchemy import text

from service.alerts.use_cases import list_alerts
from service.errors import Conflict, InvalidPayload, NotFound, PreconditionFailed
from service.firms.use_cases import firm_id_of
from service.identity.access import Role
from service.kit import clock
from service.kit.db import Author
from service.kit.etag import Precondition
from service.rescoring import repository, use_cases
from service.rescoring.use_cases import check, get_run, publish, rescore, roll_back, withdraw
from service.rescoring.work import work_on
from service.scoring import publication
from service.scoring.batch import Batch
from service.scoring.use_cases import context_of, get_score, grades_of_day, list_scores, score_firm, score_range
from service.training.use_cases import live_model
from tests.service.rescoring.house import (
    FIRST,
    PRODUCT,
    SECOND,
    THIRD,
    fail_a_check,
    make_bank,
    pointers,
    prepared,
)

FIRMS = 60


@pytest.fixture
def bank(database):
    return make_bank(database, FIRMS)


def checked(database, bank, as_of) -> uuid.UUID:
    return rescore(database, bank, PRODUCT, as_of, "nightly", is_published=False).run_id


def within(database, bank, act):
    with database.session(bank, Author("manager")) as session:
        return act(session)


def test_every_state_has_its_successors_and_no_others(database, bank):
    def state(act):
        return within(database, bank, lambda session: act(session).run.state)

    run_id = prepared(database, bank)
    acts = {
        "check": lambda s: check(s, run_id, "nightly"),
        "publish": lambda s: publish(s, run_id, "manager"),
        "withdraw": lambda s: withdraw(s, run_id, "manager", "why"),
        "rollback": lambda s: roll_back(s, run_id, "manager", "why"),
    }

    def refused(*names):
        for name in names:
            with pytest.raises(Conflict):
                state(acts[name])

    refused("check", "publish", "rollback")
    work_on(database, bank, run_id, "nightly")
    refused("publish", "rollback")
    assert [state(acts["check"]), state(acts["check"])] == ["checked", "checked"]
    refused("rollback")
    assert [state(acts["publish"]), state(acts["publish"])] == ["published", "published"]
    refused("withdraw")
    assert [state(acts["rollback"]), state(acts["rollback"])] == ["rolled_back", "rolled_back"]
    refused("publish", "withdraw")
    view = within(database, bank, lambda s: get_run(s, run_id))
    steps = [(step.state, step.actor, step.reason) for step in view.history]
    assert steps == [
        ("preparing", "nightly", None),
        ("prepared", "nightly", None),
        ("checked", "nightly", None),
        ("published", "manager", None),
        ("rolled_back", "manager", "why"),
    ]
    run_id = prepared(database, bank)
    assert [state(acts["withdraw"]), state(acts["withdraw"])] == ["withdrawn", "withdrawn"]
    refused("publish", "rollback")


def test_a_failed_check_blocks_unless_a_reason_overrides_it(database, bank):
    run_id = checked(database, bank, FIRST)
    within(database, bank, lambda s: fail_a_check(s, run_id))
    with pytest.raises(Conflict, match="balances"):
        within(database, bank, lambda s: publish(s, run_id, "manager"))
    done = within(database, bank, lambda s: publish(s, run_id, "manager", "the ledger was mended by hand"))
    assert (done.run.state, done.history[-1].reason) == ("published", "the ledger was mended by hand")
    query = text(
        "select body::jsonb from audit_pending where subject = :subject and body like '%\"rescoring.published\"%'"
    )
    body = within(database, bank, lambda s: s.execute(query, {"subject": f"rescoring_run:{run_id}"}).scalar_one())
    assert (body["action"], body["actor"], body["facts"]["failed_checks"]) == (
        "rescoring.published",
        "manager",
        "balances",
    )


def test_an_unpublished_run_is_nobodys_grade(app, database, bank):
    tenant = within(database, bank, lambda s: s.execute(text("select name from tenant")).scalar_one())
    firm_id = firm_id_of(bank, "F0000001")
    run_id = checked(database, bank, FIRST)
    query = text("select id from score where run_id = :run and firm_id = :firm")
    score_id = within(database, bank, lambda s: s.execute(query, {"run": run_id, "firm": firm_id}).scalar_one())
    roles = {role: make_client(app, database, tenant, role) for role in (Role.LOAN_OFFICER, Role.RISK_MANAGER)}

    def seen(role):
        listed = roles[role].get(f"/v1/firms/{firm_id}/scores").json()["items"]
        return len(listed), roles[role].get(f"/v1/scores/{score_id}").status_code

    assert (seen(Role.LOAN_OFFICER), seen(Role.RISK_MANAGER)) == ((0, 404), (0, 200))
    assert within(database, bank, pointers) == {}
    assert within(database, bank, lambda s: grades_of_day(s, PRODUCT, FIRST)) == []
    assert roles[Role.LOAN_OFFICER].get(f"/v1/firms/{firm_id}/plan", product=PRODUCT).status_code == 404
    within(database, bank, lambda s: publish(s, run_id, "manager"))
    assert seen(Role.LOAN_OFFICER) == (1, 200)
    assert within(database, bank, pointers)["F0000001"] == str(score_id)
    assert len(within(database, bank, lambda s: grades_of_day(s, PRODUCT, FIRST))) == FIRMS
    within(database, bank, lambda s: roll_back(s, run_id, "manager", "why"))
    assert seen(Role.LOAN_OFFICER) == (0, 200)
    assert within(database, bank, pointers) == {}


def test_rolling_back_restores_what_held_without_the_run(database, bank):
    """Online scores, of days before and after, and an older run: each firm's pointer is what it was."""
    first = rescore(database, bank, PRODUCT, FIRST, "nightly")
    assert first.state == "published"
    online = {1: THIRD, 2: SECOND, 3: FIRST}
    for number, day in online.items():
        within(
            database,
            bank,
            lambda s, n=number, d=day: score_firm(s, firm_id_of(bank, f"F{n:07}"), PRODUCT, d, "officer"),
        )
    before = within(database, bank, pointers)
    second = checked(database, bank, SECOND)
    assert within(database, bank, pointers) == before
    within(database, bank, lambda s: publish(s, second, "manager"))
    during = within(database, bank, pointers)
    assert {key for key in before if before[key] == during[key]} == {"F0000001"}
    within(database, bank, lambda s: score_firm(s, firm_id_of(bank, "F0000004"), PRODUCT, SECOND, "officer"))
    within(database, bank, lambda s: roll_back(s, second, "manager", "why"))
    after = within(database, bank, pointers)
    assert {key for key in before if before[key] != after[key]} == {"F0000004"}
    assert len(after) == FIRMS


def test_a_late_publication_does_not_hide_what_was_scored_since(database, bank):
    run_id = checked(database, bank, FIRST)
    view = within(database, bank, lambda s: score_firm(s, firm_id_of(bank, "F0000001"), PRODUCT, FIRST, "officer"))
    within(database, bank, lambda s: publish(s, run_id, "manager"))
    assert within(database, bank, pointers)["F0000001"] == str(view.score.id)


def test_a_reader_never_sees_half_of_a_publication(database, bank):
    runs = [checked(database, bank, FIRST), checked(database, bank, SECOND)]
    query = text("select count(*), count(distinct s.run_id) from current_score c join score s on s.id = c.score_id")
    seen, is_over = set(), threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(within(database, bank, lambda s: tuple(s.execute(query).one())))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    try:
        for run_id in runs:
            within(database, bank, lambda s, r=run_id: publish(s, r, "manager"))
        within(database, bank, lambda s: roll_back(s, runs[1], "manager", "why"))
    finally:
        is_over.set()
        for thread in readers:
            thread.join()
    assert seen <= {(0, 0), (FIRMS, 1)}


def test_alerts_are_raised_by_publishing_and_withdrawn_by_rolling_back(database, bank):
    def alerts(**which):
        return within(database, bank, lambda s: [a.firm_id for a in list_alerts(s, limit=1000, **which)])

    rescore(database, bank, PRODUCT, FIRST, "nightly")
    gone = checked(database, bank, THIRD)
    findings = within(database, bank, lambda s: get_run(s, gone).progress.findings)
    assert findings > 5
    within(database, bank, lambda s: withdraw(s, gone, "manager", "why"))
    assert alerts() == []
    run_id = checked(database, bank, THIRD)
    within(database, bank, lambda s: publish(s, run_id, "manager", "a test"))
    raised = alerts()
    assert len(raised) == findings
    again = checked(database, bank, THIRD)
    within(database, bank, lambda s: publish(s, again, "manager", "a test"))
    assert alerts() == raised
    within(database, bank, lambda s: roll_back(s, run_id, "manager", "why"))
    assert (sorted(alerts()), sorted(alerts(is_withdrawn=True))) == (sorted(raised), sorted(raised))
    runs = text("select distinct run_id from alert where withdrawn_at is null")
    assert within(database, bank, lambda s: s.execute(runs).scalars().all()) == [again]
    within(database, bank, lambda s: roll_back(s, again, "manager", "why"))
    assert (alerts(), len(alerts(is_withdrawn=True))) == ([], 2 * findings)
    last = checked(database, bank, THIRD)
    within(database, bank, lambda s: publish(s, last, "manager", "a test"))
    assert sorted(alerts()) == sorted(raised)


def test_the_grade_before_is_that_of_the_last_published_run(database, bank):
    """An unpublished run of a day between changes neither stable grades nor what alerts compare with."""

    def previous_on():
        def act(session):
            loaded, context = live_model(session, PRODUCT), context_of(session, THIRD)
            made, _ = score_range(session, loaded, THIRD, context, ("F0000001",) * 2, "officer", Batch(PRODUCT, THIRD))
            return made[0].previous_as_of

        return within(database, bank, act)

    rescore(database, bank, PRODUCT, FIRST, "nightly")
    second = checked(database, bank, SECOND)
    assert previous_on() == FIRST
    within(database, bank, lambda s: publish(s, second, "manager"))
    assert previous_on() == SECOND
    within(database, bank, lambda s: roll_back(s, second, "manager", "why"))
    assert previous_on() == FIRST


def test_what_a_run_compares_with_does_not_change_while_it_is_prepared(database, bank):
    first = checked(database, bank, FIRST)
    later = prepared(database, bank, SECOND)
    with pytest.raises(Conflict, match=str(SECOND)):
        within(database, bank, lambda s: publish(s, first, "manager"))
    within(database, bank, lambda s: withdraw(s, later, "manager", "why"))
    assert within(database, bank, lambda s: publish(s, first, "manager")).run.state == "published"


def test_a_run_that_a_newer_one_hides_is_not_published(database, bank):
    """Rolled back, the newer one is out of its way; published later, the older one would be taken for what holds."""
    older, newer = checked(database, bank, FIRST), checked(database, bank, FIRST)
    within(database, bank, lambda s: publish(s, newer, "manager"))
    before = within(database, bank, pointers)
    with pytest.raises(Conflict, match=str(newer)):
        within(database, bank, lambda s: publish(s, older, "manager"))
    assert within(database, bank, pointers) == before
    within(database, bank, lambda s: roll_back(s, newer, "manager", "why"))
    within(database, bank, lambda s: publish(s, older, "manager"))
    assert within(database, bank, lambda s: publication.pds_known(s, clock.today()))[1] == [str(older)]


def test_a_subset_moves_its_own_firms_alone(database, bank):
    whole = rescore(database, bank, PRODUCT, FIRST, "nightly")
    before = within(database, bank, pointers)
    ids = [firm_id_of(bank, key) for key in ("F0000003", "F0000004", "F0000009")]
    part = within(database, bank, lambda s: use_cases.rerun(s, whole.run_id, ids, "nightly"))
    assert (part.run.kind, part.run.parent_id, part.run.state) == ("subset", whole.run_id, "checked")
    assert (part.run.firms, part.progress.scored) == (3, 3)
    assert within(database, bank, pointers) == before
    within(database, bank, lambda s: publish(s, part.run.id, "manager"))
    moved = within(database, bank, pointers)
    assert {key for key in before if before[key] != moved[key]} == {"F0000003", "F0000004", "F0000009"}
    with pytest.raises(NotFound):
        within(database, bank, lambda s: use_cases.rerun(s, whole.run_id, [uuid.uuid4()], "nightly"))
    with pytest.raises(InvalidPayload, match="nobody"):
        rescore(database, bank, PRODUCT, FIRST, "nightly", firm_keys=["nobody"])


def test_what_was_begun_last_holds_whenever_it_was_scored(database, bank):
    """A whole run begins first and comes to the firms last: current scores, the day's grades and PDs agree on that."""
    parent = rescore(database, bank, PRODUCT, FIRST, "nightly").run_id
    whole = prepared(database, bank, FIRST)
    firm, online = firm_id_of(bank, "F0000003"), firm_id_of(bank, "F0000004")
    subset = within(database, bank, lambda s: use_cases.rerun(s, parent, [firm], "manager")).run.id
    within(database, bank, lambda s: publish(s, subset, "manager", "a test"))
    within(database, bank, lambda s: score_firm(s, online, PRODUCT, FIRST, "officer"))
    held = within(database, bank, pointers)
    work_on(database, bank, whole, "nightly")
    within(database, bank, lambda s: check(s, whole, "nightly"))
    within(database, bank, lambda s: publish(s, whole, "manager", "a test"))
    query = text("select pd from score where run_id = :run and firm_id = :firm")
    change = text("update score set pd = 0.987, grade = '14' where run_id = :run and firm_id = :firm")
    with database.engine.begin() as owner:
        owner.execute(change, {"run": subset, "firm": firm})

    def found():
        now = within(database, bank, pointers)
        pds = dict(within(database, bank, lambda s: publication.pds_known(s, clock.today()))[0].iter_rows())
        grades = {view.key: view.pd for view in within(database, bank, lambda s: grades_of_day(s, PRODUCT, FIRST))}
        return {key for key in held if held[key] == now[key]}, pds["F0000003"], grades["F0000003"]

    assert found() == ({"F0000003", "F0000004"}, 0.987, 0.987)
    last = rescore(database, bank, PRODUCT, FIRST, "nightly", despite="a test").run_id
    of_last = within(database, bank, lambda s: s.execute(query, {"run": last, "firm": firm}).scalar_one())
    assert found() == (set(), of_last, of_last)
    within(database, bank, lambda s: roll_back(s, last, "manager", "why"))
    assert found() == ({"F0000003", "F0000004"}, 0.987, 0.987)


def test_a_state_is_changed_from_what_the_asker_saw(database, bank):
    run_id = checked(database, bank, FIRST)
    version = within(database, bank, lambda s: get_run(s, run_id).run.version)
    with pytest.raises(PreconditionFailed):
        within(database, bank, lambda s: publish(s, run_id, "manager", None, Precondition(f'"{version - 1}"')))
    view = within(database, bank, lambda s: publish(s, run_id, "manager", None, Precondition(f'"{version}"')))
    assert view.run.version == version + 1


def test_pds_are_known_once_published_by_an_earlier_days_run(database, bank):
    """A publication of later than the day, of the day itself, or rolled back, changes no byte of the context."""
    today = clock.today()

    def body(day):
        return within(database, bank, lambda s: context_of(s, day, refresh=True)[1].to_json())

    before = {day: body(day) for day in (FIRST, SECOND, today)}
    run = rescore(database, bank, PRODUCT, FIRST, "nightly")
    assert {day: body(day) for day in (FIRST, SECOND)} == {day: before[day] for day in (FIRST, SECOND)}
    assert str(run.run_id) in body(today)
    of_today = rescore(database, bank, PRODUCT, today, "nightly", despite="a test")
    assert str(of_today.run_id) not in body(today)
    pds, runs = within(database, bank, lambda s: publication.pds_known(s, today))
    assert (pds.height, runs) == (FIRMS, [str(run.run_id)])
    query = text("select pd from score where run_id = :run and firm_id = :firm")
    values = {"run": run.run_id, "firm": firm_id_of(bank, "F0000007")}
    pd = within(database, bank, lambda s: s.execute(query, values).scalar_one())
    assert pds.filter(firm_id="F0000007")["pd"].item() == pd
    within(database, bank, lambda s: roll_back(s, run.run_id, "manager", "why"))
    assert body(today) == before[today]


def test_a_later_published_pd_changes_no_byte_of_a_score(database, bank):
    content = text(
        "select md5((to_jsonb(s) - '{id,scored_at,actor,batch_id}'\\:\\:text[])::text) from score s where id = :id"
    )

    def scored():
        def act(session):
            loaded, context = live_model(session, PRODUCT), context_of(session, SECOND, refresh=True)
            made, _ = score_range(
                session, loaded, SECOND, context, ("F0000001",) * 2, "officer", Batch(PRODUCT, SECOND)
            )
            return session.execute(content, {"id": made[0].score_id}).scalar_one()

        return within(database, bank, act)

    rescore(database, bank, PRODUCT, FIRST, "nightly")
    before = scored()
    rescore(database, bank, PRODUCT, FIRST, "nightly")
    assert scored() == before


def test_a_context_reads_the_pds_that_a_feature_needs(database, bank):
    rescore(database, bank, PRODUCT, FIRST, "nightly")

    def act(session):
        context = context_of(session, clock.today(), refresh=True)[1]
        inputs = build_inputs("F0000002", "F0000003", "a stranger")
        return (
            context,
            publication.complete(session, context, ["cust_pd"], inputs),
            publication.complete(session, context, ["ln_sales"], inputs),
        )

    context, completed, untouched = within(database, bank, act)
    assert completed.published.pds["firm_id"].to_list() == ["F0000002", "F0000003"]
    assert untouched is context


def build_inputs(*customers):
    from tests.features.rows import firm, inputs, sale

    return inputs(firm(), *[sale(FIRST, 100, customer) for customer in customers])


def test_scores_are_listed_by_what_counts(database, bank):
    rescore(database, bank, PRODUCT, FIRST, "nightly")
    firm_id = firm_id_of(bank, "F0000001")
    gone = checked(database, bank, SECOND)
    within(database, bank, lambda s: withdraw(s, gone, "manager", "why"))
    views = within(database, bank, lambda s: list_scores(s, firm_id, None, None, 10))
    assert [view.score.as_of for view in views] == [FIRST]
    query = text("select id from score where run_id = :run and firm_id = :firm")
    hidden = within(database, bank, lambda s: s.execute(query, {"run": gone, "firm": firm_id}).scalar_one())
    with pytest.raises(NotFound):
        within(database, bank, lambda s: get_score(s, hidden))
    assert within(database, bank, lambda s: repository.find_run(s, gone).state) == "withdrawn"
