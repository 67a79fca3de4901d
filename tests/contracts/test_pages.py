"""Promise 10: a walk through a list sees every row that does not change exactly once, while others write."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter

import pytest
from http_client import make_client
from sqlalchemy import text

from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from service.kit.paging import encode
from tests.contracts import world

LAST_TO_FIRST, MEASUREMENTS = 1.2, 41
FIRMS = text("""
    insert into firm (tenant_id, id, key, branch_id, created_at, version)
    select :tenant, gen_random_uuid(), 'F' || lpad(number::text, 7, '0'), null, now(), 1
    from generate_series(1, :rows) number
""")
OBSERVATIONS = text("""
    insert into firm_observation (tenant_id, content_sha256, firm_id, observed_on, known_on, ingested_at, name)
    select tenant_id, sha256(key::bytea), id, '2024-01-31', '2024-01-31', now(), key from firm
    where tenant_id = :tenant and key like 'F%'
""")
ALERTS = text("""
    insert into alert (tenant_id, id, rule, firm_id, product, severity, fingerprint, as_of, raised_at, text, evidence,
      version)
    select :tenant, gen_random_uuid(), 'grade_drop', :firm, 'credit-score', 'H', number::text, '2024-06-30',
      now() - number / 7 * interval '1 second', '{}', '{}', 1
    from generate_series(1, :rows) number
""")
SCORES = text("""
    insert into score select (jsonb_populate_record(s, jsonb_build_object(
      'id', gen_random_uuid(), 'run_id', null, 'scored_at', s.scored_at - number / 7 * interval '1 second'))).*
    from score s, generate_series(1, :rows) number where s.id = :score
