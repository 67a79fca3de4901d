"""Grants, guarantees and the book over HTTP."""

import threading
import uuid

import pytest
from http_client import make_client

from service.identity.access import Organisation, Role
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock
from tests.service.funds.book_world import day

FIRM = {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}
LOAN = {"product": "credit-score", "principal": "500000.01", "started_on": "2024-01-31"}
TODAY = clock.today().isoformat()


@pytest.fixture
def fund(database):
    return _tenant(database, Organisation.FUND)


@pytest.fixture
def auditor(app, database, fund):
    return make_client(app, database, fund, Role.FUND_AUDITOR)


@pytest.fixture
def manager(app, database, tenant):
    return make_client(app, database, tenant, Role.RISK_MANAGER)


@pytest.fixture
def firm(client):
    return client.post("/v1/firms", FIRM).json()


@pytest.fixture
def loans(client, firm):
    for number in range(5):
        made = client.post("/v1/loans", {**LOAN, "firm_id": firm["id"], "loan_id": f"L-{number}"})
        assert made.status_code == 201, made.text
    return [f"L-{number}" for number in range(5)]


@pytest.fixture
def grant(manager, fund):
    made = manager.post("/v1/guarantee-grants", {"fund": fund})
    assert made.status_code == 201, made.text
    return made.json()


def _tenant(database, kind):
    name = f"{kind}-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, name, kind)
    return name


def _guarantee(client, loan, fund, /, **terms):
    body = {"fund": fund, "coverage": "0.8", "starts_on": TODAY}
    return client.post(f"/v1/loans/{loan}/guarantees", body | terms)


def _change(client, method, path, version, **options):
    return client.send(method, path, headers={"If-Match": f'"{version}"'}, **options)


def test_a_grant_is_made_listed_and_ended(manager, client, fund, grant):
    path = f"/v1/guarantee-grants/{grant['id']}"
    assert (grant["fund"], grant["granted_by"], grant["ended_at"], grant["version"]) == (
        fund, "test risk_manager", None, 1,
    )  # fmt: skip
    assert client.get(path).json() == grant
    assert client.get("/v1/guarantee-grants").json() == {"items": [grant], "next": None}
    again = manager.post("/v1/guarantee-grants", {"fund": fund})
    assert (again.status_code, again.json()["type"]) == (409, "urn:clustercredit:conflict")
    assert manager.send("DELETE", path).status_code == 428
    assert _change(manager, "DELETE", path, 7).status_code == 412
    ended = _change(manager, "DELETE", path, 1)
    assert (ended.status_code, ended.headers["ETag"]) == (200, '"2"')
    assert ended.json()["ended_by"] == "test risk_manager"
    assert _change(manager, "DELETE", path, 2).json() == ended.json()
    second = manager.post("/v1/guarantee-grants", {"fund": fund}).json()
    assert client.get("/v1/guarantee-grants").json()["items"] == [ended.json(), second]


def test_pages_of_grants_are_complete(manager, database):
    made = [manager.post("/v1/guarantee-grants", {"fund": _tenant(database, Organisation.FUND)}) for _ in range(5)]
    assert _walk(manager, "/v1/guarantee-grants", limit=2) == [answer.json() for answer in made]


def test_only_a_fund_can_be_named(manager, database, client):
    bank = _tenant(database, Organisation.BANK)
    for name in (bank, "nobody", "fund-"):
        answer = manager.post("/v1/guarantee-grants", {"fund": name})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:clustercredit:not-found"), name
        assert f"no guarantee fund '{name}'" in answer.json()["detail"]
    assert client.post("/v1/guarantee-grants", {"fund": bank}).status_code == 403


def test_a_guarantee_needs_a_live_grant(manager, client, fund, loans):
    assert _guarantee(client, loans[0], fund).status_code == 409
    grant = manager.post("/v1/guarantee-grants", {"fund": fund}).json()
    made = _guarantee(client, loans[0], fund, cap="300000")
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["fund"], body["coverage"], body["cap"], body["version"]) == (fund, "0.8", "300000.00", 1)
    assert client.get(f"/v1/guarantees/{body['id']}").json() == body
    assert client.get(f"/v1/loans/{loans[0]}/guarantees").json() == {"items": [body], "next": None}
    assert _guarantee(client, "L-none", fund).status_code == 404
    assert _guarantee(client, loans[1], "nobody").status_code == 404
    _change(manager, "DELETE", f"/v1/guarantee-grants/{grant['id']}", 1)
    assert _guarantee(client, loans[1], fund).status_code == 409


