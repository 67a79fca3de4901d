"""A refusal of decisions by machine alone is a row of the ledger, and a review for a person."""

import uuid
from datetime import date, timedelta

import pytest
from http_client import make_client
from sqlalchemy import text

from features.consent import refused_automated
from service.firms.use_cases import add_inputs, read_inputs
from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from service.kit import clock
from tests.features.rows import consent, inputs
from tests.service.scored import give_score, make_live

REFUSE = {"is_allowed": False, "observed_on": "2026-05-31"}


@pytest.fixture
def firm_id(client):
    return client.post("/v1/firms", {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}).json()["id"]


@pytest.fixture
def path(firm_id):
    return f"/v1/firms/{firm_id}/automated-decision"


@pytest.fixture
def firm(app, database, tenant, firm_id):
    return make_client(app, database, tenant, Role.FIRM, firm_id=uuid.UUID(firm_id))


def withdraw(client, review_id):
    return client.post(f"/v1/reviews/{review_id}/withdraw", key=None, headers={"If-Match": '"1"'})


def test_until_somebody_refuses_a_machine_may_decide(firm, firm_id, path):
    assert firm.get(path).json() == {
        "firm_id": firm_id,
        "is_allowed": True,
        "own_is_allowed": None,
        "own_observed_on": None,
        "open_review_ids": [],
    }


def test_a_firm_refuses_and_a_review_waits(database, tenant, client, firm, firm_id, path):
    with database.session(tenant_id_of(tenant)) as session:
        make_live(session)
        score = give_score(session, firm_id)
    answer = firm.post(path, REFUSE)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["is_allowed"], said["own_is_allowed"], said["own_observed_on"]) == (False, False, "2026-05-31")
    assert firm.get(path).json() == said
    [review] = client.get("/v1/reviews", state="open").json()["items"]
    assert said["open_review_ids"] == [review["id"]]
    assert (review["reason_code"], review["opened_by"]) == ("refusal_of_automated_decision", "test firm")
    assert (review["product"], review["score_id"]) == ("credit-score", str(score.id))
    with database.session(tenant_id_of(tenant)) as session:
        row = session.execute(text("select * from consent where firm_id = :id"), {"id": firm_id}).mappings().one()
        assert (row["scope"], row["person_id"], row["is_given"]) == ("automated_decision", None, False)
        assert (row["observed_on"], row["known_on"]) == (date(2026, 5, 31), clock.today())
        known = read_inputs(session, clock.today(), kinds=("consent",))
        assert refused_automated(known, clock.today()).to_list() == ["E1"]
        assert refused_automated(known, clock.today() - timedelta(days=1)).to_list() == []


def test_refusing_twice_opens_one_review(client, firm, path):
    first = firm.post(path, REFUSE).json()
    assert firm.post(path, REFUSE).json() == first
    assert firm.post(path, {"is_allowed": False}).json()["open_review_ids"] == first["open_review_ids"]
    assert len(client.get("/v1/reviews").json()["items"]) == 1


def test_an_open_review_of_another_reason_stands(client, firm, firm_id, path):
    ask = {"product": "credit-score", "reason_code": "borderline"}
    review = client.post(f"/v1/firms/{firm_id}/reviews", ask).json()
    assert firm.post(path, REFUSE).json()["open_review_ids"] == [review["id"]]
    refused = withdraw(client, review["id"])
    assert (refused.status_code, client.get(f"/v1/reviews/{review['id']}").json()) == (409, review)
    assert "Only the firm" in refused.json()["detail"]
    assert withdraw(firm, review["id"]).status_code == 200


def test_what_stands_for_no_refusal_any_more_is_not_withdrawn_with_it(client, firm, firm_id, path):
    ask = {"product": "credit-score", "reason_code": "borderline"}
    review = client.post(f"/v1/firms/{firm_id}/reviews", ask).json()
    firm.post(path, REFUSE)
    allowed = firm.post(path, {"is_allowed": True, "observed_on": "2026-06-01"}).json()
    assert allowed["open_review_ids"] == [review["id"]]
    assert withdraw(client, review["id"]).status_code == 200


