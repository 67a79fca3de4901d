"""Promise 8, fast form, and promise 9: many at once, one effect."""

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from http_client import make_client
from sqlalchemy import text

from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from tests.contracts import world

THREADS, KEYS, PATCHES = 20, 20, 100
NEW_KEY = {"role": "batch", "days": 30}


@pytest.fixture
def administrator(app, database, tenant) -> str:
    return make_client(app, database, tenant, Role.ADMINISTRATOR).token


def test_a_retry_never_repeats_an_effect(talker, database, tenant, administrator):
    """Threads send the same requests, each in an order of its own; a secret in the answer tells effects apart."""
    names = [f"key {number}" for number in range(KEYS)]

    def send_all(thread: int) -> list[tuple[str, str]]:
        answers = []
        for name in random.Random(thread).sample(names, KEYS):
            while True:
                headers = {"Idempotency-Key": name.replace(" ", "-")}
                answer = talker.send(administrator, "POST", "/v1/keys", headers=headers, json={"name": name, **NEW_KEY})
                if answer.status_code != 409:
                    break
                assert answer.headers["retry-after"] == "1"
                sleep(0.02)
            assert answer.status_code == 201, answer.text
            answers.append((name, answer.text))
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for answers in pool.map(send_all, range(THREADS)) for answer in answers]
    assert len(answers) == THREADS * KEYS
    assert len(set(answers)) == KEYS
    count = text("select name, count(*) from api_key where name like 'key %' group by name")
    with database.session(tenant_id_of(tenant)) as session:
        assert dict(session.execute(count).all()) == dict.fromkeys(names, 1)


def _branch(session, owner):
    return f"/v1/branches/{owner['branch']}", lambda number: {"name": f"branch {number}"}, "name"


def _key(session, owner):
    return f"/v1/keys/{world.key(session, owner)}", lambda number: {"name": f"key {number}"}, "name"


def _firm(session, owner):
    return (
        f"/v1/firms/{owner['firm']}",
        lambda number: {"branch_id": owner["branch"] if number % 2 else None},
        "branch_id",
    )


def _alert(session, owner):
    alert_id = world.add_alert(session, uuid.UUID(owner["firm"]))
    return f"/v1/alerts/{alert_id}/acknowledge", lambda number: {"note": f"note {number}"}, "note"


@pytest.mark.parametrize(
    ("make", "method", "role"),
    [
        (_branch, "PATCH", Role.ADMINISTRATOR),
        (_key, "PATCH", Role.ADMINISTRATOR),
        (_firm, "PATCH", Role.RISK_MANAGER),
        (_alert, "POST", Role.RISK_MANAGER),
    ],
)
def test_of_many_changes_of_one_state_one_is_made(app, talker, database, tenant, make, method, role):
    token = make_client(app, database, tenant, role).token
    reader = make_client(app, database, tenant, Role.RISK_MANAGER if role is Role.RISK_MANAGER else role).token
    with database.session(tenant_id_of(tenant)) as session:
        branch_id = world.create_branch(session, "here").id
        owner = world.add_firm(session, tenant, branch_id, "E-1")
        path, body, field = make(session, owner)
    shown = path.removesuffix("/acknowledge")
    before = talker.send(reader, "GET", shown)

    def change(number: int):
        return talker.send(token, method, path, headers={"If-Match": before.headers["etag"]}, json=body(number))

    with ThreadPoolExecutor(PATCHES) as pool:
        answers = list(pool.map(change, range(PATCHES)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: PATCHES - 1}
    (won,) = (answer for answer in answers if answer.status_code == 200)
    after = talker.send(reader, "GET", shown)
    assert after.json() == won.json()
    assert after.headers["etag"] == won.headers["etag"] != before.headers["etag"]
    assert after.json()["version"] == before.json()["version"] + 1
    assert after.json()[field] == body(answers.index(won))[field]
    for answer in answers:
        if answer is not won:
            assert answer.json()["type"] == "urn:clustercredit:precondition-failed"