def test_a_guarantee_ends_when_the_loan_matures_unless_told_otherwise(client, auditor, firm, fund, grant):
    """A fund does not go on seeing a borrower whose loan is over."""
    ends = {"L-due": day(30), "L-over": day(-1), "L-open": None}
    for loan, matures in ends.items():
        body = {**LOAN, "firm_id": firm["id"], "loan_id": loan, "matures_on": matures and matures.isoformat()}
        assert client.post("/v1/loans", body).status_code == 201
    start = {"starts_on": "2024-02-01"}
    for loan, matures in ends.items():
        made = _guarantee(client, loan, fund, **start)
        assert (made.status_code, made.json()["ends_on"]) == (201, matures and matures.isoformat())
    assert [loan["loan_id"] for loan in auditor.get("/v1/book").json()["items"]] == ["L-due", "L-open"]
    late = _guarantee(client, "L-over", fund)
    assert (late.status_code, "matures" in late.json()["detail"]) == (422, True)
    after = day(31).isoformat()
    assert _guarantee(client, "L-due", fund, starts_on=after, ends_on=None).json()["ends_on"] is None


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"coverage": "0"}, "coverage"),
        ({"coverage": "1.0001"}, "coverage"),
        ({"coverage": "0.00001"}, "coverage"),
        ({"coverage": True}, "coverage"),
        ({"coverage": "０.8"}, "coverage"),
        ({"coverage": "1e-1"}, "coverage"),
        ({"cap": "0"}, "cap"),
        ({"cap": "-1"}, "cap"),
        ({"ends_on": "1999-01-01"}, "body"),
        ({"starts_on": "2024-02-30"}, "starts_on"),
        ({"fund": ""}, "fund"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_term_that_is_wrong_is_named(client, loans, fund, grant, terms, field):
    answer = _guarantee(client, loans[0], fund, **terms)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_a_fund_guarantees_a_loan_once_at_a_time(client, loans, fund, grant):
    first = _guarantee(client, loans[0], fund, starts_on="2024-01-01", ends_on="2024-12-31").json()
    assert _guarantee(client, loans[0], fund, starts_on="2024-12-31").status_code == 409
    second = _guarantee(client, loans[0], fund, starts_on="2025-01-01")
    assert second.status_code == 201
    assert _guarantee(client, loans[0], fund, starts_on="2023-01-01", ends_on="2024-01-01").status_code == 409
    assert _guarantee(client, loans[1], fund, starts_on="2024-06-01").status_code == 201
    path = f"/v1/guarantees/{first['id']}"
    assert _change(client, "PATCH", path, 1, json={"ends_on": "2025-01-01"}).status_code == 409
    assert client.get(path).json() == first
    void = _change(client, "PATCH", f"/v1/guarantees/{second.json()['id']}", 1, json={"ends_on": "2024-12-31"})
    assert void.status_code == 200, void.text
    assert _change(client, "PATCH", path, 1, json={"ends_on": "2025-01-01"}).json()["version"] == 2
    assert [item["ends_on"] for item in _walk(client, f"/v1/loans/{loans[0]}/guarantees", limit=1)] == [
        "2025-01-01", "2024-12-31",
    ]  # fmt: skip


def test_ten_at_once_make_one_guarantee(client, loans, fund, grant):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(_guarantee(client, loans[0], fund))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


def test_the_end_of_a_guarantee_is_changed_by_its_state(client, loans, fund, grant):
    made = _guarantee(client, loans[0], fund).json()
    path = f"/v1/guarantees/{made['id']}"
    assert client.send("PATCH", path, json={"ends_on": TODAY}).status_code == 428
    changed = _change(client, "PATCH", path, 1, json={"ends_on": TODAY})
    assert changed.json() == {**made, "ends_on": TODAY, "version": 2}
    assert changed.headers["ETag"] == '"2"'
    assert _change(client, "PATCH", path, 1, json={"ends_on": None}).status_code == 412
    assert _change(client, "PATCH", path, 2, json={}).status_code == 422
    assert _change(client, "PATCH", path, 2, json={"ends_on": str(day(-2))}).status_code == 422
    assert _change(client, "PATCH", path, 2, json={"ends_on": str(day(-1))}).status_code == 200
    assert _change(client, "PATCH", path, 3, json={"ends_on": None}).json()["ends_on"] is None


def test_a_loan_without_a_score_has_nulls(client, auditor, tenant, loans, firm, fund, grant):
    guarantee = _guarantee(client, loans[0], fund, coverage=0.3333).json()
    expected = {
        "bank_id": str(tenant_id_of(tenant)), "bank": tenant, "guarantee_id": guarantee["id"], "loan_id": "L-0",
        "product": "credit-score", "firm_key": "E1", "firm_name": "远航鞋业", "limit": "500000.01",
        "coverage": "0.3333", "guaranteed": "166650.00", "starts_on": TODAY, "ends_on": None,
        "pd": None, "pd_basis": None, "grade": None, "as_of": None, "reason_families": None,
    }  # fmt: skip
    assert auditor.get("/v1/book").json() == {"items": [expected], "next": None}
    assert auditor.get(f"/v1/book/{tenant_id_of(tenant)}/L-0").json() == expected
    assert auditor.get("/v1/book/summary").json() == {
        "banks": [
            {"bank_id": str(tenant_id_of(tenant)), "bank": tenant, "loans": 1, "scored": 0, "guaranteed": "166650.00",
             "pd": None}
        ]
    }  # fmt: skip


def test_an_ended_grant_shows_nothing_at_once(client, manager, auditor, tenant, loans, fund, grant):
    _guarantee(client, loans[0], fund)
    one = f"/v1/book/{tenant_id_of(tenant)}/L-0"
    assert auditor.get(one).status_code == 200
    assert _change(manager, "DELETE", f"/v1/guarantee-grants/{grant['id']}", 1).status_code == 200
    assert auditor.get("/v1/book").json() == {"items": [], "next": None}
    assert auditor.get("/v1/book/summary").json() == {"banks": []}
    assert auditor.get(one).status_code == 404
    manager.post("/v1/guarantee-grants", {"fund": fund})
    assert auditor.get(one).status_code == 200


def test_another_funds_loan_is_not_found(app, database, client, manager, auditor, tenant, loans, fund, grant):
    other = _tenant(database, Organisation.FUND)
    manager.post("/v1/guarantee-grants", {"fund": other})
    _guarantee(client, loans[0], fund)
    _guarantee(client, loans[1], other)
    stranger = make_client(app, database, other, Role.FUND_AUDITOR)
    bank = tenant_id_of(tenant)
    assert [auditor.get(f"/v1/book/{bank}/{loan}").status_code for loan in loans[:3]] == [200, 404, 404]
    assert [stranger.get(f"/v1/book/{bank}/{loan}").status_code for loan in loans[:3]] == [404, 200, 404]


def test_pages_of_the_book_are_complete_under_writes(client, auditor, loans, fund, grant, tenant):
    for loan in loans[1:]:
        _guarantee(client, loan, fund)
    first = auditor.get("/v1/book", limit=2).json()
    _guarantee(client, loans[0], fund)
    rest = _walk(auditor, "/v1/book", limit=2, cursor=first["next"])
    assert [item["loan_id"] for item in first["items"] + rest] == loans[1:]
    assert _walk(auditor, "/v1/book", bank_id=tenant_id_of(tenant), limit=3) == _walk(auditor, "/v1/book")
    assert _walk(auditor, "/v1/book", bank_id=uuid.uuid4()) == []
    for cursor in ("x", "W10", first["next"][:-4]):
        assert auditor.get("/v1/book", cursor=cursor).status_code == 422


def test_a_fund_auditor_reads_its_book_and_nothing_else(app, auditor, client, firm, loans, fund, grant):
    guarantee = _guarantee(client, loans[0], fund).json()
    for path in ("/v1/firms", f"/v1/firms/{firm['id']}", "/v1/alerts", "/v1/guarantee-grants"):
        assert auditor.get(path).status_code == 403, path
    assert auditor.get(f"/v1/guarantees/{guarantee['id']}").status_code == 403
    assert _guarantee(auditor, loans[1], fund).status_code == 403
    assert auditor.get("/v1/me").status_code == 200
    for path in ("/v1/book", "/v1/book/summary"):
        assert client.get(path).status_code == 403


def test_a_guarantee_is_within_the_reach_of_its_firms_branch(app, database, client, loans, fund, grant, tenant):
    administrator = make_client(app, database, tenant, Role.ADMINISTRATOR)
    branch = administrator.post("/v1/branches", {"name": "路桥支行"}).json()["id"]
    elsewhere = make_client(app, database, tenant, Role.LOAN_OFFICER, branch_id=uuid.UUID(branch))
    guarantee = _guarantee(client, loans[0], fund).json()
    path = f"/v1/guarantees/{guarantee['id']}"
    assert elsewhere.get(path).status_code == 404
    assert _change(elsewhere, "PATCH", path, 1, json={"ends_on": None}).status_code == 404
    assert elsewhere.get(f"/v1/loans/{loans[0]}/guarantees").status_code == 404
    assert _guarantee(elsewhere, loans[1], fund).status_code == 404


def test_another_banks_grants_and_guarantees_are_not_found(app, database, client, loans, fund, grant):
    other = _tenant(database, Organisation.BANK)
    guarantee = _guarantee(client, loans[0], fund).json()
    stranger = make_client(app, database, other, Role.RISK_MANAGER)
    assert stranger.get("/v1/guarantee-grants").json()["items"] == []
    assert stranger.get(f"/v1/guarantee-grants/{grant['id']}").status_code == 404
    assert _change(stranger, "DELETE", f"/v1/guarantee-grants/{grant['id']}", 1).status_code == 404
    assert stranger.get(f"/v1/guarantees/{guarantee['id']}").status_code == 404
    assert _change(stranger, "PATCH", f"/v1/guarantees/{guarantee['id']}", 1, json={"ends_on": None}).status_code == 404


def _walk(client, path, **params):
    items = []
    while True:
        page = client.get(path, **params)
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        if page.json()["next"] is None:
            return items
        params["cursor"] = page.json()["next"]
