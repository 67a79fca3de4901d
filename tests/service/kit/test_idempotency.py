"""Promise 8, fast form: a retry never repeats an effect."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from service.identity.use_cases import tenant_id_of

FIRM = {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}


def _count(database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        return session.execute(text("select count(*) from firm_observation")).scalar_one()


def test_the_same_request_gets_the_same_answer(client, database, tenant):
    first = client.post("/v1/firms", FIRM, key="k")
    second = client.post("/v1/firms", FIRM, key="k")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert _count(database, tenant) == 1


def test_a_key_belongs_to_one_request(client):
    client.post("/v1/firms", FIRM, key="k")
    other = client.post("/v1/firms", {**FIRM, "name": "other"}, key="k")
    assert other.status_code == 422
    assert other.json()["type"] == "urn:clustercredit:idempotency-key-reused"


def test_a_creating_post_needs_a_key(client):
    answer = client.post("/v1/firms", FIRM, key=None)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:clustercredit:missing-idempotency-key"
    assert client.post("/v1/firms", FIRM, key="x" * 201).status_code == 422


def test_a_failed_request_leaves_its_key_free(client):
    assert (
        client.post("/v1/loans/none/status", {"observed_on": "2024-02-29", "days_past_due": 3}, key="k").status_code
        == 404
    )
    assert client.post("/v1/firms", FIRM, key="k").status_code == 201


def test_twenty_at_once_have_one_effect(client, database, tenant):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/firms", FIRM, key="k"), range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert _count(database, tenant) == 1


def test_a_key_is_forgotten_after_a_day(client, database, tenant):
    client.post("/v1/firms", FIRM, key="k")
    with database.engine.begin() as connection:
        connection.execute(text("update idempotency_key set created_at = created_at - interval '25 hours'"))
    assert client.post("/v1/firms", {**FIRM, "name": "other"}, key="k").status_code == 201


def test_old_keys_of_others_are_forgotten_on_the_way(app, client, database, tenant):
    client.post("/v1/firms", FIRM, key="old")
    with database.engine.begin() as connection:
        connection.execute(text("update idempotency_key set created_at = created_at - interval '25 hours'"))
    client.post("/v1/firms", FIRM, key="new")
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(text("select key from idempotency_key")).scalars().all() == ["new"]


def test_who_signed_in_anew_is_told_to_look_first(client, database, tenant):
    client.post("/v1/firms", FIRM, key="k")
    with database.engine.begin() as connection:
        connection.execute(text("update idempotency_key set secret_mac = 'another session of the same person'"))
    answer = client.post("/v1/firms", FIRM, key="k")
    assert answer.status_code == 409
    assert "Look whether it is there" in answer.json()["detail"]
    assert _count(database, tenant) == 1
