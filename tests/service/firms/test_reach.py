"""Within a bank: a branch's people see its firms, a firm sees itself, and no query forgets it."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_client import make_client
from sqlmodel import select

from service.firms.reach import whole_population
from service.firms.use_cases import list_keys, read_inputs
from service.identity.access import Role
from service.identity.actor import Reach
from service.identity.use_cases import create_branch, tenant_id_of
from service.kit import clock
from service.scoring.tables import Score

FIRM = {"name": "远航鞋业", "observed_on": "2024-01-31"}


@pytest.fixture
def branches(database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        return [create_branch(session, name).id for name in ("北", "南")]


@pytest.fixture
def officers(app, database, tenant, branches):
    return [make_client(app, database, tenant, branch_id=branch) for branch in branches]


@pytest.fixture
def firms(officers, client):
    """Return one firm of each branch, and one of none."""
    clients = (*officers, client)
    return [http.post("/v1/firms", {**FIRM, "key": f"F{n}"}).json() for n, http in enumerate(clients)]


def test_a_new_firm_belongs_to_the_branch_of_who_registers_it(firms, branches):
    assert [firm["branch_id"] for firm in firms] == [*map(str, branches), None]


def test_an_officer_sees_the_own_branch_and_nothing_else(officers, firms, client):
    for own, officer in enumerate(officers):
        assert [firm["key"] for firm in officer.get("/v1/firms").json()["items"]] == [f"F{own}"]
        for number, firm in enumerate(firms):
            expected = 200 if number == own else 404
            assert officer.get(f"/v1/firms/{firm['id']}").status_code == expected
            assert officer.get(f"/v1/firms/{firm['id']}/scores").status_code == expected
    assert len(client.get("/v1/firms").json()["items"]) == 3


def test_an_officer_cannot_write_to_another_branch(officers, firms):
    other = firms[1]
    loan = {"loan_id": "L1", "product": "credit-score", "principal": "5", "started_on": "2024-01-31"}
    invoice = {"direction": "output", "counterparty": "B1", "issued_on": "2024-01-15", "net": "1", "vat": "0"}
    assert officers[0].post("/v1/loans", {**loan, "firm_id": other["id"]}).status_code == 404
    assert officers[0].post(f"/v1/firms/{other['id']}/invoices", {"invoices": [invoice]}).status_code == 404
    taken = officers[0].post("/v1/firms", {**FIRM, "key": other["key"], "name": "mine now"})
    assert taken.status_code == 409
    assert officers[1].get(f"/v1/firms/{other['id']}").json()["name"] == FIRM["name"]
    assert officers[1].post("/v1/loans", {**loan, "firm_id": other["id"]}).status_code == 201
    status = {"observed_on": "2024-02-29", "days_past_due": 3}
    assert officers[0].post("/v1/loans/L1/status", status).status_code == 404
    assert officers[1].post("/v1/loans/L1/status", status).status_code == 201


def test_a_loan_number_is_one_firms_in_the_whole_bank(officers, client, firms):
    """Of whichever branch: or else its status and its guarantee might land on another firm."""
    loan = {"loan_id": "L1", "product": "credit-score", "principal": "5", "started_on": "2024-01-31"}
    assert officers[0].post("/v1/loans", {**loan, "firm_id": firms[0]["id"]}).status_code == 201
    for asker, firm in ((officers[1], firms[1]), (client, firms[2]), (client, firms[1])):
        for changes in ({}, {"principal": "6", "started_on": "2024-02-01"}):
            taken = asker.post("/v1/loans", {**loan, **changes, "firm_id": firm["id"]})
            assert taken.status_code == 409, taken.text
            assert "'L1' is taken" in taken.json()["detail"]
            assert not [other for other in firms if other["id"] in taken.text or other["key"] in taken.text]
    status = {"observed_on": "2024-06-01", "days_past_due": 120}
    assert client.post("/v1/loans/L1/status", status).json()["firm_id"] == firms[0]["id"]
    assert officers[1].post("/v1/loans/L1/status", status).status_code == 404


def test_a_firm_of_which_only_the_key_is_known_goes_to_the_first_branch_that_enters_it(
    app, database, tenant, officers, branches
):
    clerk = make_client(app, database, tenant, Role.ASSOCIATION_CLERK)
    act = {"kind": "warning", "severity": 1, "words": "x", "observed_on": "2024-05-20", "firm_key": "N1"}
    assert clerk.post("/v1/association-acts", act).status_code == 201
    start = threading.Barrier(2)

    def enter(officer):
        start.wait()
        return officer.post("/v1/firms", {**FIRM, "key": "N1"})

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(enter, officers))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    [(made, branch)] = [(a.json(), b) for a, b in zip(answers, branches, strict=True) if a.status_code == 201]
    assert (made["branch_id"], made["name"], made["version"]) == (str(branch), FIRM["name"], 2)
    [refused] = [answer for answer in answers if answer.status_code == 409]
    assert "Another branch looks after" in refused.json()["detail"]


def test_a_firm_that_no_branch_looks_after_but_is_observed_is_not_taken(officers, client, firms):
    refused = officers[0].post("/v1/firms", {**FIRM, "key": firms[2]["key"]})
    assert refused.status_code == 409
    assert "No branch looks after the firm" in refused.json()["detail"]
    assert client.get(f"/v1/firms/{firms[2]['id']}").json() == firms[2]


def test_a_firm_is_handed_over_by_etag(app, database, tenant, officers, firms, branches):
    head = make_client(app, database, tenant, Role.BRANCH_HEAD, branch_id=branches[0])
    path, body = f"/v1/firms/{firms[0]['id']}", {"branch_id": str(branches[1])}
    tag = head.get(path).headers["etag"]
    assert officers[0].send("PATCH", path, json=body, headers={"If-Match": tag}).status_code == 403
    nowhere = {"branch_id": str(uuid.uuid4())}
    assert head.send("PATCH", path, json=nowhere, headers={"If-Match": tag}).status_code == 404
    handed_over = head.send("PATCH", path, json=body, headers={"If-Match": tag}).json()
    assert handed_over == {**firms[0], "branch_id": str(branches[1]), "version": 2}
    assert head.get(path).status_code == 404
    assert officers[1].get(path).headers["etag"] == '"2"'
    manager = make_client(app, database, tenant, Role.RISK_MANAGER)
    assert manager.send("PATCH", path, json={"branch_id": None}, headers={"If-Match": tag}).status_code == 412


def test_a_firm_sees_itself(app, database, tenant, firms):
    itself = make_client(app, database, tenant, Role.FIRM, firm_id=uuid.UUID(firms[0]["id"]))
    assert itself.get(f"/v1/firms/{firms[0]['id']}").status_code == 200
    assert itself.get(f"/v1/firms/{firms[1]['id']}").status_code == 404
    assert itself.get("/v1/firms").status_code == 403


def test_the_population_is_whole_whoever_asks(database, tenant, firms, branches):
    """A context is built from all firms, also when a branch's officer is the first to need it."""
    with database.session(tenant_id_of(tenant)) as session:
        everything = read_inputs(session, clock.today()).firms
        session.info["reach"] = Reach(branch_id=branches[0])
        assert list_keys(session) == ["F0"]
        assert read_inputs(session, clock.today()).firms["firm_id"].to_list() == ["F0"]
        with whole_population(session):
            assert read_inputs(session, clock.today()).firms.equals(everything)
        assert list_keys(session) == ["F0"]
        assert session.exec(select(Score)).all() == []
