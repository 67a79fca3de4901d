"""Natural persons over HTTP."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from http_client import Client, make_client
from sqlalchemy import text

from features.consent import permitted
from service.firms.use_cases import add_inputs, read_inputs
from service.identity.access import Role
from service.identity.use_cases import create_branch, create_tenant, tenant_id_of
from service.kit import clock
from tests.features import rows
from tests.features.rows import inputs
from tests.service.people.invented_ids import national_id

NUMBER = national_id(1)
PERSON = {"id_kind": "national_id", "number": NUMBER, "name": "张伟", "role": "owner", "observed_on": "2024-01-31"}
FIRM = {"name": "远航鞋业", "cluster": "wenzhou-shoes", "observed_on": "2024-01-31"}
CONSENT = {"scope": "bureau", "is_given": True, "observed_on": "2024-02-01"}
RECORD = {"record": "late_payment", "days_past_due": 45, "observed_on": "2024-03-15"}


@pytest.fixture
def firm(client) -> str:
    return client.post("/v1/firms", {**FIRM, "key": "E1"}).json()["id"]


@pytest.fixture
def person(client, firm) -> dict:
    return client.post(f"/v1/firms/{firm}/people", PERSON).json()


@pytest.fixture
def manager(app, database, tenant) -> Client:
    return make_client(app, database, tenant, Role.RISK_MANAGER)


def _erase(client, person, tag='"1"'):
    return client.send("DELETE", f"/v1/people/{person['id']}", headers={"If-Match": tag})


def _rows(database, tenant, query):
    with database.session(tenant_id_of(tenant)) as session:
        return session.execute(text(query)).mappings().all()


def test_a_person_is_entered_and_shown_masked(client, firm):
    path = f"/v1/firms/{firm}/people"
    early = client.post(path, {**PERSON, "trade_since": "2024-02-01"})
    assert (early.status_code, "after known_on" in str(early.json()["errors"])) == (422, True)
    made = client.post(path, {**PERSON, "trade_since": "2001-01-01"})
    assert made.status_code == 201, made.text
    person = made.json()
    assert (person["number"], person["name"]) == (f"330*************{NUMBER[-2:]}", "张**")
    link = {"firm_id": firm, "role": "owner", "trade_since": "2001-01-01", "observed_on": "2024-01-31"}
    assert (person["firms"], person["erased_at"], made.headers["etag"]) == ([link], None, '"1"')
    shown = client.get(f"/v1/people/{person['id']}")
    assert (shown.json(), shown.headers["etag"]) == (person, '"1"')
    assert client.get(f"/v1/firms/{firm}/people").json() == {"items": [person], "next": None}
    found = client.post("/v1/search/people", {"id_kind": "national_id", "number": NUMBER}, key=None)
    assert (found.status_code, found.json()) == (200, {"items": [person]})
    for answer in (made, shown, found):
        assert NUMBER not in answer.text
        assert "张伟" not in answer.text


def test_the_same_number_is_the_same_person(client, firm, person):
    other = client.post("/v1/firms", {**FIRM, "key": "E2"}).json()["id"]
    again = client.post(f"/v1/firms/{other}/people", {**PERSON, "role": "guarantor"}).json()
    assert again["id"] == person["id"]
    assert {(link["firm_id"], link["role"]) for link in again["firms"]} == {(firm, "owner"), (other, "guarantor")}
    kinds = {**PERSON, "id_kind": "passport", "number": NUMBER[:9]}
    assert client.post(f"/v1/firms/{other}/people", kinds).json()["id"] != person["id"]


def test_a_small_x_and_a_capital_are_one_number(client, firm):
    number = next(n for n in map(national_id, range(100)) if n.endswith("X"))
    ids = {
        client.post(f"/v1/firms/{firm}/people", {**PERSON, "number": written}).json()["id"]
        for written in (number, number.lower())
    }
    assert len(ids) == 1


def test_a_name_that_changed_is_sealed_anew(client, firm, person):
    renamed = client.post(f"/v1/firms/{firm}/people", {**PERSON, "name": "李伟"}).json()
    assert (renamed["id"], renamed["name"], renamed["version"]) == (person["id"], "李**", 2)
    assert client.post(f"/v1/firms/{firm}/people", {**PERSON, "name": "李伟"}).json()["version"] == 2


def test_ten_at_once_make_one_person(client, firm):
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post(f"/v1/firms/{firm}/people", PERSON), range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_the_row_and_the_ledger_know_no_number(client, database, tenant, firm, person):
    row = _rows(database, tenant, "select * from person")[0]
    assert len(row["id_mac"]) == 32
    assert NUMBER.encode() not in row["sealed"]
    assert "张伟".encode() not in row["sealed"]
    written = _rows(database, tenant, "select person_id from person_observation")
    assert [row["person_id"] for row in written] == [person["id"]]


def test_features_read_a_person_once_it_consents(client, database, tenant, firm, person):
    def read():
        with database.session(tenant_id_of(tenant)) as session:
            return permitted(read_inputs(session, clock.today()), clock.today()).persons["person_id"].to_list()

    assert read() == []
    consent = {**CONSENT, "scope": "owner_data", "firm_id": firm}
    client.post(f"/v1/people/{person['id']}/consents", consent).raise_for_status()
    assert read() == [person["id"]]


def test_pages_of_people_are_complete(client, firm):
    ids = {client.post(f"/v1/firms/{firm}/people", {**PERSON, "number": national_id(n)}).json()["id"] for n in range(7)}
    seen, cursor = [], None
    while True:
        page = client.get(f"/v1/firms/{firm}/people", limit=3, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(ids)
    assert client.get(f"/v1/firms/{firm}/people", cursor="nonsense").status_code == 422


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"number": NUMBER[:-1] + ("1" if NUMBER[-1] == "0" else "0")}, "check character"),
        ({"number": "330106198013010010"}, "day of birth"),
        ({"number": NUMBER[:17]}, "17 digits"),
        ({"number": "110105491231002"}, "17 digits"),
        ({"number": NUMBER + " "}, "17 digits"),
        ({"number": NUMBER.translate({ord("3"): "３"})}, "half-width"),
        ({"number": NUMBER[:-1] + "Х"}, "half-width"),
        ({"number": int(NUMBER[:17])}, "string"),
        ({"number": "x" * 21}, "at most 20"),
        ({"id_kind": "passport", "number": "E1234-5678"}, "letters and digits"),
        ({"id_kind": "driving_licence"}, "national_id"),
        ({"name": NUMBER}, "identity number"),
        ({"name": "张3"}, "no digits"),
        ({"role": "king"}, "owner"),
        ({"observed_on": "2190-01-01"}, "future"),
        ({NUMBER: 1}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said_without_the_value(client, firm, change, reason):
    body = {**PERSON, **change}
    answer = client.post(f"/v1/firms/{firm}/people", body)
    assert answer.status_code == 422
    assert reason in str(answer.json()["errors"]), answer.json()
    values = [NUMBER, str(body["number"]), *(str(value) for value in change.values() if len(str(value)) > 8)]
    assert [value for value in values if value in answer.text] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/firms", {**FIRM, "key": NUMBER}),
        ("/v1/firms", {**FIRM, "key": "E9", "name": f"{NUMBER}的店"}),
        ("/v1/firms", {**FIRM, "key": "E9", "place": f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}"}),
        ("/v1/loans", {"loan_id": NUMBER, "product": "credit-score", "principal": "1", "started_on": "2024-01-31"}),
    ],
)
def test_a_number_is_refused_wherever_else_it_comes_in(client, firm, path, body):
    answer = client.post(path, {"firm_id": firm, **body} if "loan_id" in body else body)
    assert answer.status_code == 422
    assert "identity number" in answer.text
    assert NUMBER not in answer.text
    keyed = client.post("/v1/firms", {**FIRM, "key": "E9"}, key=f"k-{NUMBER}")
    assert (keyed.status_code, NUMBER in keyed.text) == (422, False)


def test_a_person_is_seen_through_the_firms_in_reach(app, database, tenant, client):
    with database.session(tenant_id_of(tenant)) as session:
        branches = [create_branch(session, name).id for name in ("north", "south")]
    officers = [make_client(app, database, tenant, Role.LOAN_OFFICER, branch_id=branch) for branch in branches]
    north, south = officers
    firms = [officer.post("/v1/firms", {**FIRM, "key": f"K{n}"}).json()["id"] for n, officer in enumerate(officers)]
    person = north.post(f"/v1/firms/{firms[0]}/people", PERSON).json()
    search = {"id_kind": "national_id", "number": NUMBER}
    assert south.get(f"/v1/people/{person['id']}").status_code == 404
    assert south.get(f"/v1/people/{person['id']}/consents").status_code == 404
    assert south.get(f"/v1/firms/{firms[0]}/people").status_code == 404
    assert south.post(f"/v1/firms/{firms[0]}/people", PERSON).status_code == 404
    assert south.post("/v1/search/people", search, key=None).json() == {"items": []}
    consent = {**CONSENT, "firm_id": firms[0]}
    assert south.post(f"/v1/people/{person['id']}/consents", consent).status_code == 404
    head = make_client(app, database, tenant, Role.BRANCH_HEAD, branch_id=branches[1])
    assert _erase(head, person).status_code == 404
    joined = south.post(f"/v1/firms/{firms[1]}/people", PERSON).json()
    assert [link["firm_id"] for link in joined["firms"]] == [firms[1]]
    assert south.post(f"/v1/people/{person['id']}/consents", consent).status_code == 404
    assert [link["firm_id"] for link in south.get(f"/v1/people/{person['id']}").json()["firms"]] == [firms[1]]
    assert len(client.get(f"/v1/people/{person['id']}").json()["firms"]) == 2
    stranger = f"other-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, stranger)
    assert make_client(app, database, stranger).get(f"/v1/people/{person['id']}").status_code == 404
    assert make_client(app, database, stranger).post("/v1/search/people", search, key=None).json() == {"items": []}


def test_who_may_do_what(app, database, tenant, firm, person):
    may = {
        Role.MODEL_VALIDATOR: (403, 403, 403, 403),
        Role.ADMINISTRATOR: (403, 403, 403, 403),
        Role.ASSOCIATION_CLERK: (403, 403, 403, 403),
        Role.BATCH: (201, 403, 403, 403),
        Role.CO_INVESTIGATOR: (201, 200, 200, 403),
        Role.LOAN_OFFICER: (201, 200, 200, 403),
        Role.RISK_MANAGER: (403, 200, 200, 428),
        Role.BRANCH_HEAD: (201, 200, 200, 428),
    }
    search = {"id_kind": "national_id", "number": NUMBER}
    for role, expected in may.items():
        asker = make_client(app, database, tenant, role)
        answers = (
            asker.post(f"/v1/firms/{firm}/people", PERSON),
            asker.get(f"/v1/people/{person['id']}"),
            asker.post("/v1/search/people", search, key=None),
            asker.send("DELETE", f"/v1/people/{person['id']}"),
        )
        assert tuple(answer.status_code for answer in answers) == expected, role


def test_a_firm_withdraws_its_own_peoples_consents_alone(app, database, tenant, client, firm, person):
    other = client.post("/v1/firms", {**FIRM, "key": "E2"}).json()["id"]
    stranger = client.post(f"/v1/firms/{other}/people", {**PERSON, "number": national_id(2)}).json()
    own = make_client(app, database, tenant, Role.FIRM, firm_id=uuid.UUID(firm))
    assert [item["id"] for item in own.get(f"/v1/firms/{firm}/people").json()["items"]] == [person["id"]]
    path = f"/v1/people/{person['id']}/consents"
    client.post(path, {**CONSENT, "firm_id": firm}).raise_for_status()
    withdrawal = {**CONSENT, "is_given": False, "observed_on": "2024-03-01"}
    withdrawn = own.post(path, {**withdrawal, "firm_id": firm})
    assert (withdrawn.status_code, withdrawn.json()["added"]) == (201, 1)
    assert [item["is_given"] for item in own.get(path).json()["items"]] == [True, False]
    assert own.post(path, {**withdrawal, "firm_id": other}).status_code == 404
    assert own.post(f"/v1/people/{stranger['id']}/consents", {**withdrawal, "firm_id": firm}).status_code == 404
    assert own.get(f"/v1/people/{stranger['id']}/consents").status_code == 404
    assert own.get(f"/v1/firms/{other}/people").status_code == 404


def test_consents_are_recorded_once_and_paged(client, firm, person):
    path = f"/v1/people/{person['id']}/consents"
    days = [f"2024-02-0{day}" for day in range(1, 6)]
    for day in days:
        assert client.post(path, {**CONSENT, "firm_id": firm, "observed_on": day}).json()["added"] == 1
    assert client.post(path, {**CONSENT, "firm_id": firm, "observed_on": days[0]}).json()["added"] == 0
    first = client.get(path, limit=3).json()
    second = client.get(path, limit=3, cursor=first["next"]).json()
    assert [item["observed_on"] for item in first["items"] + second["items"]] == days
    assert second["next"] is None
    assert client.get(path, cursor="WyJhIiwiYiJd").status_code == 422
    assert client.post(path, {**CONSENT, "firm_id": firm, "scope": "everything"}).status_code == 422
    assert client.post(path, {**CONSENT, "firm_id": firm, "observed_on": "2190-01-01"}).status_code == 422


@pytest.mark.parametrize("purpose", ["monitoring", "guarantee", None])
def test_a_purpose_that_nothing_serves_is_invalid(client, firm, person, purpose):
    body = {**CONSENT, "firm_id": firm, "purpose": purpose}
    assert client.post(f"/v1/people/{person['id']}/consents", body).status_code == 422


def test_a_firm_withdraws_for_a_person_and_does_not_consent(app, database, tenant, client, firm, person):
    own = make_client(app, database, tenant, Role.FIRM, firm_id=uuid.UUID(firm))
    path = f"/v1/people/{person['id']}/consents"
    for scope in ("owner_data", "bureau", "automated_decision"):
        body = {**CONSENT, "firm_id": firm, "scope": scope}
        refused = own.post(path, body)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:clustercredit:forbidden")
        assert "cannot consent for a person" in refused.json()["detail"]
        assert client.post(path, body).status_code == 201
        assert own.post(path, {**body, "is_given": False, "observed_on": "2024-02-02"}).status_code == 201
    given = [item["is_given"] for item in client.get(path).json()["items"]]
    assert given == [True] * 3 + [False] * 3


def test_the_bureau_had_nothing(client, database, tenant, firm, person):
    client.post(f"/v1/people/{person['id']}/consents", {**CONSENT, "firm_id": firm}).raise_for_status()
    path, body = f"/v1/people/{person['id']}/records", {"firm_id": firm, "record": "none", "observed_on": "2024-03-15"}
    for more in ({"days_past_due": 0}, {"ended_on": "2024-03-15"}):
        assert client.post(path, {**body, **more}).status_code == 422
    assert client.post(path, body).json()["added"] == 1
    [row] = _rows(database, tenant, "select record, days_past_due, ended_on from personal_record")
    assert tuple(row.values()) == ("none", None, None)


def test_a_record_needs_a_consent_in_force(client, firm, person):
    records, consents = (f"/v1/people/{person['id']}/{what}" for what in ("records", "consents"))
    record = {**RECORD, "firm_id": firm}
    refused = client.post(records, record)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:clustercredit:conflict")
    client.post(consents, {**CONSENT, "firm_id": firm, "scope": "owner_data"}).raise_for_status()
    assert client.post(records, record).status_code == 409
    client.post(consents, {**CONSENT, "firm_id": firm}).raise_for_status()
    added = client.post(records, record)
    assert (added.status_code, added.json()) == (201, {"person_id": person["id"], "firm_id": firm, "added": 1})
    assert client.post(records, record).json()["added"] == 0
    withdrawal = {**CONSENT, "firm_id": firm, "is_given": False, "observed_on": "2024-04-01"}
    client.post(consents, withdrawal).raise_for_status()
    assert client.post(records, {**record, "observed_on": "2024-03-16"}).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"days_past_due": None},
        {"days_past_due": -1},
        {"record": "rumour"},
        {"ended_on": "2024-03-14"},
        {"ended_on": "2024-04-14", "known_on": "2024-04-13"},
        {"observed_on": "2190-01-01"},
    ],
)
def test_a_record_that_cannot_be(client, firm, person, change):
    assert client.post(f"/v1/people/{person['id']}/records", {**RECORD, "firm_id": firm, **change}).status_code == 422


def test_an_erased_person_is_a_pseudonym(app, database, tenant, client, manager, firm, person):
    assert _erase(manager, person, '"7"').status_code == 412
    erased = _erase(manager, person)
    assert erased.status_code == 200, erased.text
    body = erased.json()
    assert (body["number"], body["name"], body["version"], erased.headers["etag"]) == (None, None, 2, '"2"')
    assert body["erased_at"] is not None
    row = _rows(database, tenant, "select * from person")[0]
    assert (row["id_mac"], row["sealed"]) == (None, None)
    assert row["key_destroyed_at"] is not None
    assert app.state.keyring.is_destroyed(tenant_id_of(tenant), uuid.UUID(person["id"]))
    assert client.get(f"/v1/people/{person['id']}").json() == body
    assert client.get(f"/v1/firms/{firm}/people").json()["items"] == [body]
    search = {"id_kind": "national_id", "number": NUMBER}
    assert client.post("/v1/search/people", search, key=None).json() == {"items": []}


def test_erasing_again_changes_nothing(manager, person):
    first = _erase(manager, person)
    assert _erase(manager, person).json() == first.json()
    assert _erase(manager, person, '"2"').json() == first.json()
    assert [_erase(manager, person, tag).status_code for tag in ('"0"', '"3"', "*", 'W/"2"')] == [412] * 4
    unknown = {"id": str(uuid.uuid4())}
    assert _erase(manager, unknown).status_code == 404


def test_an_erased_person_gives_no_consent_and_gets_no_record(client, manager, firm, person):
    consents = f"/v1/people/{person['id']}/consents"
    client.post(consents, {**CONSENT, "firm_id": firm}).raise_for_status()
    _erase(manager, person)
    assert client.post(f"/v1/people/{person['id']}/records", {**RECORD, "firm_id": firm}).status_code == 409
    later = {**CONSENT, "firm_id": firm, "observed_on": "2024-05-01"}
    assert client.post(consents, later).status_code == 409
    assert client.post(consents, {**later, "is_given": False}).status_code == 201


def test_who_comes_back_is_somebody_new(client, manager, firm, person):
    _erase(manager, person)
    back = client.post(f"/v1/firms/{firm}/people", PERSON).json()
    assert back["id"] != person["id"]
    assert back["number"] is not None


def test_a_late_retry_does_not_enter_an_erased_person_anew(client, database, tenant, manager, firm):
    first = client.post(f"/v1/firms/{firm}/people", PERSON, key="k")
    assert client.post(f"/v1/firms/{firm}/people", PERSON, key="k").text == first.text
    _erase(manager, first.json())
    again = client.post(f"/v1/firms/{firm}/people", PERSON, key="k")
    assert (again.status_code, again.json()["type"]) == (409, "urn:clustercredit:conflict")
    assert len(_rows(database, tenant, "select id from person")) == 1
    kept = _rows(database, tenant, "select request_mac, sealed_body from idempotency_key where key = 'k'")[0]
    assert (kept["request_mac"], kept["sealed_body"]) == (b"", b"")


def test_a_mutilated_row_opens_nothing_and_hides_nobody_else(client, database, tenant, firm, person):
    other = client.post(f"/v1/firms/{firm}/people", {**PERSON, "number": national_id(2)}).json()
    with database.engine.begin() as connection:
        swap = "update person set sealed = (select sealed from person where id = :other) where id = :id"
        connection.execute(text(swap), {"id": person["id"], "other": other["id"]})
    nameless = {**person, "number": None, "name": None}
    assert client.get(f"/v1/people/{person['id']}").json() == nameless
    items = client.get(f"/v1/firms/{firm}/people").json()["items"]
    assert sorted(items, key=lambda item: item["id"]) == sorted([nameless, other], key=lambda item: item["id"])


def test_a_damaged_key_hides_nobody_else(app, client, tenant, firm, person):
    other = client.post(f"/v1/firms/{firm}/people", {**PERSON, "number": national_id(2)}).json()
    next(app.state.keyring.folder.rglob(f"{person['id']}.key")).write_bytes(b"short")
    shown = {item["id"]: item["number"] for item in client.get(f"/v1/firms/{firm}/people").json()["items"]}
    assert shown == {person["id"]: None, other["id"]: other["number"]}


@pytest.mark.parametrize("pseudonym", ["P" + "0" * 35, "-" * 36, str(uuid.UUID(int=7)).replace("0", "g")])
def test_a_pseudonym_of_a_files_is_no_person_of_ours(client, database, tenant, firm, person, pseudonym):
    with database.session(tenant_id_of(tenant)) as session:
        add_inputs(session, inputs(rows.person(pseudonym, date(2001, 1, 1), firm_id="E1")), lambda *_: None)
    answer = client.get(f"/v1/firms/{firm}/people")
    assert (answer.status_code, answer.json()["items"]) == (200, [person])


def test_a_branch_neither_changes_a_name_of_another_branchs_nor_learns_when_it_was_entered(
    app, database, tenant, client
):
    with database.session(tenant_id_of(tenant)) as session:
        branches = [create_branch(session, name).id for name in ("north", "south")]
    north, south = (make_client(app, database, tenant, Role.LOAN_OFFICER, branch_id=branch) for branch in branches)
    firms = [asker.post("/v1/firms", {**FIRM, "key": f"K{n}"}).json()["id"] for n, asker in enumerate((north, south))]
    person = north.post(f"/v1/firms/{firms[0]}/people", PERSON).json()
    for _ in range(2):
        joined = south.post(f"/v1/firms/{firms[1]}/people", {**PERSON, "name": "李四"}).json()
        assert (joined["id"], joined["version"], joined["name"]) == (person["id"], 1, "张**")
        assert joined["created_at"] > person["created_at"]
        assert [link["firm_id"] for link in joined["firms"]] == [firms[1]]
    assert south.get(f"/v1/people/{person['id']}").json() == joined
    assert north.get(f"/v1/people/{person['id']}").json() == person
    renamed = client.post(f"/v1/firms/{firms[1]}/people", {**PERSON, "name": "李四"}).json()
    assert (renamed["name"], renamed["version"], renamed["created_at"]) == ("李**", 2, person["created_at"])
