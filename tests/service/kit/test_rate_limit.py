"""Limits are shared by all processes, never exceeded, and wait for nobody's commit."""

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from http_client import make_client
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from service.app import create_app
from service.errors import TooManyRequests
from service.identity.access import Role
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit.db import Database
from service.kit.rate_limit import KEPT, NOBODY, Failures, Limiter, window_at
from service.settings import Settings

NOON = datetime(2026, 3, 1, 12, 0, 10, 500_000, tzinfo=UTC)
SHARER = """
import sys
from datetime import datetime
from uuid import UUID
from service.errors import TooManyRequests
from service.kit.db import Database
from service.kit.rate_limit import Limiter

url, tenant, limit, now = sys.argv[1:]
limiter = Limiter(Database(url), now=lambda: datetime.fromisoformat(now))
taken = 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2 * int(limit)):
    try:
        limiter.take(UUID(tenant), "asker", int(limit), 60)
        taken += 1
    except TooManyRequests:
        pass
print(taken)
"""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def taken(limiter: Limiter, tenant_id: uuid.UUID, limit: int, times: int, cost: int = 1) -> int:
    """Take many times; return how often it was granted."""

    def is_granted() -> bool:
        try:
            limiter.take(tenant_id, "asker", limit, 60, cost)
        except TooManyRequests:
            return False
        return True

    return sum(is_granted() for _ in range(times))


def windows(database, tenant_id):
    query = text("select subject, window_start, used from rate_window where tenant_id = :tenant order by 1, 2")
    with database.session(tenant_id) as session:
        return [tuple(row) for row in session.execute(query, {"tenant": tenant_id})]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 86_400),
)
def test_windows_follow_each_other_without_gap(now, seconds):
    window = window_at(now, seconds)
    length = timedelta(seconds=seconds)
    assert window.start <= now < window.end == window.start + length
    assert (window.start - datetime(1970, 1, 1, tzinfo=UTC)) % length == timedelta(0)
    assert window_at(window.start, seconds) == window == window_at(window.end - timedelta.resolution, seconds)
    assert window_at(window.end, seconds).start == window.end
    assert window.seconds_left(now) - 1 < (window.end - now) / timedelta(seconds=1) <= window.seconds_left(now)


@pytest.mark.parametrize("limit", [1, 10, 237])
def test_two_limiters_and_fifty_threads_take_exactly_the_limit(database, limit):
    tenant_id, limiters = uuid.uuid4(), [Limiter(database, Clock()) for _ in range(2)]
    with ThreadPoolExecutor(50) as pool:
        counts = pool.map(lambda n: taken(limiters[n % 2], tenant_id, limit, limit), range(50))
        assert sum(counts) == limit
    assert windows(database, tenant_id) == [("asker", window_at(NOON, 60).start, limit)]


def test_threads_that_come_at_once_share_one_lease(database):
    tenant_id, limiter, start = uuid.uuid4(), Limiter(database, Clock()), Barrier(20)

    def take(_):
        start.wait(timeout=20)
        return taken(limiter, tenant_id, 600, 1)

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(take, range(20))) == 20
    assert [used for _, _, used in windows(database, tenant_id)] == [30]