""")
"""Rows share their instants in sevens, so that pages begin and end within a tie."""


def _in_full(rows: int):
    return pytest.param(rows, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])


@contextmanager
def _meanwhile(*acts: Callable[[int], None]) -> Iterator[Counter]:
    """Do the acts again and again, each in a thread of its own; count how often."""
    stop, done, failed = threading.Event(), Counter(), []

    def repeat(name: int, act: Callable[[int], None]) -> None:
        number = 0
        while not stop.is_set() and not failed:
            try:
                act(number)
            except Exception as error:  # noqa: BLE001 - shown below, in the test's own thread
                failed.append(error)
            number += 1
            done[name] += 1

    threads = [threading.Thread(target=repeat, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed, failed
    assert all(done[name] for name in range(len(acts)))


def _walk(talker, token, path: str, limit: int) -> list[dict]:
    items, cursor = [], None
    while True:
        params = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = talker.send(token, "GET", path, params=params).json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def _once_each(seen: list[str], unchanged: set[str]) -> None:
    counts = Counter(seen)
    wrong = {name: counts[name] for name in unchanged if counts[name] != 1}
    assert not wrong, f"{len(wrong)} of {len(unchanged)} unchanged rows not seen once: {sorted(wrong.items())[:5]}"


@pytest.mark.parametrize("rows", [5_000, _in_full(100_000)])
def test_a_walk_through_firms(app, talker, database, tenant, rows, capsys):
    tenant_id = tenant_id_of(tenant)
    with database.session(tenant_id) as session:
        branches = [str(world.create_branch(session, name).id) for name in ("here", "there")]
        session.execute(FIRMS, {"tenant": tenant_id, "rows": rows})
        session.execute(OBSERVATIONS, {"tenant": tenant_id})
        ids = dict(session.execute(text("select key, id::text from firm where key like 'F%'")).all())
    database.analyze()
    token = make_client(app, database, tenant, Role.RISK_MANAGER).token
    changing = set(random.Random(1).sample(sorted(ids), rows // 10))
    turns, dice = iter(sorted(changing) * 100), random.Random(2)

    def insert(number: int) -> None:
        key = f"F{dice.randrange(rows):07}-{number}"
        body = {"key": key, "name": "新厂", "observed_on": "2024-01-31"}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        assert talker.send(token, "POST", "/v1/firms", json=body, headers=headers).status_code == 201

    def change(number: int) -> None:
        path = f"/v1/firms/{ids[next(turns)]}"
        body, headers = {"branch_id": branches[number % 2]}, {"If-Match": '"1", "2", "3", "4", "5", "6"'}
        assert talker.send(token, "PATCH", path, json=body, headers=headers).status_code == 200

    with _meanwhile(insert, change) as done:
        seen = [item["key"] for item in _walk(talker, token, "/v1/firms", 1000 if rows > 10_000 else 250)]
    _once_each(seen, set(ids) - changing)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    if rows >= 100_000:
        ratio, first, last = _last_to_first(talker, token, sorted(ids)[-1001])
        with capsys.disabled():
            print(f"\npromise 10: {rows:,} firms walked during {done[0]} inserts and {done[1]} changes; page of 1,000:")  # noqa: T201
            print(f"  first {first * 1000:.1f} ms, last {last * 1000:.1f} ms, ratio of the medians {ratio:.3f}")  # noqa: T201
        assert ratio <= LAST_TO_FIRST


def _last_to_first(talker, token, before_last: str) -> tuple[float, float, float]:
    """Measure the first and the last page of 1,000 rows in turns, and return the ratio of their medians."""
    times: dict[str, list[float]] = {"first": [], "last": []}
    for _ in range(MEASUREMENTS):
        for name, cursor in (("first", {}), ("last", {"cursor": encode([before_last])})):
            begun = perf_counter()
            page = talker.send(token, "GET", "/v1/firms", params={"limit": 1000, **cursor})
            times[name].append(perf_counter() - begun)
            assert len(page.json()["items"]) == 1000
    first, last = median(times["first"]), median(times["last"])
    return last / first, first, last


@pytest.mark.parametrize("rows", [700, _in_full(20_000)])
def test_a_walk_through_alerts(app, talker, database, tenant, rows):
    tenant_id = tenant_id_of(tenant)
    with database.session(tenant_id) as session:
        owner = world.add_firm(session, tenant, world.create_branch(session, "here").id, "E-1")
        session.execute(ALERTS, {"tenant": tenant_id, "rows": rows, "firm": owner["firm"]})
        ids = [str(found) for found in session.execute(text("select id from alert")).scalars()]
    token = make_client(app, database, tenant, Role.RISK_MANAGER).token

    def insert(number: int) -> None:
        with database.session(tenant_id) as session:
            world.add_alert(session, uuid.UUID(owner["firm"]))

    def change(number: int) -> None:
        path = f"/v1/alerts/{ids[number % rows]}/acknowledge"
        assert talker.send(token, "POST", path, json={}, headers={"If-Match": '"1", "2"'}).status_code == 200

    with _meanwhile(insert, change):
        seen = [item["id"] for item in _walk(talker, token, "/v1/alerts", 50 if rows < 1000 else 500)]
    _once_each(seen, set(ids))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("rows", [300, _in_full(5_000)])
def test_a_walk_through_scores(app, talker, database, tenant, rows):
    tenant_id = tenant_id_of(tenant)
    with database.session(tenant_id) as session:
        world.add_model(session)
        owner = world.add_firm(session, tenant, world.create_branch(session, "here").id, "E-1")
        made = world.score(session, owner)
        session.execute(SCORES, {"score": made, "rows": rows})
        ids = {str(found) for found in session.execute(text("select id from score")).scalars()}
    token = make_client(app, database, tenant, Role.RISK_MANAGER).token
    assert len(ids) == rows + 1

    def insert(number: int) -> None:
        with database.session(tenant_id) as session:
            world.score(session, owner)

    with _meanwhile(insert):
        path = f"/v1/firms/{owner['firm']}/scores"
        seen = [item["id"] for item in _walk(talker, token, path, 40 if rows < 1000 else 500)]
    _once_each(seen, ids)
    assert len(seen) == len(set(seen))
