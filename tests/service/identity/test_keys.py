"""API keys over HTTP: made once, shown once, changed by ETag, ended at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from http_client import Client, make_client
from sqlalchemy import text

from service.errors import InvalidPayload
from service.identity.access import Organisation, Role
from service.identity.keys import SEEN_EVERY, create_key
from service.identity.use_cases import create_tenant, tenant_id_of
from service.identity.users import Duty, create_user

KEY = {"name": "nightly", "role": "batch", "days": 30}


@pytest.fixture
def administrator(app, database, tenant):
    return make_client(app, database, tenant, Role.ADMINISTRATOR)


def test_a_key_is_shown_once_and_opens_what_its_role_may(app, administrator):
    made = administrator.post("/v1/keys", KEY)
    assert made.status_code == 201, made.text
    key = made.json()
    assert made.headers["etag"] == '"1"'
    machine = Client(app, key["key"])
    assert machine.get("/v1/me").json()["role"] == "batch"
    assert machine.get("/v1/firms").status_code == 200
    assert machine.get("/v1/keys").status_code == 403
    shown = administrator.get(f"/v1/keys/{key['id']}").json()
    assert "key" not in shown
    assert key["key"] not in administrator.send("GET", "/v1/keys").text


def test_a_retry_shows_the_same_key_and_the_database_does_not_have_it(database, tenant, administrator):
    first, second = (administrator.post("/v1/keys", KEY, key="once") for _ in range(2))
    assert first.json() == second.json()
    assert first.headers["etag"] == second.headers["etag"]
    with database.session(tenant_id_of(tenant)) as session:
        kept = session.execute(text("select * from idempotency_key")).mappings().one()
    assert first.json()["key"].encode() not in bytes(kept["sealed_body"])
    assert first.json()["key"] not in str(dict(kept))


def test_keys_of_retries_are_each_askers_own(app, database, tenant, administrator):
    """Neither is an answer given to another asker, nor can one asker use up what another will choose."""
    first = administrator.post("/v1/keys", KEY, key="nightly-2026-11-30").json()
    other = make_client(app, database, tenant, Role.ADMINISTRATOR)
    second = other.post("/v1/keys", {**KEY, "name": "other"}, key="nightly-2026-11-30")
    assert second.status_code == 201
    assert second.json()["key"] != first["key"]


def test_a_revoked_key_opens_nothing_and_stays_listed(app, administrator):
    made = administrator.post("/v1/keys", KEY).json()
    path, machine = f"/v1/keys/{made['id']}", Client(app, made["key"])
    assert machine.get("/v1/me").status_code == 200
    tag = administrator.get(path)
    revoked = administrator.send("DELETE", path, headers={"If-Match": tag.headers["etag"]})
    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"]
    assert machine.get("/v1/me").status_code == 401
    assert made["id"] in {key["id"] for key in administrator.get("/v1/keys").json()["items"]}


def test_a_key_ends_by_itself(app, database, tenant, administrator):
    made = administrator.post("/v1/keys", KEY).json()
    with database.engine.begin() as connection:
        end = text("update api_key set expires_at = now() - interval '1 second' where id = :id")
        connection.execute(end, {"id": made["id"]})
    answer = Client(app, made["key"]).get("/v1/me")
    assert answer.status_code == 401
    assert "ended on" in answer.json()["detail"]


def test_the_last_use_is_shown_to_the_minute(app, database, administrator):
    made = administrator.post("/v1/keys", KEY).json()
    path = f"/v1/keys/{made['id']}"
    assert administrator.get(path).json()["last_used_at"] is None
    Client(app, made["key"]).get("/v1/me")
    first = administrator.get(path).json()["last_used_at"]
    assert first
    Client(app, made["key"]).get("/v1/me")
    assert administrator.get(path).json()["last_used_at"] == first
    with database.engine.begin() as connection:
        back = text("update api_key set last_used_at = last_used_at - :ago where id = :id")
        connection.execute(back, {"id": made["id"], "ago": SEEN_EVERY + timedelta(seconds=1)})
    Client(app, made["key"]).get("/v1/me")
    assert administrator.get(path).json()["last_used_at"] > first
    assert administrator.get(path).headers["etag"] == '"1"'


def test_a_change_names_the_state_it_was_made_from(administrator):
    made = administrator.post("/v1/keys", KEY).json()
    path = f"/v1/keys/{made['id']}"
    assert administrator.send("PATCH", path, json={"name": "x"}).status_code == 428
    for stale in ('"2"', 'W/"1"', "*", "1"):
        assert administrator.send("PATCH", path, json={"name": "x"}, headers={"If-Match": stale}).status_code == 412
    changed = administrator.send("PATCH", path, json={"name": "weekly"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["name"]) == (200, '"2"', "weekly")
    assert administrator.send("PATCH", path, json={"days": 5}, headers={"If-Match": '"1", "2"'}).status_code == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"role": "loan_officer"}, "needs either"),
        ({"role": "loan_officer", "all_branches": True, "branch_id": "0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"}, "either"),
        ({"role": "batch", "all_branches": True}, "neither branch_id"),
        ({"role": "batch", "branch_id": "0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"}, "neither branch_id"),
        ({"role": "approver"}, "limits"),
        ({"role": "batch", "limits": [{"worst_grade": 8, "amount": "5"}]}, "limits"),
        ({"role": "firm"}, "firm_id"),
        ({"role": "fund_auditor"}, "no role"),
        ({"role": "king"}, "Input should be"),
        ({"role": "batch", "days": 731}, "730"),
    ],
)
def test_a_role_that_does_not_fit_is_refused(administrator, body, reason):
    answer = administrator.post("/v1/keys", {"name": "x", **body})
    assert answer.status_code == 422
    assert reason in answer.text


@pytest.mark.parametrize("kind", [Organisation.FUND, Organisation.ASSOCIATION])
def test_other_organisations_have_other_roles(app, database, tenant, kind):
    name = f"{kind} of {tenant}"
    with database.session() as session:
        create_tenant(session, name, kind)
    administrator = make_client(app, database, name, Role.ADMINISTRATOR)
    assert administrator.get("/v1/me").json()["kind"] == kind
    assert administrator.post("/v1/keys", KEY).status_code == 422
    assert administrator.post("/v1/branches", {"name": "A"}).status_code == 409
    own = "fund_auditor" if kind is Organisation.FUND else "association_clerk"
    assert administrator.post("/v1/keys", {"name": "x", "role": own}).status_code == 201


def test_the_use_of_a_refused_request_is_noted(app, administrator):
    made = administrator.post("/v1/keys", KEY).json()
    assert Client(app, made["key"]).get("/v1/keys").status_code == 403
    assert administrator.get(f"/v1/keys/{made['id']}").json()["last_used_at"]


def test_the_use_is_noted_while_the_key_is_being_changed_or_passed_over(app, database, administrator):
    made = administrator.post("/v1/keys", KEY).json()
    with database.engine.begin() as connection:
        connection.execute(text("select 1 from api_key where id = :id for update"), {"id": made["id"]})
        assert Client(app, made["key"]).get("/v1/me").status_code == 200, "nobody waits for this"
    assert administrator.get(f"/v1/keys/{made['id']}").json()["last_used_at"] is None
    assert Client(app, made["key"]).get("/v1/me").status_code == 200
    assert administrator.get(f"/v1/keys/{made['id']}").json()["last_used_at"]


def test_two_administrators_revoke_each_other(app, database, tenant, administrator):
    for _ in range(5):
        made = [administrator.post("/v1/keys", {**KEY, "role": "administrator"}).json() for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda pair: revoke(Client(app, pair[0]["key"]), pair[1]), (made, made[::-1])))
        assert sorted(answers) in ([200, 200], [200, 401])


def revoke(client, key):
    return client.send("DELETE", f"/v1/keys/{key['id']}", headers={"If-Match": '"1"'}).status_code


@pytest.mark.parametrize("end", ["expires_at = now() - interval '1 second'", "revoked_at = now()"])
def test_a_key_that_has_ended_is_not_revived(database, administrator, end):
    made = administrator.post("/v1/keys", KEY).json()
    with database.engine.begin() as connection:
        connection.execute(text(f"update api_key set {end} where id = :id"), {"id": made["id"]})
    path, headers = f"/v1/keys/{made['id']}", {"If-Match": '"1"'}
    answer = administrator.send("PATCH", path, json={"days": 30}, headers=headers)
    assert answer.status_code == 409
    assert "POST /v1/keys" in answer.json()["detail"]
    assert administrator.send("PATCH", path, json={"name": "old"}, headers=headers).status_code == 200


def test_a_branch_is_made_once(administrator):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: administrator.post("/v1/branches", {"name": "路桥支行"}), range(8)))
    assert sorted(answer.status_code for answer in made) == [201, *[409] * 7]
    others = [administrator.post("/v1/branches", {"name": f"b{i}"}).json()["id"] for i in range(8)]

    def rename(branch):
        path, headers = f"/v1/branches/{branch}", {"If-Match": '"1"'}
        return administrator.send("PATCH", path, json={"name": "椒江支行"}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(rename, others)) == [200, *[409] * 7]


@pytest.mark.parametrize("make", [create_key, lambda session, name, role: create_user(session, name, name, Duty(role))])
def test_a_missing_branch_is_not_all_branches(session, make):
    with pytest.raises(InvalidPayload, match="needs either branch_id or all_branches"):
        make(session, "officer", Role.LOAN_OFFICER)


def test_an_approvers_limits_come_with_its_key_and_itself(app, administrator):
    limits = [{"worst_grade": 8, "amount": "5000000.50"}]
    made = administrator.post("/v1/keys", {"name": "ap", "role": "approver", "limits": limits})
    assert made.status_code == 201, made.text
    assert made.json()["limits"] == limits
    assert Client(app, made.json()["key"]).get("/v1/me").json()["limits"] == limits
    assert administrator.get(f"/v1/keys/{made.json()['id']}").json()["limits"] == limits
