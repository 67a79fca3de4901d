"""Reviews over HTTP: a person decides, once, within limits, and what it rested on is on record."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_client import make_client
from sqlalchemy import text

from models.products import PRODUCTS
from service.identity.access import Role
from service.identity.actor import ApprovalLimit
from service.identity.use_cases import tenant_id_of
from service.scoring.repository import _POINT
from service.scoring.tables import Score
from tests.service.scored import PRODUCT, give_score, make_live

ASK = {"product": PRODUCT, "amount": "800000.00", "reason_code": "beyond_limit", "words": "秋季备货"}
APPROVE = {"decision": "approve", "amount": "500000", "words": "Visited: two shifts."}
DECLINE = {"decision": "decline", "words": "Buyers deny the orders."}


@pytest.fixture
def firm_id(client):
    return client.post("/v1/firms", {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}).json()["id"]


@pytest.fixture
def scored(database, tenant, firm_id):
    """Return the firm's current score, of a middling grade."""
    with database.session(tenant_id_of(tenant)) as session:
        make_live(session)
        return give_score(session, firm_id)


@pytest.fixture
def second_product(database, tenant, scored, monkeypatch):
    """Return another product, of which the firm has the same score."""
    monkeypatch.setitem(PRODUCTS, "order-loan", PRODUCTS[PRODUCT])
    with database.session(tenant_id_of(tenant)) as session:
        copied = {**scored.model_dump(), "id": uuid.uuid4(), "product": "order-loan"}
        session.add(Score(**copied))
        session.flush()
        session.execute(_POINT, {"tenant": scored.tenant_id, "ids": [copied["id"]], "days": [str(copied["as_of"])]})
    return "order-loan"


@pytest.fixture
def as_role(app, database, tenant):
    return lambda role, **reach: make_client(app, database, tenant, role, **reach)


def approver(as_role, *limits):
    return as_role(
        Role.APPROVER, limits=tuple(ApprovalLimit(worst_grade=grade, amount=amount) for grade, amount in limits)
    )


def opened(client, firm_id, **changes):
    answer = client.post(f"/v1/firms/{firm_id}/reviews", {**ASK, **changes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def decide(client, review, body, etag='"1"'):
    headers = {"If-Match": etag} if etag else {}
    return client.post(f"/v1/reviews/{review['id']}/decision", body, key=None, headers=headers)


def withdraw(client, review, etag='"1"'):
    return client.post(f"/v1/reviews/{review['id']}/withdraw", key=None, headers={"If-Match": etag})


def test_a_review_is_opened_queued_and_approved_with_what_it_rested_on(client, as_role, firm_id, scored):
    review = opened(client, firm_id)
    assert (review["state"], review["amount"], review["score_id"]) == ("open", "800000.00", str(scored.id))
    judge = approver(as_role, (15, "500000.00"), (3, "9000000.00"))
    assert judge.get("/v1/reviews", state="open").json()["items"] == [review]
    answer = decide(judge, review, APPROVE)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    made = answer.json()
    assert (made["state"], made["decided_by"], made["decided_amount"]) == ("approved", "test approver", "500000.00")
    assert (made["grade_at_decision"], made["pd_at_decision"]) == (scored.grade, scored.pd)
    assert made["score_id_at_decision"] == str(scored.id)
    assert made["basis"]["score"] == {
        "score_id": str(scored.id), "as_of": "2026-06-30", "model_version": f"{PRODUCT}/1", "grade": scored.grade,
        "pd": scored.pd, "decision": "automated",
    }  # fmt: skip
    assert made["basis"]["limit_used"] == {"worst_grade": 15, "amount": "500000.00"}
    assert len(made["basis"]["limits"]) == 2
    assert judge.get(f"/v1/reviews/{review['id']}").json() == made
    assert judge.get("/v1/reviews", state="open").json()["items"] == []


def test_the_decision_rests_on_the_score_of_that_moment(database, tenant, client, as_role, firm_id, scored):
    review = opened(client, firm_id)
    with database.session(tenant_id_of(tenant)) as session:
        later = give_score(session, firm_id, ln_sales=20.0, sales_cv=0.2)
    assert later.grade != scored.grade
    made = decide(approver(as_role, (15, "1000000")), review, APPROVE).json()
    assert (made["score_id"], made["score_id_at_decision"]) == (str(scored.id), str(later.id))
    assert made["grade_at_decision"] == later.grade


@pytest.mark.parametrize(
    ("worse_by", "amount", "status"),
    [(0, "500000", 200), (0, "499999.99", 403), (-1, "9000000", 403), (1, "500000", 200)],
)
def test_limits_hold_to_the_grade_and_to_the_fen(client, as_role, firm_id, scored, worse_by, amount, status):
    review = opened(client, firm_id)
    answer = decide(approver(as_role, (int(scored.grade) + worse_by, amount)), review, APPROVE)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["type"] == "urn:clustercredit:beyond-limits"
        assert client.get(f"/v1/reviews/{review['id']}").json() == review


def test_a_limit_counts_what_was_approved_for_the_firm_in_a_year(
    database, tenant, client, as_role, firm_id, scored, second_product
):
    """By anybody and of every product; what is older, declined or another firm's does not count."""
    judge, other = (approver(as_role, (15, "500000")) for _ in range(2))
    ask = {"amount": None}
    first = opened(client, firm_id, **ask)
    made = decide(judge, first, {**APPROVE, "amount": "300000"}).json()
    assert made["basis"]["approved_before"] == "0.00"
    decide(judge, opened(client, firm_id, **ask), DECLINE)
    second = opened(client, firm_id, product=second_product, **ask)
    beyond = decide(other, second, {**APPROVE, "amount": "200000.01"})
    assert (beyond.status_code, beyond.json()["type"]) == (403, "urn:clustercredit:beyond-limits")
    assert "300000.00 approved for the firm in the last 365 days" in beyond.json()["detail"]
    assert decide(other, second, {**APPROVE, "amount": "200000.00"}).json()["basis"]["approved_before"] == "300000.00"
    third = opened(client, firm_id, **ask)
    assert decide(judge, third, {**APPROVE, "amount": "0.01"}).status_code == 403
    with database.session(tenant_id_of(tenant)) as session:
        earlier = text("update review set decided_at = decided_at - interval '366 days' where id = :id")
        session.execute(earlier, {"id": first["id"]})
    assert decide(judge, third, {**APPROVE, "amount": "300000.01"}).status_code == 403
    assert decide(judge, third, {**APPROVE, "amount": "300000.00"}).status_code == 200


def test_two_approvals_at_once_do_not_exceed_a_limit_together(client, as_role, firm_id, scored, second_product):
    judge, start = approver(as_role, (15, "500000")), threading.Barrier(2)
    reviews = [opened(client, firm_id, product=product) for product in (PRODUCT, second_product)]

    def one(review):
        start.wait()
        return decide(judge, review, APPROVE).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, reviews)) == [200, 403]