def test_whoever_took_down_a_refusal_cannot_withdraw_its_review(client, firm, path):
    [review] = client.post(path, REFUSE).json()["open_review_ids"]
    for asker in (client, firm):
        refused = withdraw(asker, review)
        assert refused.status_code == 409
        assert "Allowing them again" in refused.json()["detail"]
    assert client.get(path).json()["open_review_ids"] == [review]


def test_a_persons_refusal_opens_a_review_and_allowing_again_withdraws_it(client, firm, firm_id, path):
    born = {"id_kind": "national_id", "number": "11010519491231002X", "name": "张伟", "role": "owner"}
    person = client.post(f"/v1/firms/{firm_id}/people", born).json()["id"]

    def say(day, *, is_given, scope="automated_decision"):
        said = {"firm_id": firm_id, "scope": scope, "is_given": is_given, "observed_on": day}
        answer = client.post(f"/v1/people/{person}/consents", said)
        assert answer.status_code == 201, answer.text

    say("2026-05-31", is_given=False, scope="bureau")
    assert client.get("/v1/reviews").json()["items"] == []
    say("2026-05-31", is_given=False)
    say("2026-05-31", is_given=False)
    [review] = client.get("/v1/reviews", state="open").json()["items"]
    assert (review["reason_code"], review["firm_id"]) == ("refusal_of_automated_decision", firm_id)
    assert review["opened_by"] == "test loan_officer"
    assert firm.get(path).json()["open_review_ids"] == [review["id"]]
    assert withdraw(firm, review["id"]).status_code == 409
    said = firm.post(path, {"is_allowed": True, "observed_on": "2026-06-01"}).json()
    assert (said["is_allowed"], said["open_review_ids"]) == (False, [review["id"]])
    say("2026-06-02", is_given=True)
    assert firm.get(path).json()["open_review_ids"] == []
    assert client.get(f"/v1/reviews/{review['id']}").json()["state"] == "withdrawn"


def test_allowing_again_opens_nothing_and_the_newest_day_counts(client, firm, path):
    firm.post(path, REFUSE)
    allowed = client.post(path, {"is_allowed": True, "observed_on": "2026-06-01"}).json()
    assert (allowed["is_allowed"], allowed["own_is_allowed"], allowed["open_review_ids"]) == (True, True, [])
    [review] = client.get("/v1/reviews").json()["items"]
    assert (review["state"], review["decided_by"], review["version"]) == ("withdrawn", "test loan_officer", 2)
    late = firm.post(path, {"is_allowed": False, "observed_on": "2026-05-30"}).json()
    assert (late["is_allowed"], late["own_observed_on"], late["open_review_ids"]) == (True, "2026-06-01", [])
    of_one_day = firm.post(path, {"is_allowed": False, "observed_on": "2026-06-01"}).json()
    assert (of_one_day["is_allowed"], of_one_day["own_is_allowed"]) == (False, False)


def test_a_persons_refusal_holds_whatever_the_firm_says(database, tenant, firm, path):
    with database.session(tenant_id_of(tenant)) as session:
        refusal = consent("a", "automated_decision", "E1", on=date(2026, 1, 1), given=False)
        add_inputs(session, inputs(refusal), lambda *_: None)
    said = firm.post(path, {"is_allowed": True, "observed_on": "2026-05-31"}).json()
    assert (said["is_allowed"], said["own_is_allowed"]) == (False, True)
    assert len(said["open_review_ids"]) == 1


@pytest.mark.parametrize(
    "body", [{}, {"is_allowed": "no"}, {"is_allowed": False, "observed_on": "2190-01-01"}, {"is_allowed": None}]
)
def test_what_says_nothing_is_invalid(firm, path, body):
    assert firm.post(path, body).status_code == 422


def test_only_the_firm_itself_or_an_officer_says_it(app, database, tenant, client, firm, path):
    other = client.post("/v1/firms", {"key": "E2", "name": "乙", "observed_on": "2024-01-31"}).json()["id"]
    assert firm.post(f"/v1/firms/{other}/automated-decision", REFUSE).status_code == 404
    assert client.post(path, REFUSE).status_code == 201
    for role in (Role.RISK_MANAGER, Role.CO_INVESTIGATOR, Role.BATCH, Role.ADMINISTRATOR):
        assert make_client(app, database, tenant, role).post(path, REFUSE).status_code == 403
