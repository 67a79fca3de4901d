"""Firms, invoices, loans and statuses over HTTP."""

import uuid

import pytest
from http_client import Client, make_client

from service.firms import repository
from service.identity.access import Role
from service.identity.use_cases import create_tenant, tenant_id_of

FIRM = {"key": "E1", "name": "远航鞋业", "cluster": "wenzhou-shoes", "observed_on": "2024-01-31"}
INVOICE = {"direction": "output", "counterparty": "B1", "issued_on": "2024-01-15", "net": "100.10", "vat": 13}


@pytest.fixture
def firm(client):
    return client.post("/v1/firms", FIRM).json()


def test_a_firm_is_registered_and_shown(client):
    made = client.post("/v1/firms", FIRM)
    assert made.status_code == 201, made.text
    firm = made.json()
    assert (firm["key"], firm["name"], firm["founded_on"]) == ("E1", "远航鞋业", None)
    assert client.get(f"/v1/firms/{firm['id']}").json() == firm
    assert client.get("/v1/firms").json() == {"items": [firm], "next": None}


def test_a_correction_is_a_new_row_and_the_newest_shows(client):
    client.post("/v1/firms", FIRM)
    client.post("/v1/firms", {**FIRM, "name": "远航鞋业有限公司", "observed_on": "2024-03-31"})
    older = client.post("/v1/firms", {**FIRM, "name": "远航", "observed_on": "2023-03-31"})
    assert older.json()["name"] == "远航鞋业有限公司"
    assert len(client.get("/v1/firms").json()["items"]) == 1


def test_pages_of_firms_are_complete_and_in_order(client):
    keys = [f"F{number:02}" for number in range(7)]
    for key in reversed(keys):
        client.post("/v1/firms", {**FIRM, "key": key})
    seen, cursor = [], None
    while True:
        page = client.get("/v1/firms", limit=3, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["key"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == keys


def test_invoices_are_added_once(client, firm):
    path = f"/v1/firms/{firm['id']}/invoices"
    body = {"invoices": [INVOICE, INVOICE, {**INVOICE, "number": "2", "net": -5.5, "vat": "-0.5"}]}
    first = client.post(path, body)
    assert first.status_code == 201, first.text
    assert first.json() == {"received": 3, "added": 2, "already_known": 0, "repeated": 1}
    assert client.post(path, body).json() == {"received": 3, "added": 0, "already_known": 2, "repeated": 1}


def test_ten_thousand_invoices_fit_one_call_and_one_more_does_not(app, database, tenant, client, firm):
    path = f"/v1/firms/{firm['id']}/invoices"
    app.state.database = database
    rows = [{**INVOICE, "number": str(number)} for number in range(10_001)]
    too_many = client.post(path, {"invoices": rows})
    assert too_many.status_code in {413, 422}
    small = [{k: v for k, v in row.items() if k != "counterparty"} | {"counterparty": "B"} for row in rows[:5000]]
    assert client.post(path, {"invoices": small}).json()["added"] == 5000


def test_a_bad_row_is_named_and_nothing_is_loaded(client, firm):
    path = f"/v1/firms/{firm['id']}/invoices"
    answer = client.post(path, {"invoices": [INVOICE, {**INVOICE, "net": "12.345"}]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    error = answer.json()["errors"][0]
    assert (error["field"], error["row"]) == ("invoices.1.net", 1)
    assert "2 decimal places" in error["reason"]
    assert client.post(path, {"invoices": [INVOICE]}).json()["already_known"] == 0


def _loan(firm):
    return {
        "firm_id": firm["id"],
        "loan_id": "L-1",
        "product": "credit-score",
        "principal": "500000",
        "started_on": "2024-01-31",
        "matures_on": "2025-01-31",
    }


def test_a_loan_waits_for_an_import_of_loans_only_so_long(client, firm, database, tenant, monkeypatch):
    monkeypatch.setattr(repository, "_LOANS_WAIT", 0.2)
    with database.session(tenant_id_of(tenant)) as importing:
        repository.lock_loans(importing)
        answer = client.post("/v1/loans", _loan(firm))
    assert (answer.status_code, "being imported" in answer.json()["detail"]) == (409, True)
    assert client.post("/v1/loans", _loan(firm)).status_code == 201


def test_a_loan_and_its_status(client, firm):
    loan = _loan(firm)
    made = client.post("/v1/loans", loan)
    assert made.status_code == 201, made.text
    assert made.json() == {"id": "L-1", "firm_id": firm["id"], "added": 1}
    assert client.post("/v1/loans", loan).json()["added"] == 0
    assert client.post("/v1/loans", {**loan, "principal": "1"}).status_code == 409
    status = {"observed_on": "2024-02-29", "days_past_due": 3, "balance": "458333.33"}
    assert client.post("/v1/loans/L-1/status", status).json() == {"loan_id": "L-1", "firm_id": firm["id"], "added": 1}
    assert client.post("/v1/loans/L-1/status", status).json()["added"] == 0
    assert client.post("/v1/loans/L-2/status", status).status_code == 404
    assert client.post("/v1/loans/L-1/status", {**status, "observed_on": "2023-01-01"}).status_code == 422
    assert client.post("/v1/loans/L-1/status", {"observed_on": "2024-02-29"}).status_code == 422


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": "91350211M000100Y44"}, "check character"),
        ({"key": "９１３５"}, "letters, digits"),
        ({"key": "E1; drop table firm"}, "letters, digits"),
        ({"name": "a\x00b"}, "control"),
        ({"name": "a\u202eb"}, "control"),
        ({"name": ""}, "at least 1"),
        ({"name": "x" * 201}, "at most 200"),
        ({"name": 7}, "valid string"),
        ({"is_lead": "yes"}, "boolean"),
        ({"founded_on": "2024-02-30"}, "date"),
        ({"founded_on": "0001-01-01"}, "1990"),
        ({"founded_on": "2024-02-01"}, "after known_on"),
        ({"observed_on": "2190-01-01"}, "future"),
        ({"known_on": "2024-01-30"}, "before"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_a_field_that_is_wrong_is_named(client, change, reason):
    answer = client.post("/v1/firms", {**FIRM, **change})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:clustercredit:invalid-payload"
    assert reason in str(answer.json()["errors"]), answer.json()


def test_a_foreign_firm_is_not_found(app, database, client, firm):
    other = f"other-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, other)
    stranger = make_client(app, database, other)
    assert stranger.get(f"/v1/firms/{firm['id']}").status_code == 404
    assert stranger.post(f"/v1/firms/{firm['id']}/invoices", {"invoices": [INVOICE]}).status_code == 404
    assert stranger.get("/v1/firms").json()["items"] == []


def test_a_reader_reads_and_does_not_write(app, database, tenant, firm):
    reader = make_client(app, database, tenant, Role.MODEL_VALIDATOR)
    assert reader.get(f"/v1/firms/{firm['id']}").status_code == 200
    assert reader.post("/v1/firms", FIRM).status_code == 403


def test_no_key_no_data(app, client, firm):
    for token in (None, "", "cck_wrong", client.token[:-1]):
        answer = Client(app, token).get(f"/v1/firms/{firm['id']}")
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:clustercredit:unauthenticated"