@pytest.mark.parametrize("change", ["owner_data", "bureau", "erased"])
def test_nobody_approves_on_a_score_that_a_withdrawal_has_overtaken(
    database, tenant, client, as_role, firm_id, scored, change
):
    born = {"id_kind": "national_id", "number": "11010519491231002X", "name": "张伟", "role": "owner"}
    person = client.post(f"/v1/firms/{firm_id}/people", born).json()["id"]
    review, judge = opened(client, firm_id), approver(as_role, (15, "9000000"))
    said = {"firm_id": firm_id, "scope": "automated_decision", "is_given": False}
    client.post(f"/v1/people/{person}/consents", said)
    assert client.get(f"/v1/firms/{firm_id}/plan", product=PRODUCT).status_code == 200
    if change == "erased":
        head = as_role(Role.BRANCH_HEAD)
        gone = head.send("DELETE", f"/v1/people/{person}", headers={"If-Match": '"1"'})
        assert gone.status_code == 200, gone.text
    else:
        client.post(f"/v1/people/{person}/consents", {**said, "scope": change})
    refused = decide(judge, review, APPROVE)
    assert refused.status_code == 409, refused.text
    assert "Score the firm again" in refused.json()["detail"]
    assert client.get(f"/v1/firms/{firm_id}/plan", product=PRODUCT).status_code == 409
    with database.session(tenant_id_of(tenant)) as session:
        give_score(session, firm_id)
    assert client.get(f"/v1/firms/{firm_id}/plan", product=PRODUCT).status_code == 200
    assert decide(judge, review, APPROVE).status_code == 200


def test_beyond_every_limit_it_may_still_be_declined(client, as_role, firm_id, scored):
    review = opened(client, firm_id)
    made = decide(approver(as_role, (1, "1")), review, DECLINE).json()
    assert (made["state"], made["decided_amount"], made["basis"]["limit_used"]) == ("declined", None, None)


