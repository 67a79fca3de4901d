"""Promise 8 in full: threads that retry against `clustercredit serve`, and kills between commit and reply."""

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, sleep

import httpx
import pytest
from http_client import make_client
from sqlalchemy import text

from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from tests.chaos.own_server import HOST, OwnServer, Proxy

THREADS, KEYS = 50, 200
KILLS_AFTER_COMMIT, KILLS_AT_RANDOM = 15, 15
COUNT = text("select count(*) from api_key where name = :name")

pytestmark = [pytest.mark.chaos, pytest.mark.allow_hosts([HOST]), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def server_process(database, tmp_path_factory):
    server = OwnServer(database.url, tmp_path_factory.mktemp("serve"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def token(app, database, tenant) -> str:
    return make_client(app, database, tenant, Role.ADMINISTRATOR).token


def _post(client: httpx.Client, url: str, token: str, name: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": name}
    while True:
        answer = client.post(f"{url}/v1/keys", headers=headers, json={"name": name, "role": "batch"})
        if answer.status_code != 409:
            return answer
        sleep(float(answer.headers["retry-after"]) / 10)


def test_threads_that_send_the_same(server_process, database, tenant, token):
    names = [f"key-{number}" for number in range(KEYS)]

    def send_all(thread: int) -> list[tuple[str, int, str]]:
        with httpx.Client(timeout=60) as client:
            shuffled = random.Random(thread).sample(names, KEYS)
            answers = [(name, _post(client, server_process.url, token, name)) for name in shuffled]
            return [(name, answer.status_code, answer.text) for name, answer in answers]

    begun = perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for answers in pool.map(send_all, range(THREADS)) for answer in answers]
    taken = perf_counter() - begun
    with database.session(tenant_id_of(tenant)) as session:
        rows = dict(
            session.execute(text("select name, count(*) from api_key where name like 'key-%' group by 1")).all()
        )
    print(
        f"\npromise 8: {THREADS} threads x {KEYS} keys: {len(answers):,} answers in {taken:.0f} s, "
        f"{len(set(answers))} different, {Counter(rows.values())} rows a key"
    )
    assert len(answers) == THREADS * KEYS
    assert {status for _, status, _ in answers} == {201}
    assert len(set(answers)) == KEYS
    assert rows == dict.fromkeys(names, 1)


def _break_off(server, token, name, *, on_answer, on_request) -> bytes:
    """Send a request whose answer is lost; return as much of the answer as the server got out."""
    proxy = Proxy(server.port, on_answer, on_request)
    with httpx.Client(timeout=60) as client, pytest.raises(httpx.TransportError):
        _post(client, f"http://{HOST}:{proxy.port}", token, name)
    proxy.close()
    return proxy.swallowed


def _count(database, tenant, name) -> int:
    with database.session(tenant_id_of(tenant)) as session:
        return session.execute(COUNT, {"name": name}).scalar_one()


def test_a_kill_between_commit_and_reply(server_process, database, tenant, token):
    """The answer's first byte leaves the server after the commit; the server dies then, and nobody has the answer."""
    for _ in range(KILLS_AFTER_COMMIT):
        name = uuid.uuid4().hex
        lost = _break_off(server_process, token, name, on_answer=server_process.kill, on_request=lambda: None)
        assert lost.startswith(b"HTTP/1.1 201")
        assert _count(database, tenant, name) == 1
        server_process.start()
        with httpx.Client(timeout=60) as client:
            again = _post(client, server_process.url, token, name)
            secret = again.json()["key"]
            me = client.get(f"{server_process.url}/v1/me", headers={"Authorization": f"Bearer {secret}"})
        assert again.status_code == 201
        assert me.json()["name"] == name
        body = lost.partition(b"\r\n\r\n")[2]
        assert again.content.startswith(body)
        assert _count(database, tenant, name) == 1
    print(
        f"\npromise 8: {KILLS_AFTER_COMMIT} kills between commit and reply: one row each, and the answer that was lost"
    )


def test_a_kill_at_any_moment(server_process, database, tenant, token):
    dice, committed = random.Random(8), 0
    for _ in range(KILLS_AT_RANDOM):
        name = uuid.uuid4().hex

        def kill_soon() -> None:
            sleep(dice.uniform(0, 0.06))
            server_process.kill()

        _break_off(server_process, token, name, on_answer=lambda: None, on_request=kill_soon)
        before = _count(database, tenant, name)
        assert before in {0, 1}
        committed += before
        server_process.start()
        with httpx.Client(timeout=60) as client:
            answers = [_post(client, server_process.url, token, name) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].content == answers[1].content
        assert _count(database, tenant, name) == 1
    print(f"\npromise 8: {KILLS_AT_RANDOM} kills at random moments, {committed} after the commit: one row each")