def test_processes_share_a_limit(database):
    tenant_id, limit = uuid.uuid4(), 500
    command = [sys.executable, "-c", SHARER, database.url, str(tenant_id), str(limit), NOON.isoformat()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    counts = []
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        counts.append(int(child.communicate(timeout=60)[0]))
        assert child.returncode == 0
    assert sum(counts) == limit
    assert taken(Limiter(database, Clock()), tenant_id, limit, 1) == 0


def test_a_lease_near_the_limit_is_what_is_left(database):
    tenant_id, (first, second) = uuid.uuid4(), [Limiter(database, Clock()) for _ in range(2)]
    assert taken(first, tenant_id, 100, 1) == 1
    assert taken(second, tenant_id, 100, 200) == 95
    assert taken(first, tenant_id, 100, 200) == 4


def test_costs_are_counted(database):
    tenant_id, limiter = uuid.uuid4(), Limiter(database, Clock())
    assert taken(limiter, tenant_id, 100, 20, cost=30) == 3
    assert taken(limiter, tenant_id, 100, 20) == 10


def test_the_next_window_is_free_and_leases_end_with_theirs(database):
    tenant_id, clock = uuid.uuid4(), Clock()
    limiter, other = Limiter(database, clock), Limiter(database, clock)
    assert taken(limiter, tenant_id, 100, 7) == 7
    clock.now += timedelta(minutes=1)
    assert taken(limiter, tenant_id, 100, 150) == 100
    assert taken(other, tenant_id, 100, 1) == 0
    clock.now += timedelta(minutes=1)
    assert taken(other, tenant_id, 100, 150) == 100


def test_retry_after_is_the_end_of_the_window(database):
    tenant_id, clock = uuid.uuid4(), Clock()
    limiter = Limiter(database, clock)
    limiter.take(tenant_id, "asker", 1, 60)
    with pytest.raises(TooManyRequests) as refused:
        limiter.take(tenant_id, "asker", 1, 60)
    assert refused.value.headers == {"Retry-After": "50"}
    clock.now += timedelta(seconds=50)
    limiter.take(tenant_id, "asker", 1, 60)


def test_tenants_subjects_and_lengths_do_not_share(database):
    limiter, tenant_id = Limiter(database, Clock(window_at(NOON, 3600).start)), uuid.uuid4()
    assert taken(limiter, tenant_id, 1, 3) == 1
    limiter.take(uuid.uuid4(), "asker", 1, 60)
    limiter.take(tenant_id, "other", 1, 60)
    limiter.take(tenant_id, "asker", 1, 3600)


def test_zero_is_no_limit(database):
    tenant_id = uuid.uuid4()
    assert taken(Limiter(database, Clock()), tenant_id, 0, 50) == 50
    assert windows(database, tenant_id) == []


def test_the_database_is_written_to_once_a_lease_and_not_for_a_refusal(database):
    tenant_id, limiter, writes = uuid.uuid4(), Limiter(database, Clock()), []

    def note(_connection, _cursor, statement, *_):
        if "insert into rate_window" in statement:
            writes.append(statement)

    event.listen(limiter._database.engine, "before_cursor_execute", note)
    assert taken(limiter, tenant_id, 600, 600) == 600
    assert len(writes) == 20
    assert taken(limiter, tenant_id, 600, 500) == 0
    assert len(writes) == 21


def test_nobody_waits_for_a_requests_commit(database, tenant):
    tenant_id = tenant_id_of(tenant)
    with database.session(tenant_id) as session:
        session.execute(text("select 1"))
        assert taken(Limiter(database, Clock()), tenant_id, 1, 1) == 1
        assert windows(database, tenant_id)[0][2] == 1
        assert taken(Limiter(database, Clock()), tenant_id, 1, 1) == 0
        session.rollback()
    assert windows(database, tenant_id)[0][2] == 1


def test_ended_windows_are_forgotten(database):
    tenant_id, other_id, clock = uuid.uuid4(), uuid.uuid4(), Clock()
    limiter = Limiter(database, clock)
    for subject in ("a", "b"):
        limiter.take(tenant_id, subject, 5, 60)
    limiter.take(tenant_id, "long", 5, 3600)
    limiter.take(other_id, "a", 5, 60)
    clock.now += KEPT + timedelta(minutes=1)
    limiter.take(tenant_id, "a", 5, 60)
    starts = [("a", window_at(clock.now, 60).start, 1), ("long", window_at(NOON, 3600).start, 1)]
    assert windows(database, tenant_id) == starts
    assert len(windows(database, other_id)) == 1
    assert {key[:2] for key in limiter._leases} == {(tenant_id, "a"), (tenant_id, "long")}


def test_forgetting_waits_for_nobody(database):
    tenant_id, clock = uuid.uuid4(), Clock()
    limiter = Limiter(database, clock)
    limiter.take(tenant_id, "a", 5, 60)
    clock.now += KEPT + timedelta(minutes=1)
    locked = text("select subject from rate_window where tenant_id = :tenant for update")
    with ThreadPoolExecutor(1) as pool, database.session(tenant_id) as session:
        assert session.execute(locked, {"tenant": tenant_id}).scalar_one() == "a"
        pool.submit(limiter.take, tenant_id, "b", 5, 60).result(timeout=20)
    assert [subject for subject, _, _ in windows(database, tenant_id)] == ["a", "b"]


def test_windows_are_under_row_level_security(database):
    tenant_id = uuid.uuid4()
    Limiter(database, Clock()).take(tenant_id, "asker", 5, 60)
    everything = text("select count(*) from rate_window")
    with database.session(tenant_id) as session:
        assert session.execute(everything).scalar_one() == 1
    with database.session(uuid.uuid4()) as session:
        assert session.execute(everything).scalar_one() == 0


def test_without_a_database_nothing_is_let_through(tmp_path):
    limiter = Limiter(Database(f"postgresql:///x?host={tmp_path}"), Clock())
    with pytest.raises(OperationalError):
        limiter.take(uuid.uuid4(), "asker", 5, 60)


def test_an_address_that_fails_too_often_is_not_looked_at(database):
    clock, address = Clock(), f"test-{uuid.uuid4()}"
    failures = Failures(Limiter(database, clock), 3)
    failures.note_good(address, "good")
    for guess in range(3):
        failures.check(address, str(guess))
        failures.note_bad(address, str(guess))
    with pytest.raises(TooManyRequests):
        failures.note_bad(address, "3")
    with pytest.raises(TooManyRequests):
        failures.check(address, "4")
    failures.check(address, "good")
    failures.check("elsewhere", "4")
    with pytest.raises(TooManyRequests):
        failures.note_bad(address, "good")
    with pytest.raises(TooManyRequests):
        failures.check(address, "good")
    clock.now += timedelta(minutes=1)
    failures.check(address, "4")


def test_secrets_that_were_good_long_ago_are_forgotten(database, monkeypatch):
    monkeypatch.setattr(Failures, "REMEMBERED", 2)
    failures = Failures(Limiter(database, Clock()), 3)
    for secret in "abac":
        failures.note_good("address", secret)
    assert set(failures._good) == {Failures._digest("address", secret) for secret in "ac"}


@pytest.fixture
def limited(database):
    """Return an application with small limits and a clock that stands."""

    def make(**limits):
        app = create_app(Settings(**limits), database)
        app.state.limiter._now = Clock()
        return app

    return make


def test_a_key_over_its_limit_gets_429_and_the_others_go_on(limited, database, tenant):
    app = limited(requests_per_minute=3, tenant_requests_per_minute=0)
    first, second = (make_client(app, database, tenant) for _ in range(2))
    answers = [first.get("/v1/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["Content-Type"] == "application/problem+json"
    assert answers[-1].headers["Retry-After"] == "50"
    assert answers[-1].json()["type"] == "urn:clustercredit:too-many-requests"
    assert second.get("/v1/me").status_code == 200


def test_a_tenant_over_its_limit_gets_429_and_the_others_go_on(limited, database, tenant):
    app = limited(requests_per_minute=2, tenant_requests_per_minute=5)
    clients = [make_client(app, database, tenant) for _ in range(3)]
    assert [clients[0].get("/v1/me").status_code for _ in range(4)] == [200, 200, 429, 429]
    codes = [client.get("/v1/me").status_code for client in clients[1:] for _ in range(2)]
    assert codes == [200, 200, 200, 429]
    with database.session() as session:
        create_tenant(session, name := f"other-{uuid.uuid4().hex}")
    assert make_client(app, database, name).get("/v1/me").status_code == 200


def test_a_refused_role_counts_too(limited, database, tenant):
    client = make_client(limited(requests_per_minute=1), database, tenant, Role.MODEL_VALIDATOR)
    assert [client.post("/v1/firms", {}).status_code for _ in range(2)] == [403, 429]


def test_guessing_is_stopped_whatever_address_is_claimed(limited, database, tenant):
    app = limited(failed_requests_per_minute=2)
    client, elsewhere = make_client(app, database, tenant), make_client(app, database, tenant)
    assert client.get("/v1/me").status_code == 200
    codes = []
    for guess in range(5):
        headers = {"Authorization": f"Bearer cck_{guess}", "X-Forwarded-For": f"192.0.2.{guess}"}
        codes.append(client.send("GET", "/v1/me", headers=headers).status_code)
    with database.session(NOBODY) as session:
        session.execute(text("delete from rate_window where tenant_id = :nobody"), {"nobody": NOBODY})
    assert codes == [401, 401, 429, 429, 429]
    assert client.get("/v1/me").status_code == 200
    assert elsewhere.get("/v1/me").status_code == 429


def test_429_and_its_header_are_declared(app):
    for path, item in app.openapi()["paths"].items():
        for operation in item.values():
            assert "Retry-After" in operation["responses"]["429"]["headers"], path