def test_nobody_approves_a_firm_in_default_or_without_a_score(database, tenant, client, as_role, firm_id):
    judge = approver(as_role, (15, "99000000"))
    review = opened(client, firm_id)
    assert review["score_id"] is None
    assert decide(judge, review, APPROVE).status_code == 409
    with database.session(tenant_id_of(tenant)) as session:
        make_live(session)
        give_score(session, firm_id, is_default=True)
    refused = decide(judge, review, APPROVE)
    assert refused.status_code == 409
    assert "default" in refused.json()["detail"]
    made = decide(judge, review, DECLINE).json()
    assert (made["state"], made["grade_at_decision"], made["pd_at_decision"]) == ("declined", "D", 1.0)


def test_no_more_is_approved_than_was_asked_for(client, as_role, firm_id, scored):
    judge = approver(as_role, (15, "99000000"))
    review = opened(client, firm_id)
    assert decide(judge, review, {**APPROVE, "amount": "800000.01"}).status_code == 422
    assert decide(judge, review, {**APPROVE, "amount": "800000.00"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "approve", "words": "no amount"},
        {"decision": "decline", "amount": "1", "words": "amount"},
        {"decision": "decline"},
        {"decision": "approve", "amount": "0", "words": "nothing"},
        {"decision": "maybe", "words": "?"},
    ],
)
def test_a_decision_that_says_too_little_or_too_much_is_invalid(client, as_role, firm_id, scored, body):
    assert decide(approver(as_role, (15, "1000")), opened(client, firm_id), body).status_code == 422


def test_a_decision_is_final_and_needs_the_state_that_was_read(client, as_role, firm_id, scored):
    judge, review = approver(as_role, (15, "1000000")), opened(client, firm_id)
    assert decide(judge, review, APPROVE, etag=None).status_code == 428
    assert decide(judge, review, APPROVE, etag='"7"').status_code == 412
    assert decide(judge, review, APPROVE).status_code == 200
    assert decide(judge, review, DECLINE).status_code == 412
    final = decide(judge, review, DECLINE, etag='"2"')
    assert final.status_code == 409
    assert withdraw(client, review, '"2"').status_code == 409
    assert judge.get(f"/v1/reviews/{review['id']}").json()["state"] == "approved"


def test_of_many_decisions_at_once_one_counts(client, as_role, firm_id, scored):
    judge, review = approver(as_role, (15, "1000000")), opened(client, firm_id)
    start = threading.Barrier(8)

    def one(number):
        start.wait()
        return decide(judge, review, APPROVE if number % 2 else DECLINE).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == [200] + 7 * [412]


def test_who_opened_a_review_does_not_decide_it(database, tenant, client, as_role, firm_id, scored):
    """Not even in another role, which the table of access cannot know of."""
    from service.errors import Forbidden
    from service.identity.access import Organisation
    from service.identity.actor import Actor, Reach
    from service.kit.etag import Precondition
    from service.reviews.use_cases import Verdict, decide, get_review

    review = opened(client, firm_id)
    with database.session(tenant_id_of(tenant)) as session:
        by = get_review(session, uuid.UUID(review["id"])).opened_by_id
        limits = (ApprovalLimit(worst_grade=15, amount="9000000"),)
        actor = Actor(tenant_id_of(tenant), Organisation.BANK, by, "other name", Role.APPROVER, Reach(), limits)
        for amount in (100, None):
            with pytest.raises(Forbidden, match="another person"):
                decide(session, actor, uuid.UUID(review["id"]), Verdict(amount, "mine"), Precondition('"1"'))


def test_one_review_is_open_for_a_firm_and_product(client, as_role, firm_id, scored):
    review = opened(client, firm_id)
    assert client.post(f"/v1/firms/{firm_id}/reviews", ASK).status_code == 409
    assert decide(approver(as_role, (15, "1")), review, DECLINE).status_code == 200
    assert opened(client, firm_id)["id"] != review["id"]


def test_of_many_openings_at_once_one_is_made(client, firm_id):
    start = threading.Barrier(6)

    def one(_):
        start.wait()
        return client.post(f"/v1/firms/{firm_id}/reviews", ASK).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [201] + 5 * [409]


def test_a_retry_opens_nothing_more(client, firm_id):
    first, second = (client.post(f"/v1/firms/{firm_id}/reviews", ASK, key="once") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert first.headers["etag"] == second.headers["etag"] == '"1"'


def test_unknown_firms_products_and_reviews_are_not_found(client, firm_id):
    nobody = "00000000-0000-0000-0000-000000000000"
    assert client.post(f"/v1/firms/{nobody}/reviews", ASK).status_code == 404
    assert client.post(f"/v1/firms/{firm_id}/reviews", {**ASK, "product": "nothing"}).status_code == 404
    assert client.get(f"/v1/reviews/{nobody}").status_code == 404
    assert withdraw(client, {"id": nobody}).status_code == 404


def test_a_firm_sees_its_own_reviews_without_the_lenders_limits(client, as_role, firm_id, scored):
    other = client.post("/v1/firms", {"key": "E2", "name": "乙", "observed_on": "2024-01-31"}).json()["id"]
    theirs, own = opened(client, other), opened(client, firm_id)
    decide(approver(as_role, (15, "1000000")), own, APPROVE)
    firm = as_role(Role.FIRM, firm_id=uuid.UUID(firm_id))
    listed = firm.get("/v1/reviews").json()["items"]
    assert [(item["id"], item["basis"]) for item in listed] == [(own["id"], None)]
    assert firm.get(f"/v1/reviews/{own['id']}").json()["basis"] is None
    assert firm.get(f"/v1/reviews/{theirs['id']}").status_code == 404
    assert firm.get("/v1/reviews", firm_id=other).json()["items"] == []
    assert firm.post(f"/v1/firms/{other}/reviews", ASK).status_code == 404


def test_a_review_is_withdrawn_by_who_opened_it_or_by_the_firm(client, as_role, firm_id, scored):
    manager, firm = as_role(Role.RISK_MANAGER), as_role(Role.FIRM, firm_id=uuid.UUID(firm_id))
    review = opened(client, firm_id)
    assert withdraw(manager, review).status_code == 403
    made = withdraw(client, review)
    assert made.status_code == 200, made.text
    assert (made.json()["state"], made.json()["decided_by"]) == ("withdrawn", "test loan_officer")
    again = opened(client, firm_id)
    assert withdraw(firm, again).json()["state"] == "withdrawn"
    assert withdraw(firm, opened(firm, firm_id)).json()["state"] == "withdrawn"


def test_the_queue_is_in_order_whole_and_filtered(client, as_role):
    ids = []
    for number in range(5):
        firm = client.post("/v1/firms", {"key": f"Q{number}", "name": "甲", "observed_on": "2024-01-31"}).json()
        ids.append(opened(client, firm["id"])["id"])
    last = firm["id"]
    withdraw(client, {"id": ids[1]})
    judge, seen, cursor = approver(as_role, (1, "1")), [], None
    while True:
        page = judge.get("/v1/reviews", limit=2, state="open", **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [ids[0], *ids[2:]]
    assert [item["id"] for item in judge.get("/v1/reviews", firm_id=last).json()["items"]] == [ids[4]]
    assert judge.get("/v1/reviews", state="nonsense").status_code == 422
    assert judge.get("/v1/reviews", cursor="xx").status_code == 422


@pytest.mark.parametrize(
    ("role", "opens", "decides", "reads"),
    [
        (Role.LOAN_OFFICER, True, False, True),
        (Role.BRANCH_HEAD, True, False, True),
        (Role.RISK_MANAGER, True, False, True),
        (Role.CO_INVESTIGATOR, False, False, True),
        (Role.MODEL_VALIDATOR, False, False, False),
        (Role.BATCH, False, False, False),
        (Role.ASSOCIATION_CLERK, False, False, False),
        (Role.ADMINISTRATOR, False, False, False),
    ],
)
def test_roles(client, as_role, firm_id, role, opens, decides, reads):
    asker, missing = as_role(role), "00000000-0000-0000-0000-000000000000"
    assert (asker.post(f"/v1/firms/{firm_id}/reviews", ASK).status_code == 201) == opens
    assert (decide(asker, {"id": missing}, DECLINE).status_code == 404) == decides
    assert (asker.get("/v1/reviews").status_code == 200) == reads
    assert decide(approver(as_role, (1, "1")), {"id": missing}, DECLINE).status_code == 404


def test_another_branchs_firm_is_out_of_reach(client, app, database, tenant, as_role, firm_id):
    admin = as_role(Role.ADMINISTRATOR)
    branch = admin.post("/v1/branches", {"name": "Luqiao"}).json()["id"]
    stranger = as_role(Role.LOAN_OFFICER, branch_id=uuid.UUID(branch))
    review = opened(client, firm_id)
    assert stranger.get("/v1/reviews").json()["items"] == []
    assert stranger.get(f"/v1/reviews/{review['id']}").status_code == 404
    assert stranger.post(f"/v1/firms/{firm_id}/reviews", ASK).status_code == 404
    assert stranger.get(f"/v1/firms/{firm_id}/automated-decision").status_code == 404
